"""A finished job as a Discord message: picture, caption, facts, receipt, buttons; and its details. Pure."""

from __future__ import annotations

import discord
from discord import ui

from adapters.discord.views import markup
from adapters.discord.views.job import DONE, card, text
from core.domain.job import Job
from core.domain.money import usd
from core.domain.parameters.spec import SPECS
from core.presentation import tr
from core.presentation.formats import mb, seconds
from core.presentation.job_texts import (
    charge_text,
    size_line,
)

ALT_MAX = 1024
CAPTION_MAX = 1200
URL_MAX = 512
DETAILS_CAPTION_MAX = 1500


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
