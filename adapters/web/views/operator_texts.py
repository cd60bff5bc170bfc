"""The sentences of the operator's page."""

from __future__ import annotations

from adapters.web.views.page_texts import page_texts
from core.presentation import tr


def operator_texts(locale: str) -> dict[str, str]:
    """All of them by short name, with those of the page that it shares."""
    return {
        **page_texts(locale),
        "o_places": tr("Places", locale),
        "o_open": tr("Running and waiting", locale),
        "o_members": tr("Top members this month", locale),
        "o_recent": tr("Ended lately", locale),
        "o_today": tr("Spent today", locale),
        "o_month": tr("Spent this month", locale),
        "o_held": tr("{price} held for running jobs", locale),
        "o_under_way": tr("Under way", locale),
        "o_health": tr("Health", locale),
        "o_ill": tr("Needs attention", locale),
        "o_nothing": tr("Nothing runs or waits.", locale),
        "o_who": tr("Who", locale),
        "o_picture": tr("Picture", locale),
        "o_price": tr("Price", locale),
        "o_state": tr("State", locale),
        "o_why": tr("Why", locale),
        "o_admit": tr("Let in", locale),
        "o_refuse": tr("Refuse", locale),
        "o_revoke": tr("Forget the answer", locale),
        "o_pause": tr("Pause new upscales", locale),
        "o_pause_lead": tr("Nobody can start a new upscale until you resume. What runs goes on.", locale),
        "o_resume": tr("Resume", locale),
        "place_asked": tr("asks to be let in", locale),
        "place_admitted": tr("let in", locale),
        "place_refused": tr("refused", locale),
        "state_awaiting_confirmation": tr("Asked", locale),
        "state_queued": tr("Waiting", locale),
        "state_running": tr("Running", locale),
        "state_delivering": tr("Delivering", locale),
        "state_succeeded": tr("Done", locale),
        "state_failed": tr("Failed", locale),
        "state_cancelled": tr("Cancelled", locale),
        "state_refused": tr("Refused", locale),
    }
