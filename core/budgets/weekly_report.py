"""The week's report of a workspace, on Monday morning into the channel that its moderators chose for alerts."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from core.budgets.alert_sender import Notify
from core.budgets.reports import UsageFilter
from core.budgets.reports.build import build
from core.budgets.reports.periods import Period
from core.ports import AppState
from core.presentation.moderation_texts import weekly
from core.storage.ledger import SqlLedger
from core.storage.ledger.rule_store import SqlRules
from core.storage.ledger.usage import SqlUsage

log = structlog.get_logger(__name__)

_HOUR = 8
_ONCE_S = 8 * 86_400.0
_NAMED = 3


class WeeklyReports:
    """Each workspace's report once, whichever process looks first; nothing of a week without pictures."""

    def __init__(self, ledger: SqlLedger, rules: SqlRules, state: AppState) -> None:
        self._ledger = ledger
        self._rules = rules
        self._state = state
        self._usage = SqlUsage(ledger.database)

    async def send(self, notify: Notify) -> int:
        """Send what is due; how many went out. To be called about once an hour."""
        zone = self._ledger.settings.zone
        now = datetime.fromtimestamp(self._ledger.clock.now(), zone)
        if now.weekday() != 0 or now.hour < _HOUR:
            return 0
        last = now.date() - timedelta(days=1)
        week = Period("week", last - timedelta(days=6), last)
        sent = 0
        for place in await self._rules.alert_places():
            mine = f"{place.platform}:{place.workspace_id}:{last}"
            wanted = UsageFilter(week.first, week.last, place.platform, place.workspace_id, play=False)
            report = build(
                await self._usage.member_days(wanted),
                scope="workspace",
                period=week,
                timezone=zone.key,
                held_nanousd=0,
                budget_day_nanousd=None,
                play_money=False,
                viewer="",
            )
            if not report.jobs or not await self._state.claim("weekly_report", mine, ttl_s=_ONCE_S):
                continue
            members = [(row.label or row.key, row.charged_nanousd) for row in report.members[:_NAMED]]
            models = [(row.key, row.charged_nanousd) for row in await self._usage.by_model(wanted)]
            notice = weekly(week.first, week.last, report.jobs, report.charged_nanousd, members, models, place.locale)
            try:
                await notify(place, notice)
            except Exception:
                log.exception("weekly_report_not_sent", platform=place.platform)
                await self._state.delete("weekly_report", mine)
                continue
            sent += 1
        return sent
