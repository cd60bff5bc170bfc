"""Commands about money and who may spend it: `usage`, `quota`, `limits`, `allow`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.console import (
    CommandError,
    app_command,
    counted,
    disk_errors,
    err,
    format_time,
    operator,
    out,
    styled,
    table_of,
)
from bot.settings import platform_names
from core.budgets.limit_grammar import amount_of
from core.budgets.reports import UsageRow
from core.domain.errors import InvalidParameters, JobNotFound
from core.domain.identity import Place
from core.domain.job import Requester
from core.domain.limits import LimitStatus, Measure, ScopeKind, WantedLimit, Window
from core.ports import Verdict
from core.presentation import cents, line_text
from core.presentation.cards.moderation import limit_changes
from core.presentation.texts.limit_texts import amount as amount_text

if TYPE_CHECKING:
    from bot.app import App

_BAR_CHARS = 30


async def usage(
    app: App,
    period: Annotated[str, typer.Argument(help="day, week, month, year, 2026-11, 2026-11-23 or a range")] = "month",
    member: Annotated[str | None, typer.Option(help="Id of one member")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV")] = False,
    chart: Annotated[Path | None, typer.Option(help="Write the chart to this PNG")] = None,
) -> None:
    """What was spent: totals, per day, by member."""
    if csv:
        typer.echo(await app.budget.usage_csv(operator(), period=period, member_id=member), nl=False)
        return
    report = await app.service.budgets.usage(operator(), period=period, member_id=member)
    money = "play money" if report.play_money and report.charged_nanousd else "charged"
    held = f", {cents(report.held_nanousd, 'en')} held" if report.held_nanousd else ""
    days = f"{report.first_day} to {report.last_day} ({report.timezone})"
    totals = f" {money}{held}, {counted(report.jobs, 'job')}, {report.megapixels:g} MP, {days}"
    out.print(styled((cents(report.charged_nanousd, "en"), "bold"), totals))
    if report.days:
        most = max(row.charged_nanousd for row in report.days) or 1
        bars = ["█" * round(_BAR_CHARS * row.charged_nanousd / most) for row in report.days]
        _print_rows(("day", "USD", "jobs", "MP", ""), report.days, bars)
    for name, rows in (("member", report.members), ("model", report.models)):
        if len(rows) > (name == "model"):
            total = sum(row.charged_nanousd for row in rows) or 1
            shares = [f"{row.charged_nanousd / total:.0%}" for row in rows]
            _print_rows((name, "USD", "jobs", "MP", "share"), rows, shares)
    if chart is not None:
        drawn = await app.service.budgets.usage_chart(report, locale="en", dark=False)
        with disk_errors(f"{chart} cannot be written"):
            shutil.move(drawn, chart)
        err.print(f"Chart written to {chart}.")


def _print_rows(columns: Sequence[str], rows: Sequence[UsageRow], last: Sequence[str]) -> None:
    cells = (
        (row.label or row.key, cents(row.charged_nanousd, "en"), str(row.jobs), f"{row.megapixels:g}") for row in rows
    )
    table = table_of(columns, ((*row, end) for row, end in zip(cells, last, strict=True)), (*columns[1:4], "share"))
    out.print(table)


quota = typer.Typer(no_args_is_help=True, help="Show and change limits.")

_DONE = {"admit": "is let in", "refuse": "is refused and will not be asked about again", "revoke": "is forgotten"}
_WHOLE_BOT = "Limits of the whole bot are set by LIMIT_… and LIMITS_FILE (see .env.example)."
Platform = Annotated[str, typer.Option(help="discord, slack, web or cli")]
Workspace = Annotated[str, typer.Option(help="Id of the Discord server or Slack workspace")]
User = Annotated[str, typer.Option(help="Id of a person")]
Channel = Annotated[str, typer.Option(help="Id of a channel")]
Thread = Annotated[str, typer.Option(help="Id of a thread in that channel")]
Per = Annotated[Window, typer.Option(help="In which period")]


def _acting_in(
    platform: str, workspace: str, user: str = "", channel: str = "", thread: str = "", *, named: bool = False
) -> Requester:
    """Return the operator acting in a workspace, or for the whole bot. `named`: a workspace is required."""
    if named and not (platform and workspace):
        raise CommandError(f"Name the workspace: --platform discord|slack and --workspace ID. {_WHOLE_BOT}")
    if platform and platform.lower() not in (known := ("cli", *platform_names())):
        raise CommandError(f"{platform} is no platform; there is {', '.join(known)}.")
    who = operator()
    return Requester(
        platform.lower() or who.platform,
        user or who.user_id,
        workspace_id=workspace,
        channel_id=thread or channel,
        parent_channel_id=channel if thread else "",
        is_moderator=True,
        is_operator=True,
    )


async def limits(
    app: App,
    history: Annotated[bool, typer.Option("--history", help="Who changed what, and when")] = False,
    platform: Platform = "",
    workspace: Workspace = "",
) -> None:
    """The limits of the whole bot or of one workspace."""
    actor = _acting_in(platform, workspace)
    if not history:
        await _print_applying(app, actor)
        return
    found = await app.budget.limits.limit_changes(actor, limit=1000)
    for change, line in zip(found, limit_changes(found, "en"), strict=False):
        out.print(f"{change.platform}:{change.workspace_id or '*'}  {line_text(line)}")
    if not found:
        out.print("Nobody has changed anything yet.")


@quota.command("add")
@app_command
async def quota_add(
    app: App,
    user: Annotated[str, typer.Argument(help="Id of the member")],
    amount: Annotated[str, typer.Argument(help="Dollars, e.g. 2")],
    platform: Platform = "",
    workspace: Workspace = "",
    per: Per = Window.DAY,
) -> None:
    """Give a member of a workspace more until the period ends."""
    actor = _acting_in(platform, workspace, named=True)
    told = await app.service.limits.add_extra(actor, user, read_amount(amount, Measure.USD), per)
    err.print(line_text(told.paragraphs[0]))


@quota.command("show")
@app_command
async def quota_show(
    app: App,
    platform: Platform = "",
    workspace: Workspace = "",
    user: User = "",
    channel: Channel = "",
    thread: Thread = "",
) -> None:
    """The limits that apply to somebody somewhere, with what is left."""
    await _print_applying(app, _acting_in(platform, workspace, user, channel, thread))


async def _set(
    app: App,
    scope: Annotated[ScopeKind, typer.Argument(help="What the limit is for")],
    amount: Annotated[str | None, typer.Argument(help="e.g. 5 or 2.50")],
    platform: Platform = "",
    workspace: Workspace = "",
    id: Annotated[str, typer.Option(help="Whose: id of the user, channel or role; empty: the default for all")] = "",
    unit: Annotated[Measure, typer.Option(help="What is counted")] = Measure.USD,
    per: Per = Window.DAY,
    model: Annotated[str, typer.Option("--model", help="Only jobs of this model")] = "",
    when: Annotated[Window | None, typer.Argument(help="Instead of --per")] = None,
) -> None:
    """Set a limit of one workspace."""
    if scope in (ScopeKind.EVERYTHING, ScopeKind.PLATFORM):
        raise CommandError(_WHOLE_BOT)
    actor = _acting_in(platform, workspace, named=True)
    window = Window.NOW if unit is Measure.RUNNING else when or per
    wanted = WantedLimit(scope, id, unit, window, None if amount is None else read_amount(amount, unit), model)
    return _print_limits(await app.service.limits.set_limit(actor, wanted))


quota.command("set")(app_command(_set))
quota.command("clear", help="Remove a limit of one workspace.")(app_command(_set, amount=None))


async def _pause(
    app: App,
    platform: Platform = "",
    workspace: Workspace = "",
    off: Annotated[bool, typer.Option("--off", help="Take new jobs again")] = False,
) -> None:
    """Stop taking new jobs, in one workspace or everywhere."""
    if bool(platform) != bool(workspace):
        raise CommandError("Name both --platform and --workspace, or neither to mean everywhere.")
    await app.service.limits.pause(_acting_in(platform, workspace), not off)
    where = f"in {workspace}" if workspace else "everywhere"
    what = "taken again" if off else "paused"
    err.print(f"New jobs are {what} {where}; running jobs go on{'' if off else '. `quota resume` ends it'}.")


quota.command("pause")(app_command(_pause))
quota.command("resume", help="Take new jobs again, in one workspace or everywhere.")(app_command(_pause, off=True))


def read_amount(text: str, measure: Measure) -> int:
    """Parse `5`, `$2.50` or `2,5` in the measure's unit (nano-dollars for money). Raises CommandError."""
    try:
        return amount_of(text, measure)
    except InvalidParameters as wrong:
        allowed = wrong.problems[0].allowed
        raise CommandError(f"{text} is not an amount from 0 to 1,000,000,000, such as {allowed}") from None


async def _print_applying(app: App, actor: Requester) -> None:
    _print_limits(await app.service.limits.applying(actor))
    if await app.service.limits.paused(actor):
        err.print("New jobs are paused. `quota resume` ends it.")


def _print_limits(statuses: Iterable[LimitStatus]) -> None:
    rows = []
    for status in statuses:
        limit = status.limit
        scope = " ".join(part for part in (limit.scope.kind.value, limit.scope.platform, limit.scope.id) if part)
        scope += f" with {limit.model}" if limit.model else ""
        per = "at once" if limit.window is Window.NOW else f"{limit.measure.value} per {limit.window.value}"
        amounts = (status.used, False), (status.held, False), (status.left, True), (limit.amount, False)
        values = [amount_text(limit.measure, value, "en", down=down) for value, down in amounts]
        rows.append((scope, per, *values, format_time(status.opens_at)[:16], limit.source))
    columns = ("whose", "what", "used", "held", "left", "of", "opens again", "set by")
    out.print(table_of(columns, rows) if rows else "No limit applies.")


async def allow(
    app: App,
    place: Annotated[str, typer.Argument(help="discord:<server id>, slack:<team id>, discord:@<user id>")] = "",
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no, and do not ask again")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Forget what was decided")] = False,
) -> None:
    """Let people in on your money, or list who asks."""
    if place:
        await _decide(app, place, "revoke" if revoke else "refuse" if refuse else "admit")
        return
    settings = app.settings
    if not app.upscaler.real_money:
        err.print("The sandbox spends nobody's money: everybody may use the bot.")
    for name, listed, own in (
        ("ALLOWED_WORKSPACES", settings.allowed_workspaces, "your own servers and workspace"),
        ("ALLOWED_USERS", settings.allowed_users, "the owner of the Discord application and its team"),
    ):
        err.print(f"{name}: {', '.join(listed) or f'not set, so {own}'}")
    places = await app.allowlist.places(operator())
    rows = [(one.place.address, one.name or "-", one.state, one.by or "-", format_time(one.at)) for one in places]
    out.print(table_of(("place", "name", "state", "by", "since"), rows) if rows else "Nobody has asked.")
    if any(known.state == "asked" for known in places):
        err.print("Let one in with: python -m bot allow PLACE   or: python -m bot allow PLACE --refuse")


async def _decide(app: App, address: str, verdict: Verdict) -> None:
    place = Place.parse(address)
    if place is None:
        raise CommandError(
            f"{address} is no place. Write discord:<server id>, slack:<team id>, or for one person discord:@<user id>, "
            "slack:@<team id>:<user id>."
        )
    if place.platform not in app.adapters:
        known = ", ".join(sorted(name for name in app.adapters if name not in ("cli", "web"))) or "none"
        raise CommandError(f"{place.platform} is not set up here. Platforms that are set up: {known}.")
    try:
        found = await app.allowlist.decide(operator(), place, verdict)
    except JobNotFound:
        raise CommandError(f"{address} is not known.") from None
    err.print(f"{found.name or found.place.address} {_DONE[verdict]}.")
    name = "ALLOWED_WORKSPACES" if place.kind == "workspace" else "ALLOWED_USERS"
    listed = getattr(app.settings, name.lower())
    if verdict != "admit" and not {"*", place.id, f"{place.platform}:{place.id}"}.isdisjoint(listed):
        err.print(styled((f"{name} lets it in all the same; take it out there.", "yellow")))
