"""A job's states as Discord messages (Components V2). Pure: facts in, a fresh layout out.

One container per message, so that it reads as a card: title, what is going on, the facts in small print, buttons.
"""

from __future__ import annotations

import discord
from discord import ui

from adapters.discord.inbound.components import Control, row
from adapters.discord.views import markup
from core.domain.job import Job, Progress
from core.presentation import Notice, tr
from core.presentation.formats import factor_text
from core.presentation.job_texts import ask_text, button_label, cancelled_text, confirm_label, price_line, stage_text

TEXT_MAX = 4000
WORKING, ASKING, DONE = 0x5865F2, 0xF0B232, 0x23A55A
TONES = {"error": 0xDA373C, "refusal": 0xF0B232, "info": 0x80848E}


def card(colour: int, *items: ui.Item[ui.LayoutView]) -> ui.LayoutView:
    """A message of one container. Built afresh for every edit, and never timing out (see `controls`)."""
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.Container(*items, accent_colour=colour))
    # A view that has ended is sent as it is but kept nowhere: the library would otherwise hold every private answer
    # with buttons in memory for 15 minutes. Clicks need no kept view; see `controls`.
    view.stop()
    return view


def text(*lines: str) -> ui.TextDisplay[ui.LayoutView]:
    """One block of markup; empty lines are left out."""
    return ui.TextDisplay(markup.cut("\n".join(line for line in lines if line), TEXT_MAX))


def progress(job: Job, now: Progress, locale: str, *, expires_at: float | None = None) -> ui.LayoutView:
    """The job while it runs. `expires_at`: nothing can be shown here after it, so say so if it will be later."""
    title = tr("Upscaling {factor}", locale, factor=factor_text(job.parameters.factor, locale))
    lines = [f"### {markup.escape(title)}", _stage(now, locale)]
    if now.eta_at is not None:
        lines.append(tr("Ready {time}", locale, time=markup.counting(now.eta_at)))
        if expires_at is not None and now.eta_at > expires_at:
            late = tr("If it takes longer than that, the picture will be in /history.", locale)
            lines.append(markup.small(late))
    if job.quote is not None:
        lines.append(markup.small(markup.escape(price_line(job.quote, locale))))
    cancel = Control("cancel", job.id, button_label("cancel", locale))
    return card(WORKING, text(*lines), row(cancel))


def _stage(now: Progress, locale: str) -> str:
    words = markup.escape(stage_text(now, locale))
    if now.stage == "upscaling" and now.percent is not None:
        return f"{markup.bar(now.percent)}\n{words}"
    if now.stage == "delivering":
        return f"{markup.bar(100)}\n{words}"
    return words


def ask(job: Job, locale: str) -> ui.LayoutView:
    """The question whether the price is all right, with the price on the button."""
    if job.quote is None:
        raise ValueError("a price is asked only when there is a quote")
    lines = [f"### {tr('Start this upscale?', locale)}", markup.escape(ask_text(job.quote, locale))]
    if job.confirm_by_at is not None:
        expiry = tr("This offer ends {time}.", locale, time=markup.counting(job.confirm_by_at))
        lines.append(markup.small(expiry))
    buttons = row(
        Control("confirm", job.id, confirm_label(job.quote, locale), style=discord.ButtonStyle.success),
        Control("cancel", job.id, button_label("cancel", locale)),
    )
    return card(ASKING, text(*lines), buttons)


def failed(job: Job, notice: Notice, locale: str) -> ui.LayoutView:
    """A failure, a refusal or a cancellation, with what would work instead as buttons."""
    if notice.tone == "info" and job.error is None:
        title = cancelled_text(job, locale).rstrip(".")
    else:
        title = _title(notice, locale)
    buttons = [
        Control(
            "factor",
            job.id,
            offer.label,
            argument=f"{offer.factor:.4f}".rstrip("0").rstrip("."),
            style=discord.ButtonStyle.primary,
        )
        for offer in notice.offers
    ]
    if notice.tone == "error":
        buttons.append(Control("same", job.id, tr("Try again", locale)))
    if notice.tone == "info":
        buttons.append(Control("again", job.id, button_label("again", locale)))
    items: list[ui.Item[ui.LayoutView]] = [text(f"### {markup.escape(title)}", *_sentences(notice, locale))]
    if buttons:
        items.append(row(*buttons[:5]))
    return card(TONES[notice.tone], *items)


def notice_card(notice: Notice, locale: str) -> ui.LayoutView:
    """A notice that belongs to no message of a job."""
    styles = {"admit": discord.ButtonStyle.success, "refuse": discord.ButtonStyle.danger}
    verdicts = [Control(one.kind, one.place, one.label, style=styles[one.kind]) for one in notice.offers if one.place]
    words = text(f"### {_title(notice, locale)}", *_sentences(notice, locale))
    return card(TONES[notice.tone], words, *([row(*verdicts)] if verdicts else []))


def plain(words: str, *, colour: int = TONES["info"], title: str = "") -> ui.LayoutView:
    """A few plain sentences, already escaped where needed."""
    return card(colour, text(f"### {title}" if title else "", words))


def _title(notice: Notice, locale: str) -> str:
    titles = {
        "error": tr("That did not work", locale),
        "refusal": tr("Not started", locale),
        "info": tr("Please note", locale),
    }
    return titles[notice.tone]


def _sentences(notice: Notice, locale: str) -> list[str]:
    lines = [markup.escape(notice.what)]
    money = " ".join(markup.escape(part) for part in (notice.charged, notice.advice) if part)
    if notice.opens_at is not None:
        opens = tr("It opens again {time}.", locale, time=markup.counting(notice.opens_at))
        money = f"{money} {opens}".strip()
    lines.append(money)
    if notice.reference:
        lines.append(markup.small(tr("Reference {reference}", locale, reference=f"`{notice.reference}`")))
    return lines
