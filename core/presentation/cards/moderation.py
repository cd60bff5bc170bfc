"""Cards for moderators: changes of limits, extra budgets, presets of a place, the queue, the weekly report. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal

from core.domain.job import Job
from core.domain.limits import LimitChange, Measure, ScopeKind, Window
from core.ports import UnfinishedJobs
from core.presentation.card import Card, Choice, Line, Mention, Moment, Option, Span, Strong, fill, line_of, lines
from core.presentation.formats import cents, period_text, usd
from core.presentation.notices import Notice
from core.presentation.texts.limit_texts import amount, paused_place, scope_name, window_text
from core.presentation.texts.progress_texts import status_text
from core.presentation.translations import tr, trn

_NONE = "–"
MENTIONED: Mapping[str, Literal["user", "channel", "role"]] = {"user": "user", "channel": "channel", "role": "role"}
"""Scope kinds that a platform can mention by id."""


def extra_given(member_id: str, amount_nanousd: int, ends_at: float, locale: str) -> Card:
    """After `quota add`."""
    text = tr("{member} has {amount} more until {time}. The limits set by the bot's owner still apply.", locale)
    time = Moment(ends_at, "date_time")
    return _done(fill(text, member=Mention("user", member_id), amount=cents(amount_nanousd, locale), time=time))


def _done(*paragraphs: Line) -> Card:
    return Card("done", paragraphs=paragraphs)


def pause_changed(paused: bool, platform: str, locale: str) -> Card:
    """After a pause began or ended: of everything (on the page), or of a workspace (in a chat)."""
    if not paused:
        return _done((tr("New upscales are possible again.", locale),))
    whose = paused_place(platform == "web", platform, locale)
    return _done((tr("New upscales are paused for {whose}.", locale, whose=whose),))


def alert_channel_changed(channel_id: str | None, platform: str, locale: str) -> Card:
    """After the channel for budget alerts was chosen; None switches them off."""
    if channel_id is None:
        return _done((tr("Budget alerts are off.", locale),))
    text = fill(tr("Budget alerts go to {channel}.", locale), channel=Mention("channel", channel_id))
    # Slack lets a bot write only where it was added.
    return _done(text, *lines(tr("Add me to the channel if I am not in it.", locale) if platform == "slack" else ""))


def sponsored(channel_id: str, amount_nanousd: int | None, ends_at: float, locale: str) -> Card:
    """After a channel got a budget of its own until `ends_at` (unix seconds); None ends it."""
    channel = Mention("channel", channel_id)
    if amount_nanousd is None:
        return _done(fill(tr("{channel} is no longer paid from a budget of its own.", locale), channel=channel))
    text = tr("Images in {channel} are paid from a budget of {amount} until {time}.", locale)
    time = Moment(ends_at, "date_time")
    return _done(fill(text, channel=channel, amount=usd(amount_nanousd, locale), time=time))


def limit_changes(found: Sequence[LimitChange], locale: str) -> list[Line]:
    shown = [_change(one, locale) for one in found if one.old != one.new]
    return shown or [(tr("Nobody has changed anything yet.", locale),)]


def _change(one: LimitChange, locale: str) -> Line:
    measure = Measure.USD
    values: Mapping[str, str] = {"": _NONE}
    subject, _, model = one.subject.partition(" model=")
    words = subject.split()
    kind, own_id, what = "", words[-1] if words else "", one.subject  # as a newer release wrote it
    if one.action == "limit" and len(words) >= 3 and words[-2] in set(Measure) and words[-1] in set(Window):
        measure, window = Measure(words[-2]), Window(words[-1])
        kind, own_id, what = words[0], "".join(words[1:-2]), "{whom} · " + window_text(window, model, locale)
    elif one.action == "extra":
        kind, what = "user", tr("more for {whom}", locale)
    elif one.action == "sponsor":
        kind, what = "channel", tr("own budget of {whom}", locale)
    elif one.action == "pause":
        what = tr("new upscales", locale)
        values = {"open": tr("open", locale), "paused": tr("paused", locale)}
    elif one.action == "alerts":
        what = tr("channel for alerts", locale)
    elif one.action == "presets":
        kind, own_id = (*words, "", "")[:2]
        what = tr("default values of {whom}", locale)

    def value(text: str) -> str:
        if text in values:
            return values[text]
        money = kind and one.action in ("limit", "extra", "sponsor") and text.isdecimal()
        return amount(measure, int(text), locale) if money else text or _NONE

    text = tr("{time}, {name}: {what}: {old} → {new}", locale).replace("{what}", what)
    whom = whose_limit(kind, own_id, one.platform, locale)
    spans: dict[str, Span] = {"whom": Mention(MENTIONED[kind], own_id, whom) if own_id and kind in MENTIONED else whom}
    spans |= {"time": Moment(one.at, "date_time"), "name": one.actor_name or one.actor_id}
    for name, stored in (("old", one.old), ("new", one.new)):
        spans[name] = Mention("channel", stored, stored) if one.action == "alerts" and stored else value(stored)
    return fill(text, **spans)


def whose_limit(kind: str, own_id: str, platform: str, locale: str) -> str:
    """`member 42`, `every channel`, `this server`."""
    if kind == "user":
        return tr("member {id}", locale, id=own_id) if own_id else tr("each member", locale)
    if kind == "channel":
        return tr("channel {id}", locale, id=own_id) if own_id else tr("each channel", locale)
    if kind == "role":
        return tr("role {id}", locale, id=own_id)
    return scope_name(ScopeKind(kind) if kind in set(ScopeKind) else ScopeKind.WORKSPACE, locale, platform)


def place_presets(parameters: str, channel_id: str, locale: str) -> Card:
    """The default values of a channel, or without `channel_id` of the whole place; `parameters` may be empty."""
    where = tr("in {channel}", locale, channel="{channel}") if channel_id else tr("everywhere here", locale)
    if parameters:
        facts = {"where": where, "parameters": parameters}
        text = tr("Default values {where}: {parameters}.", locale, **facts)
    else:
        text = tr("The model's own values apply {where}.", locale, where=where)
    return _done(fill(text, channel=Mention("channel", channel_id, f"#{channel_id}")))


def weekly_report(
    first: date,
    last: date,
    jobs: int,
    charged_nanousd: int,
    members: Sequence[tuple[str, int]],
    models: Sequence[tuple[str, int]],
    locale: str,
) -> Notice:
    """The weekly report for the alert channel. `members` (top ones) and `models` are pairs of name and nano-dollars."""
    facts = {"period": period_text(first, last, locale), "amount": cents(charged_nanousd, locale)}
    what = trn("{period}: {n} image for {amount}.", "{period}: {n} images for {amount}.", jobs, locale, **facts)
    most, by_model = (
        ", ".join(f"{name} {cents(nanousd, locale)}" for name, nanousd in rows) for rows in (members, models)
    )
    advice = [tr("Most: {members}.", locale, members=most)] if most else []
    if len(models) > 1:
        advice.append(tr("By model: {models}.", locale, models=by_model))
    return Notice(what, advice="\n".join(advice), tone="info")


def queue(here: UnfinishedJobs, locale: str) -> Card:
    """The unfinished jobs, oldest first, and a choice to cancel one. Images of private jobs are not named."""
    title = tr("Running and waiting", locale)
    jobs = here.jobs
    if not jobs:
        return Card("info", title, paragraphs=lines(tr("Nothing runs or waits.", locale)))
    options = tuple(Option(job.id, _label(n, job), status_text(job, locale)) for n, job in enumerate(jobs, 1))
    beyond = here.total - len(jobs)
    more = trn("{n} more is not listed.", "{n} more are not listed.", beyond, locale) if beyond > 0 else ""
    return Card(
        "working",
        title,
        paragraphs=tuple(_row(n, job, locale) for n, job in enumerate(jobs, 1)),
        small=lines(more),
        summary=title,
        choices=(Choice("cancel", tr("Cancel one of them", locale), options, tr("Cancel", locale)),),
    )


def _row(number: int, job: Job, locale: str) -> Line:
    """`1. harbour.jpg · Upscaling · 40 % · @ann · 2 minutes ago`."""
    who = Mention("user", job.requester.user_id, job.requester.user_name)
    name = (Strong(_name(job)), " · ") if _name(job) else ()
    return line_of(f"{number}. ", *name, f"{status_text(job, locale)} · ", who, " · ", Moment(job.created_at))


def _label(number: int, job: Job) -> str:
    parts = (_name(job), job.requester.user_name or job.requester.user_id)
    return f"{number}. " + " · ".join(part for part in parts if part)


def _name(job: Job) -> str:
    return "" if job.private else job.source.name
