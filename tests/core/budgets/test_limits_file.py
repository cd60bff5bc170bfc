"""The operator's limits file, and the sentences about its mistakes."""

from pathlib import Path

import pytest

from core.budgets.limits_file import LimitsFileError, load, parse
from core.domain.limits import Measure, Rule, ScopeKind, Window
from tests.core.storage.ledger_kit import USD

ROOT = Path(__file__).parents[3]


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(LimitsFileError) as refused:
        parse(text)
    return refused.value.problems


def test_one_table_may_set_several_amounts() -> None:
    rules = parse('[[limit]]\nscope = "user"\nday_usd = 2.50\nweek_megapixels = 100\nrunning = 2\n')
    assert rules == (
        Rule(ScopeKind.USER, Measure.RUNNING, Window.NOW, 2, "file"),
        Rule(ScopeKind.USER, Measure.USD, Window.DAY, 2_500_000_000, "file"),
        Rule(ScopeKind.USER, Measure.MEGAPIXELS, Window.WEEK, 100, "file"),
    )


def test_money_is_read_exactly() -> None:
    (rule,) = parse('[[limit]]\nscope = "everything"\ntotal_usd = 0.1\n')
    assert rule.amount == USD // 10


def test_an_amount_may_be_written_as_it_is_in_a_chat() -> None:
    (rule,) = parse('[[limit]]\nscope = "everything"\nday_usd = "$2,50"\n')
    assert rule.amount == 5 * USD // 2


def test_an_exception_names_platform_and_id_and_may_lift_the_limit() -> None:
    (rule,) = parse('[[limit]]\nscope = "user"\nplatform = "discord"\nid = 123456789012345678\nday_usd = "none"\n')
    assert (rule.platform, rule.id, rule.amount) == ("discord", "123456789012345678", None)


@pytest.mark.parametrize("selector", ['platform = "Discord"', 'id = "Discord"'])
def test_a_platform_is_known_in_any_case(selector: str) -> None:
    (rule,) = parse(f'[[limit]]\nscope = "platform"\n{selector}\nday_usd = 5\n')
    assert (rule.platform, rule.id) == ("discord", "")


def test_a_role_says_whether_its_amount_is_for_each_or_shared() -> None:
    text = '[[limit]]\nscope = "role"\nplatform = "discord"\nid = "7"\nday_usd = 20\n'
    assert any("counts" in problem for problem in problems(text))
    (rule,) = parse(text + 'counts = "shared"\n')
    assert rule.counts == "shared"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[limit]\n", "not valid TOML"),
        ("colour = 1\n", "“colour” is not known"),
        ("limit = 5\n", "must be written as [[limit]] tables"),
        ("[[limit]]\nday_usd = 5\n", "scope is missing"),
        ('[[limit]]\nscope = "users"\nday_usd = 5\n', "must be one of everything, platform"),
        ('[[limit]]\nscope = "user"\n', "has no amount"),
        ('[[limit]]\nscope = "user"\nday_used = 5\n', "Did you mean “day_usd”?"),
        ('[[limit]]\nscope = "user"\nday_usd = -1\n', "from 0 to"),
        ('[[limit]]\nscope = "user"\nday_usd = "lots"\n', "“none” for no limit"),
        ('[[limit]]\nscope = "user"\nday_usd = true\n', "must be a number"),
        ('[[limit]]\nscope = "user"\nday_usd = nan\n', "must be a number"),
        ('[[limit]]\nscope = "user"\nday_usd = [5]\n', "must be a number"),
        ('[[limit]]\nscope = "user"\nday_usd = 1e999999\n', "must be a number"),
        ('[[limit]]\nscope = "user"\nday_jobs = 1.5\n', "whole number"),
        ('[[limit]]\nscope = "user"\nrunning = 0\n', "at least 1"),
        ('[[limit]]\nscope = "user"\nid = "7"\nday_usd = 5\n', "needs its platform"),
        ('[[limit]]\nscope = "everything"\nid = "7"\nday_usd = 5\n', "has no id"),
        ('[[limit]]\nscope = "platform"\nplatform = "slack"\nid = "discord"\nday_usd = 5\n', "two platforms"),
        ('[[limit]]\nscope = "channel"\ncounts = "each"\nday_usd = 5\n', "belongs to roles only"),
        ('[[limit]]\nscope = "user"\nday_usd = 5\n[[limit]]\nscope = "user"\nday_usd = 6\n', "same limit"),
    ],
)
def test_every_mistake_is_said_in_plain_words(text: str, said: str) -> None:
    found = problems(text)
    assert any(said in problem for problem in found), found


def test_all_mistakes_are_told_at_once() -> None:
    assert len(problems('[[limit]]\nscope = "user"\nday_usd = -1\nhour_usd = -1\n[[limit]]\nscope = "nobody"\n')) == 3


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(LimitsFileError, match="cannot be read"):
        load(tmp_path / "missing.toml")


def test_a_mistake_is_told_with_the_name_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text('[[limit]]\nscope = "user"\nday_usd = -1\n')
    with pytest.raises(LimitsFileError, match=r"^limits\.toml: Limit 1"):
        load(tmp_path / "limits.toml")


def test_the_example_can_be_used_as_it_is() -> None:
    assert len(load(ROOT / "limits.example.toml")) >= 8
