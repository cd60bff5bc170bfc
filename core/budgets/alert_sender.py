"""The alerts of budgets: which are due, and sending each once, whichever process looks first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import structlog

from core.budgets.alerts import Alert, AlertPlace, budget_key, level_of, runs_out_at, watched
from core.budgets.prices import PriceBook
from core.domain.job import Requester
from core.domain.limits import LimitStatus
from core.domain.windows import span
from core.presentation import Notice
from core.presentation import limit_texts as sentences
from core.storage.ledger import SqlLedger
from core.storage.ledger.alert_log import SqlAlertMarks
from core.storage.ledger.rule_store import SqlRules

log = structlog.get_logger(__name__)

Notify = Callable[[AlertPlace, Notice], Awaitable[None]]


class BudgetAlerts:
    """Looks at the budgets that somebody wants to hear of."""

    def __init__(self, ledger: SqlLedger, rules: SqlRules, prices: PriceBook) -> None:
        self.ledger = ledger
        self.rules = rules
        self.zone = ledger.settings.zone
        self.prices = prices
        self._marks = SqlAlertMarks(ledger.database)

    async def due(self) -> Sequence[Alert]:
        """Alerts that nobody has sent yet, at most one per budget and place."""
        found: list[Alert] = []
        now, smallest = self.ledger.clock.now(), await self.prices.smallest()
        for place in await self.rules.alert_places():
            for status in watched(await self._budgets(place), place):
                window = span(status.limit.window, now, self.zone)
                level, key = level_of(status, smallest), budget_key(status, window, place)
                if level is not None and await self._marks.pending(key, level):
                    found.append(Alert(place, key, level, status, runs_out_at(status, window, now)))
        return found

    async def _budgets(self, place: AlertPlace) -> Sequence[LimitStatus]:
        who = Requester(place.platform, "", workspace_id=place.workspace_id)
        statuses = list(await self.ledger.statuses(who))
        for sponsor in await self.rules.sponsors(place.platform, place.workspace_id):
            there = Requester(place.platform, "", workspace_id=place.workspace_id, channel_id=sponsor.channel_id)
            statuses += [s for s in await self.ledger.statuses(there) if s.limit.source == "sponsor"]
        return statuses

    async def send(self, notify: Notify) -> int:
        """Send what is due through `notify`; what cannot be sent is tried again later. Returns how many went out."""
        sent = 0
        for due in await self.due():
            now = self.ledger.clock.now()
            if not await self._marks.claim(due.key, due.level, now):
                continue
            try:
                await notify(due.place, sentences.alert(due, now, self.zone))
            except Exception:
                log.exception("alert_not_sent", platform=due.place.platform, level=due.level)
                continue
            await self._marks.sent(due.key, due.level)
            sent += 1
        return sent
