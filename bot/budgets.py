"""Puts the money parts together from the settings: limits, prices, the budget service and its maintenance."""

from functools import partial
from zoneinfo import ZoneInfo

from bot.settings import Settings, nanousd
from core.budgets.limits_file import load
from core.budgets.reconcile import Books
from core.budgets.service import Budgets
from core.budgets.weekly_report import send_weekly_reports
from core.domain.limits import AlertPlace, Measure, Rule, ScopeKind, Window
from core.jobs.maintenance import MaintenanceTask
from core.jobs.steps import Tools
from core.ports import AppState
from core.presentation import Notice
from core.storage.ledger import LedgerSettings
from core.storage.ledger.history import fold_history

_ALERTS_EVERY_S = 60
_RECONCILE_EVERY_S = 3600


def ledger_settings(s: Settings) -> LedgerSettings:
    """The operator's limits. Raises NotUsable with every mistake in the file."""
    money = {
        ScopeKind.USER: s.limit_user_day_usd,
        ScopeKind.WORKSPACE: s.limit_workspace_day_usd,
        ScopeKind.EVERYTHING: s.limit_global_day_usd,
    }
    rules = [Rule(kind, Measure.USD, Window.DAY, nanousd(d), "default") for kind, d in money.items() if d is not None]
    if s.limit_user_running is not None:
        rules.append(Rule(ScopeKind.USER, Measure.RUNNING, Window.NOW, s.limit_user_running, "default"))
    if s.fal_concurrency is not None and s.backend == "fal":
        at_fal = ",".join(model.id for model in s.offered.known if model.backend == "fal")
        of_fal = at_fal if any(model.backend != "fal" for model in s.offered) else ""
        at_once = Rule(ScopeKind.EVERYTHING, Measure.RUNNING, Window.NOW, s.fal_concurrency, "operator", model=of_fal)
        rules.append(at_once)
    if s.limits_file is not None:
        rules += load(s.limits_file)
    return LedgerSettings(
        rules=rules,
        zone=ZoneInfo(s.quota_timezone),
        user_waiting=s.limit_user_waiting,
        play_money=s.backend != "fal",
    )


def budget_maintenance(budget: Budgets, tools: Tools, state: AppState, s: Settings) -> tuple[MaintenanceTask, ...]:
    """Old history each hour; where real money is spent also alerts, and the ledger against fal's bills."""
    fold = partial(fold_history, budget.ledger.database, tools.clock, s.history_days * 86_400)
    history = MaintenanceTask("history", _RECONCILE_EVERY_S, fold)
    if not tools.upscaler.real_money:
        return (history,)

    books = Books(tools.store, budget.ledger, tools.upscaler, state)

    async def notify(place: AlertPlace, notice: Notice) -> None:
        await tools.adapter(place.platform).notify(place.workspace_id, place.channel_id, notice)

    async def alerts() -> None:
        await budget.alerts.send(notify)

    async def weekly() -> None:
        await send_weekly_reports(budget, state, notify)

    async def reconcile() -> None:
        if await state.claim("turns", "reconcile", ttl_s=_RECONCILE_EVERY_S / 2):
            await books.look(tools.metrics, tools.operator)

    return (
        history,
        MaintenanceTask("alerts", _ALERTS_EVERY_S, alerts),
        MaintenanceTask("reconcile", _RECONCILE_EVERY_S, reconcile),
        MaintenanceTask("weekly", _RECONCILE_EVERY_S, weekly),
    )
