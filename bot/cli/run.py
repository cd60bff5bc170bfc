"""`python -m bot run`: start everything that is configured and serve until a signal."""

import asyncio

from bot.cli.console import CommandError, err, styled
from bot.cli.session import opened, read_settings, secrets_of
from bot.observability import logs
from bot.observability.garbage import spare_the_loop
from bot.settings import Settings
from core.images.confinement import hide_memory
from core.jobs.maintenance import repeat_all
from core.upscalers.fal import FalUpscaler

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
        app.own(repeat_all([spare_the_loop(lambda: len(app.pipeline.jobs_here))]), "garbage")
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
