"""Cards of a member's own history, saved defaults and stored data. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.domain.job import Job, JobState
from core.domain.models import Models
from core.domain.parameters.spec import SPECS, Presets, Value
from core.presentation import card as c
from core.presentation.formats import cents, size
from core.presentation.texts.delivery_texts import send_again_text
from core.presentation.texts.parameter_texts import value_text, values_text
from core.presentation.texts.progress_texts import state_text
from core.presentation.texts.result_texts import size_line
from core.presentation.translations import tr, trn

HISTORY_SHOWN, HISTORY_MOST = 10, 20
"""Images in a history, and the most that may be asked for, which one message can show."""


def history(jobs: Sequence[Job], locale: str) -> c.Card:
    """The last jobs without refused ones; images that are still kept can be sent again."""
    shown = [job for job in jobs if job.state is not JobState.REFUSED]
    title = tr("Your last images", locale)
    if not shown:
        return c.Card("info", title, paragraphs=c.lines(tr("Nothing yet. Try {command}.", locale, command="/upscale")))
    kept = tuple(c.Option(job.id, _kept_label(job), state_text(job, locale)) for job in shown if job.has_image)
    again = c.Choice("redeliver", tr("Send an image again", locale), kept, send_again_text(locale))
    entries = tuple(history_line(job, locale) for job in shown)
    return c.Card("working", title, paragraphs=entries, choices=(again,) if kept else (), summary=title)


def history_line(job: Job, locale: str, *, with_time: bool = True) -> c.Line:
    """`rocket.jpg · 2 hours ago · done · 640×427 → 1280×854 (1.09 MP) · flux · $0.11 · reference`."""
    words = [state_text(job, locale), size_line(job, locale), job.parameters.model]
    if job.receipt is not None:
        words.append(cents(job.receipt.charged_nanousd, locale))
    name = (c.Strong(job.source.name), " · ") if job.source.name else ()
    facts = " · ".join(word for word in words if word)
    time = (c.Moment(job.created_at), " · ") if with_time else ()
    return c.line_of(*name, *time, f"{facts} · ", c.Code(job.id))


def _kept_label(job: Job) -> str:
    assert job.result is not None
    name = job.source.name or job.result.caption or job.id
    return f"{name} · {size(job.result.width_px, job.result.height_px)}"


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """A member's saved defaults by chat name, and presets by name; `note` says what was just changed."""

    defaults: Mapping[str, Value | str] = field(default_factory=dict)
    presets: Presets = field(default_factory=dict)
    note: c.Line = ()


def preset_saved(name: str, before: Mapping[str, object] | None, locale: str) -> c.Line:
    """`before` are the values that the preset had until now."""
    if before is None:
        return c.fill(tr("Your preset {name} is saved.", locale), name=c.Code(name))
    text = tr("Your preset {name} is replaced; it was {parameters}.", locale)
    return c.fill(text, name=c.Code(name), parameters=c.Code(values_text(before)))


def preset_deleted(name: str, locale: str) -> c.Line:
    return c.fill(tr("Your preset {name} is deleted.", locale), name=c.Code(name))


def settings(own: OwnSettings, locale: str, models: Models, *how: str) -> c.Card:
    """The values that apply when nothing else is typed, and the member's presets.

    `how` are the commands that change and clear defaults, save and delete a preset.
    """
    saved = own.defaults
    values = models.resolve(defaults=saved)
    rows: list[c.Line] = []
    if "preset" in saved:
        rows.append((c.Code("preset"), " ", c.Strong(str(saved["preset"]))))
    for name in SPECS:
        value = getattr(values, name)
        if value is not None:
            shown = value_text(value)
            rows.append((c.Code(name), " ", c.Strong(shown) if name in saved else shown))
    bold = tr("Bold = your setting; the rest are defaults.", locale) if saved else tr("No defaults saved.", locale)
    small = c.lines(bold)
    if how:
        change, clear, save, delete = map(c.Code, how)
        defaults = tr("Change them with {change}. Clear them with {clear}.", locale)
        named = tr("Presets of your own: save one with {save}, delete it with {delete}.", locale)
        small += (c.fill(defaults, change=change, clear=clear), c.fill(named, save=save, delete=delete))
    presets = tuple(c.line_of(c.Code(name), f" {values_text(values)}") for name, values in own.presets.items())
    return c.Card(
        "done" if own.note else "working",
        tr("Your defaults", locale),
        paragraphs=(*([own.note] if own.note else []), *rows),
        sections=(c.Section(tr("Your presets", locale), paragraphs=presets),) if presets else (),
        small=small,
    )


def privacy(locale: str, *, keep_days: int) -> c.Card:
    kept = trn(
        "Images are kept for {n} day and then deleted, here and at the upscaling service.",
        "Images are kept for {n} days and then deleted, here and at the upscaling service.",
        keep_days,
        locale,
    )
    sent = tr("Location and camera data are removed before an image is sent.", locale)
    return c.Card(
        "info",
        tr("Privacy", locale),
        paragraphs=c.lines(kept, sent),
        rows=((c.Action("export", tr("Export my data", locale)), erase_action(locale)),),
    )


def erase_action(locale: str, user_id: str = "") -> c.Action:
    words = tr(
        "Your images, history and settings are deleted here and at the upscaling service. "
        "Amounts charged stay, without your name. This cannot be undone.",
        locale,
    )
    sure = c.Confirmation(tr("Delete everything about you?", locale), words, tr("Delete", locale), tr("Keep", locale))
    return c.Action("erase", tr("Delete all my data", locale), user_id, style="danger", confirmation=sure)


def erased(count: int, locale: str) -> c.Card:
    return c.Card("done", paragraphs=c.lines(trn("Deleted {n} upscale.", "Deleted {n} upscales.", count, locale)))


def exported(locale: str, *, whole: bool) -> c.Card:
    """The file with everything stored about a member; without the images unless `whole`."""
    left_out = "" if whole else tr("Images are too big to include; get them from /history.", locale)
    words = tr("Everything stored about you is in this file.", locale)
    return c.Card("done", pictures=(c.Picture("file"),), paragraphs=c.lines(words), small=c.lines(left_out))
