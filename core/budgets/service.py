"""Usage reports: a member sees their own use, a moderator the workspace's, the operator everything."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Literal, TypeAlias

from core.accounts.allowlist import AllowList
from core.budgets.limits import Limits
from core.budgets.prices import PriceBook
from core.budgets.reports import Period, UsageFilter, UsageReport, build, jobs_csv, parse_period
from core.budgets.reports.chart import ChartDrawer
from core.domain.errors import NotAdmitted, NotAllowed, Paused, PlatformBusy
from core.domain.identity import person_key
from core.domain.job import Requester
from core.domain.limits import LimitStatus, Measure, ScopeKind, Window, local_day
from core.storage.ledger import SqlLedger
from core.storage.ledger.usage import SqlUsage

_Scope: TypeAlias = Literal["user", "workspace", "everything"]


class Budgets:
    def __init__(self, ledger: SqlLedger, prices: PriceBook, *, allowlist: AllowList | None = None) -> None:
        self.ledger = ledger
        self.limits = Limits(ledger, allowlist)
        self.zone = ledger.settings.zone
        self.prices = prices
        self._usage = SqlUsage(ledger.database)
        self.usage_chart = ChartDrawer().draw
        self.export = self._usage.rows_of

    def today(self) -> date:
        return local_day(self.ledger.clock.now(), self.zone)

    async def check_open(self, requester: Requester) -> None:
        """Raises Paused if new jobs are paused here. Cheap; the hold checks again."""
        by = await self.ledger.paused(requester)
        if by is not None:
            raise Paused(by=by, platform=requester.platform)

    async def usage(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> UsageReport:
        """Raises NotAllowed for another member's use, InvalidParameters for the period.

        Members see themselves; moderators their workspace, or one member of it; the operator outside of a workspace
        everything. With the own id as `member_id`: the actor's use on the whole platform.
        """
        days = parse_period(period, self.today())
        scope, wanted = self._scope(actor, days, member_id)
        left, refused = await self._left(actor)
        report = build(
            await self._usage.member_days(wanted),
            scope=scope,
            period=days,
            timezone=self.zone.key,
            held_nanousd=await self._usage.held(wanted),
            budget_day_nanousd=None if left is None else await self._budget_day(actor, wanted, scope),
            play_money=self.ledger.settings.play_money,
            viewer=f"{actor.platform}:{actor.user_id}",
            models=await self._usage.by_model(wanted),
        )
        return replace(report, left=left or (), refused=refused)

    async def _left(self, actor: Requester) -> tuple[Sequence[LimitStatus] | None, NotAdmitted | None]:
        """The limits that apply to the actor, or None if they may not spend, and the reason if it is known."""
        try:
            return await self.limits.applying(actor), None
        except NotAdmitted as error:
            return None, error
        except PlatformBusy:
            return None, None

    def _scope(self, actor: Requester, days: Period, member_id: str | None) -> tuple[_Scope, UsageFilter]:
        rows = partial(UsageFilter, days.first, days.last, play=self.ledger.settings.play_money)
        moderates = actor.is_operator or (actor.is_moderator and bool(actor.workspace_id))
        if member_id == actor.user_id or (member_id is None and not moderates):
            platform, team, user_id = person_key(actor)
            return "user", rows(platform, team, user_id=user_id)
        if not moderates:
            raise NotAllowed(needs="moderator")
        if actor.workspace_id:
            wanted = rows(actor.platform, actor.workspace_id, user_id=member_id or "")
            return ("user" if member_id else "workspace"), wanted
        team, _, user_id = (member_id or "").rpartition(":")
        return ("user" if member_id else "everything"), rows(workspace_id=team, user_id=user_id)

    async def _budget_day(self, actor: Requester, wanted: UsageFilter, scope: str) -> int | None:
        kinds = {"user": ScopeKind.USER, "workspace": ScopeKind.WORKSPACE, "everything": ScopeKind.EVERYTHING}
        who = Requester(
            actor.platform,
            wanted.user_id,
            workspace_id=actor.workspace_id,
            role_ids=actor.role_ids if wanted.user_id == actor.user_id else (),
        )
        amounts = [
            status.limit.amount
            for status in await self.ledger.statuses(who)
            if status.limit.scope.kind is kinds[scope]
            and not status.limit.model
            and (status.limit.measure, status.limit.window) == (Measure.USD, Window.DAY)
        ]
        return min(amounts, default=None)

    async def usage_csv(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> str:
        _, wanted = self._scope(actor, parse_period(period, self.today()), member_id)
        return await asyncio.to_thread(jobs_csv, await self._usage.charged_jobs(wanted), self.zone)
