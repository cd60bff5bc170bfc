"""Usage, limits, history, settings, privacy and help as messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import discord
from discord import ui

from adapters.discord.inbound.components import Choice, Control, row
from adapters.discord.views import markup
from adapters.discord.views.job import ASKING, DONE, TONES, WORKING, card, text
from core.budgets.reports import UsageReport, UsageRow
from core.domain.job import Job, JobState
from core.domain.limits import Limit, LimitStatus, Measure, ScopeKind, Window
from core.domain.money import usd
from core.domain.parameters.spec import SPECS
from core.presentation import tr, trn
from core.presentation.formats import number, size
from core.presentation.job_texts import state_word
from core.presentation.limit_texts import amount, left_sentence, scope_name

TOP_MEMBERS = 10
OPTION_MAX = 100


def usage(report: UsageReport, limits: tuple[LimitStatus, ...], chart: str, locale: str) -> ui.LayoutView:
    """Totals, the chart (unless its name is empty), the members who used most (for moderators), and what is left."""
    alt = tr("Chart of the usage per day", locale)
    title = tr("Usage {first} – {last}", locale, first=report.first_day, last=report.last_day)
    items: list[ui.Item[ui.LayoutView]] = [text(f"### {title}", *_totals(report, locale))]
    if chart:
        items.append(ui.MediaGallery(discord.MediaGalleryItem(f"attachment://{chart}", description=alt)))
    if report.members:
        items.append(text(f"**{tr('Most used by', locale)}**", *_members(report.members, locale)))
    money = [status for status in limits if status.limit.measure is Measure.USD]
    if money:
        items.append(text(*(markup.small(markup.escape(left_sentence(status, locale))) for status in money[:4])))
    return card(WORKING, *items)


def _totals(report: UsageReport, locale: str) -> list[str]:
    pictures = trn("{n} picture", "{n} pictures", report.jobs, locale)
    total = f"**{markup.escape(usd(report.charged_nanousd, locale))}** · {pictures}"
    total += f" · {number(report.megapixels, locale)} MP"
    lines = [total]
    if report.held_nanousd:
        held = tr("{amount} more is held for running jobs.", locale, amount=usd(report.held_nanousd, locale))
        lines.append(markup.small(markup.escape(held)))
    if report.play_money:
        lines.append(_play_money(locale))
    return lines


def _play_money(locale: str) -> str:
    return markup.small(tr("This is play money: no model of fal is connected.", locale))


def _members(rows: Sequence[UsageRow], locale: str) -> list[str]:
    """Names as mentions, which ping nobody here and always show the current name."""
    lines = []
    for place, row_ in enumerate(rows[:TOP_MEMBERS], start=1):
        name = f"<@{row_.key}>" if row_.key.isdigit() else markup.escape(row_.label)
        lines.append(f"{place}\\. {name} · {markup.escape(usd(row_.charged_nanousd, locale))} · {row_.jobs}")
    return lines


def limits(statuses: Sequence[LimitStatus], locale: str, *, note: str = "", play_money: bool = False) -> ui.LayoutView:
    """The limits that apply, with what is used of each; play money is not limited."""
    lines = [_limit_lines(status, locale) for status in statuses]
    nothing = _play_money(locale) if play_money else tr("No limit applies here.", locale)
    return card(WORKING, text(f"### {tr('Limits', locale)}", note, *(lines or [nothing])))


def _limit_lines(status: LimitStatus, locale: str) -> str:
    limit = status.limit
    used = amount(limit.measure, status.used + status.held, locale)
    allowed = amount(limit.measure, limit.amount, locale)
    percent = 100.0 * (status.used + status.held) / limit.amount if limit.amount else 100.0
    head = f"**{_whose(limit, locale)}**, {window_word(limit.window, locale)}"
    facts = tr("{used} of {allowed} used", locale, used=used, allowed=allowed)
    line = f"{head}\n{markup.bar(percent)} {markup.escape(facts)}"
    if status.opens_at is not None and status.left == 0:
        line += " · " + tr("opens again {time}", locale, time=markup.counting(status.opens_at))
    return line


def _whose(limit: Limit, locale: str) -> str:
    scope = limit.scope
    if scope.id and scope.kind is ScopeKind.USER:
        return f"<@{scope.id}>"
    if scope.id and scope.kind is ScopeKind.CHANNEL:
        return f"<#{scope.id}>"
    if scope.id and scope.kind is ScopeKind.ROLE:
        return f"<@&{scope.id}>"
    return markup.escape(scope_name(scope.kind, locale))


def limit_words(limit: Limit, locale: str) -> str:
    """One limit in a few plain words, for a list to choose from."""
    whose = scope_name(limit.scope.kind, locale) + (f" {limit.scope.id}" if limit.scope.id else "")
    return f"{whose}: {amount(limit.measure, limit.amount, locale)}, {window_word(limit.window, locale)}"


def window_word(window: Window, locale: str) -> str:
    """`per day` …"""
    names = {
        Window.HOUR: tr("per hour", locale),
        Window.DAY: tr("per day", locale),
        Window.WEEK: tr("per week", locale),
        Window.MONTH: tr("per month", locale),
        Window.TOTAL: tr("in total", locale),
        Window.NOW: tr("at once", locale),
    }
    return names[window]


def history(jobs: Sequence[Job], locale: str) -> ui.LayoutView:
    """The last jobs; those whose picture is kept can be shown again."""
    if not jobs:
        return card(TONES["info"], text(tr("You have not enlarged anything yet. Try /upscale.", locale)))
    lines = [_history_line(job, locale) for job in jobs]
    items: list[ui.Item[ui.LayoutView]] = [text(f"### {tr('Your last pictures', locale)}", *lines)]
    kept = [job for job in jobs if job.state is JobState.SUCCEEDED and not job.images_deleted and job.result]
    if kept:
        options = [
            discord.SelectOption(label=markup.cut(_option(job), OPTION_MAX), value=job.id, description=job.id)
            for job in kept
        ]
        items.append(row(Choice("redeliver", "", options, placeholder=tr("Show a picture again", locale))))
    return card(WORKING, *items)


def _option(job: Job) -> str:
    assert job.result is not None
    name = job.source.name or job.result.caption or job.id
    return f"{size(job.result.width_px, job.result.height_px)} · {name}"


def _history_line(job: Job, locale: str) -> str:
    words = [markup.counting(job.created_at), state_word(job, locale)]
    if job.input is not None and job.result is not None:
        before = size(job.input.width_px, job.input.height_px)
        words.append(f"{before} → {size(job.result.width_px, job.result.height_px)}")
    if job.receipt is not None:
        words.append(markup.escape(usd(job.receipt.charged_nanousd, locale)))
    return " · ".join(words) + f"\n-# `{job.reference}`"


def settings(saved: Mapping[str, str | int | float | bool], locale: str) -> ui.LayoutView:
    """A member's own defaults, and the model's where there are none."""
    lines = []
    for name, spec in SPECS.items():
        if name in saved:
            lines.append(f"`{name}` **{markup.escape(_shown(saved[name]))}**")
        elif spec.default is not None:
            lines.append(f"`{name}` {_shown(spec.default)}")
    if "preset" in saved:
        lines.insert(0, f"`preset` **{markup.escape(str(saved['preset']))}**")
    own = tr("Bold values are your own; the others are the model's.", locale)
    return card(WORKING, text(f"### {tr('Your defaults', locale)}", *lines, markup.small(own)))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def export(name: str, locale: str, *, whole: bool) -> ui.LayoutView:
    """The file with everything stored about a member."""
    lines = [tr("Everything stored about you is in this file.", locale)]
    if not whole:
        left_out = tr("The pictures are too large for here and left out; /history shows them again.", locale)
        lines.append(markup.small(left_out))
    return card(DONE, text(*lines), ui.File(f"attachment://{name}"))


def ask_erase(user_id: int, locale: str) -> ui.LayoutView:
    """The question before everything is deleted."""
    words = tr(
        "This deletes your pictures, your history and your settings, here and at fal. What was charged stays in "
        "the books, without your name. It cannot be undone.",
        locale,
    )
    button = Control("erase", str(user_id), tr("Delete everything", locale), style=discord.ButtonStyle.danger)
    return card(ASKING, text(f"### {tr('Delete everything about you?', locale)}", words), row(button))


def erased(count: int, locale: str) -> ui.LayoutView:
    """Done; how many jobs it were."""
    return card(DONE, text(trn("Deleted {n} job.", "Deleted {n} jobs.", count, locale)))


def help_text(locale: str, *, play_money: bool, confirm_above_nanousd: int) -> str:
    """What a member needs to know, in ten lines."""
    lines = [
        tr(
            "**/upscale** with a picture or a link enlarges it up to four times; new details are drawn by a model.",
            locale,
        ),
        tr("Or right-click a message → Apps → **Upscale**.", locale),
        tr("`factor` 1–4 · `creativity` 0–1 · `guidance` 1–4 · `steps` 4–50 · `seed`", locale),
        tr("Presets: faithful, balanced, creative. Your own defaults: **/settings**", locale),
        tr(
            "Above {price} you are asked first. **/usage** shows what you spent, **/history** your last pictures.",
            locale,
            price=markup.escape(usd(confirm_above_nanousd, locale)),
        ),
        tr("What is stored about you, and how to delete it: **/privacy**", locale),
    ]
    if play_money:
        lines.append(_play_money(locale))
    return "\n".join(lines)
