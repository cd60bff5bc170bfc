"""Cards: their helpers (lines, summaries) and builders."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from core.budgets.reports import UsageReport
from core.domain import errors as e
from core.domain.job import Delivery, JobState, Progress, Receipt
from core.domain.limits import Scope, ScopeKind
from core.domain.models import ALL, MODELS
from core.presentation import Card, Code, Mention, Moment, Strong, explain, fill, line_text, plain_summary
from core.presentation.card import lines
from core.presentation.cards import account, batch, budget
from core.presentation.cards.account import OwnSettings
from core.presentation.cards.details import details
from core.presentation.cards.help import form_fields, help_card
from core.presentation.cards.job import failed, result, working
from tests.fakes.cards import DAY_LIMIT, job
from tests.typed import unwrap


def test_a_sentence_takes_spans_in_whatever_order_a_language_has() -> None:
    moment, code = Moment(1.0), Code("/help")
    assert fill("{how} until {time}.", time=moment, how=code) == (code, " until ", moment, ".")
    assert fill("Until {time}", time=moment) == ("Until ", moment)
    assert fill("No place.", time=moment) == ("No place.",)


def test_a_card_without_a_summary_is_summed_up_by_its_title_and_first_paragraph() -> None:
    card = Card("info", "Limits", paragraphs=((Strong("$1.00"), " for ", Mention("user", "7", "sam")),))
    assert plain_summary(card) == "Limits · $1.00 for sam"
    assert plain_summary(Card("info", "Limits", summary="Two limits")) == "Two limits"
    assert line_text(("Ends ", Moment(1.0))) == "Ends 1970-01-01 00:00 UTC"


def test_details_name_the_preset_that_was_used() -> None:
    made = job()
    named = replace(made, parameters=made.parameters.with_values(preset="creative"))
    assert [(("Preset",), ("creative",)) in [(fact.label, fact.value) for section in details(one, "en").sections
            for fact in section.facts] for one in (made, named)] == [False, True]  # fmt: skip


def test_a_form_offers_what_the_models_take_and_shows_what_counts_where_a_field_is_left_empty() -> None:
    own = OwnSettings({"factor": 3.0, "preset": "logo"}, {"logo": {"factor": 4.0}})
    fields = form_fields(MODELS, own, "en")
    shown = {name: (each.label, each.placeholder) for name, each in fields.items()}
    assert (shown["factor"], shown["preset"]) == (("Factor (1–10)", "3"), ("Preset", "logo: factor=4"))
    assert (shown["seed"], shown["steps"]) == (("Seed (0–4294967295)", "random"), ("Steps (4–50)", "20"))
    assert shown["model"] == ("Model", fields["model"].choices["flux"])
    assert all(each.hint for each in fields.values())
    alone = form_fields(MODELS.offered(["seedvr2"]), OwnSettings(), "en")
    assert list(alone) == ["to", "factor", "seed"]


def test_french_has_a_space_before_the_colon_of_a_notification() -> None:
    failure = explain(e.ModelFailed(kind="x"), "fr")
    assert failed(job(), failure, "fr").summary.startswith(f"{job().source.name}\u00a0: ")


def test_a_request_that_was_refused_outright_is_not_told_as_a_model_that_stopped() -> None:
    refused = explain(e.ModelFailed(kind="http_403"), "en")
    assert refused.what == "The upscaling service refused this request."
    assert explain(e.ModelFailed(kind="http_500"), "en").what == "The model stopped before it finished."
    assert explain(e.ModelFailed(kind="startup_timeout"), "en").what == "The model did not start in time."
    for made in ("foreign_result_address", "result_file_too_large", "result_too_large"):
        assert explain(e.ModelFailed(kind=made, billed=True), "en").what == "The model's result cannot be used."


def test_a_question_answered_with_another_model_is_not_told_as_cancelled() -> None:
    chosen = replace(job(), state=JobState.CANCELLED, error=e.OtherModelChosen(model="seedvr2"))
    card = failed(chosen, explain(unwrap(chosen.error), "en", receipt=Receipt(0, 1, "none")), "en")
    assert (card.title, card.paragraphs) == ("Changed to Faithful", (("Your image comes in a message of its own.",),))
    assert card.rows == ()


def test_the_history_tells_an_image_that_reached_nobody_from_one_that_was_delivered() -> None:
    shown = [replace(job(), state=JobState.SUCCEEDED, delivery=Delivery(shape)) for shape in ("kept", "original")]
    undelivered, delivered = (line_text(line) for line in account.history(shown, "en").paragraphs)
    assert " · not delivered · " in undelivered
    assert " · done · " in delivered


def test_a_refusal_that_others_read_tells_nothing_of_the_members_own_money() -> None:
    said = explain(e.LimitReached(status=DAY_LIMIT, needed=800_000_000), "en")
    refused = replace(job(), state=JobState.REFUSED)
    assert "only $0.17 of $2.00" in str(failed(refused, said, "en").paragraphs)
    shared = failed(refused, said, "en", shared=True)
    assert line_text(shared.paragraphs[0]) == "This needs $0.80, more than you have left today."
    assert "0.17" not in str(shared)


def test_the_usage_of_somebody_else_tells_nothing_of_what_the_reader_has_left() -> None:
    here = replace(DAY_LIMIT, limit=replace(DAY_LIMIT.limit, scope=Scope(ScopeKind.WORKSPACE, "discord", "9")))
    report = UsageReport("user", "day", "UTC", "2027-01-15", "2027-01-15", 0, 0, 0, 0.0, (), (), None, False)
    own, others = (budget.usage(report, [DAY_LIMIT, here], "en", member=name).small for name in ("", "Alice"))
    assert [line_text(line) for line in own if "You have" in line_text(line)]
    assert [line_text(line) for line in others] == [
        line_text(line) for line in own if "You have" not in line_text(line)
    ]


@pytest.mark.parametrize(
    ("left_nanousd", "offered"),
    [(10**9, ["again", "more_creative", "twice_more"]), (3 * 10**8, ["again", "more_creative"]), (10**8, [])],
)
def test_a_result_offers_only_what_the_money_left_is_enough_for(left_nanousd: int, offered: list[str]) -> None:
    left = replace(DAY_LIMIT, used=DAY_LIMIT.limit.amount - left_nanousd, held=0)
    card = result(job(), (replace(left, used=0), left), Delivery("original"), "en")
    kinds = [[action.kind for action in row] for row in card.rows]
    assert kinds == [row for row in (offered, ["compare", "details", "delete", "open_link"]) if row]
    assert offered == [] or len(result(job(), (), Delivery("original"), "en").rows[0]) == 3


def test_help_tells_only_what_a_model_on_offer_takes() -> None:
    def told(*ids: str) -> tuple[list[str], list[str]]:
        service: Any = SimpleNamespace(models=ALL.offered(ids), confirm_above_nanousd=1, play_money=False)
        card = help_card("en", [], service, save_preset="/settings save")
        names = [line_text(line).split()[0] for line in card.sections[0].paragraphs]
        return names, [section.title for section in card.sections]

    assert told("local") == (["factor", "to"], ["Parameters"])
    everything = ["model", "factor", "to", "creativity", "guidance", "steps", "seed", "safety"]
    assert told("flux", "seedvr2") == (everything, ["Parameters", "Presets"])


def test_the_settings_shown_are_those_of_a_model_on_offer() -> None:
    shown = [
        line_text(line)
        for line in account.settings(account.OwnSettings({"creativity": 0.6}), "en", ALL.offered(["local"])).paragraphs
    ]
    assert shown[:2] == ["model local", "factor 2"]
    assert not any("creativity" in line for line in shown)


def test_a_preview_is_told_as_one_and_says_what_stands_beside_what_where_both_are_in_one_picture() -> None:
    part = job("en")
    part = replace(part, source=replace(part.source, data={"part": "detail", "whole": "earlier"}))
    chat, page = (result(part, (), Delivery(shape), "en") for shape in ("original", "page"))
    assert chat.title == page.title == "Preview · 2×"
    beside = "Before (left, enlarged 2×) and after (right), at 100%."
    assert [beside in [line_text(line) for line in card.small] for card in (chat, page)] == [True, False]


def test_of_limits_that_read_alike_only_the_one_with_the_least_left_is_told() -> None:
    scope = Scope(ScopeKind.USER, "discord", "9:42")
    here = replace(DAY_LIMIT, limit=replace(DAY_LIMIT.limit, scope=scope, amount=DAY_LIMIT.limit.amount - 10**9))
    assert DAY_LIMIT.limit.scope.kind is ScopeKind.USER
    assert DAY_LIMIT.limit.scope != scope
    report = UsageReport("user", "day", "UTC", "2027-01-15", "2027-01-15", 0, 0, 0, 0.0, (), (), None, False)
    told = [line_text(line) for line in budget.usage(report, [DAY_LIMIT, here], "en").small]
    assert told == [line_text(line) for line in budget.usage(report, [here], "en").small]
    assert len(told) == 1


def test_how_long_a_job_waits_is_told_as_a_moment_of_the_readers_own_clock() -> None:
    waiting = working(job("en"), Progress("waiting", awaits="file", until_at=5e8), "en")
    assert Moment(5e8, "date_time") in waiting.paragraphs[0]
    assert "Trying until Nov 5, 1985" in waiting.summary


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (e.ModelFailed(), True),
        (e.ImageRejected(reason="download"), True),
        (e.ImageRejected(reason="too_small"), False),
        (e.InvalidForModel(parameter="steps"), False),
        (e.ContentRejected(), False),
    ],
)
def test_a_failure_that_would_come_again_offers_no_second_try(error: e.UpscaleError, again: bool) -> None:
    card = failed(replace(job(), state=JobState.FAILED, error=error, result=None), explain(error, "en"), "en")
    assert [action.kind for row in card.rows for action in row] == ["same"] * again


@pytest.mark.parametrize(("state", "kind"), [(JobState.CANCELLED, "again"), (JobState.FAILED, "same")])
def test_what_was_deleted_cannot_be_started_again(state: JobState, kind: str) -> None:
    error = e.ModelFailed() if state is JobState.FAILED else None
    ended = replace(job(), state=state, error=error, result=None)
    for one, kinds in ((ended, [kind]), (replace(ended, images_deleted=True), [])):
        card = failed(one, explain(e.ModelFailed(), "en"), "en")
        assert [action.kind for row in card.rows for action in row] == kinds


def test_a_choice_of_fewer_than_all_images_says_how_many() -> None:
    images = [batch.Candidate(f"{n}.png", price_nanousd=1) for n in range(3)]
    card = batch.image_choice("1", images, "en", most=2)
    assert (card.paragraphs, card.rows) == (lines("Choose up to 2. Each result is a separate message."), ())
