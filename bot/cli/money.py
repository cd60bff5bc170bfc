"""`python -m bot usage` and `quota`: what was spent, and the limits, for whoever runs the bot."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from bot.cli.console import CommandError, Exit, err, moment, operator, out
from core.budgets.limit_grammar import amount_of
from core.budgets.reports import UsageRow
from core.domain.errors import InvalidParameters
from core.domain.job import Requester
from core.domain.limits import LimitStatus, Measure, ScopeKind, Window
from core.domain.money import usd
from core.presentation.limit_texts import amount as amount_text
from core.presentation.moderation_texts import changes

if TYPE_CHECKING:
    from bot.app import App

_BAR_CHARS = 30


@dataclass(frozen=True, slots=True)
class Place:
    """Whose limits: a person in a workspace of a platform; all empty for the bot as a whole."""

    platform: str = ""
    workspace_id: str = ""
    user_id: str = ""
    channel_id: str = ""

    def actor(self) -> Requester:
        """The operator, acting there."""
        who = operator()
        return Requester(
            self.platform or who.platform,
            self.user_id or who.user_id,
            workspace_id=self.workspace_id,
            channel_id=self.channel_id,
            is_moderator=True,
            is_operator=True,
        )


async def show_usage(app: App, period: str, member_id: str | None, chart: Path | None) -> Exit:
    """Totals, per day, by member; optionally the chart as a PNG."""
    report = await app.service.budgets.usage(operator(), period=period, member_id=member_id)
    money = "play money" if report.play_money and report.charged_nanousd else "charged"
    held = f", {usd(report.held_nanousd)} held" if report.held_nanousd else ""
    out.print(
        f"[bold]{usd(report.charged_nanousd)}[/bold] {money}{held}, {report.jobs} jobs, {report.megapixels:g} MP, "
        f"{report.first_day} to {report.last_day} ({report.timezone})"
    )
    if report.days:
        out.print(_table("day", report.days, bars=True))
    if report.members:
        out.print(_table("member", report.members, bars=False))
    if len(report.models) > 1:
        out.print(_table("model", report.models, bars=False))
    if chart is not None:
        drawn = await app.service.budgets.usage_chart(report, locale="en", dark=False)
        shutil.move(drawn, chart)
        err.print(f"Chart written to {chart}.")
    return Exit.OK


def _table(name: str, rows: Iterable[UsageRow], *, bars: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in (name, "USD", "jobs", "MP", "" if bars else "share"):
        table.add_column(column, justify="left" if column in (name, "") else "right")
    rows = list(rows)
    most = max((row.charged_nanousd for row in rows), default=0) or 1
    total = sum(row.charged_nanousd for row in rows) or 1
    for row in rows:
        last = "█" * round(_BAR_CHARS * row.charged_nanousd / most) if bars else f"{row.charged_nanousd / total:.0%}"
        table.add_row(row.label or row.key, usd(row.charged_nanousd), str(row.jobs), f"{row.megapixels:g}", last)
    return table


async def print_usage_csv(app: App, period: str, member_id: str | None) -> Exit:
    """One line per job as CSV on standard output."""
    text = await app.budget.usage_csv(operator(), period=period, member_id=member_id)
    out.print(text, end="", markup=False)
    return Exit.OK


async def show_limits(app: App, place: Place) -> Exit:
    """Every limit that applies there, with what is left."""
    return _print_limits(await app.service.limits.applying(place.actor()))


async def set_limit(
    app: App,
    place: Place,
    scope: ScopeKind,
    scope_id: str,
    measure: Measure,
    window: Window,
    text: str | None,
    model: str = "",
) -> Exit:
    """Set (text None: clear) one limit of a workspace."""
    if not place.workspace_id or not place.platform:
        raise CommandError(
            "Name the workspace: --platform discord|slack and --workspace ID. "
            "Limits of the whole bot are set by LIMIT_… and LIMITS_FILE (see .env.example)."
        )
    amount = None if text is None else read_amount(text, measure)
    window = Window.NOW if measure is Measure.RUNNING else window
    limits = app.service.limits
    return _print_limits(await limits.set_limit(place.actor(), scope, scope_id, measure, window, amount, model))


async def show_history(app: App, place: Place) -> Exit:
    """Every change of limits, pauses, sponsors, extras and presets, newest first."""
    found = await app.budget.limits.limit_changes(place.actor(), limit=1000)
    for change, line in zip(found, changes(found, app.budget.zone, "en"), strict=False):
        out.print(f"{change.platform}:{change.workspace_id or '*'}  {line}", markup=False)
    if not found:
        out.print("Nobody has changed anything yet.")
    return Exit.OK


async def add_extra(app: App, place: Place, user_id: str, text: str, window: Window) -> Exit:
    """More money for a member of a workspace for a while."""
    if not place.workspace_id or not place.platform:
        raise CommandError("Name the workspace: --platform discord|slack and --workspace ID.")
    amount = read_amount(text, Measure.USD)
    err.print(await app.service.limits.add_extra(place.actor(), user_id, amount, window), markup=False)
    return Exit.OK


def read_amount(text: str, measure: Measure) -> int:
    """`5`, `$2.50`, `2,5` in the measure's unit (nano-dollars for money). Raises CommandError."""
    try:
        return amount_of(text, measure)
    except InvalidParameters as wrong:
        allowed = wrong.problems[0].allowed
        raise CommandError(f"{text} is not an amount from 0 to 1,000,000,000; write for example {allowed}.") from None


async def pause(app: App, place: Place, paused: bool) -> Exit:
    """Stop or resume new jobs in a workspace, or everywhere."""
    await app.service.limits.pause(place.actor(), paused)
    where = f"in {place.workspace_id}" if place.workspace_id else "everywhere"
    err.print(f"New jobs are {'paused' if paused else 'taken again'} {where}; running jobs go on.")
    return Exit.OK


def _print_limits(statuses: Iterable[LimitStatus]) -> Exit:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("whose", "what", "used", "held", "left", "of", "opens again", "set by"):
        table.add_column(column)
    rows = list(statuses)
    for status in rows:
        limit = status.limit
        scope = " ".join(part for part in (limit.scope.kind.value, limit.scope.platform, limit.scope.id) if part)
        scope += f" with {limit.model}" if limit.model else ""
        per = "at once" if limit.window is Window.NOW else f"{limit.measure.value} per {limit.window.value}"
        values = [amount_text(limit.measure, value, "en") for value in (status.used, status.held, status.left)]
        whole = amount_text(limit.measure, limit.amount, "en")
        table.add_row(scope, per, *values, whole, moment(status.opens_at), limit.source)
    out.print(table if rows else "No limit applies.")
    return Exit.OK
