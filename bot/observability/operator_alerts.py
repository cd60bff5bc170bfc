"""Tells the operator, once, what only the operator can mend: in the log, and in the channels that asked for the
whole bot's alerts."""

from __future__ import annotations

import structlog

from core.budgets.service import BudgetDesk
from core.domain.errors import DeliveryError, ProviderHalted
from core.jobs.steps import Tools
from core.presentation import Notice, tr

log = structlog.get_logger(__name__)


async def tell_halted(halted: ProviderHalted, budget: BudgetDesk, tools: Tools) -> None:
    """fal takes nothing more from us. New jobs are refused until it does again; running ones go on."""
    log.error("provider_halted", kind=halted.kind)
    for place in await budget.rules.alert_places():
        if not place.everything:
            continue
        try:
            await tools.adapter(place.platform).notify(
                place.workspace_id, place.channel_id, _notice(halted, place.locale)
            )
        except DeliveryError as error:
            log.warning("operator_not_told", platform=place.platform, error=error.code)


def _notice(halted: ProviderHalted, locale: str) -> Notice:
    if halted.kind == "credit":
        return Notice(
            tr("fal is out of credit; new upscales are refused until it is topped up.", locale),
            advice=tr("Top up the balance in fal's dashboard. The bot goes on by itself.", locale),
        )
    return Notice(
        tr("fal refuses this bot's key; new upscales are refused until it is accepted again.", locale),
        advice=tr("Check FAL_KEY, and that the key has not been deleted.", locale),
    )
