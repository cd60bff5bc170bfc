"""Open the application for one command, or to serve. What prevents the start becomes one plain sentence."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bot import settings
from bot.app import App
from bot.cli.console import CommandError, Exit, err, styled
from bot.observability import logs
from bot.observability.garbage import garbage_task
from bot.providers import store_problem
from bot.settings import Settings
from core.images.confinement import hide_memory
from core.jobs.maintenance import repeat_all
from core.storage.database_url import explain, may_pass, parse
from core.storage.drivers.postgresql_pool import DRIVER_ERRORS
from core.storage.drivers.sqlite_writer import too_old
from core.upscalers.fal import FalUpscaler

T = TypeVar("T")


def read_settings(**given: str) -> Settings:
    """Read the settings, print their warnings to standard error, and log errors only (or all with LOG_LEVEL=debug).

    Raises SettingsError with every mistake.
    """
    found = settings.load(**given)
    logs.configure("debug" if found.log_level == "debug" else "error", found.log_format, secrets_of(found))
    for warning in found.warnings:
        err.print(styled((warning, "yellow")))
    return found


def writable(folder: Path) -> bool:
    """Whether files can be created in this folder; creates it if it does not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def secrets_of(found: Settings) -> list[str]:
    models = [found, *(platform.settings for platform in found.platforms)]
    values = [value for model in models for value in vars(model).values()]
    return [value.get_secret_value() for value in values if hasattr(value, "get_secret_value")]


@contextmanager
def plain_errors(found: Settings) -> Iterator[None]:
    """Turn errors of the data folder and the database into a CommandError with one sentence."""
    if not writable(found.data_dir):
        raise CommandError(f"DATA_DIR={found.data_dir} cannot be written to; name a folder that can.")
    try:
        if parse(found.database).get_backend_name() == "sqlite" and (sentence := too_old()):
            raise CommandError(sentence)
        yield
    except (SQLAlchemyError, *DRIVER_ERRORS) as error:
        raise CommandError(explain(error), Exit.FAILED if may_pass(error) else Exit.USAGE) from None


@asynccontextmanager
async def open_app(found: Settings, *, serve: bool, takes_over: bool = False) -> AsyncIterator[App]:
    """Start the application, and close it at the end. Raises NotUsable with one sentence if it cannot start."""
    with plain_errors(found):
        app = App(found, serve=serve, takes_over=takes_over)
        await app.__aenter__()
    try:
        yield app
    finally:
        await app.close()


def run_in_app(work: Callable[[App], Awaitable[T]], *, takes_over: bool = False) -> T:
    """Run `work` in a started application, and return its result."""
    found = read_settings()

    async def go() -> T:
        async with open_app(found, serve=False, takes_over=takes_over) as app:
            return await work(app)

    return asyncio.run(go())


_START_CHECK_TIMEOUT_S = 5.0
_ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  (no browser can open these)


def run_bot(**given: str) -> int:
    """Serve until SIGTERM or SIGINT; `given` overrides other settings. Returns the exit code.

    Raises NotUsable with one sentence if it cannot start.
    """
    found = read_settings(**given)
    hide_memory()
    logs.configure(found.log_level, found.log_format, secrets_of(found))
    return asyncio.run(_serve(found))


async def _serve(found: Settings) -> int:
    async with open_app(found, serve=True) as app:
        app.on_ready = _connected
        if (sentence := await _refusal(app)) is not None:
            raise CommandError(sentence)
        app.start_task(repeat_all([garbage_task(lambda: len(app.pipeline.jobs_here))]), "garbage")
        _greet(found, app.http.port)
        return await app.run()


async def _refusal(app: App) -> str | None:
    """Say which service refuses its key. If one does not answer in time, the start continues."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_CHECK_TIMEOUT_S):
            if isinstance(app.upscaler, FalUpscaler) and await app.upscaler.check_key() == "refused":
                return "fal refuses FAL_KEY; make a new key with the scope API at https://fal.ai/dashboard/keys."
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_CHECK_TIMEOUT_S):
            wrong = await store_problem(app.settings)
            if wrong is not None and wrong[0] != "away":
                return f"{wrong[1].what} {wrong[1].fix}"
    return None


def _greet(found: Settings, port: int) -> None:
    host = "127.0.0.1" if found.web_host in _ANY_ADDRESS else found.web_host
    host = f"[{host}]" if ":" in host else host
    models = {
        "fal": "the real models at fal",
        "local": "a small model on this machine (no account, play money)",
        "sandbox": "the sandbox model (no AI, play money)",
    }
    named = "local" if found.offered.default.backend == "local" else found.backend
    err.print(styled(("upscale-bot", "bold"), f" runs with {models[named]}."))
    err.print(styled("Open ", (f"http://{host}:{port}", "bold"), " in a browser. Stop with Ctrl-C."))


def _connected(platform: str) -> None:
    if platform not in ("web", "cli"):  # `_greet` has printed the page's address
        err.print(styled("Connected to ", (platform.capitalize(), "bold"), "."))
