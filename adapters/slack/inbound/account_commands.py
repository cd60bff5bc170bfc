"""`/upscale help|usage|quota|history|queue|…`, also as words in a direct message. The core has the answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import limit_commands as quota
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Where
from adapters.slack.outbound import send_file as sendfile
from adapters.slack.outbound.api_client import Team
from adapters.slack.views import account as view
from adapters.slack.views.card import draw
from adapters.slack.views.job import passing
from core.domain.job import Requester
from core.presentation import tr
from core.presentation.cards.queue import queue

log = structlog.get_logger(__name__)

_FIRST_WORD = re.compile(r"\s*/?([a-zA-Z]+)\b")


def subcommand(text: str) -> tuple[str, str]:
    """(`usage`, the rest) where the text begins with one of ours; else empty and the text."""
    found = _FIRST_WORD.match(text)
    if found and found[1].lower() in SUBCOMMANDS:
        return found[1].lower(), text[found.end() :].strip()
    return "", text


async def answer(ctx: HandlerContext, where: Where, name: str, rest: str) -> None:
    """Run one subcommand and tell the member what came of it."""
    actor = await ctx.intake.actor(where)
    try:
        await SUBCOMMANDS[name](ctx, where, actor, rest)
    except Exception as error:
        await ctx.answers.error(where, error, actor.locale)


async def _help(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> None:
    shown = view.help_content(
        ctx.settings.slack_command,
        actor.locale,
        ctx.service.models,
        moderator=actor.is_moderator,
        play_money=ctx.service.play_money,
        confirm_above_nanousd=ctx.service.confirm_above_nanousd,
    )
    await ctx.answers.tell(where, shown)


async def _usage(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> None:
    """The report with a table of its days, in one answer; without the table where Slack does not take one."""
    period = t.spoken(rest).lower() or "month"
    member = t.mentioned_user(rest)
    report = await ctx.service.budgets.usage(actor, period=period, member_id=member)
    team = Team(where.team_id, where.enterprise_id)
    name = ((await ctx.people.get(team, member)).name or member) if member and member != actor.user_id else ""
    content = view.usage(report, await ctx.service.limits.applying(actor), actor.locale, member=name)
    table = view.days_table(report, actor.locale)
    if table is None or not await ctx.answers.tell(where, replace(content, blocks=[*content.blocks, table])):
        await ctx.answers.tell(where, content)


async def _history(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> None:
    jobs = await ctx.service.history(actor, limit=view.HISTORY_SHOWN)
    await ctx.answers.tell(where, view.history(jobs, actor.locale))


async def _queue(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> None:
    """What runs and waits here, for moderators."""
    here = await ctx.service.queue(actor)
    await ctx.answers.tell(where, draw(queue(here.jobs, here.total, actor.locale)))


async def _settings(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> None:
    if rest.lower() in ("reset", "clear", "default", "defaults"):
        saved = await ctx.service.accounts.set_defaults(actor, "")
    elif rest and rest.lower() != "show":
        saved = await ctx.service.accounts.set_defaults(actor, rest)
    else:
        saved = await ctx.service.accounts.defaults(actor)
    await ctx.answers.tell(where, view.settings(saved, ctx.settings.slack_command, actor.locale, ctx.service.models))


async def _privacy(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> None:
    if rest.lower() == "export":
        await export(ctx, where, actor)
    else:  # also to delete: one press more, because it cannot be undone
        await ctx.answers.tell(where, view.privacy(actor.locale, ctx.settings.retention_days))


async def export(ctx: HandlerContext, where: Where, actor: Requester) -> None:
    """Everything stored about the member, as a ZIP in a direct message."""
    path = await ctx.service.accounts.export(actor)
    try:
        team = Team(where.team_id, where.enterprise_id)
        channel = await sendfile.direct_channel(ctx.api, team, where.user_id)
        name = tr("Everything stored about you", actor.locale)
        zipped = sendfile.Picture(path, "upscale-export.zip", name, path.stat().st_size)
        await sendfile.send_file(ctx.uploader, team, channel, zipped)
    finally:
        path.unlink(missing_ok=True)
    await ctx.answers.tell(where, passing(tr("It has been sent to you as a direct message.", actor.locale)))


async def erase(ctx: HandlerContext, where: Where, actor: Requester) -> None:
    """Everything about the member goes."""
    count = await ctx.service.accounts.erase(actor)
    said = tr("Everything about you has been deleted ({n} jobs).", actor.locale, n=count)
    await ctx.answers.tell(where, passing(said))


SUBCOMMANDS: dict[str, Callable[[HandlerContext, Where, Requester, str], Awaitable[None]]] = {
    "help": _help,
    "usage": _usage,
    "quota": quota.answer,
    "history": _history,
    "queue": _queue,
    "settings": _settings,
    "privacy": _privacy,
}
