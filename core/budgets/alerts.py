"""When a budget is half, four fifths or wholly used: which alerts are due, and sending each once.

Whichever process looks first sends it. An alert is due once per window and level.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog

from core.budgets.prices import PriceBook
from core.domain.job import Requester
from core.domain.limits import Alert, AlertLevel, AlertPlace, LimitStatus, Measure, ScopeKind, Span, span
from core.presentation import Notice
from core.presentation import limit_texts as sentences
from core.storage.ledger import SqlLedger
from core.storage.ledger.alert_log import SqlAlertMarks
from core.storage.ledger.rule_store import SqlRules

log = structlog.get_logger(__name__)

Notify = Callable[[AlertPlace, Notice], Awaitable[None]]


def watched(statuses: Iterable[LimitStatus], place: AlertPlace) -> list[LimitStatus]:
    """The budgets that this place is told about: the workspace's own, the bot's where wanted, and sponsors'."""
    kinds = {ScopeKind.WORKSPACE, ScopeKind.EVERYTHING} if place.everything else {ScopeKind.WORKSPACE}
    return [
        status
        for status in statuses
        if status.limit.measure is not Measure.RUNNING
        and status.limit.amount > 0
        and (status.limit.scope.kind in kinds or status.limit.source == "sponsor")
    ]


def level_of(status: LimitStatus, smallest_job_nanousd: int) -> AlertLevel | None:
    """The highest level reached. Wholly used: not even the smallest job fits, for budgets rarely come out even."""
    limit, used = status.limit, status.used
    smallest = smallest_job_nanousd if limit.measure is Measure.USD else 1
    if used + smallest > limit.amount:
        return 100
    share = 100 * used / limit.amount
    return 80 if share >= 80 else 50 if share >= 50 else None


def runs_out_at(status: LimitStatus, window: Span, now: float) -> float | None:
    """When the limit is used up if use goes on as since its window began; None if it lasts until the window's end."""
    if window.ends_at is None or status.used <= 0:
        return None
    elapsed = max(now - window.starts_at, 1.0)
    at = window.starts_at + elapsed * status.limit.amount / status.used
    return max(at, now) if at < window.ends_at else None


def budget_key(status: LimitStatus, window: Span, place: AlertPlace) -> str:
    """One name per budget, window and place, the same for every process."""
    limit = status.limit
    in_window = window.key if limit.source != "sponsor" else f"until{status.opens_at:.0f}"
    parts = (
        place.platform,
        place.workspace_id,
        limit.scope.kind,
        limit.scope.id,
        limit.source,
        limit.measure,
        in_window,
    )
    return "|".join(str(part) for part in (*parts, *filter(None, (limit.model,))))


class BudgetAlerts:
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
