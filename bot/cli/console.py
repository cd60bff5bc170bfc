"""What every command shares: exit codes, the two streams, and how a notice looks in a terminal.

Results go to standard output, everything else to standard error, so that output can be piped.
"""

from __future__ import annotations

import asyncio
import getpass
import inspect
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.text import Text

from core.domain.job import Requester
from core.domain.models import ALL
from core.domain.parameters.spec import PRESETS, SPECS
from core.presentation import Notice
from core.presentation.parameter_texts import allowed_text, parameter_hint, value_text

PLATFORM = "cli"


class Exit(IntEnum):
    """Exit codes; documented in the README and in `upscale --help`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    BUDGET = 3
    CANCELLED = 4


class CommandError(Exception):
    """Ends a command with one plain sentence and this exit code."""

    def __init__(self, sentence: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(sentence)
        self.code = code


out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

_COLOURS = {"error": "red", "refusal": "yellow", "info": "cyan"}


def leave(code: int) -> None:
    """End the command with this exit code."""
    if code != Exit.OK:
        raise typer.Exit(int(code))


def say(notice: Notice, prefix: str = "") -> None:
    """A notice on standard error: what happened, whether it cost anything, what to do, the reference."""
    text = Text(prefix)
    text.append(notice.what, style=_COLOURS[notice.tone])
    for part in (notice.charged, notice.advice):
        if part:
            text.append(f" {part}")
    if notice.opens_at is not None:
        text.append(f" Opens again {moment(notice.opens_at)}.")
    for offer in notice.offers:
        if not offer.place:
            typed = f"model={offer.model}" if offer.model else f"factor={offer.factor:g}"
            text.append(f" Would work: {typed}.")
    if notice.reference:
        text.append(f" (reference {notice.reference})", style="dim")
    err.print(text)


def moment(at: float | None) -> str:
    """Unix seconds as local date and time; `-` for None."""
    return "-" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def operator() -> Requester:
    """Whoever sits at this terminal: may do anything."""
    name = _user_name()
    return Requester(PLATFORM, user_id=name, user_name=name, is_moderator=True, is_operator=True)


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's numeric user has no name
        return "operator"


async def ask(question: str) -> bool:
    """A yes-or-no question on the terminal; no where there is none. Can be cancelled while it waits."""
    if not sys.stdin.isatty():
        return False
    err.print(f"{question} [y/N] ", end="", markup=False)
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def readable() -> None:
        if not line.done():
            line.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin.fileno(), readable)
    try:
        return (await line).strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(sys.stdin.fileno())


def parameter_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a flag for every parameter in the place of its `**given`; values arrive as typed."""
    signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    helps = {name: f"{parameter_hint(name, 'en')}: {allowed_text(name, 'en', ALL)}{_default(name)}" for name in SPECS}
    helps["preset"] = ", ".join(PRESETS)
    flags = {name: Annotated[str, typer.Option(f"--{name}", help=text)] for name, text in helps.items()}
    keyword = inspect.Parameter.KEYWORD_ONLY
    kept = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    made = [inspect.Parameter(name, keyword, annotation=kind, default="") for name, kind in flags.items()]

    def flagged(*args: Any, **kwargs: Any) -> None:
        command(*args, **kwargs)

    flagged.__doc__, flagged.__name__ = command.__doc__, command.__name__
    flagged.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*(one.replace(kind=keyword, annotation=hints[one.name]) for one in kept), *made]
    )
    flagged.__annotations__ = {name: kind for name, kind in hints.items() if name != "given"} | flags
    return flagged


def _default(name: str) -> str:
    known = ALL.widest.get(name)
    return f" (default {value_text(known.default)})" if known is not None and known.default is not None else ""
