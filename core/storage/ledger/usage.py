"""What was spent, as sums and as rows, for reports, export and reconciliation. Only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from core.budgets.reports import ChargedJob, MemberDay, UsageFilter, UsageRow
from core.domain.identity import TEAM_SCOPED, person_key
from core.domain.job import Requester
from core.domain.money import PIXELS_PER_MEGAPIXEL
from core.storage import tables_ledger as t
from core.storage.ledger.transaction import LedgerDatabase
from core.storage.tables import jobs

_OPEN = ("waiting", "running")
_MAX_ROWS = 500_000
_EXPORT_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class SqlUsage:
    """Reports' view of the ledger."""

    database: LedgerDatabase

    async def member_days(self, wanted: UsageFilter) -> Sequence[MemberDay]:
        """Charges by day and member."""
        e = t.entries.c
        # Outside a workspace, ids that are unique only within a team are told apart by it.
        apart = e.platform.in_(TEAM_SCOPED) & (not wanted.workspace_id)
        person = case((apart, e.workspace_id + ":" + e.user_id), else_=e.user_id)
        query = (
            select(
                e.day,
                e.platform,
                person,
                func.max(e.user_name),
                func.sum(e.used_nanousd),
                func.sum(e.used_jobs),
                func.sum(e.used_px),
            )
            .where(e.kind.in_(("settle", "adjust")), *_filter(t.entries, wanted))
            .group_by(e.day, e.platform, person)
            .limit(_MAX_ROWS)
        )

        async def work(connection: AsyncConnection) -> Sequence[MemberDay]:
            return [
                MemberDay(day, platform, user_id, name, int(charged), int(count), int(pixels))
                for day, platform, user_id, name, charged, count, pixels in await connection.execute(query)
            ]

        return await self.database.read(work)

    async def by_model(self, wanted: UsageFilter) -> Sequence[UsageRow]:
        """Charges by model, the dearest first."""
        e = t.entries.c
        charged = func.sum(e.used_nanousd)
        query = (
            select(e.model, charged, func.sum(e.used_jobs), func.sum(e.used_px))
            .where(e.kind.in_(("settle", "adjust")), *_filter(t.entries, wanted))
            .group_by(e.model)
            .order_by(charged.desc())
        )

        async def work(connection: AsyncConnection) -> Sequence[UsageRow]:
            return [
                UsageRow(model, model, int(nanousd), int(count), round(int(pixels) / PIXELS_PER_MEGAPIXEL, 2))
                for model, nanousd, count, pixels in await connection.execute(query)
            ]

        return await self.database.read(work)

    async def held(self, wanted: UsageFilter) -> int:
        """Nano-dollars held now for jobs that are not over, whenever they began."""
        h = t.holds.c
        query = select(func.coalesce(func.sum(h.amount_nanousd), 0)).where(
            h.state.in_(_OPEN), *_filter(t.holds, wanted, days=False)
        )

        async def work(connection: AsyncConnection) -> int:
            return int(await connection.scalar(query) or 0)

        return await self.database.read(work)

    async def charged_jobs(self, wanted: UsageFilter) -> Sequence[ChargedJob]:
        """Every charged job, oldest first, with the provider's request where the job is still stored."""
        h = t.holds.c
        query: Select[Any] = (
            select(
                h.key,
                h.held_at,
                h.day,
                h.platform,
                h.workspace_id,
                h.channel_id,
                h.user_id,
                h.user_name,
                h.amount_nanousd,
                h.charged_nanousd,
                h.charged_px,
                h.sponsor_id,
                h.play,
                func.coalesce(jobs.c.request_id, ""),
                h.model,
            )
            .select_from(t.holds.outerjoin(jobs, jobs.c.id == h.key))
            .where(h.state == "settled", *_filter(t.holds, wanted))
            .order_by(h.held_at, h.seq)
            .limit(_MAX_ROWS)
        )

        async def work(connection: AsyncConnection) -> Sequence[ChargedJob]:
            return [ChargedJob(*row) for row in await connection.execute(query)]

        return await self.database.read(work)

    async def entries_of(self, who: Requester) -> Sequence[dict[str, Any]]:
        """A member's entries as JSON-safe facts, for the member."""
        names = (
            "job_key",
            "kind",
            "at",
            "day",
            "used_nanousd",
            "held_nanousd",
            "used_px",
            "workspace_id",
            "channel_id",
            "model",
        )
        columns = [t.entries.c[name] for name in names]
        query = select(*columns).where(of_person(t.entries, who))

        async def work(connection: AsyncConnection) -> Sequence[dict[str, Any]]:
            rows = await connection.execute(query.order_by(t.entries.c.id).limit(_EXPORT_ROWS))
            return [dict(row._mapping) for row in rows]

        return await self.database.read(work)


def of_person(table: Any, who: Requester) -> ColumnElement[bool]:
    """The rows of this person, by the service's whole key."""
    platform, team, user_id = person_key(who)
    found: ColumnElement[bool] = (table.c.platform == platform) & (table.c.user_id == user_id)
    return found & (table.c.workspace_id == team) if team else found


def _filter(table: Any, wanted: UsageFilter, *, days: bool = True) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.platform:
        found.append(table.c.platform == wanted.platform)
    if wanted.workspace_id:
        found.append(table.c.workspace_id == wanted.workspace_id)
    if wanted.user_id:
        found.append(table.c.user_id == wanted.user_id)
    if wanted.play is not None:
        found.append(table.c.play.is_(wanted.play))
    if days:
        found.append(table.c.day.between(_text(wanted.first), _text(wanted.last)))
    return found


def _text(day: date) -> str:
    return day.isoformat()
