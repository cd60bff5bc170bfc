"""Job, result and notice as Slack messages. Pure: no I/O, no decisions beyond layout."""

from dataclasses import replace

from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Content
from adapters.slack.views.card import draw
from core.domain.job import Delivery, Job, Progress
from core.domain.limits import LimitStatus
from core.presentation import Notice
from core.presentation import job_texts as words
from core.presentation.card import Card, Link
from core.presentation.cards import job as cards
from core.presentation.ending_texts import image_name, ready_text
from core.presentation.notices import said
from core.presentation.translations import labelled


def _reader(job: Job) -> dict[str, bool]:
    """Who reads the job's message. Slack says above none of ours who asked."""
    return {"shared": not job.private and not job.requester.channel_id.startswith("D"), "named": False}


def working(job: Job, progress: Progress, *, streamed: bool = False) -> Content:
    """The message while the job runs. `streamed`: task cards below show the stages, so this one stays still."""
    card = cards.working(job, progress, job.requester.locale, **_reader(job))
    if streamed:
        card = replace(card, bar=None, paragraphs=card.paragraphs[1:], summary=image_name(job, job.requester.locale))
    return draw(card)


def arrived(job: Job) -> Content:
    return draw(cards.arrived(job, job.requester.locale, **_reader(job)))


def question(job: Job) -> Content:
    return draw(cards.asking(job, job.requester.locale, **_reader(job)))


def result(
    job: Job,
    left: tuple[LimitStatus, ...],
    delivery: Delivery,
    *,
    image_id: str | None,
    can_share: bool = False,
    file_ids: tuple[str, ...] = (),
    stream_ts: str = "",
) -> Content:
    """The finished image. Delete carries the files, and the messages (`m` + ts), that go with it."""
    locale = job.requester.locale
    card = cards.result(job, left, delivery, locale, can_share=can_share, **_reader(job))
    ready = " · ".join(part for part in (ready_text(job, locale), words.size_line(job, locale)) if part)
    told = ". ".join(part for part in (ready, b.cut(card.caption, 300)) if part)
    card = replace(card, summary=told, name=image_name(job, locale))
    return draw(card, image_id=image_id, carried=(*file_ids, f"m{stream_ts}") if stream_ts else file_ids)


def failure(job: Job, notice: Notice) -> Content:
    return draw(cards.failed(job, notice, job.requester.locale, shared=_reader(job)["shared"]))


def closed(job: Job, notice: Notice) -> Content:
    """The job's own message when the image is not in it: where it is, what it cost, how to get it."""
    return draw(cards.closed(job, notice, job.requester.locale))


def done(job: Job) -> Content:
    """Left of a progress message that Slack does not let us take away: the picture is below it."""
    return draw(said(ready_text(job, job.requester.locale), tone="done"))


def full_file(job: Job, link: str) -> Content:
    """The full file by its own link at Slack, under a result that could not show it inline."""
    locale = job.requester.locale
    label = words.full_file_text(locale)
    summary = labelled(label, image_name(job, locale), locale)
    return draw(Card("done", paragraphs=((Link(label, link),),), summary=summary))
