"""Limits for one model, beside those for all models: from the file, by the operator and by moderators."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from core.budgets.limit_grammar import Dialect, limit_words
from core.budgets.limits_file import LimitsFileError, parse
from core.budgets.service import Budgets
from core.domain.errors import InvalidParameters, LimitNotSet, LimitReached
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.ports import HoldRequest, MustWait
from core.presentation import explain, line_text
from core.presentation.cards.budget import limit_text as words_of
from tests.core.budgets.kit import MODERATOR, OPERATOR, Make, usd_a_day
from tests.core.storage.ledger_kit import USD, default_money, member

DIALECT = Dialect({"user": ScopeKind.USER, "workspace": ScopeKind.WORKSPACE}, "", default=ScopeKind.USER)


def rule(kind: ScopeKind, amount: int | None, model: str, source: Any = "file", **more: Any) -> Rule:
    return Rule(kind, Measure.USD, Window.DAY, amount, source, model=model, **more)


async def paid(budget: Budgets, model: str, **who: Any) -> int:
    """How many jobs of a dollar a member can run with this model."""
    for number in range(40):
        key = f"{model}{who}{number}"
        try:
            await budget.ledger.hold(HoldRequest(key, member(**who), USD, 1, model))
        except LimitReached:
            return number
        await budget.ledger.settle(key, amount_nanousd=USD, megapixels=Decimal(1))
    raise AssertionError("no limit")


async def test_a_limit_of_a_model_counts_that_model_alone_and_the_limit_of_all_counts_both(make: Make) -> None:
    budget = make(default_money(5), rule(ScopeKind.USER, 2 * USD, "flux"))
    assert (await paid(budget, "flux"), await paid(budget, "seedvr2")) == (2, 3)


async def test_a_limit_of_several_models_is_one_pot(make: Make) -> None:
    budget = make(default_money(9), rule(ScopeKind.EVERYTHING, 3 * USD, "flux,seedvr2"))
    assert (await paid(budget, "flux"), await paid(budget, "seedvr2"), await paid(budget, "local")) == (3, 0, 6)


@pytest.mark.parametrize("lifted", [None, 50 * USD])
async def test_no_moderators_rule_lifts_what_the_operator_ruled_for_a_model_and_none_for_a_model_lifts_that_of_all(
    make: Make, lifted: int | None
) -> None:
    budget = make(default_money(5), rule(ScopeKind.USER, 2 * USD, "flux"))
    for model in ("flux", "seedvr2", ""):
        with suppress(LimitNotSet):
            await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.USER, "ann", lifted, model))
    assert (await paid(budget, "flux"), await paid(budget, "seedvr2")) == (2, 3)


async def test_a_moderator_sets_sees_and_clears_the_limit_of_a_model_and_the_history_names_it(make: Make) -> None:
    budget = make(default_money(5))
    await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.WORKSPACE, "", 4 * USD))
    shown = await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.WORKSPACE, "", USD, "flux"))
    assert {(s.limit.model, s.limit.amount) for s in shown if s.limit.source == "moderator"} == {
        ("", 4 * USD),
        ("flux", USD),
    }
    assert words_of(next(s.limit for s in shown if s.limit.model), "en") == "this server: $1.00 · today with flux"
    assert (await paid(budget, "flux", user="bob"), await paid(budget, "seedvr2", user="bob")) == (1, 3)
    shown = await budget.limits.set_limit(MODERATOR, usd_a_day(ScopeKind.WORKSPACE, "", None, "flux"))
    assert [s.limit.amount for s in shown if s.limit.source == "moderator"] == [4 * USD]
    lines = [line_text(line) for line in (await budget.limits.limit_history(MODERATOR)).paragraphs]
    assert "this server · today with flux: $1.00 → –" in lines[0]
    assert "this server · today: – → $4.00" in lines[2]


async def test_the_operator_limits_a_model_at_run_time_anywhere(make: Make) -> None:
    budget = make(default_money(5))
    await budget.limits.set_limit(OPERATOR, usd_a_day(ScopeKind.EVERYTHING, "", 2 * USD, "flux"))
    assert (await paid(budget, "flux"), await paid(budget, "flux", user="bob")) == (2, 0)


async def test_a_refusal_names_the_model_and_what_is_left_of_another_is_not_told(make: Make) -> None:
    budget = make(default_money(5), rule(ScopeKind.USER, 0, "flux"))
    with pytest.raises(LimitReached) as refused:
        await budget.ledger.hold(HoldRequest("a", member(), USD, 1, "flux"))
    said = explain(refused.value, "en").what
    assert said == "This needs $1.00, more than the whole limit of $0.00 today with flux for you."
    left = [s.limit.model for s in await budget.ledger.statuses(member(), "seedvr2")]
    assert left == [""]


async def test_jobs_of_one_model_at_once_wait_for_each_other_and_for_no_other(make: Make) -> None:
    at_once = Rule(ScopeKind.EVERYTHING, Measure.RUNNING, Window.NOW, 1, "operator", model="flux,seedvr2")
    ledger = make(default_money(9), at_once).ledger
    asked = {
        key: await ledger.hold(HoldRequest(key, member(user=key), USD, 1, model))
        for key, model in (("a", "flux"), ("b", "seedvr2"), ("c", "local"), ("d", "local"))
    }
    assert {key for key, answer in asked.items() if isinstance(answer, MustWait)} == {"b"}
    assert isinstance(await ledger.admit("b"), MustWait)
    await ledger.settle("a", amount_nanousd=USD, megapixels=Decimal(1))
    assert not isinstance(await ledger.admit("b"), MustWait)


@pytest.mark.parametrize(
    "text", ["$2 day model=seedvr2", "model:SeedVR2 2 dollars", "seedvr2 $2", "$2 with model seedvr2"]
)
def test_the_model_stands_anywhere_among_the_words(text: str) -> None:
    assert limit_words(text, DIALECT, needs_amount=True).model == "seedvr2"


def test_an_unknown_model_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidParameters) as wrong:
        limit_words("$2 model=sedvr", DIALECT, needs_amount=True)
    assert (wrong.value.problems[0].value, wrong.value.problems[0].allowed) == ("sedvr", "flux, seedvr2, local")


def test_the_limits_file_names_models() -> None:
    [found] = parse('[[limit]]\nscope = "user"\nmodel = "seedvr2, flux"\nday_usd = 2\n')
    assert (found.model, found.amount) == ("flux,seedvr2", 2 * USD)
    with pytest.raises(LimitsFileError, match="there is no model “sedvr”"):
        parse('[[limit]]\nscope = "user"\nmodel = "sedvr"\nday_usd = 2\n')
