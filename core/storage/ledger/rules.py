"""The rules in force, as a snapshot of their tables (limits, pauses, sponsors), and which apply to a requester.

A version number, incremented by every change in the same transaction, tells when a snapshot is stale. Counter names
contain a person only as a keyed hash, never by id.
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import quote

import structlog
from sqlalchemy import Connection, select, update

from core.budgets.rules import RuleSet, WorkspaceKey
from core.domain.identity import channels_of, person_id, person_key
from core.domain.job import Requester
from core.domain.limits import ExtraAllowance, Limit, Measure, Rule, Scope, ScopeKind, Sponsor, Window
from core.storage import tables_ledger as t

NOW = "now"
"""The window name of the counters of running jobs."""

log = structlog.get_logger(__name__)

VERSION = "rules_version"
OPERATOR_PREFIX = "*"
"""Prefix of the platform's name in rows that the operator set; moderators cannot change such rows."""
_MAX_CACHED_PLANS = 5_000
"""Of 2.5 to 20 kB, by the roles of the person. Those of all waiting jobs are used at each turn."""
_NEWEST = select(t.meta.c.value).where(t.meta.c.key == VERSION)


class CounterNames:
    """Counter names under one salt, so that open windows still limit a person whose data were erased."""

    def __init__(self, salt: str) -> None:
        self._salt = bytes.fromhex(salt)

    def person(self, who: Requester) -> str:
        return self._hash(who.platform, person_id(who))

    def _hash(self, platform: str, user_id: str) -> str:
        """80 bits of HMAC-SHA-256."""
        return hmac.new(self._salt, f"{platform}\0{user_id}".encode(), hashlib.sha256).hexdigest()[:20]

    def of(self, scope: Scope) -> str:
        place = f"{_safe(scope.platform)}:{_safe(scope.workspace_id)}"
        match scope.kind:
            case ScopeKind.EVERYTHING:
                return "all"
            case ScopeKind.PLATFORM:
                return f"p:{_safe(scope.platform)}"
            case ScopeKind.WORKSPACE:
                return f"w:{place}"
            case ScopeKind.CHANNEL:
                return f"c:{place}:{_safe(scope.id)}"
            case ScopeKind.ROLE:
                return f"r:{place}:{_safe(scope.id)}"
            case ScopeKind.USER:
                return f"u:{place}:{self._hash(scope.platform, scope.id)}"

    def shared(self, who: Requester) -> list[str]:
        scopes = [Scope(ScopeKind.EVERYTHING), Scope(ScopeKind.PLATFORM, who.platform)]
        if who.workspace_id:
            scopes.append(Scope(ScopeKind.WORKSPACE, who.platform, who.workspace_id, who.workspace_id))
        scopes += [Scope(ScopeKind.CHANNEL, who.platform, who.workspace_id, one) for one in channels_of(who)]
        return [self.of(scope) for scope in scopes]

    def personal(self, who: Requester) -> list[str]:
        """Return the person's counters: across all workspaces (or the team of their id), and in this workspace."""
        _, team, user_id = person_key(who)
        places = dict.fromkeys([team, who.workspace_id or team])
        return [self.of(Scope(ScopeKind.USER, who.platform, place, user_id)) for place in places]


def sponsored_key(counter: str) -> str:
    """Return the counter of the part of `counter` that sponsors paid."""
    return f"g:{counter}"


def balance_key(counter: str, window: str) -> str:
    return f"{counter}|{window}"


def _safe(part: str) -> str:
    return quote(part, safe="")


@dataclass(frozen=True, slots=True)
class BoundLimit:
    limit: Limit
    counter: str
    opens_at: float | None = None
    """Set for sponsors only; other limits open when their window ends."""

    minus: str = ""
    """A counter of what sponsors paid; it is included in `counter` and is subtracted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The limits and counters of one job. `slots` are the limits on running jobs, `bounds` all others."""

    bounds: tuple[BoundLimit, ...]
    slots: tuple[BoundLimit, ...]
    counters: tuple[str, ...]
    slot_counters: tuple[str, ...]
    sponsor_id: str = ""


@dataclass(slots=True)
class Rules:
    """One snapshot. Plans are cached, since they depend on nothing else."""

    version: str
    rule_set: RuleSet
    keys: CounterNames
    pauses: frozenset[str] = frozenset()
    sponsors: Mapping[tuple[str, str, str], tuple[Sponsor, ...]] = field(default_factory=dict)
    stale_at: float = float("inf")
    """When the first extra ends."""
    _plans: dict[tuple[object, ...], Plan] = field(default_factory=dict)

    def paused(self, who: Requester) -> Literal["operator", "moderator"] | None:
        if "" in self.pauses:
            return "operator"
        return (
            "moderator" if who.workspace_id and workspace_key(who.platform, who.workspace_id) in self.pauses else None
        )

    def sponsors_of(self, who: Requester, now: float) -> list[Sponsor]:
        """Return the budgets that pay here now: first a thread's, then its channel's; each, the one that ends first."""
        places = [(who.platform, who.workspace_id, channel_id) for channel_id in channels_of(who)]
        paying = [[one for one in self.sponsors.get(place, ()) if one.pays(now)] for place in places]
        return [min(found, key=lambda one: one.ends_at) for found in paying if found]

    def plan(self, who: Requester, model: str | None = None) -> Plan:
        """Return what applies to a job of this model (None: of any model) if the requester's own limits pay."""
        identity = (who.platform, who.workspace_id, channels_of(who), who.user_id, who.role_ids, model)
        plan = self._plans.get(identity)
        if plan is None:
            if len(self._plans) >= _MAX_CACHED_PLANS:
                self._plans.clear()
            plan = self._plans[identity] = self._plan(who, model)
        return plan

    def sponsored(self, who: Requester, sponsor: Sponsor, model: str | None = None) -> Plan:
        """Return what applies if a sponsor pays: its budget, and all limits except the member's default daily money.

        The person's counters count it as well, so that no limit per person is bypassed. What the sponsor paid is also
        counted separately, since it does not use up the default daily money.
        """
        own = self.plan(who, model)
        scope = Scope(ScopeKind.CHANNEL, sponsor.platform, sponsor.workspace_id, sponsor.channel_id)
        budget = Limit(scope, Measure.USD, Window.TOTAL, sponsor.amount_nanousd, "sponsor")
        counter = f"s:{sponsor.id}"
        kept = tuple(bound for bound in own.bounds if not _is_default_money(bound.limit))
        return replace(
            own,
            bounds=(BoundLimit(budget, counter, sponsor.ends_at), *kept),
            counters=(*own.counters, counter, sponsored_key(self.keys.personal(who)[0])),
            sponsor_id=sponsor.id,
        )

    def _bound(self, limit: Limit) -> BoundLimit:
        counter = self.keys.of(limit.scope)
        if limit.model:
            counter = f"m:{limit.model}:{counter}"
        return BoundLimit(limit, counter, minus=sponsored_key(counter) if _is_default_money(limit) else "")

    def _plan(self, who: Requester, model: str | None) -> Plan:
        bounds = [self._bound(one) for one in self.rule_set.limits_for(who) if model is None or one.counts(model)]
        counters = [*self.keys.shared(who), *self.keys.personal(who)]
        # The counter of a role or a model counts only the jobs that it limits, not all jobs of its members.
        all_counters = tuple(dict.fromkeys([*counters, *(bound.counter for bound in bounds)]))
        return Plan(
            bounds=tuple(bound for bound in bounds if bound.limit.measure is not Measure.RUNNING),
            slots=tuple(bound for bound in bounds if bound.limit.measure is Measure.RUNNING),
            counters=all_counters,
            slot_counters=all_counters,
        )


def _is_default_money(limit: Limit) -> bool:
    """Whether this is the default daily money of every member."""
    by_person = limit.scope.kind is ScopeKind.USER and limit.source == "default"
    return by_person and (limit.measure, limit.window) == (Measure.USD, Window.DAY)


def workspace_key(platform: str, workspace_id: str) -> str:
    return f"{platform}:{workspace_id}"


def rules_version(connection: Connection) -> str:
    found = connection.scalar(_NEWEST)
    return str(found) if found is not None else "0"


def raise_version(connection: Connection) -> None:
    """Make every process read the rules again before its next decision."""
    version = int(rules_version(connection)) + 1
    connection.execute(update(t.meta).where(t.meta.c.key == VERSION).values(value=str(version)))


def rules_of(rows: Iterable[Any]) -> Iterator[Rule]:
    """Parse rows of `ledger_limits`; rows that only a newer release running beside this one knows are skipped."""
    for row in rows:
        source: Literal["operator", "moderator"]
        source = "operator" if row.platform.startswith(OPERATOR_PREFIX) else "moderator"
        platform = row.platform.removeprefix(OPERATOR_PREFIX)
        try:
            kinds = ScopeKind(row.scope), Measure(row.measure), Window(row.window)
        except ValueError:
            log.warning("limit_not_known", scope=row.scope, measure=row.measure, window=row.window)
            continue
        yield Rule(*kinds, row.amount, source, platform, row.workspace_id, row.scope_id, model=row.model)


def load_rules(connection: Connection, version: str, operator: Sequence[Rule], keys: CounterNames, now: float) -> Rules:
    moderators: dict[WorkspaceKey, list[Rule]] = {}
    at_run_time: list[Rule] = []  # first, so that they override equally specific rules of the file and the defaults
    for rule in rules_of(connection.execute(select(t.limits))):
        if rule.source == "operator":
            at_run_time.append(rule)
        else:
            moderators.setdefault((rule.platform, rule.workspace_id), []).append(rule)
    sponsors: dict[tuple[str, str, str], tuple[Sponsor, ...]] = {}
    for row in connection.execute(select(t.sponsors).where(t.sponsors.c.ends_at > now)):
        sponsor = Sponsor(**row._asdict())
        where = (sponsor.platform, sponsor.workspace_id, sponsor.channel_id)
        sponsors[where] = (*sponsors.get(where, ()), sponsor)
    pauses = frozenset(connection.scalars(select(t.pauses.c.place)))
    e = t.extras.c
    running = select(e.platform, e.workspace_id, e.user_id, e.amount_nanousd, e.ends_at).where(e.ends_at > now)
    extras = [ExtraAllowance(*row) for row in connection.execute(running)]
    stale_at = min((extra.ends_at for extra in extras), default=float("inf"))
    rule_set = RuleSet((*at_run_time, *operator), moderators, extras)
    return Rules(version, rule_set, keys, pauses, sponsors, stale_at)
