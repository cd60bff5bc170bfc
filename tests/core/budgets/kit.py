"""People and paid jobs for the tests of budgets."""

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from core.budgets.service import Budgets
from core.domain.job import Requester
from core.domain.limits import Measure, Rule, ScopeKind, WantedLimit, Window
from core.ports import Granted
from core.storage.database import Database
from tests.core.storage.ledger_kit import HandClock, job, make_ledger, member
from tests.fakes.sources import FakePrices

DAY_S = 86_400
MODERATOR = dataclasses.replace(member("mod"), is_moderator=True)
OPERATOR = Requester("cli", "operator", is_moderator=True, is_operator=True)
Make = Callable[..., Budgets]


def budgets(database: Database, clock: HandClock, *rules: Rule, **settings: Any) -> Budgets:
    return Budgets(make_ledger(database, clock, *rules, **settings), FakePrices())  # type: ignore[arg-type]


async def spend(budget: Budgets, key: str, usd: float, who: Requester | None = None, model: str = "flux") -> None:
    request = dataclasses.replace(job(key, usd, who), model=model)
    assert isinstance(await budget.ledger.hold(request), Granted)
    await budget.ledger.settle(key, amount_nanousd=request.amount_nanousd, megapixels=Decimal(request.megapixels))


def usd_a_day(scope: ScopeKind, scope_id: str, amount_nanousd: int | None, model: str = "") -> WantedLimit:
    return WantedLimit(scope, scope_id, Measure.USD, Window.DAY, amount_nanousd, model)
