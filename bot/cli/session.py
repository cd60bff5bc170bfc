"""Opens the application for one command and closes it again; what stops a start becomes one plain sentence."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bot import settings
from bot.app import App, build
from bot.cli.console import CommandError, err, styled
from bot.observability import logs
from bot.settings import Settings
from core.storage.database import DRIVER_ERRORS
from core.storage.database_url import explain, parse
from core.storage.sqlite.version import too_old

T = TypeVar("T")


def read_settings(**given: str) -> Settings:
    """The settings; warnings are said on standard error. Raises SettingsError with every mistake."""
    found = settings.load(**given)
    for warning in found.warnings:
        err.print(styled((warning, "yellow")))
    return found


def writable(folder: Path) -> bool:
    """Whether files can be made in this folder, which is made first where it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def secrets_of(found: Settings) -> list[str]:
    """Every secret in the settings, for the log's redaction."""
    models = [found, *(platform.settings for platform in found.platforms)]
    values = [value for model in models for value in vars(model).values()]
    return [value.get_secret_value() for value in values if hasattr(value, "get_secret_value")]


@contextmanager
def plain_errors(found: Settings) -> Iterator[None]:
    """What can go wrong with the folder or the database of these settings becomes a CommandError of one sentence."""
    if not writable(found.data_dir):
        raise CommandError(f"DATA_DIR={found.data_dir} cannot be written to; name a folder that can.")
    try:
        if parse(found.database).get_backend_name() == "sqlite" and (sentence := too_old()):
            raise CommandError(sentence)
        yield
    except (SQLAlchemyError, *DRIVER_ERRORS) as error:
        raise CommandError(explain(error)) from None


@asynccontextmanager
async def opened(found: Settings, *, serve: bool, takes_over: bool = False) -> AsyncIterator[App]:
    """The started application. Raises NotUsable with one sentence where it cannot be started."""
    with plain_errors(found):
        app = build(found, serve=serve, takes_over=takes_over)
        await app.__aenter__()
    try:
        yield app
    finally:
        await app.close()


def in_app(work: Callable[[App], Awaitable[T]], *, takes_over: bool = False) -> T:
    """Run `work` in an opened application, with quiet logs, and return what it returns."""
    found = read_settings()
    level = found.log_level if found.log_level in ("debug", "error") else "error"
    logs.configure(level, found.log_format, secrets_of(found))

    async def go() -> T:
        async with opened(found, serve=False, takes_over=takes_over) as app:
            return await work(app)

    return asyncio.run(go())
