"""The week's report of a workspace, on Monday morning into the channel that its moderators chose for alerts."""

from datetime import datetime, timedelta

import structlog

from core.budgets.alerts import Notify
from core.budgets.service import Budgets
from core.domain.job import Requester
from core.ports import AppState
from core.presentation.cards.moderation import weekly

log = structlog.get_logger(__name__)

_HOUR = 8
_ONCE_S = 8 * 86_400.0
_NAMED = 3


async def send_weekly_reports(budgets: Budgets, state: AppState, notify: Notify) -> int:
    """Send each workspace's report once, whichever process looks first; nothing of a week without pictures.

    How many went out. To be called about once an hour.
    """
    now = datetime.fromtimestamp(budgets.ledger.clock.now(), budgets.zone)
    if now.weekday() != 0 or now.hour < _HOUR:
        return 0
    last = now.date() - timedelta(days=1)
    first = last - timedelta(days=6)
    sent = 0
    for place in await budgets.limits.rules.alert_places():
        mine = f"{place.platform}:{place.workspace_id}:{last}"
        moderator = Requester(place.platform, "", workspace_id=place.workspace_id, is_moderator=True)
        report = await budgets.usage(moderator, period=f"{first}..{last}")
        if not report.jobs or not await state.claim("weekly_report", mine, ttl_s=_ONCE_S):
            continue
        members = [(row.label or row.key, row.charged_nanousd) for row in report.members[:_NAMED]]
        models = [(row.key, row.charged_nanousd) for row in report.models]
        try:
            await notify(place, weekly(first, last, report.jobs, report.charged_nanousd, members, models, place.locale))
        except Exception:
            log.exception("weekly_report_not_sent", platform=place.platform)
            await state.delete("weekly_report", mine)
            continue
        sent += 1
    return sent
