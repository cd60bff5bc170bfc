"""`/upscale quota …`: limits shown and, by moderators, set, cleared, paused, sponsored and watched. The core judges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Where
from adapters.slack.views import account as view
from adapters.slack.views.job import passing
from core.budgets.limit_grammar import Dialect, extra_words, limit_words, sponsor_words
from core.domain.errors import InvalidParameters, ParameterProblem
from core.domain.job import Requester
from core.domain.limits import ScopeKind
from core.domain.money import usd
from core.presentation import tr

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
SPONSOR_DAYS = 7
MAX_SPONSOR_DAYS = 366

Handler = Callable[[HandlerContext, Where, Requester, str], Awaitable[None]]


async def answer(ctx: HandlerContext, where: Where, actor: Requester, rest: str) -> None:
    """Do what the first word says; without one, show what applies to the member."""
    verb, _, words = rest.strip().partition(" ")
    await _VERBS.get(verb.lower(), _show)(ctx, where, actor, words)


async def _show(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    await ctx.answers.tell(where, view.quota(await ctx.service.limits.applying(actor), actor.locale))


async def _workspace(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    statuses = await ctx.service.limits.workspace_limits(actor)
    await ctx.answers.tell(where, view.quota(statuses, actor.locale, saved=True))


async def _set(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    await _change(ctx, where, actor, words, setting=True)


async def _clear(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    await _change(ctx, where, actor, words, setting=False)


async def _change(ctx: HandlerContext, where: Where, actor: Requester, words: str, *, setting: bool) -> None:
    limit = limit_words(words, DIALECT, needs_amount=setting)
    scope_id = where.team_id if limit.scope is ScopeKind.WORKSPACE else limit.scope_id
    amount = limit.amount if setting else None
    statuses = await ctx.service.limits.set_limit(
        actor, limit.scope, scope_id, limit.measure, limit.window, amount, limit.model
    )
    await ctx.answers.tell(where, view.quota(statuses, actor.locale, saved=True))


async def _pause(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    await ctx.service.limits.pause(actor, True)
    await ctx.answers.tell(where, passing(tr("New upscales are paused in this workspace.", actor.locale)))


async def _resume(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    await ctx.service.limits.pause(actor, False)
    await ctx.answers.tell(where, passing(tr("New upscales are possible again.", actor.locale)))


async def _alerts(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    off = words.strip().lower() in ("off", "none")
    channel = None if off else t.mentioned_channel(words) or where.channel_id
    await ctx.service.limits.set_alert_channel(actor, channel)
    told = tr("Budget alerts will be posted there. Add me to the channel if I am not in it.", actor.locale)
    silent = tr("No budget alerts will be posted.", actor.locale)
    await ctx.answers.tell(where, passing(silent if channel is None else told))


async def _sponsor(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    """A channel's jobs are paid from a budget of its own, for some days."""
    locale = actor.locale
    channel = t.mentioned_channel(words) or where.channel_id
    if words.split()[-1:] == ["off"]:
        await ctx.service.limits.sponsor(actor, channel, None)
        await ctx.answers.tell(where, passing(tr("The channel has no budget of its own any more.", locale)))
        return
    amount, days_said = sponsor_words(words)
    if amount is None:
        problem = ParameterProblem("sponsor", "", "missing_value", SPONSOR_EXAMPLE)
        raise InvalidParameters(problems=(problem,))
    days = min(MAX_SPONSOR_DAYS, max(1, SPONSOR_DAYS if days_said is None else days_said))
    await ctx.service.limits.sponsor(actor, channel, amount, ctx.clock.now() + days * 86_400)
    said = tr(
        "Images in that channel are now paid from its own budget: at most {amount}, for {days} days.",
        locale,
        amount=usd(amount, locale),
        days=days,
    )
    await ctx.answers.tell(where, passing(said))


async def _add(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    """`add @member $2 today`: more for a while."""
    member_id, amount, window = extra_words(words, DIALECT)
    await ctx.answers.tell(where, passing(await ctx.service.limits.add_extra(actor, member_id, amount, window)))


async def _history(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    await ctx.answers.tell(where, passing("\n".join(await ctx.service.limits.limit_history(actor))))


async def _presets(ctx: HandlerContext, where: Where, actor: Requester, words: str) -> None:
    """`presets [#channel] 2x faithful`, or `presets off`."""
    channel = t.mentioned_channel(words) or ""
    text = " ".join(word for word in t.without_channels(words).split() if word.lower() not in ("off", "none"))
    await ctx.answers.tell(where, passing(await ctx.service.accounts.set_place_presets(actor, text, channel)))


_VERBS: dict[str, Handler] = {
    "set": _set,
    "clear": _clear,
    "workspace": _workspace,
    "pause": _pause,
    "resume": _resume,
    "alerts": _alerts,
    "sponsor": _sponsor,
    "add": _add,
    "history": _history,
    "presets": _presets,
}
