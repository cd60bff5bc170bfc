"""The money side of `JobService` in memory: usage, limits and what a moderator may change."""

import itertools
from collections.abc import Sequence
from dataclasses import astuple
from datetime import date
from pathlib import Path
from typing import Any

from core.budgets.reports import UsageReport, UsageRow, parse_period
from core.budgets.reports.chart import ChartError
from core.domain import identity
from core.domain.job import Requester
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, WantedLimit, Window
from core.domain.money import NANOUSD_PER_USD
from core.ports import Clock
from core.presentation import Card, plain_card
from core.presentation.cards import moderation
from core.presentation.formats import usd
from tests.fakes.media import png


class FakeBudgets:
    """Keeps every call, so that tests judge what was asked."""

    platform = "fake"

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.halted = False
        self.play_money = False
        self.chart_broken = False
        self.spent_nanousd = 0
        self.used_today_nanousd: int | None = None
        self.day_limit_nanousd = 5 * NANOUSD_PER_USD
        self.limit_calls: list[tuple[str, ScopeKind, str, Measure, Window, int | None]] = []
        self.sponsors: list[tuple[str, int | None, int]] = []
        self.alert_channels: list[str | None] = []
        self.moderated: list[tuple[object, ...]] = []
        self._numbers = itertools.count()

    def status(self) -> LimitStatus:
        """What is left today."""
        limit = Limit(Scope(ScopeKind.USER, self.platform), Measure.USD, Window.DAY, self.day_limit_nanousd)
        used = self.spent_nanousd if self.used_today_nanousd is None else self.used_today_nanousd
        return LimitStatus(limit, used, 0, self.clock.now() + 3 * 3600)

    async def usage(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> UsageReport:
        if member_id not in (None, actor.user_id):
            identity.check_moderator(actor)
        parse_period(period, date(2026, 11, 23))
        total = self.spent_nanousd
        days = (UsageRow("2026-11-22", "22 Nov", 0, 0, 0.0), UsageRow("2026-11-23", "23 Nov", total, 1, 3.0))
        members = (UsageRow(actor.user_id, actor.user_name, total, 1, 3.0),) if actor.is_moderator else ()
        return UsageReport(
            "workspace" if actor.is_moderator else "user", period, "UTC", "2026-11-01", "2026-11-30",
            total, 0, 1, 3.0, days, members, 25 * NANOUSD_PER_USD, self.play_money, left=await self.applying(actor),
        )  # fmt: skip

    async def usage_csv(self, actor: Requester, *, period: str = "month", member_id: str | None = None) -> str:
        parse_period(period, date(2026, 11, 23))
        return f"day,charged_usd,model\n2026-11-23,{usd(self.spent_nanousd)[1:]},flux\n"

    async def usage_chart(self, report: UsageReport, *, locale: str, dark: bool = True) -> Path:
        if self.chart_broken:
            raise ChartError
        path = self.folder / f"chart{next(self._numbers)}.png"
        path.write_bytes(png(900, 360, "#1b2427" if dark else "#eef4f2"))
        return path

    async def applying(self, actor: Requester) -> Sequence[LimitStatus]:
        now: dict[tuple[Any, ...], int | None] = {}
        for workspace, scope, scope_id, measure, window, amount in self.limit_calls:
            if workspace == actor.workspace_id:
                now[scope, scope_id, measure, window] = amount
        own = [
            LimitStatus(
                Limit(Scope(scope, self.platform, actor.workspace_id, scope_id), measure, window, amount, "moderator"),
                0,
                0,
                None,
            )
            for (scope, scope_id, measure, window), amount in now.items()
            if amount is not None
        ]
        return [self.status(), *own]

    async def workspace_limits(self, actor: Requester) -> Sequence[LimitStatus]:
        identity.check_moderator(actor)
        return await self.applying(actor)

    async def set_limit(self, actor: Requester, wanted: WantedLimit) -> Sequence[LimitStatus]:
        identity.check_moderator(actor)
        values = astuple(wanted)
        self.limit_calls.append((actor.workspace_id, *(values if wanted.model else values[:-1])))
        return await self.applying(actor)

    async def sponsor(self, actor: Requester, channel_id: str, amount_nanousd: int | None, days: int = 7) -> Card:
        identity.check_moderator(actor)
        self.sponsors.append((channel_id, amount_nanousd, days))
        ends_at = self.clock.now() + days * 86_400
        return moderation.sponsored(channel_id, amount_nanousd, ends_at, actor.locale)

    async def add_extra(self, actor: Requester, member_id: str, amount_nanousd: int, window: Window) -> Card:
        identity.check_moderator(actor)
        self.moderated.append(("extra", member_id, amount_nanousd, window.value))
        return plain_card("They have more.")

    async def limit_history(self, actor: Requester) -> Card:
        identity.check_moderator(actor)
        return plain_card("first", "second")

    async def set_place_presets(self, actor: Requester, text: str, channel_id: str = "") -> Card:
        identity.check_moderator(actor)
        self.moderated.append(("presets", text, channel_id))
        return plain_card("Presets are changed.")

    async def pause(self, actor: Requester, paused: bool) -> Card:
        identity.check_moderator(actor)
        self.halted = paused
        return moderation.pause_changed(paused, actor.platform, actor.locale)

    async def paused(self, actor: Requester) -> bool:
        return self.halted

    async def set_alert_channel(self, actor: Requester, channel_id: str | None) -> Card:
        identity.check_moderator(actor)
        self.alert_channels.append(channel_id)
        return moderation.alert_channel_changed(channel_id, actor.platform, actor.locale)
