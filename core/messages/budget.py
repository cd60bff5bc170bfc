"""Sentences about limits and what is left of them."""

from __future__ import annotations

from core import errors as e
from core.limits import LimitStatus, Measure, ScopeKind, Window
from core.messages.catalog import tr, trn
from core.messages.notice import Notice, Offer
from core.messages.values import factor_text
from core.pricing import usd


def amount(measure: Measure, value: int, locale: str) -> str:
    """`$3.20`, `16 MP`, `5 jobs`."""
    if measure is Measure.USD:
        return usd(value, locale)
    if measure is Measure.MEGAPIXELS:
        return tr("{n} MP", locale, n=value)
    return trn("{n} job", "{n} jobs", value, locale)


def window_name(window: Window, locale: str) -> str:
    """The window as a phrase: `today`, `this week`."""
    names = {
        Window.HOUR: tr("this hour", locale),
        Window.DAY: tr("today", locale),
        Window.WEEK: tr("this week", locale),
        Window.MONTH: tr("this month", locale),
        Window.TOTAL: tr("in total", locale),
        Window.NOW: tr("at once", locale),
    }
    return names[window]


def scope_name(kind: ScopeKind, locale: str) -> str:
    """Whose limit it is, from the member's view."""
    names = {
        ScopeKind.EVERYTHING: tr("the whole bot", locale),
        ScopeKind.PLATFORM: tr("this platform", locale),
        ScopeKind.WORKSPACE: tr("this server", locale),
        ScopeKind.CHANNEL: tr("this channel", locale),
        ScopeKind.ROLE: tr("your role", locale),
        ScopeKind.USER: tr("you", locale),
    }
    return names[kind]


def left_sentence(status: LimitStatus, locale: str) -> str:
    """`$3.20 left today`, with whose it is when it is not the member's own."""
    limit = status.limit
    left = amount(limit.measure, status.left, locale)
    when = window_name(limit.window, locale)
    if limit.scope.kind is ScopeKind.USER:
        return tr("You have {left} left {when}.", locale, left=left, when=when)
    whose = scope_name(limit.scope.kind, locale)
    return tr("{left} left {when} for {whose}.", locale, left=left, when=when, whose=whose)


def tightest(statuses: tuple[LimitStatus, ...]) -> LimitStatus | None:
    """The money limit with the least left: the one worth telling."""
    money = [status for status in statuses if status.limit.measure is Measure.USD]
    return min(money, key=lambda status: status.left, default=None)


def limit_reached(error: e.LimitReached, locale: str) -> Notice:
    """Which limit, how much of it is left, what was needed, when it opens again, and what would fit."""
    limit = error.status.limit
    what = tr(
        "This needs {needed}, but only {left} of {limit} are left {when} for {whose}.",
        locale,
        needed=amount(limit.measure, error.needed, locale),
        left=amount(limit.measure, error.status.left, locale),
        limit=amount(limit.measure, limit.amount, locale),
        when=window_name(limit.window, locale),
        whose=scope_name(limit.scope.kind, locale),
    )
    offers: tuple[Offer, ...] = ()
    if error.largest_factor is not None and error.largest_factor > 1:
        label = tr("Enlarge {factor} instead", locale, factor=factor_text(error.largest_factor, locale))
        offers = (Offer("factor", error.largest_factor, label),)
    advice = "" if error.status.opens_at is not None else tr("A moderator can raise it.", locale)
    return Notice(what, advice=advice, opens_at=error.status.opens_at, offers=offers, tone="refusal")
