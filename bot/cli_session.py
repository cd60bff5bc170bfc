"""Opens the application for one command, without adapters and without the HTTP server, and closes it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from bot import logs, settings
from bot.app import App, build
from bot.console import CommandError, err
from bot.http import ServerError
from bot.settings import Settings
from bot.settings_problems import SettingsError

T = TypeVar("T")


def read_settings() -> Settings:
    """The settings, or CommandError with every mistake; warnings are said on standard error."""
    try:
        found = settings.load()
    except SettingsError as error:
        raise CommandError("\n".join(error.problems)) from None
    for warning in found.warnings:
        err.print(f"[yellow]{warning}[/yellow]")
    return found


def secrets_of(found: Settings) -> list[str]:
    """Every secret in the settings, for the log's redaction."""
    models = [found, *(platform.settings for platform in found.platforms)]
    values = [value for model in models for value in vars(model).values()]
    return [value.get_secret_value() for value in values if hasattr(value, "get_secret_value")]


@asynccontextmanager
async def opened(found: Settings) -> AsyncIterator[App]:
    """The application, ready for one command."""
    async with build(found, serve=False) as app:
        yield app


def in_app(work: Callable[[App], Awaitable[T]]) -> T:
    """Run `work` in an opened application, with quiet logs, and return what it returns."""
    found = read_settings()
    level = found.log_level if found.log_level in ("debug", "error") else "error"
    logs.configure(level, found.log_format, secrets_of(found))

    async def go() -> T:
        async with opened(found) as app:
            return await work(app)

    try:
        return asyncio.run(go())
    except ServerError as error:
        raise CommandError(str(error)) from None
