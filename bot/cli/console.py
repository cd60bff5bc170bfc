"""Shared by all commands: exit codes, output streams, and how notices and findings are printed.

Results go to standard output, everything else to standard error, so that output can be piped. Nothing that is printed
is interpreted as markup, and control characters are removed, since names, captions and responses come from others.
"""

import asyncio
import getpass
import inspect
import os
import sys
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.domain.errors import BudgetError, InvalidParameters, UpscaleError
from core.domain.job import Requester
from core.domain.models import ALL
from core.domain.parameters.spec import PRESETS, SPECS
from core.domain.untrusted_text import clean
from core.ports import Finding, NotUsable
from core.presentation import Notice
from core.presentation.texts.parameter_texts import allowed_text, parameter_hint, value_text

PLATFORM = "cli"


class Exit(IntEnum):
    """Exit codes; documented in docs/operator.md and in `upscale --help`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    BUDGET = 3
    CANCELLED = 4


class CommandError(NotUsable):
    def __init__(self, sentence: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(sentence)
        self.code = code


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn an OSError into a CommandError that begins with `what`, such as `a.png cannot be written`."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{what}: {error.strerror}.") from None


class _Plain(Console):
    """Prints text verbatim, without control characters."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(clean(text, len(text)), **options)


_VERBATIM: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False, "soft_wrap": True}
_PIPE_COLUMNS = 200
"""Rows of a table stay whole for `grep` and files."""

out = _Plain(width=None if sys.stdout.isatty() else _PIPE_COLUMNS, **_VERBATIM)
err = _Plain(stderr=True, **_VERBATIM)

_COLOURS = {"error": "red", "refusal": "yellow", "info": "cyan"}
_MARKS = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "problem": ("✘", "red")}


def styled(*parts: str | tuple[str, str]) -> Text:
    """Make one line of plain and styled parts: `styled("Open ", (address, "bold"))`."""
    pairs = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((clean(text, len(text)), style) for text, style in pairs))


def table_of(columns: Iterable[str], rows: Iterable[Iterable[str]], right: Iterable[str] = ()) -> Table:
    """Make a table without lines; the columns named in `right` are right-aligned."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def exit_with(code: int | None) -> None:
    if code:
        raise typer.Exit(int(code))


def exit_code(error: UpscaleError | None) -> Exit:
    if isinstance(error, BudgetError):
        return Exit.BUDGET
    return Exit.USAGE if isinstance(error, InvalidParameters) else Exit.FAILED


def print_notice(notice: Notice, prefix: str = "") -> None:
    """Print a notice to standard error: what happened, whether it cost anything, what to do, the reference."""
    more = [part for part in (notice.charged, notice.advice) if part]
    if notice.opens_at is not None:
        more.append(f"Opens again {format_time(notice.opens_at)}.")
    for offer in notice.offers:
        if offer.argument:
            more.append(f"Would work: {offer.kind}={offer.argument}.")
    reference = f" (reference {notice.reference})" if notice.reference else ""
    err.print(styled(prefix, (notice.what, _COLOURS[notice.tone]), *(f" {part}" for part in more), (reference, "dim")))


def file_or_folder(text: str) -> Path:
    """Read where to write; what ends with a slash is a folder, made if it is not there. Raises CommandError."""
    path = Path(text)
    if text.endswith(os.sep):
        with disk_errors(f"{text} cannot be made"):
            path.mkdir(parents=True, exist_ok=True)
    return path


def print_finding(finding: Finding, console: Console) -> None:
    console.print(styled(_MARKS[finding.level], f" {finding.what}"))
    if finding.fix:
        console.print(styled("  ", ("→", "dim"), f" {finding.fix}"))


def format_time(at: float | None) -> str:
    """Format unix seconds as local date and time; `-` for None."""
    return "-" if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def operator() -> Requester:
    """Return the user of this terminal, who may do anything."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # the numeric user of a container has no name
        name = "operator"
    return Requester(PLATFORM, user_id=name, user_name=name, is_moderator=True, is_operator=True)


async def ask(question: str) -> bool:
    """Ask a yes-or-no question; no if standard input is not a terminal. Can be cancelled while it waits."""
    if not sys.stdin.isatty():
        return False
    err.print(f"{question} [y/N] ", end="")
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


def app_command(work: Callable[..., Awaitable[Exit | None]], **fixed: Any) -> Callable[..., None]:
    """Make a command of `work(app, …)`, with its parameters except `fixed`; the returned exit code ends it."""

    def command(**given: Any) -> None:
        from bot.cli.session import run_in_app

        exit_with(run_in_app(lambda app: work(app, **fixed, **given)))

    return _described(command, work, without=("app", *fixed))


def parameter_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a flag for every model parameter instead of its `**given`; values are passed as typed."""
    helps = {name: f"{parameter_hint(name, 'en')}: {allowed_text(name, 'en', ALL)}{_default(name)}" for name in SPECS}
    helps["preset"] = ", ".join(PRESETS)
    flags = {name: Annotated[str, typer.Option(f"--{name}", help=text)] for name, text in helps.items()}
    return _described(lambda **given: command(**given), command, without=("given",), flags=flags)


def _described(
    command: Callable[..., None],
    by: Callable[..., Any],
    without: Container[str],
    flags: Mapping[str, Any] | None = None,
) -> Callable[..., None]:
    """Give `command` the name, docstring and parameters of `by`, except `without`, plus these flags, for typer."""
    hints = get_type_hints(by, localns={"App": object}, include_extras=True)
    parameters = [
        one.replace(annotation=hints[one.name])
        for one in inspect.signature(by).parameters.values()
        if one.name not in without
    ]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters += [inspect.Parameter(name, kind, annotation=flag, default="") for name, flag in (flags or {}).items()]
    command.__doc__, command.__name__ = by.__doc__, by.__name__
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def _default(name: str) -> str:
    known = ALL.inputs.get(name)
    return f" (default {value_text(known.default)})" if known is not None and known.default is not None else ""
