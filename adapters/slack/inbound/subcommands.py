"""`/upscale help|usage|quota|history|queue|…`, also typed in a direct message. The core checks rights and values."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace

from adapters.slack.context import HandlerContext, HandlerResult
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Origin
from adapters.slack.outbound.files import Upload
from adapters.slack.setup.manifest import GROUPS_SCOPE
from adapters.slack.views import messages as view
from adapters.slack.views.card import draw
from core.budgets.limit_grammar import Dialect, extra_words, limit_words, sponsor_words
from core.budgets.limits import Limits
from core.domain.errors import InvalidParameters
from core.domain.job import Requester
from core.domain.limits import SPONSOR_DAYS, LimitStatus, ScopeKind
from core.presentation import Card, line_text
from core.presentation.cards import account, budget
from core.presentation.cards.moderation import queue
from core.presentation.texts.delivery_texts import sent_directly_text
from core.presentation.texts.request_texts import groups_unreadable_text

_FIRST_WORD = re.compile(r"\s*/?([a-zA-Z]+)\b")
SUBCOMMANDS = frozenset({"help", "usage", "quota", "history", "queue", "settings", "privacy"})
DIALECT = Dialect(
    scopes={
        **dict.fromkeys(("workspace", "team"), ScopeKind.WORKSPACE),
        **dict.fromkeys(("channel", "channels"), ScopeKind.CHANNEL),
        **dict.fromkeys(("user", "users", "member", "members"), ScopeKind.USER),
    },
    examples="user, @member, @group, channel, #channel, workspace",
    mention=t.mentioned_scope,
)
SPONSOR_EXAMPLE = "quota sponsor #channel $20 7 days"
VERBS = ("show", "set", "clear", "workspace", "pause", "resume", "alerts", "sponsor", "add", "history", "presets")


def subcommand(text: str) -> tuple[str, str]:
    """(subcommand, rest) if the text begins with one; else ("", text)."""
    found = _FIRST_WORD.match(text)
    if found and found[1].lower() in SUBCOMMANDS:
        return found[1].lower(), text[found.end() :].strip()
    return "", text


def misspelled(text: str) -> str | None:
    """The first word if it seems to be meant as a subcommand; with a link it is part of a request."""
    word = text.split()[0].lower()
    return word if "://" not in text and difflib.get_close_matches(word[:20], SUBCOMMANDS, 1, 0.75) else None


async def answer(ctx: HandlerContext, origin: Origin, name: str, rest: str) -> None:
    """Run a subcommand, also for a button, and answer the member with its result."""
    await ctx.run_and_answer(origin, lambda actor: _run(ctx, origin, actor, name, rest), starts=False)


async def _run(ctx: HandlerContext, origin: Origin, actor: Requester, name: str, rest: str) -> HandlerResult | None:
    service, command, locale = ctx.service, ctx.settings.slack_command, actor.locale
    match name:
        case "usage":
            return await _usage(ctx, origin, actor, rest)
        case "quota":
            return await _quota(ctx, origin, actor, rest)
        case "history":
            return view.history(await service.history(actor, limit=_count(rest), refused=False), locale)
        case "queue":
            return queue(await service.queue(actor), locale)
        case "settings":
            own = await service.accounts.change_settings(actor, rest)
            return view.settings(own, command, locale, service.models)
        case "privacy" if rest.lower() != "export":
            # `privacy delete` also shows the card with its button: it cannot be undone, so it takes another press.
            return account.privacy(locale, keep_days=ctx.settings.retention_days)
        case "privacy" | "export":
            return await _export(ctx, origin, actor)
        case "erase":
            return account.erased(await service.accounts.erase(actor), locale)
    return view.help_of(service, command, locale, moderator=actor.is_moderator)


def _count(words: str) -> int:
    """The number of images that a history should have. Raises InvalidParameters."""
    count = int(words) if words.isdecimal() and len(words) < 4 else 0 if words else account.HISTORY_SHOWN
    if not 0 < count <= account.HISTORY_MOST:
        raise InvalidParameters.of("history", words, "range", f"1–{account.HISTORY_MOST}")
    return count


async def _usage(ctx: HandlerContext, origin: Origin, actor: Requester, rest: str) -> HandlerResult | None:
    """The report with a table of its days; without the table if Slack refuses that."""
    period = t.without_mentions(rest).lower() or "month"
    member = t.mentioned_user(rest)
    report = await ctx.service.budgets.usage(actor, period=period, member_id=member)
    name = (await ctx.users.get(origin.team, member)).name or member if member and member != actor.user_id else ""
    content = draw(budget.usage(report, report.left, actor.locale, member=name))
    table = view.days_table(report, actor.locale)
    if table and await ctx.answer(origin, replace(content, blocks=[*content.blocks, table])):
        return None
    return content


async def _export(ctx: HandlerContext, origin: Origin, actor: Requester) -> str:
    """Send everything stored about the member as a ZIP in a direct message."""
    path = await ctx.service.accounts.export(actor)
    try:
        channel = await ctx.api.direct_channel(origin.team, origin.user_id)
        name, alt = "upscale-export.zip", line_text(account.exported(actor.locale, whole=True).paragraphs[0])
        await ctx.uploader.send_once(origin.team, Upload(path, name, name, alt, path.stat().st_size, channel))
    finally:
        path.unlink(missing_ok=True)
    return sent_directly_text(actor.locale)


async def _quota(ctx: HandlerContext, origin: Origin, actor: Requester, rest: str) -> Card:
    """`quota [verb …]`; without a verb, show the limits that apply to the member."""
    verb, _, words = rest.strip().partition(" ")
    service, channel = ctx.service.limits, t.mentioned_channel(words)
    match verb.lower() or "show":
        case "show":
            return _limits(ctx, await service.applying(actor), actor, of_all=False)
        case "workspace":
            return _limits(ctx, await service.workspace_limits(actor), actor)
        case "set" | "clear" as does:
            limit = limit_words(words, DIALECT, needs_amount=does == "set")
            scope_id = origin.team_id if limit.scope is ScopeKind.WORKSPACE else limit.scope_id
            wanted = replace(limit, scope_id=scope_id, amount=limit.amount if does == "set" else None)
            note = budget.limit_changed_text(wanted.amount, actor.locale)
            if limit.scope is ScopeKind.ROLE and GROUPS_SCOPE not in ctx.api.granted_scopes.get(origin.team_id, ()):
                note = f"{note} {groups_unreadable_text(GROUPS_SCOPE, actor.locale)}"
            return _limits(ctx, await service.set_limit(actor, wanted), actor, note)
        case "pause" | "resume" as does:
            return await service.pause(actor, does == "pause")
        case "alerts":
            off = words.strip().lower() in ("off", "none")
            return await service.set_alert_channel(actor, None if off else channel or origin.channel_id)
        case "sponsor":
            return await _sponsor(service, actor, channel or origin.channel_id, words)
        case "add":  # `add @member $2 today`: more for a while
            return await service.add_extra(actor, *extra_words(words, DIALECT))
        case "history":
            return await service.limit_history(actor)
        case "presets":  # `presets [#channel] 2x faithful`, `presets off`, or nothing to see them
            text = t.without_channels(words).strip()
            return await ctx.service.accounts.set_place_presets(actor, text, channel or "")
    raise InvalidParameters.of("quota", verb, "type", ", ".join(VERBS))


def _limits(
    ctx: HandlerContext, statuses: Sequence[LimitStatus], actor: Requester, *note: str, of_all: bool = True
) -> Card:
    how = {"play_money": ctx.service.play_money, "of_all": of_all}
    return budget.limits(statuses, actor.locale, platform=t.PLATFORM, note=note, **how)


async def _sponsor(service: Limits, actor: Requester, channel: str, words: str) -> Card:
    if words.split()[-1:] == ["off"]:
        return await service.sponsor(actor, channel, None)
    amount, days = sponsor_words(words)
    if amount is None:
        raise InvalidParameters.of("sponsor", "", "missing_value", SPONSOR_EXAMPLE)
    return await service.sponsor(actor, channel, amount, SPONSOR_DAYS if days is None else days)
