"""Puts the money parts together from the settings: limits, prices, the budget desk and its regular duties."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import structlog

from bot.settings import Settings
from core.budgets.alerts import AlertPlace
from core.budgets.erased_requests import ErasedRequests
from core.budgets.limits_file import LimitsFileError, load
from core.budgets.prices import PriceBook
from core.budgets.service import BudgetDesk
from core.budgets.weekly_report import WeeklyReports
from core.domain.errors import UpscaleError
from core.domain.limits import LimitDefaults, Measure, Rule, ScopeKind, Window
from core.domain.money import NANOUSD_PER_USD
from core.jobs.maintenance import Duty
from core.jobs.steps import Tools
from core.ports import AppState, Clock, OperatorAlerts, Upscaler
from core.presentation import Notice
from core.presentation.limit_texts import both_books
from core.storage.ledger import LedgerSettings, SqlLedger

log = structlog.get_logger(__name__)

_ALERTS_EVERY_S = 60
_RECONCILE_EVERY_S = 3600
_DAY_S = 86_400


class LimitsError(Exception):
    """The limits file is wrong; the text is plain sentences for the operator."""


def ledger_settings(s: Settings) -> LedgerSettings:
    """The operator's limits. Raises LimitsError with every mistake in the file."""
    defaults = LimitDefaults(
        user_day_usd=s.limit_user_day_usd,
        workspace_day_usd=s.limit_workspace_day_usd,
        global_day_usd=s.limit_global_day_usd,
        user_running=s.limit_user_running,
        user_waiting=s.limit_user_waiting,
    )
    rules: tuple[Rule, ...] = defaults.rules()
    if s.fal_concurrency is not None and s.backend == "fal":
        rules += (Rule(ScopeKind.EVERYTHING, Measure.RUNNING, Window.NOW, s.fal_concurrency, "operator"),)
    if s.limits_file is not None:
        try:
            rules += load(s.limits_file)
        except LimitsFileError as error:
            raise LimitsError(str(error)) from None
    return LedgerSettings(
        rules=rules,
        zone=ZoneInfo(s.quota_timezone),
        user_waiting=s.limit_user_waiting,
        play_money=s.backend == "sandbox",
    )


def make_budget(
    s: Settings, ledger: SqlLedger, upscaler: Upscaler, state: AppState, clock: Clock, alerts: OperatorAlerts
) -> tuple[PriceBook, BudgetDesk]:
    """The price now, and the desk that answers about money."""
    prices = PriceBook(upscaler, state, clock, configured_nanousd=s.unit_price_nanousd, alerts=alerts, models=s.offered)
    return prices, BudgetDesk(ledger, prices)


def budget_duties(budget: BudgetDesk, tools: Tools, state: AppState) -> tuple[Duty, ...]:
    """Alerts each minute; once a day the ledger against fal's bills. Only where real money is spent."""
    if not tools.upscaler.real_money:
        return ()

    async def notify(place: AlertPlace, notice: Notice) -> None:
        await tools.adapter(place.platform).notify(place.workspace_id, place.channel_id, notice)

    async def alerts() -> None:
        await budget.send_alerts(notify)

    reports = WeeklyReports(budget.ledger, budget.rules, state)

    async def weekly() -> None:
        await reports.send(notify)

    async def reconcile() -> None:
        if await state.claim("turns", "reconcile", ttl_s=_DAY_S):
            await _reconcile(budget, tools, ErasedRequests(state, tools.clock))

    return (
        Duty("alerts", _ALERTS_EVERY_S, alerts),
        Duty("reconcile", _RECONCILE_EVERY_S, reconcile),
        Duty("weekly", _RECONCILE_EVERY_S, weekly),
    )


async def _reconcile(budget: BudgetDesk, tools: Tools, gone: ErasedRequests) -> None:
    """The daily line, and every difference by its job."""
    try:
        erased = {one.job_id: one.request_id for one in await gone.all()}
        found = await budget.reconcile(tools.upscaler.billing_events, tools.store, period="week", erased=erased)
    except UpscaleError as error:
        log.info("reconcile_not_possible", error=error.code)
        return
    if not found.answered:
        return
    total = sum(
        abs((difference.ours_nanousd or 0) - (difference.theirs_nanousd or 0)) for difference in found.differences
    )
    tools.metrics.level("reconcile_difference_usd", total / NANOUSD_PER_USD)
    for day in found.days:
        log.info("reconciled", line=both_books(day.day, day.ledger_nanousd, day.provider_nanousd, "en"), jobs=day.jobs)
    for difference in found.differences:
        log.warning(
            "reconcile_difference",
            job=difference.job_id,
            kind=difference.kind,
            ledger_nanousd=difference.ours_nanousd,
            fal_nanousd=difference.theirs_nanousd,
            corrected=difference.job_id in found.corrected,
        )
