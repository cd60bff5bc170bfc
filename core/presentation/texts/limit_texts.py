"""Limits, budgets, and what is left of them."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time

from core.domain import errors as e
from core.domain.limits import AlertLevel, AlertPlace, Limit, LimitStatus, Measure, ScopeKind, Window
from core.presentation.card import Action
from core.presentation.formats import cents, image_count, megapixels, number, percent, with_price
from core.presentation.notices import Notice, other_factor
from core.presentation.texts.parameter_texts import model_name
from core.presentation.translations import language_of, tr

_HAVE_SERVERS = frozenset({"", "discord"})
"""Platforms whose workspaces are called servers."""


def amount(measure: Measure, value: int, locale: str, *, down: bool = False) -> str:
    """`$3.20`, `16 MP`, `5 images`; money in whole cents, rounded up or `down`."""
    if measure is Measure.USD:
        return cents(value, locale, down=down)
    if measure is Measure.MEGAPIXELS:
        return megapixels(value, locale)
    return image_count(value, locale)


def amount_without_unit(measure: Measure, value: int, locale: str, *, down: bool) -> str:
    """Money, or a number without its unit, for use beside an amount with it."""
    return amount(measure, value, locale, down=down) if measure is Measure.USD else number(value, locale)


def window_name(window: Window, locale: str) -> str:
    names = {
        Window.HOUR: tr("this hour", locale),
        Window.DAY: tr("today", locale),
        Window.WEEK: tr("this week", locale),
        Window.MONTH: tr("this month", locale),
        Window.TOTAL: tr("in total", locale),
        Window.NOW: tr("at once", locale),
    }
    return names[window]


def window_text(window: Window, model: str, locale: str) -> str:
    """The window, and the model if the limit counts only one: `today with seedvr2`."""
    when = window_name(window, locale)
    return tr("{when} with {model}", locale, when=when, model=model.replace(",", ", ")) if model else when


def scope_name(kind: ScopeKind, locale: str, platform: str = "") -> str:
    """Whose limit it is, from the member's view, in the platform's terms."""
    if kind is ScopeKind.WORKSPACE and platform not in _HAVE_SERVERS:
        return tr("this workspace", locale)
    if kind is ScopeKind.ROLE and platform == "slack":
        return tr("your user group", locale)
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
    """`You have $3.20 left today.`, `$3.20 left today for this server.`"""
    limit = status.limit
    left = amount(limit.measure, status.left, locale, down=True)
    when = window_text(limit.window, limit.model, locale)
    if limit.source == "sponsor":
        whole = amount(limit.measure, limit.amount, locale)
        return tr(
            "Images in this channel are paid from its own budget: {left} of {whole} left.",
            locale,
            left=left,
            whole=whole,
        )
    if limit.scope.kind is ScopeKind.USER:
        return tr("You have {left} left {when}.", locale, left=left, when=when)
    whose = scope_name(limit.scope.kind, locale, limit.scope.platform)
    return tr("{left} left {when} for {whose}.", locale, left=left, when=when, whose=whose)


def left_text(statuses: tuple[LimitStatus, ...], locale: str) -> str:
    """The rest of the money limit with the least left; empty without a money limit."""
    money = [status for status in statuses if status.limit.measure is Measure.USD]
    return left_sentence(min(money, key=lambda status: status.left), locale) if money else ""


def paused_place(everything: bool, platform: str, locale: str) -> str:
    """The scope of a pause of `everything`, or of a workspace of `platform`."""
    return scope_name(ScopeKind.EVERYTHING if everything else ScopeKind.WORKSPACE, locale, platform)


def paused_notice(by: str, whose: str, locale: str) -> Notice:
    if by == "moderator":
        return Notice(tr("A moderator has paused new upscales for {whose}.", locale, whose=whose), tone="refusal")
    return Notice(tr("The bot's owner has paused new upscales for {whose}.", locale, whose=whose), tone="refusal")


def _who_can_raise(limit: Limit, locale: str) -> str:
    """Moderators can raise their own limits and, by extras, a member's default limit; never the operator's."""
    extras = (limit.source, limit.scope.kind, limit.measure) == ("default", ScopeKind.USER, Measure.USD)
    if extras or limit.source in ("moderator", "sponsor"):
        return tr("A moderator can raise it.", locale)
    return tr("Only the bot's owner can raise it.", locale)


def limit_reached(error: e.LimitReached, locale: str) -> Notice:
    limit = error.status.limit
    if limit.amount == 0 and limit.measure is Measure.JOBS and not limit.model:  # a pause is stored as such a limit
        return paused_notice(limit.source, scope_name(limit.scope.kind, locale, limit.scope.platform), locale)
    facts = {
        "needed": amount(limit.measure, error.needed, locale),
        "left": amount_without_unit(limit.measure, error.status.left, locale, down=True),
        "limit": amount(limit.measure, limit.amount, locale),
        "when": window_text(limit.window, limit.model, locale),
        "whose": scope_name(limit.scope.kind, locale, limit.scope.platform),
    }
    public = ""
    if limit.scope.kind is ScopeKind.USER:
        public = tr("This needs {needed}, more than you have left {when}.", locale, **facts)
    raised = _who_can_raise(limit, locale)
    offers = other_factor(error.largest_factor, locale)
    for model, cost in error.others:
        label = with_price(model_name(model, locale), cost, locale)
        offers += (Action("model", label, argument=model, style="primary"),)
    if error.needed > limit.amount:
        what = tr("This needs {needed}, more than the whole limit of {limit} {when} for {whose}.", locale, **facts)
        return Notice(what, advice=raised, offers=offers, tone="refusal", in_public=public)
    if facts["left"] == amount_without_unit(limit.measure, 0, locale, down=True):
        what = tr("This needs {needed}, but nothing is left of {limit} {when} for {whose}.", locale, **facts)
    else:
        what = tr("This needs {needed}, but only {left} of {limit} are left {when} for {whose}.", locale, **facts)
    opens_at = error.status.opens_at
    advice = raised if opens_at is None else ""
    return Notice(what, advice=advice, opens_at=opens_at, offers=offers, tone="refusal", in_public=public)


def alert_notice(
    place: AlertPlace, level: AlertLevel, status: LimitStatus, out_at: float | None, now: float, zone: ZoneInfo
) -> Notice:
    """`out_at`: when the budget runs out at this pace; None if it will last."""
    limit, locale = status.limit, place.locale
    facts = {
        "used": amount(limit.measure, status.used, locale),
        "limit": amount(limit.measure, limit.amount, locale),
        "when": window_text(limit.window, limit.model, locale),
        "whose": scope_name(limit.scope.kind, locale, limit.scope.platform),
        "percent": percent(level / 100, locale),
    }
    if limit.source == "sponsor" and limit.scope.id != place.channel_id:
        facts["whose"] = tr("channel {id}", locale, id=limit.scope.id)
    if level == 100:
        what = tr("The budget of {whose} is used up: {used} of {limit} {when}.", locale, **facts)
        if limit.source == "sponsor":
            return Notice(what, advice=tr("Images there count against members' own limits again.", locale), tone="info")
        advice = tr("New upscales are refused until it resets or is raised.", locale)
        if limit.model:
            names = limit.model.replace(",", ", ")
            advice = tr("New upscales with {model} are refused until it resets or is raised.", locale, model=names)
        return Notice(what, advice=advice, opens_at=status.opens_at, tone="info")
    what = tr("{percent} of the budget of {whose} is used: {used} of {limit} {when}.", locale, **facts)
    advice = "" if limit.window is Window.TOTAL else _forecast(out_at, now, zone, locale)
    return Notice(what, advice=advice, tone="info")


def _forecast(at: float | None, now: float, zone: ZoneInfo, locale: str) -> str:
    if at is None:
        return tr("At this pace it will last.", locale)
    language = language_of(locale)
    then, today = datetime.fromtimestamp(at, zone), datetime.fromtimestamp(now, zone).date()
    if then.date() == today:
        time = f"{format_time(then, 'short', locale=language)} {then:%Z}"
        return tr("At this pace it runs out today at about {time}.", locale, time=time)
    within_a_week = then.date() - today < timedelta(days=7)
    day = format_date(then.date(), "EEEE" if within_a_week else "long", locale=language)
    return tr("At this pace it runs out on {day}.", locale, day=day)
