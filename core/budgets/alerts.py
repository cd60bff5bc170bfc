"""Budget alerts at 50, 80 and 100 %, once per window and level, and the weekly report from Monday morning on.

They go to the channel that a workspace's moderators chose. The first process to notice sends them; failures are
retried.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import get_args

import structlog

from core.budgets.service import Budgets
from core.domain.errors import DeliveryError
from core.domain.job import Requester
from core.domain.limits import AlertLevel, AlertPlace, LimitStatus, Measure, ScopeKind, Span, midnight, span
from core.ports import AppState
from core.presentation import Notice
from core.presentation.cards.moderation import weekly_report
from core.presentation.texts import limit_texts

log = structlog.get_logger(__name__)

Notify = Callable[[AlertPlace, Notice], Awaitable[None]]

_CLAIM_S = 300.0
"""How long a sender's claim is valid; after this it may have died."""

_DAY_S = 86_400.0
_REPORTED_S = 8 * _DAY_S
_REPORT_HOUR = 8
_NAMED = 3


def watched(statuses: Iterable[LimitStatus], place: AlertPlace) -> list[LimitStatus]:
    """The budgets that this channel gets alerts for: the workspace's, sponsors', and the bot's if `everything`."""
    kinds = {ScopeKind.WORKSPACE, ScopeKind.EVERYTHING} if place.everything else {ScopeKind.WORKSPACE}
    return [
        status
        for status in statuses
        if status.limit.measure is not Measure.RUNNING
        and status.limit.amount > 0
        and (status.limit.scope.kind in kinds or status.limit.source == "sponsor")
    ]


def level_of(status: LimitStatus, smallest_job_nanousd: int) -> AlertLevel | None:
    """The highest level reached; 100 if not even the smallest job fits."""
    limit, used = status.limit, status.used
    smallest = smallest_job_nanousd if limit.measure is Measure.USD else 1
    if used + smallest > limit.amount:
        return 100
    share = 100 * used / limit.amount
    return 80 if share >= 80 else 50 if share >= 50 else None


def runs_out_at(status: LimitStatus, window: Span, now: float) -> float | None:
    """When the limit is used up at the average rate of its window; None if it lasts until the window's end."""
    if window.ends_at is None or status.used <= 0:
        return None
    elapsed = max(now - window.starts_at, 1.0)
    at = window.starts_at + elapsed * status.limit.amount / status.used
    return max(at, now) if at < window.ends_at else None


def budget_key(status: LimitStatus, window: Span, place: AlertPlace) -> str:
    """The key of a budget, window and place, the same in every process."""
    limit = status.limit
    in_window = window.key if limit.source != "sponsor" else f"until{status.opens_at:.0f}"
    place_id = (place.platform, place.workspace_id, limit.scope.kind, limit.scope.id)
    parts = (*place_id, limit.source, limit.measure, in_window, *filter(None, (limit.model,)))
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:40]


async def _send_once(
    state: AppState,
    area: str,
    keys: Sequence[str],
    keep_s: float | None,
    notify: Notify,
    place: AlertPlace,
    notice: Notice,
) -> bool:
    """Send the notice and store all keys, unless the last key is stored or another process is sending it."""
    if await state.get(area, keys[-1]) or not await state.claim(area, keys[-1], ttl_s=_CLAIM_S):
        return False
    try:
        await notify(place, notice)
    except DeliveryError as refused:  # such as a channel that was deleted since: no fault of the bot
        log.warning("not_told", area=area, platform=place.platform, why=refused.code)
        return False
    except Exception:
        log.exception("not_told", area=area, platform=place.platform)
        return False
    for key in keys:
        await state.put(area, key, True, ttl_s=keep_s)
    return True


async def send_alerts(budgets: Budgets, state: AppState, notify: Notify) -> int:
    """Send the alerts that are due; returns their number."""
    sent = 0
    zone, smallest = budgets.zone, await budgets.prices.smallest()
    for place in await budgets.limits.rules.alert_places():
        for status in watched(await _budgets(budgets, place), place):
            now = budgets.ledger.clock.now()
            window = span(status.limit.window, now, zone)
            if (level := level_of(status, smallest)) is None:
                continue
            key = budget_key(status, window, place)
            lower = [f"{key}:{each}" for each in get_args(AlertLevel) if each <= level]
            keep_s = None if status.opens_at is None else max(_CLAIM_S, status.opens_at - now + _DAY_S)
            notice = limit_texts.alert_notice(place, level, status, runs_out_at(status, window, now), now, zone)
            sent += await _send_once(state, "alert", lower, keep_s, notify, place, notice)
    return sent


async def _budgets(budgets: Budgets, place: AlertPlace) -> Sequence[LimitStatus]:
    who = Requester(place.platform, "", workspace_id=place.workspace_id)
    statuses = list(await budgets.ledger.statuses(who))
    for sponsor in await budgets.limits.rules.sponsors(place.platform, place.workspace_id):
        there = Requester(place.platform, "", workspace_id=place.workspace_id, channel_id=sponsor.channel_id)
        found = await budgets.ledger.statuses(there, amount_nanousd=0)  # also of a budget that is used up
        statuses += [status for status in found if status.limit.source == "sponsor"]
    return statuses


async def send_weekly_reports(budgets: Budgets, state: AppState, notify: Notify) -> int:
    """Send the reports of last week that were not sent, except for weeks without jobs; returns their number.

    Call hourly. They are due on Monday at 8:00, and later if the bot did not run then.
    """
    now = datetime.fromtimestamp(budgets.ledger.clock.now(), budgets.zone)
    monday = now.date() - timedelta(days=now.weekday())
    if now.date() == monday and now.hour < _REPORT_HOUR:
        return 0
    first, last = monday - timedelta(days=7), monday - timedelta(days=1)
    sent = 0
    for place in await budgets.limits.rules.alert_places(set_before=midnight(monday + timedelta(days=1), budgets.zone)):
        key = f"{place.platform}:{place.workspace_id}:{last}"
        if await state.get("weekly_report", key):  # a report reads all jobs of the week
            continue
        moderator = Requester(place.platform, "", workspace_id=place.workspace_id, is_moderator=True)
        report = await budgets.usage(moderator, period=f"{first}..{last}")
        if not report.jobs:
            continue
        members = [(row.label or row.key, row.charged_nanousd) for row in report.members[:_NAMED]]
        models = [(row.key, row.charged_nanousd) for row in report.models]
        notice = weekly_report(first, last, report.jobs, report.charged_nanousd, members, models, place.locale)
        sent += await _send_once(state, "weekly_report", [key], _REPORTED_S, notify, place, notice)
    return sent
