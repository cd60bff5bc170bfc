"""A finished job as a Discord message: picture, caption, facts, receipt, buttons; and its details. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import discord
from discord import ui

from adapters.discord.inbound.components import Control, link, row
from adapters.discord.views import markup
from adapters.discord.views.job import DONE, TONES, card, text
from core.domain.job import Delivery, Job
from core.domain.limits import LimitStatus
from core.domain.money import usd
from core.domain.parameters.spec import SPECS
from core.presentation import Notice, tr
from core.presentation.formats import factor_text, mb, seconds
from core.presentation.job_texts import (
    alt_text,
    button_label,
    charge_text,
    delivery_text,
    notes_text,
    parameters_line,
    reached_factor,
    receipt_line,
    size_line,
)

ALT_MAX = 1024
CAPTION_MAX = 1200
URL_MAX = 512
DETAILS_CAPTION_MAX = 1500


@dataclass(frozen=True, slots=True)
class Shown:
    """The names of the uploaded files: `picture` for the gallery, `file` for a download beside it; either may be ""."""

    picture: str
    file: str
    delivery: Delivery


def result(job: Job, left: tuple[LimitStatus, ...], shown: Shown, locale: str, user_id: int) -> ui.LayoutView:
    """The delivered picture. Everything but the picture is text that was escaped here."""
    items: list[ui.Item[ui.LayoutView]] = []
    if shown.picture:
        items.append(_gallery(job, shown.picture, locale))
    items.append(text(*_words(job, left, shown.delivery, locale, user_id)))
    if shown.file:
        items.append(ui.File(f"attachment://{shown.file}", spoiler=job.spoiler))
    items.append(ui.Separator(spacing=discord.SeparatorSpacing.small))
    items += _buttons(job, locale)
    return card(DONE, *items)


def _gallery(job: Job, name: str, locale: str) -> ui.MediaGallery[ui.LayoutView]:
    alt = alt_text(job, locale, max_chars=ALT_MAX)
    return ui.MediaGallery(discord.MediaGalleryItem(f"attachment://{name}", description=alt, spoiler=job.spoiler))


def _words(job: Job, left: tuple[LimitStatus, ...], delivery: Delivery, locale: str, user_id: int) -> Sequence[str]:
    title = tr("Enlarged {factor}", locale, factor=factor_text(reached_factor(job), locale))
    caption = job.result.caption.strip() if job.result is not None else ""
    lines = [f"### {markup.escape(title)}"]
    if caption:
        lines.append(markup.quote(markup.escape(markup.cut(caption, CAPTION_MAX))))
    lines.append(f"**{markup.escape(size_line(job, locale))}**")
    lines.append(markup.small(markup.escape(parameters_line(job, locale))))
    lines.append(markup.small(markup.escape(receipt_line(job, left, locale))))
    for remark in (notes_text(job, locale), delivery_text(delivery, locale)):
        lines.append(markup.small(markup.escape(remark)))
    url = job.result.link if job.result is not None else None
    if url and len(url) > URL_MAX:
        lines.append(markup.small(f"[{button_label('download', locale)}]({url})"))
    if delivery.elsewhere == "new_message":
        lines.append(markup.small(tr("For {member}", locale, member=f"<@{user_id}>")))
    return lines


def _buttons(job: Job, locale: str) -> list[ui.ActionRow[ui.LayoutView]]:
    primary = discord.ButtonStyle.primary
    first = row(
        Control("again", job.id, button_label("again", locale), style=primary, emoji="🎲"),
        Control("more_creative", job.id, button_label("more_creative", locale), emoji="✨"),
        Control("twice_more", job.id, button_label("twice_more", locale), emoji="🔍"),
    )
    second = row(
        Control("compare", job.id, button_label("compare", locale)),
        Control("details", job.id, button_label("details", locale)),
        Control("delete", job.id, button_label("delete", locale), emoji="🗑️"),
    )
    url = job.result.link if job.result is not None else None
    if url and len(url) <= URL_MAX:
        second.add_item(link(button_label("download", locale), url))
    return [first, second]


def closed(job: Job, notice: Notice, locale: str) -> ui.LayoutView:
    """The job's own message when the picture is not in it: where it is, what it cost, how to get it."""
    title = tr("Enlarged {factor}", locale, factor=factor_text(job.parameters.factor, locale))
    said = [markup.escape(part) for part in (notice.what, notice.charged, notice.advice) if part]
    reference = tr("Reference {reference}", locale, reference=f"`{notice.reference}`")
    items: list[ui.Item[ui.LayoutView]] = [text(f"### {markup.escape(title)}", *said, markup.small(reference))]
    if not job.images_deleted:
        kept = job.delivery is None or job.delivery.shape == "kept"
        buttons = row(Control("details", job.id, button_label("details", locale)))
        if kept:
            buttons.add_item(Control("redeliver", job.id, tr("Send again", locale)))
        url = job.result.link if job.result is not None else None
        if url and len(url) <= URL_MAX:
            buttons.add_item(link(button_label("download", locale), url))
        items.append(buttons)
    return card(TONES["info"], *items)


def details(job: Job, locale: str) -> ui.LayoutView:
    """Everything about a job, for whoever asks: inputs and outputs under the model's own names, money, times."""
    reference = markup.small(tr("Reference {reference}", locale, reference=f"`{job.reference}`"))
    repeat = tr("To get the same picture again:", locale)
    return card(
        DONE,
        text(f"### {tr('Details', locale)}", *_inputs(job, locale)),
        ui.Separator(spacing=discord.SeparatorSpacing.small),
        text(*_outputs(job, locale)),
        ui.Separator(spacing=discord.SeparatorSpacing.small),
        text(_times(job, locale), reference),
        text(repeat, f"```\n{_command(job)}\n```"),
    )


def _inputs(job: Job, locale: str) -> list[str]:
    values = {name: getattr(job.parameters, name) for name in SPECS}
    if job.result is not None:
        values["seed"] = job.result.seed
    rows = [f"`{SPECS[name].api_name}` {_value(value)}" for name, value in values.items()]
    facts = []
    if job.input is not None:
        given = job.input
        words = f"{given.format.upper()}, {given.width_px}×{given.height_px}, {mb(given.bytes, locale)}"
        facts.append(f"**{tr('Before', locale)}** {markup.escape(words)}")
    return [*facts, " · ".join(rows)]


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _outputs(job: Job, locale: str) -> list[str]:
    lines = []
    if job.result is not None:
        made = job.result
        words = (
            f"{made.mime.removeprefix('image/').upper()}, {made.width_px}×{made.height_px}, {mb(made.bytes, locale)}"
        )
        lines.append(f"**{tr('After', locale)}** {markup.escape(words)}")
        if made.inference_s is not None:
            taken = tr("The model took {time}.", locale, time=seconds(made.inference_s, locale))
            lines.append(markup.escape(taken))
        if made.caption:
            lines.append(markup.quote(markup.escape(markup.cut(made.caption, DETAILS_CAPTION_MAX))))
    if job.receipt is not None:
        estimate = tr("Estimated {amount}.", locale, amount=usd(job.receipt.estimate_nanousd, locale))
        lines.append(markup.escape(f"{estimate} {charge_text(job.receipt, locale)}"))
    return lines or [tr("There is no result yet.", locale)]


def _times(job: Job, locale: str) -> str:
    times = tr("Asked for {time}", locale, time=markup.moment(job.created_at))
    if job.finished_at is not None:
        times += "\n" + tr("Finished {time}", locale, time=markup.moment(job.finished_at))
    return markup.small(times)


def _command(job: Job) -> str:
    p = job.parameters
    seed = job.result.seed if job.result is not None else p.seed
    words = [f"factor:{p.factor:g}", f"creativity:{p.creativity:g}", f"guidance:{p.guidance:g}", f"steps:{p.steps}"]
    if seed is not None:
        words.append(f"seed:{seed}")
    if not p.safety:
        words.append("safety:False")
    return "/upscale " + " ".join(words)


def compare(job: Job, name: str, locale: str) -> ui.LayoutView:
    """Before and after, side by side."""
    alt = tr("Before on the left, after on the right, at 100 %", locale)
    item = discord.MediaGalleryItem(f"attachment://{name}", description=alt, spoiler=job.spoiler)
    title = tr("Before and after, at 100 %", locale)
    return card(DONE, ui.MediaGallery(item), text(f"### {title}", markup.small(markup.escape(size_line(job, locale)))))
