"""How the command line reads arguments, file names and amounts, and prints tables. No application is opened."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.cli.console import CommandError
from bot.cli.files import Arguments, check_results_are_new, free_path, read_arguments, result_path
from bot.cli.jobs import as_json, print_result
from bot.cli.limits import _print_limits, _print_rows, read_amount
from bot.cli.main import cli
from bot.cli.upscale import price_question
from core.budgets.reports import UsageRow
from core.domain import money
from core.domain.errors import LimitReached
from core.domain.job import InputFacts, Job, JobState, Receipt, ReplyAddress, Requester, Result, Source
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.domain.parameters.spec import Parameters

PNG = "image/png"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cat.png", "dog.jpg", "3x"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "3x").rename(tmp_path / "three")
    (tmp_path / "empty").mkdir()


def test_pictures_and_parameters_may_be_mixed() -> None:
    arguments = read_arguments(["cat.png", "3x", "dog.jpg", "--guidance=2", "https://example.com/a.png", "seed=7"])
    assert arguments.pictures == (Path("cat.png"), Path("dog.jpg"), "https://example.com/a.png")
    assert arguments.text == "3x --guidance=2 seed=7"


def test_a_folder_stands_for_its_pictures() -> None:
    assert read_arguments([".", "2x"]).pictures == (Path("cat.png"), Path("dog.jpg"))


def test_a_picture_without_an_ending_is_a_picture_too() -> None:
    assert read_arguments(["three"]).pictures == (Path("three"),)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Name at least one image"),
        (["3x"], "Name at least one image"),
        (["bird.png"], r"bird\.png is not there\."),
        (["empty"], "empty holds no images"),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        read_arguments(arguments)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["quota", "set", "foo", "5"], "Invalid value for 'scope': 'foo' is not one of 'everything', 'platform'"),
        (["run", "--role", "x"], "Invalid value for '--role': 'x' is not one of 'all', 'chat', 'worker'"),
        (["reconcile", "--days", "100"], "Invalid value for '--days': it must be less than or equal to 90"),
    ],
)
def test_a_wrong_value_is_told_in_our_words(typed: list[str], sentence: str) -> None:
    said = CliRunner().invoke(cli, typed)
    assert said.exit_code == 2
    assert sentence in said.output


@pytest.mark.parametrize(
    ("picture", "factor", "out", "many", "expected"),
    [
        (Path("cat.png"), 2.0, None, False, "cat.2x.png"),
        (Path("a/cat.tar.jpg"), 1.5, None, False, "a/cat.tar.1.5x.png"),
        ("https://example.com/x/a%20cat.webp?y", 4.0, None, False, "a cat.4x.png"),
        ("https://example.com/", 2.0, None, False, "image.2x.png"),
        (Path("cat.png"), 2.0, Path("big.png"), False, "big.png"),
        (Path("cat.png"), 2.0, Path("."), False, "cat.2x.png"),
        (Path("cat.png"), 2.0, Path("new"), True, "new/cat.2x.png"),
    ],
)
def test_the_result_lies_next_to_the_picture_or_where_it_is_wanted(
    picture: Path | str, factor: float, out: Path | None, many: bool, expected: str
) -> None:
    assert result_path(picture, factor, PNG, out, many=many) == Path(expected)


def test_nothing_is_overwritten_and_that_is_said_before_paying() -> None:
    arguments = Arguments((Path("cat.png"),), "")
    check_results_are_new(arguments, 2, None)
    Path("cat.2x.jpg").write_bytes(b"x")
    with pytest.raises(CommandError, match="--force"):
        check_results_are_new(arguments, 2, None)
    check_results_are_new(arguments, 3, None)
    check_results_are_new(arguments, None, None)  # `to=4k`: the name is not known yet


def test_two_results_of_one_name_are_refused_beforehand() -> None:
    arguments = Arguments((Path("cat.png"), Path("a/cat.jpg")), "")
    with pytest.raises(CommandError, match="Two of the results"):
        check_results_are_new(arguments, 2, Path("out"))


def test_a_file_that_appears_meanwhile_is_not_overwritten_either() -> None:
    assert free_path(Path("new.2x.png")) == Path("new.2x.png")
    Path("new.2x.png").write_bytes(b"x")
    assert free_path(Path("new.2x.png")) == Path("new.2x-1.png")


@pytest.mark.parametrize(
    ("text", "measure", "amount"),
    [
        ("5", Measure.USD, 5_000_000_000),
        ("$2.50", Measure.USD, 2_500_000_000),
        ("0,000000001", Measure.USD, 1),
        ("16", Measure.MEGAPIXELS, 16),
        ("0", Measure.JOBS, 0),
    ],
)
def test_amounts_are_exact(text: str, measure: Measure, amount: int) -> None:
    assert read_amount(text, measure) == amount


@pytest.mark.parametrize(
    ("text", "measure"),
    [("five", Measure.USD), ("-1", Measure.USD), ("nan", Measure.USD), ("1.5", Measure.JOBS), ("1e12", Measure.USD)],
)
def test_a_wrong_amount_is_one_sentence(text: str, measure: Measure) -> None:
    with pytest.raises(CommandError, match=text):
        read_amount(text, measure)


def job(**changes: object) -> Job:
    """A succeeded job, with these changes."""
    facts: dict[str, object] = {
        "id": "0123456789ab",
        "key": "cli:1",
        "state": JobState.SUCCEEDED,
        "requester": Requester("cli", "ann"),
        "source": Source("upload"),
        "reply": ReplyAddress("cli"),
        "parameters": Parameters(seed=7),
        "created_at": 1.0,
        "updated_at": 2.0,
        "result": Result(200, 100, 12, PNG, "x", 7, 1.5, "A cat"),
        "receipt": Receipt(100_000_000, 100_000_000, "units", Decimal(1), 100_000_000),
    }
    return Job(**{**facts, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(("mime", "words"), [(PNG, "are transparent again"), ("image/jpeg", "a JPEG cannot hold them")])
def test_a_receipt_says_what_became_of_transparency_and_indents_every_line(
    mime: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Result(200, 100, 12, mime, "x", 7, 1.5, "A cat\nand a dog")
    facts = InputFacts("png", 100, 50, 12, "", notes=("alpha_flattened", "first_frame"))
    print_result("cat.png", job(result=made, input=facts), Path("cat.2x.png"), (), json=False)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("✔ cat.png")
    assert all(line.startswith("  ") for line in lines), lines
    assert words in "\n".join(lines)


def test_a_job_as_json_holds_what_a_script_needs() -> None:
    record = json.loads(json.dumps(as_json("cat.png", job(), Path("cat.2x.png"))))
    assert record["output"] == "cat.2x.png"
    assert (record["state"], record["seed"], record["charged_usd"], record["error"]) == ("succeeded", 7, 0.1, None)


def test_a_failed_job_as_json_holds_the_code_and_the_sentence() -> None:
    status = LimitStatus(Limit(Scope(ScopeKind.USER), Measure.USD, Window.DAY, 1), 1, 0, None)
    refused = job(state=JobState.REFUSED, result=None, receipt=None, error=LimitReached(status=status, needed=5))
    record = json.loads(json.dumps(as_json("cat.png", refused, None)))
    assert (record["state"], record["output"], record["error"]["code"]) == ("refused", None, "limit_reached")
    assert record["error"]["message"]


def test_what_is_left_of_a_limit_never_looks_better_than_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    limit = Limit(Scope(ScopeKind.USER, "cli"), Measure.USD, Window.DAY, 5_000_000_000)
    _print_limits([LimitStatus(limit, used=248_000_000, held=0, opens_at=None)])
    printed = capsys.readouterr().out
    assert "$4.75" in printed
    assert "$0.25" in printed


def test_a_limit_is_one_line_where_the_output_is_piped(capsys: pytest.CaptureFixture[str]) -> None:
    limit = Limit(Scope(ScopeKind.WORKSPACE, "discord", "", "123456789012345678"), Measure.USD, Window.DAY, 25 * 10**9)
    _print_limits([LimitStatus(limit, used=1_200_000_000, held=0, opens_at=1_796_083_200.0)])
    _, line = capsys.readouterr().out.splitlines()
    assert line.startswith("workspace discord 123456789012345678  usd per day  $1.20")


def test_every_price_in_a_question_has_two_decimals_and_none_looks_lower_than_it_is() -> None:
    quote = replace(money.quote(400, 300, 2.0, 48_000_000), needs_confirmation=True, others=(("seedvr2", 48_000_000),))
    assert re.findall(r"\$[\d.]*\d", price_question(quote)) == ["$0.05", "$0.05"]


def test_the_usage_has_two_decimals(capsys: pytest.CaptureFixture[str]) -> None:
    _print_rows(("member", "USD", "jobs", "MP", "share"), [UsageRow("ann", "ann", 148_000_000, 1, 1.0)], ["100%"])
    assert "$0.15 " in capsys.readouterr().out
