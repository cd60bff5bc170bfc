"""The commands about who may spend what: `quota` and `allow`. Only reads arguments, as `bot.cli.main` does."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from bot.cli.console import leave
from core.domain.limits import Measure, ScopeKind, Window

quota = typer.Typer(no_args_is_help=True, help="Show and change limits.")

Platform = Annotated[str, typer.Option(help="discord, slack, web or cli")]
Workspace = Annotated[str, typer.Option(help="Id of the Discord server or Slack workspace")]
User = Annotated[str, typer.Option(help="Id of a person")]
Channel = Annotated[str, typer.Option(help="Id of a channel")]
ScopeId = Annotated[
    str, typer.Option("--id", help="Whose: id of the user, channel or role; empty: the default for all")
]
Scope = Annotated[ScopeKind, typer.Argument(help="What the limit is for")]
Unit = Annotated[Measure, typer.Option(help="What is counted")]
Per = Annotated[Window, typer.Option(help="Over which time")]
OfModel = Annotated[str, typer.Option("--model", help="Only jobs of this model")]


def allow(
    place: Annotated[str, typer.Argument(help="discord:<server id>, slack:<team id>, discord:@<user id>")] = "",
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no, and do not ask again")] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Forget what was decided")] = False,
) -> None:
    """Let in the people of a server or workspace, on your money; without a place, list who asks."""
    from bot.cli.limits.allow import decide, show_places
    from bot.cli.session import in_app

    verdict: Literal["admit", "refuse", "revoke"] = "revoke" if revoke else "refuse" if refuse else "admit"
    leave(in_app(lambda app: decide(app, place, verdict) if place else show_places(app)))


def limits(
    history: Annotated[bool, typer.Option("--history", help="Who changed what, and when")] = False,
    platform: Platform = "",
    workspace: Workspace = "",
) -> None:
    """The limits of the whole bot, or of one workspace; with --history every change of them."""
    from bot.cli.money import Place, show_history, show_limits
    from bot.cli.session import in_app

    place = Place(platform, workspace)
    leave(in_app(lambda app: show_history(app, place) if history else show_limits(app, place)))


@quota.command("add")
def quota_add(
    user: Annotated[str, typer.Argument(help="Id of the member")],
    amount: Annotated[str, typer.Argument(help="Dollars, e.g. 2")],
    platform: Platform = "",
    workspace: Workspace = "",
    per: Per = Window.DAY,
) -> None:
    """Give a member of a workspace more until the period ends."""
    from bot.cli.money import Place, add_extra
    from bot.cli.session import in_app

    leave(in_app(lambda app: add_extra(app, Place(platform, workspace), user, amount, per)))


@quota.command("show")
def quota_show(platform: Platform = "", workspace: Workspace = "", user: User = "", channel: Channel = "") -> None:
    """The limits that apply to somebody somewhere, with what is left."""
    from bot.cli.money import Place, show_limits
    from bot.cli.session import in_app

    place = Place(platform, workspace, user, channel)
    leave(in_app(lambda app: show_limits(app, place)))


@quota.command("set")
def quota_set(
    scope: Scope,
    amount: Annotated[str, typer.Argument(help="e.g. 5 or 2.50")],
    platform: Platform = "",
    workspace: Workspace = "",
    id: ScopeId = "",
    unit: Unit = Measure.USD,
    per: Per = Window.DAY,
    model: OfModel = "",
) -> None:
    """Set a limit of one workspace."""
    _set(scope, amount, platform, workspace, id, unit, per, model)


@quota.command("clear")
def quota_clear(
    scope: Scope,
    platform: Platform = "",
    workspace: Workspace = "",
    id: ScopeId = "",
    unit: Unit = Measure.USD,
    per: Per = Window.DAY,
    model: OfModel = "",
) -> None:
    """Remove a limit of one workspace."""
    _set(scope, None, platform, workspace, id, unit, per, model)


@quota.command("pause")
def quota_pause(
    platform: Platform = "",
    workspace: Workspace = "",
    off: Annotated[bool, typer.Option("--off", help="Take new jobs again")] = False,
) -> None:
    """Stop taking new jobs, in one workspace or everywhere."""
    from bot.cli.money import Place, pause
    from bot.cli.session import in_app

    leave(in_app(lambda app: pause(app, Place(platform, workspace), not off)))


def _set(
    scope: ScopeKind,
    amount: str | None,
    platform: str,
    workspace: str,
    scope_id: str,
    unit: Measure,
    per: Window,
    model: str,
) -> None:
    from bot.cli.money import Place, set_limit
    from bot.cli.session import in_app

    place = Place(platform, workspace)
    leave(in_app(lambda app: set_limit(app, place, scope, scope_id, unit, per, amount, model)))
