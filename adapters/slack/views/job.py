"""Job, result and notice as Slack messages. Pure: no I/O, no decisions beyond layout."""

from __future__ import annotations

from dataclasses import replace

from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Content
from adapters.slack.views.card import draw
from core.domain.job import Delivery, Job, Progress
from core.domain.limits import LimitStatus
from core.presentation import Notice, tr
from core.presentation import job_texts as words
from core.presentation.card import Action, Card, lines
from core.presentation.cards import job as cards
from core.presentation.cards.notice import notice_card


def file_name(job: Job) -> str:
    """What the member called the image."""
    return b.cut(job.source.name, 80) or tr("your image", job.requester.locale)


def _reader(job: Job) -> dict[str, bool]:
    """Who reads the job's message. Slack says above none of ours who asked."""
    return {"shared": not job.private and not job.requester.channel_id.startswith("D"), "named": False}


def working(job: Job, progress: Progress, *, streamed: bool = False) -> Content:
    """The message while the job runs. `streamed`: task cards below show the stages, so this one stays still."""
    card = cards.working(job, progress, job.requester.locale, **_reader(job))
    if streamed:
        card = replace(card, bar=None, paragraphs=card.paragraphs[1:], summary=file_name(job))
    return draw(card)


def question(job: Job) -> Content:
    """The price, with the button that carries it."""
    if job.quote is None:
        return Content(file_name(job))
    return draw(cards.asking(job, job.requester.locale, **_reader(job)))


def result(
    job: Job,
    left: tuple[LimitStatus, ...],
    *,
    image_id: str | None,
    file_ids: tuple[str, ...] = (),
    stream_ts: str = "",
    full_url: str = "",
    remark: str = "",
) -> Content:
    """The finished image. `remark` says how the file shown differs from the full one, or where it went.

    Delete carries the files, and the messages (`m` + ts), that go with it.
    """
    card = cards.result(job, left, Delivery("original"), job.requester.locale, **_reader(job))
    ready = tr("{name} is ready", job.requester.locale, name=file_name(job))
    size = words.size_line(job, job.requester.locale)
    told = ". ".join(part for part in (f"{ready}: {size}" if size else ready, b.cut(card.caption, 300)) if part)
    card = replace(
        card, summary=told, name=file_name(job), small=(*card.small, *lines(remark)), rows=_with_link(card, full_url)
    )
    return draw(card, image_id=image_id, carried=(*file_ids, f"m{stream_ts}") if stream_ts else file_ids)


def _with_link(card: Card, url: str) -> tuple[tuple[Action, ...], ...]:
    """The rows with a link to the full file at `url`, or with none."""
    rows = [tuple(one if one.kind != "open_link" else replace(one, url=url) for one in row) for row in card.rows]
    return tuple(tuple(one for one in row if one.kind != "open_link" or url) for row in rows)


def notice(said: Notice, locale: str, *, job_id: str = "") -> Content:
    """What happened, whether it cost anything, what to do; with what would work instead as buttons."""
    return draw(notice_card(said, locale, job_id=job_id))


def failure(job: Job, said: Notice) -> Content:
    """A job's last word when it is not an image."""
    return draw(cards.failed(job, said, job.requester.locale, shared=_reader(job)["shared"]))


def closed(job: Job, said: Notice) -> Content:
    """The job's own message when the image is not in it: where it is, what it cost, how to get it."""
    return draw(cards.closed(job, said, job.requester.locale))


def done(job: Job) -> Content:
    """Left of a progress message that Slack does not let us take away: the picture is below it."""
    return passing(tr("{name} is ready", job.requester.locale, name=file_name(job)))


def passing(text: str) -> Content:
    """A short plain answer."""
    return Content(text, [b.rich([b.run(text)])])


def full_file(job: Job, link: str) -> Content:
    """The full file by its own link at Slack, under a result that could not show it inline."""
    label = words.button_label("download", job.requester.locale)
    run = {"type": "link", "url": link, "text": label} if link else b.run(label)
    return Content(f"{label}: {file_name(job)}", [b.rich([run])])
