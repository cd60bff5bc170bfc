"""Read what was spent, as sums and as rows, for reports, export and reconciliation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, case, func, select

from core.budgets.reports import ChargedJob, MemberDay, UsageFilter, UsageRow
from core.domain.identity import TEAM_SCOPED, person_key
from core.domain.job import Requester
from core.domain.limits import ScopeKind
from core.domain.money import PIXELS_PER_MEGAPIXEL
from core.storage import tables_ledger as t
from core.storage.ledger.transaction import LedgerDatabase
from core.storage.tables import jobs

_CHARGES = ("settle", "adjust", "sum")
_MAX_ROWS = 500_000
_EXPORT_ROWS = 100_000
_SUMS = [func.sum(t.entries.c[name]) for name in ("used_nanousd", "used_jobs", "used_px")]


@dataclass(frozen=True, slots=True)
class SqlUsage:
    database: LedgerDatabase

    async def member_days(self, wanted: UsageFilter) -> Sequence[MemberDay]:
        e = t.entries.c
        # In reports over all workspaces, ids that are unique only within a team are prefixed with it.
        apart = e.platform.in_(TEAM_SCOPED) & (not wanted.workspace_id)
        person = case((apart, e.workspace_id + ":" + e.user_id), else_=e.user_id)
        query = (
            select(e.day, e.platform, person, func.max(e.user_name), *_SUMS)
            .where(e.kind.in_(_CHARGES), *_filter(t.entries, wanted))
            .group_by(e.day, e.platform, person)
            .limit(_MAX_ROWS)
        )
        return [
            MemberDay(day, platform, user_id, name, int(charged), int(count), int(pixels))
            for day, platform, user_id, name, charged, count, pixels in await self.database.rows(query)
        ]

    async def by_model(self, wanted: UsageFilter) -> Sequence[UsageRow]:
        e = t.entries.c
        query = (
            select(e.model, *_SUMS)
            .where(e.kind.in_(_CHARGES), *_filter(t.entries, wanted))
            .group_by(e.model)
            .order_by(_SUMS[0].desc())
        )
        return [
            UsageRow(model, model, int(nanousd), int(count), round(int(pixels) / PIXELS_PER_MEGAPIXEL, 2))
            for model, nanousd, count, pixels in await self.database.rows(query)
        ]

    async def held(self, wanted: UsageFilter) -> int:
        """Return the nano-dollars that are held now, whenever the jobs began."""
        h = t.holds.c
        amount = func.coalesce(func.sum(h.amount_nanousd), 0)
        query = select(amount).where(t.IS_OPEN, *_filter(t.holds, wanted, days=False))
        return int((await self.database.rows(query))[0][0])

    async def charged_jobs(self, wanted: UsageFilter) -> Sequence[ChargedJob]:
        """Return every charged job, oldest first, with the provider's request if the job is still stored."""
        h = t.holds.c
        who = (h.platform, h.workspace_id, h.channel_id, h.user_id, h.user_name)
        amounts = (h.amount_nanousd, h.charged_nanousd, h.charged_px)
        request_id = func.coalesce(jobs.c.request_id, "")
        query = (
            select(h.key, h.held_at, h.day, *who, *amounts, h.sponsor_id, h.play, request_id, h.model)
            .select_from(t.holds.outerjoin(jobs, jobs.c.id == h.key))
            .where(h.state == "settled", *_filter(t.holds, wanted))
            .order_by(h.held_at, h.seq)
            .limit(_MAX_ROWS)
        )
        return [ChargedJob(*row) for row in await self.database.rows(query)]

    async def rows_of(self, who: Requester) -> dict[str, Sequence[dict[str, Any]]]:
        """What the ledger stores about this person: charges, limits and extras for them, and changes of limits."""
        e, c, x, h = t.entries.c, t.limits.c, t.extras.c, t.changes.c
        amounts = (e.used_nanousd, e.held_nanousd, e.used_px)
        where = (e.workspace_id, e.channel_id, e.user_name, e.roles, e.model)
        limit = (c.workspace_id, c.measure, c.window, c.model, c.amount, c.set_at)
        own_limit = of_person(t.limits, who, "scope_id") & (c.scope == ScopeKind.USER)
        own_change = of_person(t.changes, who, "actor_id") | changes_about(who)
        queries: dict[str, tuple[Select[Any], Column[Any]]] = {
            "ledger": (select(e.job_key, e.kind, e.at, e.day, *amounts, *where).where(of_person(t.entries, who)), e.id),
            "limits": (select(*limit).where(own_limit), c.set_at),
            "extras": (select(x.workspace_id, x.amount_nanousd, x.ends_at).where(of_person(t.extras, who)), x.id),
            "limit_changes": (select(h.at, h.workspace_id, h.action, h.subject, h.old, h.new).where(own_change), h.id),
        }
        return {
            name: [row._asdict() for row in await self.database.rows(query.order_by(order).limit(_EXPORT_ROWS))]
            for name, (query, order) in queries.items()
        }


def changes_about(who: Requester) -> ColumnElement[bool]:
    """The changes of a limit or an extra of this person, by moderators of their place or by the operator."""
    h, (platform, team, user_id) = t.changes.c, person_key(who)
    named = (h.subject == f"user {user_id}") | h.subject.startswith(f"user {user_id} ", autoescape=True)
    here = (h.platform == platform) & (h.workspace_id == team) if team else h.platform == platform
    return named & (here | (h.workspace_id == ""))


def of_person(table: Table, who: Requester, column: str = "user_id") -> ColumnElement[bool]:
    """The rows whose `column` is this person."""
    platform, team, user_id = person_key(who)
    found: ColumnElement[bool] = (table.c.platform == platform) & (table.c[column] == user_id)
    return found & (table.c.workspace_id == team) if team else found


def _filter(table: Table, wanted: UsageFilter, *, days: bool = True) -> list[ColumnElement[bool]]:
    names = {"platform": wanted.platform, "workspace_id": wanted.workspace_id, "user_id": wanted.user_id}
    found = [table.c[name] == value for name, value in names.items() if value]
    if wanted.play is not None:
        found.append(table.c.play.is_(wanted.play))
    if days:
        found.append(table.c.day.between(wanted.first.isoformat(), wanted.last.isoformat()))
    return found
