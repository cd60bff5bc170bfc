"""The details of one job (inputs, outputs, exact amounts, times) and its comparison. Pure."""

from core.domain.job import Job
from core.domain.models import MODELS
from core.domain.parameters.spec import Fields
from core.presentation.card import Card, Code, Fact, Line, Moment, Picture, Section, lines
from core.presentation.cards.job import ALT_MAX_CHARS
from core.presentation.formats import duration, file_size, size, usd
from core.presentation.notices import reference_line
from core.presentation.texts.parameter_texts import assignment, value_text, values_of
from core.presentation.texts.result_texts import comparison_text, notes_text, size_line
from core.presentation.translations import tr


def details(job: Job, locale: str, *, command: str = "") -> Card:
    """`command` is what to type on this platform to repeat the job (see `repeat_words`)."""
    repeat = command or "/upscale " + repeat_words(job)
    return Card(
        "done",
        tr("Details", locale),
        job.source.name,
        sections=(
            Section(facts=(*_input(job, locale), *_parameters(job, locale))),
            *_output(job, locale),
            Section(facts=(*_money(job, locale), *_times(job, locale))),
            Section(tr("The same image again", locale), code=repeat),
        ),
        small=reference_line(job.id, locale),
    )


def repeat_words(job: Job, sign: str = "=", off: str = "off") -> str:
    """The job's values as they can be typed: `model=flux factor=2 creativity=0.3 … seed=7`."""
    values = values_of(job)
    if "to" in values:
        del values["factor"]  # worked out from it
    return words_of(values, sign, off)


def words_of(values: Fields, sign: str = "=", off: str = "off") -> str:
    """The values as they can be typed, whatever the reader's own defaults are; switches that are on are left out."""
    words = []
    for name, value in values.items():
        if isinstance(value, bool):
            words += [] if value else [f"{name}{sign}{off}"]
        else:
            words.append(assignment(name, value) if sign == "=" else f"{name}{sign}{value_text(value)}")
    return " ".join(words)


def _input(job: Job, locale: str) -> tuple[Fact, ...]:
    if job.input is None:
        return ()
    given = job.input
    words = f"{given.format.upper()} · {size(given.width_px, given.height_px)} · {file_size(given.bytes, locale)}"
    return (Fact((tr("Original", locale),), (words,)),)


def _parameters(job: Job, locale: str) -> tuple[Fact, ...]:
    """The values by the model's own names, and the preset that was used."""
    line: Line = ()
    inputs = MODELS.of(job.parameters).inputs
    for name, value in values_of(job).items():
        label = inputs[name].api_name if name in inputs else name
        line += (*((" · ",) if line else ()), Code(label), f" {value_text(value)}")
    preset = job.parameters.preset
    used = (Fact((tr("Preset", locale),), (preset,)),) if preset else ()
    return (*used, Fact((tr("Parameters", locale),), line))


def _output(job: Job, locale: str) -> tuple[Section, ...]:
    made = job.result
    if made is None:
        return (Section(paragraphs=lines(tr("There is no result yet.", locale))),)
    kind = made.mime.removeprefix("image/").upper()
    words = f"{kind} · {size(made.width_px, made.height_px)} · {file_size(made.bytes, locale)}"
    facts = [Fact((tr("Result", locale),), (words,))]
    if made.inference_s is not None:
        facts.append(Fact((tr("Model time", locale),), (duration(made.inference_s, locale),)))
    caption = made.caption.strip()
    return (
        Section(facts=tuple(facts), paragraphs=lines(notes_text(job, locale))),
        *((Section(tr("Caption", locale), quote=caption),) if caption else ()),
    )


def _money(job: Job, locale: str) -> tuple[Fact, ...]:
    receipt = job.receipt
    if receipt is None:
        return ()
    estimate = usd(receipt.estimate_nanousd, locale)
    if receipt.charged_nanousd < receipt.estimate_nanousd and receipt.basis in ("units", "size"):
        estimate += " (" + tr("rounded up to whole megapixels", locale) + ")"
    charged = usd(receipt.charged_nanousd, locale)
    if receipt.play_money:
        charged += " (" + tr("play money", locale) + ")"
    if receipt.basis == "unknown":
        charged += " (" + tr("to be checked", locale) + ")"
    return Fact((tr("Estimate", locale),), (estimate,)), Fact((tr("Charged", locale),), (charged,))


def _times(job: Job, locale: str) -> tuple[Fact, ...]:
    requested = Fact((tr("Requested", locale),), (Moment(job.created_at, "date_time"),))
    if job.finished_at is None:
        return (requested,)
    return requested, Fact((tr("Finished", locale),), (Moment(job.finished_at, "date_time"),))


def comparison(job: Job, locale: str, *, rows: int = 1) -> Card:
    alt = comparison_text(job, rows, locale)
    size_words = size_line(job, locale)
    return Card(
        "done",
        tr("Compare", locale),
        job.source.name,
        pictures=(Picture("comparison", alt[:ALT_MAX_CHARS], job.spoiler),),
        small=lines(alt, size_words),
    )
