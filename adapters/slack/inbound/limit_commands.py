"""`/upscale quota …`: limits shown and, by moderators, set, cleared, paused, sponsored and watched. The core judges."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Where
from core.budgets.limit_grammar import Dialect, extra_words, limit_words, sponsor_words
from core.domain.errors import InvalidParameters
from core.domain.job import Requester
from core.domain.limits import SPONSOR_DAYS, LimitStatus, ScopeKind
from core.presentation.card import Card
from core.presentation.cards.budget import limits

DIALECT = Dialect(
    scopes={
        "workspace": ScopeKind.WORKSPACE,
        "team": ScopeKind.WORKSPACE,
        "channel": ScopeKind.CHANNEL,
        "channels": ScopeKind.CHANNEL,
        "user": ScopeKind.USER,
        "users": ScopeKind.USER,
        "member": ScopeKind.USER,
        "members": ScopeKind.USER,
    },
    examples="user, @member, channel, #channel, workspace",
    mention=t.mentioned_scope,
)
SPONSOR_EXAMPLE = "quota sponsor #channel $20 7 days"

Handler: TypeAlias = Callable[[HandlerContext, Where, Requester, str], Awaitable[Card]]


async def answer(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> Card:
    """Do what the first word says; without one, show what applies to the member."""
    verb, _, words = rest.strip().partition(" ")
    handler = _VERBS.get(verb.lower() or "show")
    if handler is None:
        raise InvalidParameters.of("quota", verb, "type", ", ".join(_VERBS))
    return await handler(ctx, where, actor, words)


async def _show(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    return limits(await ctx.service.limits.applying(actor), actor.locale, platform=t.PLATFORM)


async def _workspace(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    return _saved(await ctx.service.limits.workspace_limits(actor), actor)


def _saved(statuses: Sequence[LimitStatus], actor: Requester) -> Card:
    return limits(statuses, actor.locale, platform=t.PLATFORM, of_all=True)


async def _change(setting: bool, ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    limit = limit_words(words, DIALECT, needs_amount=setting)
    scope_id = where.team_id if limit.scope is ScopeKind.WORKSPACE else limit.scope_id
    wanted = replace(limit, scope_id=scope_id, amount=limit.amount if setting else None)
    return _saved(await ctx.service.limits.set_limit(actor, wanted), actor)


async def _pause(paused: bool, ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    return await ctx.service.limits.pause(actor, paused)


async def _alerts(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    off = words.strip().lower() in ("off", "none")
    channel = None if off else t.mentioned_channel(words) or where.channel_id
    return await ctx.service.limits.set_alert_channel(actor, channel)


async def _sponsor(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    """A channel's jobs are paid from a budget of its own, for some days."""
    channel = t.mentioned_channel(words) or where.channel_id
    if words.split()[-1:] == ["off"]:
        return await ctx.service.limits.sponsor(actor, channel, None)
    amount, days = sponsor_words(words)
    if amount is None:
        raise InvalidParameters.of("sponsor", "", "missing_value", SPONSOR_EXAMPLE)
    return await ctx.service.limits.sponsor(actor, channel, amount, SPONSOR_DAYS if days is None else days)


async def _add(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    """`add @member $2 today`: more for a while."""
    return await ctx.service.limits.add_extra(actor, *extra_words(words, DIALECT))


async def _history(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    return await ctx.service.limits.limit_history(actor)


async def _presets(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> Card:
    """`presets [#channel] 2x faithful`, `presets off`, or nothing to see them."""
    channel_id = t.mentioned_channel(words) or ""
    return await ctx.service.accounts.set_place_presets(actor, t.without_channels(words).strip(), channel_id)


_VERBS: dict[str, Handler] = {
    "show": _show,
    "set": partial(_change, True),
    "clear": partial(_change, False),
    "workspace": _workspace,
    "pause": partial(_pause, True),
    "resume": partial(_pause, False),
    "alerts": _alerts,
    "sponsor": _sponsor,
    "add": _add,
    "history": _history,
    "presets": _presets,
}
