"""Read what was spent, as sums and as rows, for reports, export and reconciliation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, case, func, select

from core.budgets.reports import ChargedJob, MemberDay, UsageFilter, UsageRow
from core.domain.identity import TEAM_SCOPED, person_key
from core.domain.job import Requester
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

    async def entries_of(self, who: Requester) -> Sequence[dict[str, Any]]:
        e = t.entries.c
        amounts = (e.used_nanousd, e.held_nanousd, e.used_px)
        query = select(e.job_key, e.kind, e.at, e.day, *amounts, e.workspace_id, e.channel_id, e.model)
        found = await self.database.rows(query.where(of_person(t.entries, who)).order_by(e.id).limit(_EXPORT_ROWS))
        return [row._asdict() for row in found]


def of_person(table: Table, who: Requester) -> ColumnElement[bool]:
    platform, team, user_id = person_key(who)
    found: ColumnElement[bool] = (table.c.platform == platform) & (table.c.user_id == user_id)
    return found & (table.c.workspace_id == team) if team else found


def _filter(table: Table, wanted: UsageFilter, *, days: bool = True) -> list[ColumnElement[bool]]:
    names = {"platform": wanted.platform, "workspace_id": wanted.workspace_id, "user_id": wanted.user_id}
    found = [table.c[name] == value for name, value in names.items() if value]
    if wanted.play is not None:
        found.append(table.c.play.is_(wanted.play))
    if days:
        found.append(table.c.day.between(wanted.first.isoformat(), wanted.last.isoformat()))
    return found
