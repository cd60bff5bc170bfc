"""Resolves rules into the limits that apply to a requester. Pure.

The operator's rules (defaults and file) and the workspace moderators' rules are resolved separately, and both apply; so
do a rule for one model and one for all models. Within one source, per measure, window and model, the most specific rule
of a kind wins: id, then workspace, then platform, then the general default. For a person, a rule by id precedes the
roles, and the most generous role with an allowance per member precedes the default. Of budgets that roles share, the
most generous counts. A rule for a channel holds in its threads too, and a thread may have one of its own beside it; the
default of each channel is for the channel and its threads together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from core.domain.identity import channels_of, person_key
from core.domain.job import Requester
from core.domain.limits import ExtraAllowance, Limit, Measure, Rule, Scope, ScopeKind, Window

WorkspaceKey: TypeAlias = tuple[str, str]
"""Platform and workspace id."""

_Slot: TypeAlias = tuple[Measure, Window, str]

NARROWEST_FIRST: tuple[ScopeKind, ...] = (
    ScopeKind.USER,
    ScopeKind.ROLE,
    ScopeKind.CHANNEL,
    ScopeKind.WORKSPACE,
    ScopeKind.PLATFORM,
    ScopeKind.EVERYTHING,
)


@dataclass(frozen=True, slots=True)
class RuleSet:
    operator: Sequence[Rule]
    moderators: Mapping[WorkspaceKey, Sequence[Rule]] = field(default_factory=dict)
    extras: Sequence[ExtraAllowance] = ()
    """Those that have not ended."""

    def limits_for(self, who: Requester) -> tuple[Limit, ...]:
        own = self.moderators.get((who.platform, who.workspace_id), ()) if who.workspace_id else ()
        found = [self._raised(limit, who) for limit in (*_resolve(self.operator, who), *_resolve(own, who))]
        return tuple(sorted(found, key=lambda limit: NARROWEST_FIRST.index(limit.scope.kind)))

    def _raised(self, limit: Limit, who: Requester) -> Limit:
        """Add the member's extras to a money limit per user, unless the operator set it in the file."""
        per_user = (limit.scope.kind, limit.measure) == (ScopeKind.USER, Measure.USD)
        if not per_user or limit.source not in ("default", "moderator") or not who.workspace_id:
            return limit
        own = (who.platform, who.workspace_id, who.user_id)
        more = sum(one.amount_nanousd for one in self.extras if (one.platform, one.workspace_id, one.user_id) == own)
        return replace(limit, amount=limit.amount + more) if more else limit


def _resolve(rules: Iterable[Rule], who: Requester) -> Iterable[Limit]:
    by_slot: dict[_Slot, list[Rule]] = {}
    for rule in rules:
        if _matches(rule, who):
            by_slot.setdefault((rule.measure, rule.window, rule.model), []).append(rule)
    for matching in by_slot.values():
        for rule in _winners(matching):
            if rule.amount is not None:
                yield Limit(_counter(rule, who), rule.measure, rule.window, rule.amount, rule.source, rule.model)


def _winners(rules: Sequence[Rule]) -> Iterable[Rule]:
    for kind in (ScopeKind.EVERYTHING, ScopeKind.PLATFORM, ScopeKind.WORKSPACE, ScopeKind.CHANNEL):
        by_id: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.kind is kind:
                by_id.setdefault(rule.id, []).append(rule)
        if len(by_id) > 1:
            by_id.pop("", None)
        for same in by_id.values():
            yield max(same, key=_specificity)
    shared = [rule for rule in rules if rule.kind is ScopeKind.ROLE and rule.counts == "shared"]
    if shared:
        yield _most_generous(shared)
    personal = _personal([rule for rule in rules if rule not in shared])
    if personal is not None:
        yield personal


def _personal(rules: Sequence[Rule]) -> Rule | None:
    users = [rule for rule in rules if rule.kind is ScopeKind.USER]
    exceptions = [rule for rule in users if rule.id]
    if exceptions:
        return max(exceptions, key=_specificity)
    roles = [rule for rule in rules if rule.kind is ScopeKind.ROLE]
    if roles:
        return _most_generous(roles)
    return max(users, key=_specificity, default=None)


def _most_generous(rules: Sequence[Rule]) -> Rule:
    return max(rules, key=lambda rule: (rule.amount is None, rule.amount or 0, _specificity(rule)))


def _specificity(rule: Rule) -> tuple[bool, bool, bool, bool]:
    # The file precedes the built-in default of the same specificity.
    return bool(rule.id), bool(rule.workspace_id), bool(rule.platform), rule.source != "default"


def _matches(rule: Rule, who: Requester) -> bool:
    if rule.platform and rule.platform != who.platform:
        return False
    if rule.workspace_id and rule.workspace_id != who.workspace_id:
        return False
    match rule.kind:
        case ScopeKind.WORKSPACE:
            return bool(who.workspace_id) and rule.id in ("", who.workspace_id)
        case ScopeKind.CHANNEL:
            return bool(who.channel_id) and rule.id in ("", *channels_of(who))
        case ScopeKind.ROLE:
            return rule.id in who.role_ids
        case ScopeKind.USER:
            return rule.id in ("", who.user_id)
        case _:
            return True


def _counter(rule: Rule, who: Requester) -> Scope:
    match rule.kind:
        case ScopeKind.EVERYTHING:
            return Scope(ScopeKind.EVERYTHING)
        case ScopeKind.PLATFORM:
            return Scope(ScopeKind.PLATFORM, who.platform)
        case ScopeKind.WORKSPACE:
            return Scope(ScopeKind.WORKSPACE, who.platform, who.workspace_id, who.workspace_id)
        case ScopeKind.CHANNEL:
            channel_id = rule.id or channels_of(who)[-1]
            return Scope(ScopeKind.CHANNEL, who.platform, who.workspace_id, channel_id)
        case ScopeKind.ROLE if rule.counts == "shared":
            return Scope(ScopeKind.ROLE, who.platform, who.workspace_id, rule.id)
        case ScopeKind.ROLE | ScopeKind.USER:
            # A rule for a workspace counts use there; any other counts the person's use everywhere.
            _, team, user_id = person_key(who)
            return Scope(ScopeKind.USER, who.platform, rule.workspace_id or team, user_id)
