"""Opens the application for one command, or to serve; what stops a start becomes one plain sentence."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bot import settings
from bot.app import App
from bot.cli.console import CommandError, err, styled
from bot.observability import logs
from bot.observability.garbage import garbage_task
from bot.settings import Settings
from core.images.confinement import hide_memory
from core.jobs.maintenance import repeat_all
from core.storage.database import DRIVER_ERRORS
from core.storage.database_url import explain, parse
from core.storage.sqlite.writer import too_old
from core.upscalers.fal import FalUpscaler

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
        app = App(found, serve=serve, takes_over=takes_over)
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


_KEY_CHECK_S = 5.0
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  (which no browser can open)


def run_bot(**given: str) -> int:
    """Serve until SIGTERM or SIGINT, by the settings `given` before all others; the exit code.

    Raises NotUsable with one sentence where it cannot start.
    """
    found = read_settings(**given)
    hide_memory()
    logs.configure(found.log_level, found.log_format, secrets_of(found))
    return asyncio.run(_serve(found))


async def _serve(found: Settings) -> int:
    async with opened(found, serve=True) as app:
        app.on_ready = _connected
        if isinstance(app.upscaler, FalUpscaler) and await _refused(app.upscaler):
            raise CommandError(
                "fal refuses FAL_KEY; make a new key with the scope API at https://fal.ai/dashboard/keys."
            )
        app.own(repeat_all([garbage_task(lambda: len(app.pipeline.jobs_here))]), "garbage")
        _greet(found, app.http.port)
        return await app.run()


async def _refused(upscaler: FalUpscaler) -> bool:
    """Whether fal says no to the key. A fal that does not answer in time stops no start."""
    try:
        async with asyncio.timeout(_KEY_CHECK_S):
            return await upscaler.check_key() == "refused"
    except TimeoutError:
        return False


def _greet(found: Settings, port: int) -> None:
    """Two lines for whoever has just typed `make run`."""
    host = "127.0.0.1" if found.web_host in _ANY_ADDRESS else found.web_host
    host = f"[{host}]" if ":" in host else host
    models = {
        "fal": "the real models at fal",
        "local": "a small model on this machine (no account, play money)",
        "sandbox": "the sandbox model (no AI, play money)",
    }
    model = models[found.backend]
    err.print(styled(("upscale-bot", "bold"), f" runs with {model}."))
    err.print(styled("Open ", (f"http://{host}:{port}", "bold"), " in a browser. Stop with Ctrl-C."))


def _connected(platform: str) -> None:
    """Said when it is true, and not when it is only configured; the page has a line of its own."""
    if platform not in ("web", "cli"):
        err.print(styled("Connected to ", (platform.capitalize(), "bold"), "."))
