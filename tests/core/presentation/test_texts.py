"""Every error ends in sentences that a person can use, in every language."""

import re
from datetime import date
from typing import Any

import pytest

from core.domain import errors as e
from core.domain.errors import UpscaleError, leaves
from core.domain.job import Progress, Receipt, Requester
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from core.jobs.endings import error_notice, quota_command
from core.presentation import (
    LANGUAGES,
    Notice,
    cents,
    duration,
    explain,
    factor_text,
    file_size,
    joined,
    language_of,
    period_text,
)
from core.presentation.formats import megapixels, usd
from core.presentation.texts.failure_texts import _SENTENCES
from core.presentation.texts.parameter_texts import parameter_problem
from core.presentation.texts.progress_texts import stage_text
from tests.core.domain.test_errors import ALL

CLASS_NAME = re.compile(r"\b[A-Z][a-z]+[A-Z]\w+|\b\w+_\w+|Error\b|Exception|Traceback|None\b|[{}]|https?://")
"""What no sentence may contain: class names, codes, unfilled placeholders, links."""


FREE, PAID = Receipt(0, 1_600_000_000, "none"), Receipt(1_600_000_000, 1_600_000_000, "units")
UNCLEAR = Receipt(1_600_000_000, 1_600_000_000, "unknown")


def notices(error: UpscaleError, locale: str) -> list[Notice]:
    return [explain(error, locale, reference="0123456789ab", receipt=each) for each in (None, FREE, PAID, UNCLEAR)]


def test_every_leaf_has_its_own_sentence() -> None:
    assert [leaf.__name__ for leaf in leaves() if leaf not in _SENTENCES] == []
    assert [kind.__name__ for kind in _SENTENCES if kind not in leaves()] == []


@pytest.mark.parametrize("locale", [*LANGUAGES, "en-GB", "xx"])
@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_every_notice_is_plain_words(error: UpscaleError, locale: str) -> None:
    for notice in notices(error, locale):
        assert notice.what.strip()
        for text in (notice.what, notice.charged, notice.advice, *(offer.label for offer in notice.offers)):
            assert not CLASS_NAME.search(text.replace("image_url", "")), text
            assert len(text) < 600


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_every_notice_says_whether_it_was_charged(error: UpscaleError) -> None:
    assert "$1.60" in explain(error, "en", receipt=PAID).charged
    assert "billed" in explain(error, "en", receipt=UNCLEAR).charged
    quiet = isinstance(error, e.RequestError)
    assert explain(error, "en", receipt=FREE).charged == ("" if quiet else "Not charged.")
    kept = isinstance(error, e.DeliveryError | e.ResultExpired)  # the charge stands; a press does not know of it
    assert not (kept and explain(error, "en").charged)


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_every_notice_carries_the_reference(error: UpscaleError) -> None:
    assert explain(error, "en", reference="0123456789ab").reference == "0123456789ab"


def test_all_wrong_parameters_are_named_with_value_range_and_nearest_name() -> None:
    problems = (
        e.ParameterProblem("factor", "9", "range", "1–4"),
        e.ParameterProblem("creativty", "1", "unknown", "", "creativity"),
        e.ParameterProblem("steps", "many", "type", "4–50"),
        e.ParameterProblem("seed", "", "missing_value", "0–4294967295"),
        e.ParameterProblem("", "please", "stray"),
        e.ParameterProblem("guidance", "3", "duplicate", "1–4"),
    )
    text = explain(e.InvalidParameters(problems=problems)).what
    for word in ("factor", "9", "1–4", "creativty", "“creativity”", "many", "4–50", "seed", "please", "guidance"):
        assert word in text
    assert len(text.splitlines()) == len(problems)


def test_what_is_allowed_is_told_in_the_members_language() -> None:
    problems = tuple(e.ParameterProblem("safety", "maybe", kind, "on or off") for kind in ("type", "missing_value"))
    assert explain(e.InvalidParameters(problems=problems), "de").what.splitlines() == [
        "safety kann nicht „maybe“ sein. Möglich: on oder off.",
        "„safety“ braucht einen Wert: on oder off.",
    ]


def test_an_example_stands_once_however_many_words_are_not_understood() -> None:
    words = ("this", "please", "A4")
    problems = tuple(e.ParameterProblem("", word, "stray", suggestion="a4@300dpi" * (word == "A4")) for word in words)
    assert explain(e.InvalidParameters(problems=problems)).what.splitlines() == [
        "I don't understand “this”.",
        "I don't understand “please”. Try: factor=3 creativity=0.5.",
        "I don't understand “A4”. Did you mean “a4@300dpi”?",
    ]


def test_a_size_refusal_gives_actual_limit_and_the_largest_factor_as_a_button() -> None:
    error = e.OutputTooLarge(
        width_px=20_000, height_px=10_000, limit_px=100_000_000, limit_side_px=14_142, largest_factor=2.5
    )
    notice = explain(error)
    for number in ("20000×10000", "200 MP", "100 MP", "14,142"):
        assert number in notice.what
    assert [(offer.argument, offer.label) for offer in notice.offers] == [("2.5", "Upscale 2.5× instead")]


def test_a_size_that_cannot_be_is_named_as_it_is_typed() -> None:
    error = e.TargetUnreachable(
        reason="already_larger", target="300x", width_px=600, height_px=400, model="flux", largest_factor=2.0
    )
    assert explain(error).what == "The image is already 600×400, at least as large as width=300."


def test_no_offer_is_made_where_nothing_fits() -> None:
    error = e.OutputTooLarge(width_px=1, height_px=1, limit_px=1, limit_side_px=1, largest_factor=None)
    assert explain(error).offers == ()


TAGS = {
    "de": "de de-AT DE_de",
    "fr": "fr_FR",
    "es": "es-419 es-ES",
    "pt_BR": "pt-BR pt_PT",
    "ja": "ja",
    "en": "zh-CN EN_us",
}


@pytest.mark.parametrize(("language", "tag"), [(name, tag) for name, tags in TAGS.items() for tag in tags.split()])
def test_a_platforms_locale_finds_its_language(language: str, tag: str) -> None:
    assert language_of(tag) == language


def test_a_place_that_is_paused_is_not_told_of_a_limit() -> None:
    limit = Limit(Scope(ScopeKind.CHANNEL, "slack", "T1", "C1"), Measure.JOBS, Window.TOTAL, 0, source="operator")
    told = explain(e.LimitReached(status=LimitStatus(limit, 0, 0, None), needed=1), "en")
    assert told.what == "The bot's owner has paused new upscales for this channel."
    assert explain(e.Paused(by="operator"), "en").what == "The bot's owner has paused new upscales for the whole bot."
    for platform, place in (("discord", "server"), ("slack", "workspace")):
        told = explain(e.Paused(by="moderator", platform=platform), "en")
        assert told.what == f"A moderator has paused new upscales for this {place}."


@pytest.mark.parametrize(
    ("kind", "source", "who"),
    [
        (ScopeKind.USER, "default", "A moderator"),
        (ScopeKind.WORKSPACE, "moderator", "A moderator"),
        (ScopeKind.USER, "file", "Only the bot's owner"),
        (ScopeKind.EVERYTHING, "default", "Only the bot's owner"),
    ],
)
def test_a_refused_limit_sends_to_whoever_may_raise_it(kind: ScopeKind, source: str, who: str) -> None:
    limit = Limit(Scope(kind), Measure.USD, Window.DAY, 300_000_000, source)
    over = e.LimitReached(status=LimitStatus(limit, 0, 0, None), needed=1_300_000_000)
    page = Requester("web", "local", is_operator=True)
    assert explain(over, "en").advice == f"{who} can raise it."
    assert explain(over, "en", quota_command=quota_command(page)).advice == "You can raise it yourself: /quota set …"
    assert quota_command(Requester("discord", "1", is_moderator=True)) == ""
    in_direct_message, in_server = Requester("discord", "1"), Requester("discord", "1", workspace_id="2")
    assert error_notice(over, "en", None, in_direct_message).advice == "Only the bot's owner can raise it."
    assert error_notice(over, "en", None, in_server).advice == f"{who} can raise it."


def test_a_need_above_the_whole_limit_promises_no_time_at_which_it_would_fit() -> None:
    limit = Limit(Scope(ScopeKind.USER, "slack"), Measure.USD, Window.DAY, 300_000_000)
    begun = LimitStatus(limit, 100_000_000, 0, 9.5)
    told = explain(e.LimitReached(status=begun, needed=1_300_000_000, largest_factor=1.58), "en")
    assert told.what == "This needs $1.30, more than the whole limit of $0.30 today for you."
    assert told.opens_at is None
    assert [offer.label for offer in told.offers] == ["Upscale 1.58× instead"]


@pytest.mark.parametrize(
    ("detected", "what"),
    [
        ("empty", "Diese Datei ist leer."),
        ("text", "Diese Datei ist kein lesbares Bild (eine Textdatei)."),
        ("pdf", "Diese Datei ist kein lesbares Bild (PDF)."),
        ("report.pdf", "Diese Datei ist kein lesbares Bild (report.pdf)."),
    ],
)
def test_what_a_file_is_instead_of_an_image_is_said_in_the_members_language(detected: str, what: str) -> None:
    assert explain(e.NotAnImage(detected=detected), "de").what == what


def test_a_format_that_cannot_be_read_is_not_shouted() -> None:
    assert explain(e.UnsupportedFormat(format="bmp (64 bits)")).what == "BMP (64 bits) files cannot be read here."


def test_a_drawing_without_pixels_is_named_with_what_to_do() -> None:
    notice = explain(e.UnsupportedFormat(format="svg"), "de")
    assert notice.what == "Ein SVG ist eine Zeichnung ohne Pixel: Es lässt sich ohne Modell vergrößern."
    assert notice.advice == "Exportiere es als PNG in der Größe, die du brauchst."


def test_several_files_that_are_no_images_are_told_in_the_plural() -> None:
    error = e.NotAnImage(detected="movie.mp4, a.txt", files=2)
    told = [explain(error, locale).what.split()[0] for locale in ("en", "de", "es", "fr", "pt-BR")]
    assert told == ["These", "Diese", "Estos", "Ces", "Estes"]
    assert "Dateien" in explain(error, "de").what


def test_money_in_chat_has_two_decimals_and_never_looks_better_than_it_is() -> None:
    assert cents(109_300_000, "en") == "$0.11"
    assert cents(4_890_700_000, "en", down=True) == "$4.89"
    limit = Limit(Scope(ScopeKind.USER, "slack"), Measure.USD, Window.DAY, 2_000_000_000)
    told = explain(e.LimitReached(status=LimitStatus(limit, 1_627_400_000, 0, 9.5), needed=800_000_000), "en")
    assert told.what == "This needs $0.80, but only $0.37 of $2.00 are left today for you."
    used_up = LimitStatus(limit, 1_999_000_000, 0, 9.5)
    told = explain(e.LimitReached(status=used_up, needed=800_000_000), "en")
    assert told.what == "This needs $0.80, but nothing is left of $2.00 today for you."


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", "$1,234.50 $0.0125 12.3 MB 57 kB 1.5× 4.2 s 1 min 20 s Jan 4 – 10, 2027"),
        ("de", "1.234,50 $ 0,0125 $ 12,3 MB 57 kB 1,5× 4,2 s 1 min 20 s 4.–10. Jan. 2027"),
        ("fr", "1 234,50 $US 0,0125 $US 12,3 Mo 57 ko 1,5× 4,2 s 1 min 20 s 4–10 janv. 2027"),
        ("es", "1.234,50 US$ 0,0125 US$ 12,3 MB 57 kB 1,5× 4,2 s 1 min 20 s 4–10 ene 2027"),
        ("pt_BR", "US$ 1.234,50 US$ 0,0125 12,3 MB 57 kB 1,5× 4,2 s 1 min 20 s 4 – 10 de jan. de 2027"),
        ("ja", "$1,234.50 $0.0125 12.3 MB 57 KB 1.5倍 4.2 秒 1 分 20 秒 2027年1月4日～10日"),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(language: str, written: str) -> None:
    made = [
        usd(1_234_500_000_000, language),
        usd(12_500_000, language),
        file_size(12_300_000, language),
        file_size(57_000, language),
    ]
    made += [factor_text(1.5, language), duration(4.2, language), duration(80, language)]
    made.append(period_text(date(2027, 1, 4), date(2027, 1, 10), language))
    assert " ".join(" ".join(made).split()) == written


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.code)
def test_no_space_follows_a_japanese_full_stop(error: UpscaleError) -> None:
    for notice in notices(error, "ja"):
        assert "。 " not in notice.text
        assert notice.text.startswith(notice.what)
        assert notice.text.endswith(notice.advice or notice.charged)
    assert joined("もう。", "", "Done.", "もう。", "Yes.") == "もう。Done. もう。Yes."


@pytest.mark.parametrize("kind", ["unknown", "stray"])
@pytest.mark.parametrize("nearest", ["factor", ""])
def test_no_space_follows_a_japanese_full_stop_of_a_parameter(kind: Any, nearest: str) -> None:
    problem = e.ParameterProblem(kind=kind, name="facto", value="facto", suggestion=nearest)
    assert "。 " not in parameter_problem(problem, "ja")


def test_a_tiny_image_does_not_read_as_nothing() -> None:
    assert [megapixels(n, "de") for n in (0, 0.001, 0.01, 64)] == ["0 MP", "<0,01 MP", "0,01 MP", "64 MP"]


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (0, "Waiting its turn, next in line"),
        (1, "Waiting its turn, 1 image ahead"),
        (2, "Waiting its turn, 2 images ahead"),
    ],
)
def test_a_turn_is_true_for_moderators_too_and_where_other_members_images_are_ahead(position: int, text: str) -> None:
    assert stage_text(Progress("turn", position=position), "en") == text
