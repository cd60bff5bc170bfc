"""Changes of limits, pauses, extras, sponsors and alert channels: permissions and validation."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal
from zoneinfo import ZoneInfo

import structlog

from core.accounts.allowlist import AllowList
from core.domain import limits
from core.domain.errors import InvalidParameters, LimitNotSet, NotAllowed
from core.domain.identity import TEAM_SCOPED, check_moderator
from core.domain.job import Requester
from core.domain.models import ALL
from core.presentation import Card
from core.presentation.cards import moderation
from core.storage.ledger import SqlLedger
from core.storage.ledger.rule_store import SqlRules

log = structlog.get_logger(__name__)

_MAX_AMOUNT = 10**18
"""A billion dollars in nano-dollars, or so many megapixels or jobs."""

MAX_RULES = 200
"""Limits, extras or sponsors of one workspace: each change reads all rules and shows the use of each."""

_MODERATED = frozenset(
    {limits.ScopeKind.WORKSPACE, limits.ScopeKind.CHANNEL, limits.ScopeKind.ROLE, limits.ScopeKind.USER}
)

_ADDRESSES = {
    limits.ScopeKind.WORKSPACE: "discord:1234",
    limits.ScopeKind.CHANNEL: "discord:1234:5678",
    limits.ScopeKind.ROLE: "discord:1234:5678",
    limits.ScopeKind.USER: "discord:1234, slack:T1234:U1234",
}


class Limits:
    """Moderators change their workspace, the operator everything. A change is stored with its author and time."""

    def __init__(self, ledger: SqlLedger, allowlist: AllowList | None = None) -> None:
        self.ledger = ledger
        self.rules = SqlRules(ledger)
        self._allowlist = allowlist

    @property
    def zone(self) -> ZoneInfo:
        return self.ledger.settings.zone

    async def applying(self, actor: Requester) -> Sequence[limits.LimitStatus]:
        """The limits that apply to the actor here. Raises NotAdmitted, PlatformBusy."""
        await self._check_admitted(actor)
        return await self.ledger.statuses(actor)

    async def _check_admitted(self, actor: Requester) -> None:
        if self._allowlist is not None:
            await self._allowlist.check(actor)

    async def set_limit(self, actor: Requester, wanted: limits.WantedLimit) -> Sequence[limits.LimitStatus]:
        """Set or (None) clear a limit; returns the workspace's limits with their use. Raises LimitNotSet."""
        scope = wanted.scope
        check_moderator(actor)
        await self._check_admitted(actor)
        source: Literal["operator", "moderator"]
        if actor.is_operator and not actor.workspace_id:
            source, place = "operator", _operators_place(actor, scope, wanted.scope_id)
        elif scope not in _MODERATED or not actor.workspace_id:
            raise NotAllowed(needs="operator")
        else:
            source, place = "moderator", (actor.platform, actor.workspace_id, _own_id(actor, scope, wanted.scope_id))
        rule = limits.Rule(scope, wanted.measure, wanted.window, wanted.amount, source, *place, model=wanted.model)
        _check(rule)
        kept = await (self.rules.operator_limits() if source == "operator" else self.rules.limits(*place[:2]))
        if all(replace(one, amount=rule.amount) != rule for one in kept):
            if rule.amount is None:
                raise LimitNotSet
            if source == "moderator":
                _check_room("quota", len(kept))
        await self.rules.set_limit(actor, rule)
        log.info("limit_changed", source=source, platform=rule.platform, scope=scope, measure=rule.measure)
        return await self.workspace_limits(actor)

    async def workspace_limits(self, actor: Requester) -> Sequence[limits.LimitStatus]:
        """For moderators: the operator's limits for this workspace, and all that its moderators have set."""
        check_moderator(actor)
        await self._check_admitted(actor)
        if actor.is_operator and not actor.workspace_id:
            applying, rules = await self.ledger.statuses(actor), await self.rules.operator_limits()
        else:  # with what each member may spend, but not what the whole bot may
            anybody = Requester(actor.platform, "", workspace_id=actor.workspace_id)
            here = limits.ScopeKind.WORKSPACE, limits.ScopeKind.USER
            applying = tuple(s for s in await self.ledger.statuses(anybody) if s.limit.scope.kind in here)
            rules = await self.rules.limits(actor.platform, actor.workspace_id)
        found = {_slot(status): status for status in applying}
        for rule in rules:
            status = await self._status_of(rule)
            found.setdefault(_slot(status), status)
        return list(found.values())

    async def _status_of(self, rule: limits.Rule) -> limits.LimitStatus:
        """The use of a limit for one user or channel; a default for all has none of its own."""
        await asyncio.sleep(0)  # there may be many: one in each iteration of the event loop
        user = rule.id if rule.kind is limits.ScopeKind.USER else ""
        channel = rule.id if rule.kind is limits.ScopeKind.CHANNEL else ""
        if user or channel:
            who = Requester(rule.platform, user, workspace_id=rule.workspace_id, channel_id=channel)
            for status in await self.ledger.statuses(who):
                limit = status.limit
                identity = (limit.source, limit.measure, limit.window, limit.model, limit.scope.kind, limit.scope.id)
                if identity == (rule.source, rule.measure, rule.window, rule.model, rule.kind, rule.id):
                    return status
        scope = limits.Scope(rule.kind, rule.platform, rule.workspace_id, rule.id)
        ends_at = limits.span(rule.window, self.ledger.clock.now(), self.zone).ends_at
        limit = limits.Limit(scope, rule.measure, rule.window, rule.amount or 0, rule.source, rule.model)
        return limits.LimitStatus(limit, 0, 0, ends_at)

    async def paused(self, actor: Requester) -> bool:
        return await self.ledger.paused(actor) is not None

    async def limit_history(self, actor: Requester) -> Card:
        lines = moderation.limit_changes(await self.limit_changes(actor, limit=20), actor.locale)
        return Card("done", paragraphs=tuple(lines))

    async def add_extra(self, actor: Requester, member_id: str, amount_nanousd: int, window: limits.Window) -> Card:
        """Give a member more money until this window ends. Raises NotAllowed, InvalidParameters."""
        check_moderator(actor)
        if not actor.workspace_id:
            raise NotAllowed(needs="moderator")
        if not member_id:
            raise InvalidParameters.of("member", "", "missing_value", "@member")
        _check_amount(amount_nanousd, 1)
        _check_room("extra", await self.rules.extras_kept(actor.platform, actor.workspace_id))
        ends_at = limits.span(window, self.ledger.clock.now(), self.zone).ends_at
        if ends_at is None:
            raise InvalidParameters.of("window", window, "range", "hour, day, week, month")
        extra = limits.ExtraAllowance(actor.platform, actor.workspace_id, member_id, amount_nanousd, ends_at)
        await self.rules.add_extra(actor, extra)
        log.info("extra_given", platform=actor.platform, window=window)
        return moderation.extra_given(member_id, amount_nanousd, ends_at, actor.locale)

    async def limit_changes(self, actor: Requester, *, limit: int = 50) -> Sequence[limits.LimitChange]:
        """Changes in the workspace, newest first; for the operator outside of one, everywhere."""
        check_moderator(actor)
        everywhere = actor.is_operator and not actor.workspace_id
        where = ("", "") if everywhere else (actor.platform, actor.workspace_id)
        return await self.rules.history(*where, limit=limit)

    async def pause(self, actor: Requester, paused: bool) -> Card:
        """A moderator pauses or resumes the workspace, the operator everything (and resumes this workspace)."""
        check_moderator(actor)
        if not actor.is_operator:
            await self.rules.set_pause(actor, actor.platform, actor.workspace_id, paused=paused)
        else:
            await self.rules.set_pause(actor, "", "", paused=paused)
            if actor.workspace_id and not paused:
                await self.rules.set_pause(actor, actor.platform, actor.workspace_id, paused=False)
        log.info("pause_changed", platform=actor.platform, paused=paused, operator=actor.is_operator)
        return moderation.pause_changed(paused, actor.platform, actor.locale)

    async def sponsor(
        self, actor: Requester, channel_id: str, amount_nanousd: int | None, days: int = limits.SPONSOR_DAYS
    ) -> Card:
        """Give a channel its own budget for 1 to 366 days; None ends it. Raises NotAllowed, InvalidParameters."""
        check_moderator(actor)
        if not actor.workspace_id or not channel_id:
            raise InvalidParameters.of("channel", channel_id, "missing_value", "a channel")
        if amount_nanousd is not None:
            _check_amount(amount_nanousd, 1)
            here = await self.rules.sponsors(actor.platform, actor.workspace_id)
            _check_room("sponsor", sum(one.channel_id != channel_id for one in here))
        ends_at = self.ledger.clock.now() + min(limits.MAX_SPONSOR_DAYS, max(1, days)) * 86_400
        await self.rules.set_sponsor(actor, channel_id, amount_nanousd, ends_at)
        return moderation.sponsored(channel_id, amount_nanousd, ends_at, actor.locale)

    async def set_alert_channel(self, actor: Requester, channel_id: str | None) -> Card:
        """Send the workspace's alerts there; if the operator chooses it, also those of the whole bot."""
        check_moderator(actor)
        if not actor.workspace_id:
            raise NotAllowed(needs="moderator")
        operator = actor.is_operator or (self._allowlist is not None and await self._allowlist.is_operator(actor))
        await self.rules.set_alert_channel(actor, channel_id, everything=operator)
        return moderation.alert_channel_changed(channel_id, actor.platform, actor.locale)


def _own_id(actor: Requester, scope: limits.ScopeKind, scope_id: str) -> str:
    if scope is limits.ScopeKind.WORKSPACE:
        if scope_id not in ("", actor.workspace_id):
            raise NotAllowed(needs="operator")
        return actor.workspace_id
    if scope is limits.ScopeKind.ROLE and not scope_id:
        raise InvalidParameters.of("role", "", "missing_value", "a role")
    return scope_id


def _check(rule: limits.Rule) -> None:
    if unknown := [name for name in rule.model.split(",") if name and ALL.find(name) is None]:
        raise InvalidParameters.of("model", unknown[0], "type", ", ".join(ALL.ids))
    if (rule.measure is limits.Measure.RUNNING) != (rule.window is limits.Window.NOW):
        raise InvalidParameters.of("window", rule.window, "range", "hour, day, week, month, total")
    if rule.amount is not None:
        # With 0 slots, jobs would wait for ever; a pause is the way to stop them.
        _check_amount(rule.amount, 1 if rule.measure is limits.Measure.RUNNING else 0)


def _check_amount(amount: int, least: int) -> None:
    if not least <= amount <= _MAX_AMOUNT:
        raise InvalidParameters.of("amount", str(amount), "range", f"{least} …")


def _check_room(name: str, kept: int) -> None:
    if kept >= MAX_RULES:
        raise InvalidParameters.of(name, str(kept), "too_many", str(MAX_RULES))


def _slot(status: limits.LimitStatus) -> tuple[limits.Scope, limits.Measure, limits.Window, str, str]:
    limit = status.limit
    return limit.scope, limit.measure, limit.window, limit.source, limit.model


def _operators_place(actor: Requester, scope: limits.ScopeKind, address: str) -> tuple[str, str, str]:
    """Split an address into platform, workspace and id: `discord`, `slack:T1` (a workspace), `slack:T1:C1` (a channel
    or role), `discord:42` or `slack:T1:U1` (a user); empty for all of the kind. Raises InvalidParameters.
    """
    platform, workspace_id, own_id = (*address.split(":", 2), "", "")[:3]
    platform = platform.lower()
    if scope is limits.ScopeKind.USER and platform not in TEAM_SCOPED:
        workspace_id, own_id = "", address.partition(":")[2]
    elif scope is limits.ScopeKind.WORKSPACE:
        own_id = workspace_id
    elif scope is limits.ScopeKind.PLATFORM:
        return platform or actor.platform, "", ""
    elif scope is limits.ScopeKind.EVERYTHING:
        return "", "", ""
    if address and not own_id:
        raise InvalidParameters.of(scope, address, "type", _ADDRESSES[scope])
    if scope is limits.ScopeKind.ROLE and not own_id:
        raise InvalidParameters.of("role", "", "missing_value", _ADDRESSES[scope])
    return platform, workspace_id, own_id
