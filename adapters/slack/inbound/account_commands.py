"""`/upscale help|usage|quota|history|queue|…`, also as words in a direct message. The core has the answers."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import limit_commands as quota
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Where
from adapters.slack.outbound.files import Upload
from adapters.slack.views import account as view
from adapters.slack.views.blocks import Content
from adapters.slack.views.card import draw
from core.domain.job import Requester
from core.presentation.card import Card, line_text
from core.presentation.cards import account, budget
from core.presentation.cards.moderation import queue
from core.presentation.ending_texts import sent_directly_text

_FIRST_WORD = re.compile(r"\s*/?([a-zA-Z]+)\b")

Told: TypeAlias = Content | Card | str
Handler: TypeAlias = Callable[[HandlerContext, Where, Requester, str], Awaitable[Told | None]]


def subcommand(text: str) -> tuple[str, str]:
    """(`usage`, the rest) where the text begins with one of ours; else empty and the text."""
    found = _FIRST_WORD.match(text)
    if found and found[1].lower() in SUBCOMMANDS:
        return found[1].lower(), text[found.end() :].strip()
    return "", text


async def answer(ctx: HandlerContext, where: Where, name: str, rest: str) -> None:
    """Run one subcommand, or what a button of ours stands for, and tell the member what came of it."""
    handler = SUBCOMMANDS.get(name) or BUTTONS[name]
    await answering(ctx, where, lambda actor: handler(ctx, where, actor, rest), starts=False)


async def answering(
    ctx: HandlerContext, where: Where, work: Callable[[Requester], Awaitable[Told | None]], *, starts: bool = True
) -> None:
    """Do `work` for whoever acts, and tell them what it returns, or why it was refused; whether it `starts` a job."""
    actor = await ctx.intake.actor(where)
    try:
        told = await work(actor)
    except Exception as error:
        await ctx.answers.error(where, error, actor.locale, starts=starts)
        return
    if told is not None:
        await ctx.answers.tell(where, told)


async def _help(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> Card:
    return view.help_of(ctx.service, ctx.settings.slack_command, actor.locale, moderator=actor.is_moderator)


async def _usage(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> Told | None:
    """The report with a table of its days, in one answer; without the table where Slack does not take one."""
    period = t.spoken(rest).lower() or "month"
    member = t.mentioned_user(rest)
    report = await ctx.service.budgets.usage(actor, period=period, member_id=member)
    name = (await ctx.people.get(where.team, member)).name or member if member and member != actor.user_id else ""
    content = draw(budget.usage(report, await ctx.service.limits.applying(actor), actor.locale, member=name))
    table = view.days_table(report, actor.locale)
    if table and await ctx.answers.tell(where, replace(content, blocks=[*content.blocks, table])):
        return None
    return content


async def _history(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> Content:
    return view.history(await ctx.service.history(actor, limit=view.HISTORY_SHOWN, begun=True), actor.locale)


async def _queue(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> Card:
    return queue(await ctx.service.queue(actor), actor.locale)


async def _settings(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> Card:
    own = await ctx.service.accounts.change_settings(actor, rest)
    return view.settings(own, ctx.settings.slack_command, actor.locale, ctx.service.models)


async def _privacy(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> Told:
    if rest.lower() == "export":
        return await _export(ctx, where, actor, "")
    # Also to delete: one press more, because it cannot be undone.
    return account.privacy(actor.locale, keep_days=ctx.settings.retention_days)


async def _export(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> str:
    """Everything stored about the member, as a ZIP in a direct message."""
    path = await ctx.service.accounts.export(actor)
    try:
        channel = await ctx.api.direct_channel(where.team, where.user_id)
        name, alt = "upscale-export.zip", line_text(account.exported(actor.locale, whole=True).paragraphs[0])
        await ctx.uploader.once(where.team, Upload(path, name, name, alt, path.stat().st_size, channel))
    finally:
        path.unlink(missing_ok=True)
    return sent_directly_text(actor.locale)


async def _erase(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> Card:
    return account.erased(await ctx.service.accounts.erase(actor), actor.locale)


SUBCOMMANDS: dict[str, Handler] = {
    "help": _help,
    "usage": _usage,
    "quota": quota.answer,
    "history": _history,
    "queue": _queue,
    "settings": _settings,
    "privacy": _privacy,
}
BUTTONS: dict[str, Handler] = {"export": _export, "erase": _erase}
