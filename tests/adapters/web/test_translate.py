"""Translation of HTTP requests: locales, keys, sources, statuses, file names."""

import dataclasses
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.web.inbound import translate
from adapters.web.outbound.errors import status_of
from adapters.web.outbound.image_routes import disposition
from adapters.web.settings import Settings
from adapters.web.views.card import error_json, file_name, job_json
from adapters.web.views.template import STATIC_DIR
from core.budgets.reports import UsageRow
from core.domain import errors as e
from core.domain.job import JobState, Progress
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.domain.models import MODELS
from core.domain.parameters.grammar import parse
from core.net.host_check import is_loopback
from core.presentation import Action, Notice
from core.presentation.cards.job import price_question
from core.presentation.texts.page_texts import PAGE_TEXTS
from core.presentation.texts.result_texts import notes_text
from tests.fakes import cards


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("", "en"),
        ("de-CH,de;q=0.9,en;q=0.8", "de-CH"),
        ("xx,fr;q=0.5,de;q=0.7", "de"),
        ("pt-BR", "pt-BR"),
        ("de;q=0,ja", "ja"),
        ("*;q=nonsense", "en"),
        ("x" * 10_000, "en"),
    ],
)
def test_the_first_spoken_language_by_weight_is_taken(header: str, locale: str) -> None:
    assert translate.locale_of(header) == locale


def test_an_idempotency_key_always_makes_the_same_job_key_and_never_leaks_into_it() -> None:
    assert translate.job_key("abc") == translate.job_key("abc")
    assert "abc" not in translate.job_key("abc")
    assert translate.job_key("") != translate.job_key("")


def test_an_upload_wins_over_a_link() -> None:
    given = translate.Submission(text="https://a.example/x.png 3x", upload=Path("/data/u"), upload_name="a.png")
    request = translate.upscale_request(given, translate.requester(), "", MODELS)
    assert (request.source.kind, request.source.name) == ("upload", "a.png")


@pytest.mark.parametrize(
    ("text", "upload", "used"),
    [
        ("https://a.example/x.png", "a.png", "a.png"),
        ("https://a.example/x.png https://a.example/y.png", "", "x.png"),
        ("https://a.example/x.png", "", ""),
        ("3x", "a.png", ""),
    ],
)
def test_of_several_images_the_answer_says_which_one_is_used(text: str, upload: str, used: str) -> None:
    given = translate.Submission(text=text, upload=Path("/data/u") if upload else None, upload_name=upload)
    asked = translate.upscale_request(given, translate.requester(), "", MODELS)
    job = dataclasses.replace(cards.job(), source=asked.source, result=None)
    told = f"Several images were given; only {used} is used."
    assert (told in str(price_question(job, "en").small)) is bool(used)
    assert (told in notes_text(job, "en")) is bool(used)


def test_a_button_for_a_model_that_is_not_offered_is_refused() -> None:
    assert translate.change_of({"change": "model", "model": "seedvr2"}, MODELS).model == "seedvr2"
    with pytest.raises(e.InvalidParameters):
        translate.change_of({"change": "model", "model": "nope"}, MODELS)


def test_lists_in_json_are_refused_by_name() -> None:
    given = translate.Submission(fields=translate.scalars({"factor": [2], "url": "https://a.example/x.png"}))
    with pytest.raises(e.InvalidParameters) as caught:
        translate.upscale_request(given, translate.requester(), "", MODELS)
    assert [problem.name for problem in caught.value.problems] == ["factor"]


@pytest.mark.parametrize("name", ["width", "height", "private"])
def test_no_field_is_dropped(name: str) -> None:
    given = translate.Submission(fields=translate.scalars({"url": "https://a.example/x.png", name: "maybe"}))
    with pytest.raises(e.InvalidParameters) as caught:
        translate.upscale_request(given, translate.requester(), "", MODELS)
    assert [problem.name for problem in caught.value.problems] == [name]


def test_every_error_of_the_tree_has_a_status_of_its_kind() -> None:
    limit = Limit(Scope(ScopeKind.USER), Measure.USD, Window.DAY, 1)
    for leaf in e.leaves():
        error = leaf.__new__(leaf)
        if isinstance(error, e.LimitReached):
            error = e.LimitReached(status=LimitStatus(limit, 0, 0, None), needed=1)
        expected = 500 if leaf is e.InternalError else range(400, 508)
        status = status_of(error)
        assert status == expected if isinstance(expected, int) else status in expected and status != 500, leaf


def test_a_limit_on_jobs_is_too_many_requests() -> None:
    limit = Limit(Scope(ScopeKind.USER), Measure.JOBS, Window.HOUR, 1)
    assert status_of(e.LimitReached(status=LimitStatus(limit, 1, 0, None), needed=1)) == 429


def test_a_file_name_in_any_script_is_told_in_both_forms() -> None:
    assert disposition("attachment", "Ärger 写真.png") == (
        "attachment; filename=\"_rger___.png\"; filename*=UTF-8''%C3%84rger%20%E5%86%99%E7%9C%9F.png"
    )


GIVEN = {
    "lang",
    "boot",
    "icons",
    "image",
    "caption",
    "about",
    "title",
    "url",
    "size",
    "name",
    "width",
    "height",
    "login_problem",
}
"""Template placeholders that are not labels."""


def test_every_label_that_the_page_uses_exists_and_none_is_unused() -> None:
    scripts = "".join(path.read_text() for path in STATIC_DIR.glob("*.js"))
    html = "".join(path.read_text() for path in STATIC_DIR.glob("*.html"))
    used = set(re.findall(r"\bt\(\"([a-z_]+)\"", scripts)) | set(re.findall(r"\{\{([a-z_]+)\}\}", html))
    assert used - set(PAGE_TEXTS) - GIVEN == set()
    assert set(PAGE_TEXTS) - used == {"login_wrong", "login_wait"}, "the server fills these in itself"


def test_no_module_of_the_page_passes_three_hundred_lines() -> None:
    for path in STATIC_DIR.glob("*.[!w]*"):
        assert path.read_text().count("\n") <= 300, path.name


def test_requests_of_the_page_come_from_the_operator() -> None:
    actor = translate.requester("de")
    assert (actor.user_id, actor.user_name, actor.is_moderator, actor.is_operator) == ("local", "die Seite", True, True)


def test_the_page_is_named_in_the_language_of_whoever_reads_a_report() -> None:
    rows = [UsageRow(key, "the page", 1, 1, 1.0) for key in ("local", "web:local")] + [UsageRow("42", "sam", 1, 1, 1.0)]
    assert [row.label for row in translate.with_page_label(rows, "de")] == ["die Seite", "die Seite", "sam"]


def test_a_host_that_others_can_reach_demands_a_token() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "bot.example"):
        with pytest.raises(ValidationError, match="WEB_TOKEN must be set"):
            Settings(web_host=host)
        with pytest.raises(ValidationError, match="WEB_TOKEN must be at least 16 characters"):
            Settings.model_validate({"web_host": host, "web_token": "x" * 15})
        assert Settings.model_validate({"web_host": host, "web_token": "x" * 16}).token == "x" * 16
        with pytest.raises(ValidationError):
            Settings.model_validate({"web_host": host, "web_token": ""})
    for host in ("127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"):
        assert is_loopback(host)
        assert Settings(web_host=host).token is None
    for token, sentence in (("", "PUBLIC_URL .* WEB_TOKEN must be set"), ("x", "at least 16 characters")):
        with pytest.raises(ValidationError, match=sentence):
            Settings.model_validate({"public_url": "https://bot.example", "web_token": token})


def test_a_file_is_named_after_the_factor_that_was_reached() -> None:
    made = cards.job()
    assert made.result is not None
    smaller = dataclasses.replace(made, result=dataclasses.replace(made.result, width_px=900, height_px=600))
    assert [file_name(job) for job in (made, smaller)] == ["rocket-2x.png", "rocket-1.41x.png"]


@pytest.mark.parametrize("asked", ["8k", "max=$0.01", "3x creativity=0.5 steps=30 seed=7 safety=off", "width=9000"])
@pytest.mark.parametrize("offer", [Action("factor", "", argument="2.5"), Action("model", "", argument="seedvr2")])
def test_the_line_of_an_offer_is_valid_whatever_was_asked(asked: str, offer: Action) -> None:
    refused = dataclasses.replace(cards.job(), parameters=MODELS.resolve(parse(asked)), result=None)
    [told] = error_json(e.ResultExpired(), Notice("", offers=(offer,)), "en", refused)["offers"]
    values = parse(told["text"]).values
    assert values[offer.kind] == (2.5 if offer.kind == "factor" else "seedvr2")
    assert ("to" in values) == (offer.kind == "model" and "x " not in asked)
    assert ("creativity" in values) == (offer.kind == "factor")


def test_a_cancel_that_waits_long_says_until_when() -> None:
    late = Progress("delivering", awaits="answer", until_at=cards.NOW)
    job = dataclasses.replace(
        cards.job(), state=JobState.RUNNING, result=None, receipt=None, cancel_requested_by="x", progress=late
    )
    said = str(job_json(job, "en")["card"]["paragraphs"])
    assert ("Cancelling" in said, "asking again until" in said) == (True, True)
