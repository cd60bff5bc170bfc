"""Cards of usage reports and limits. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

from core.domain.limits import Limit, LimitStatus, Measure, ScopeKind
from core.presentation.card import Card, Code, Fact, Line, Mention, Moment, Picture, Section, Span, Strong, fill, lines
from core.presentation.cards.moderation import MENTIONED, whose_limit
from core.presentation.formats import cents, image_count, labelled, megapixels, period_text
from core.presentation.texts.limit_texts import amount, amount_without_unit, left_sentence, scope_name, window_text
from core.presentation.texts.operator_texts import not_admitted
from core.presentation.translations import tr

if TYPE_CHECKING:
    from core.budgets.reports import UsageReport, UsageRow

TOP_MEMBERS = 10
LEFT_SHOWN = 4


def usage(report: UsageReport, limits: Sequence[LimitStatus], locale: str, *, member: str = "") -> Card:
    """Totals, the chart (if the adapter has one), the top members (for moderators), what is left.

    `member` is the name of another member whose usage it is; the reader's own limits are left out then.
    """
    period = period_text(date.fromisoformat(report.first_day), date.fromisoformat(report.last_day), locale)
    titles = {
        "user": tr("Your usage", locale),
        "workspace": tr("Usage here", locale),
    }
    whose = tr("Usage of {name}", locale, name=member) if member else titles.get(report.scope, tr("Usage", locale))
    used = f" · {image_count(report.jobs, locale)} · {megapixels(report.megapixels, locale)}"
    total: Line = (Strong(cents(report.charged_nanousd, locale)), used)
    members = tuple(_member(place, row, locale) for place, row in enumerate(report.members[:TOP_MEMBERS], start=1))
    models: list[Line] = []
    if len(report.models) > 1:
        models += [(Code(row.key), f" {_spent(row, locale)}") for row in report.models]
    shown = [status for status in limits if not (member and status.limit.scope.kind is ScopeKind.USER)]
    left = [left_sentence(status, locale) for status in tightest_of_each(shown)][:LEFT_SHOWN]
    return Card(
        "working",
        f"{whose} · {period}",
        pictures=(Picture("chart", tr("Chart of the usage per day", locale)),),
        paragraphs=(total, *models),
        sections=(Section(tr("Top members", locale), paragraphs=members),) if members else (),
        small=lines(
            held_text(report, locale),
            play_money_text(locale) if report.play_money and report.charged_nanousd else "",
            *left,
            not_admitted(report.refused, locale).text if report.refused else "",
        ),
    )


def daily_rows(report: UsageReport, locale: str) -> list[tuple[tuple[str, str, str], float]]:
    """The days with jobs: ((date, cost, number of images), share of the most expensive day's cost)."""
    shown = [day for day in report.days if day.jobs]
    most = max((day.charged_nanousd for day in shown), default=0)
    rows = []
    for day in shown:
        when = period_text(date.fromisoformat(day.key), date.fromisoformat(day.key), locale)
        words = when, cents(day.charged_nanousd, locale), str(day.jobs)
        rows.append((words, day.charged_nanousd / most if most else 0.0))
    return rows


def day_heads(locale: str) -> tuple[str, str, str]:
    return tr("Day", locale), tr("Cost", locale), tr("Images", locale)


def held_text(report: UsageReport, locale: str) -> str:
    """The money that is held; empty if there is none."""
    held = cents(report.held_nanousd, locale)
    return tr("{amount} more is held for images under way.", locale, amount=held) if report.held_nanousd else ""


def tightest_of_each(limits: Sequence[LimitStatus]) -> list[LimitStatus]:
    """The money limits; of several that read alike (kind of scope, window, model) only the one with the least left."""
    found: dict[tuple[object, ...], LimitStatus] = {}
    for status in limits:
        key = (status.limit.scope.kind, status.limit.window, status.limit.model)
        if status.limit.measure is Measure.USD and (key not in found or status.left < found[key].left):
            found[key] = status
    return list(found.values())


def play_money_text(locale: str) -> str:
    return tr("This is play money: nothing is paid.", locale)


def _member(place: int, row: UsageRow, locale: str) -> Line:
    who = Mention("user", row.key, row.label or tr("a deleted member", locale))
    return f"{place}. ", who, f" · {_spent(row, locale)}"


def _spent(row: UsageRow, locale: str) -> str:
    return f"{cents(row.charged_nanousd, locale)} · {image_count(row.jobs, locale)}"


def limits(
    statuses: Sequence[LimitStatus],
    locale: str,
    *,
    platform: str = "",
    note: Line = (),
    play_money: bool = False,
    of_all: bool = False,
) -> Card:
    """Every limit that applies, with its use; play money is not limited.

    `of_all`: a moderator's view, in which a limit without a member's id applies to each member.
    """
    nothing = play_money_text(locale) if play_money else tr("No limit applies here.", locale)
    twins = Counter(_alike(status.limit) for status in statuses)
    facts = tuple(
        _limit(status, locale, platform, of_all=of_all, with_source=twins[_alike(status.limit)] > 1)
        for status in statuses
    )
    paragraphs = (*((note,) if note else ()), *(() if facts else lines(nothing)))
    return Card("working", tr("Limits", locale), paragraphs=paragraphs, facts=facts)


def limit_changed_text(amount: int | None, locale: str) -> str:
    return tr("Limit removed.", locale) if amount is None else tr("Limit set.", locale)


def _alike(limit: Limit) -> tuple[object, ...]:
    return limit.scope.kind, limit.scope.id, limit.measure, limit.window, limit.model


def _limit(status: LimitStatus, locale: str, platform: str, *, of_all: bool, with_source: bool) -> Fact:
    limit = status.limit
    used_or_held = status.used + status.held
    closed = limit.amount == 0 and limit.measure is Measure.JOBS  # a pause is stored as such a limit
    used: Line = (
        tr(
            "{used} of {limit} used, {left} left",
            locale,
            used=amount_without_unit(limit.measure, used_or_held, locale, down=False),
            limit=amount(limit.measure, limit.amount, locale),
            left=amount_without_unit(limit.measure, status.left, locale, down=True),
        ),
    )
    if closed:
        used = (tr("paused", locale),)
    elif status.opens_at is not None and status.left == 0:
        used += (" · ", *fill(tr("resets {time}", locale), time=Moment(status.opens_at)))
    source = f" ({_source(limit, locale)})" if with_source else ""
    owner = _owner(limit, locale, platform, of_all=of_all)
    if isinstance(owner, str):
        owner = owner[:1].upper() + owner[1:]
    label = (owner, f" · {window_text(limit.window, limit.model, locale)}{source}")
    return Fact(label, used, min(1.0, used_or_held / limit.amount) if limit.amount else 1.0)


def _source(limit: Limit, locale: str) -> str:
    return {
        "moderator": tr("set by moderators", locale),
        "sponsor": tr("its own budget", locale),
    }.get(limit.source, tr("set by the bot's owner", locale))


def _owner(limit: Limit, locale: str, platform: str, *, of_all: bool) -> Span:
    """Whose limit it is; a mention if it belongs to one member, channel or role."""
    scope = limit.scope
    if scope.id and scope.kind in MENTIONED:
        return Mention(MENTIONED[scope.kind], scope.id)
    place = scope.platform or platform
    if scope.kind is ScopeKind.ROLE or (scope.kind is ScopeKind.USER and not of_all):
        return scope_name(scope.kind, locale, place)
    return whose_limit(scope.kind, "", place, locale)


def limit_text(limit: Limit, locale: str) -> str:
    whose = whose_limit(limit.scope.kind, limit.scope.id, limit.scope.platform, locale)
    what = f"{amount(limit.measure, limit.amount, locale)} · {window_text(limit.window, limit.model, locale)}"
    return labelled(whose, what, locale)
