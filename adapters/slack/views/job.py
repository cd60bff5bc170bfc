"""Job, result and notice as Slack messages. Pure: no I/O, no decisions beyond layout."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Block, Content
from core.domain.job import Job, JobState, Progress
from core.domain.limits import LimitStatus
from core.domain.money import usd
from core.presentation import Notice, tr
from core.presentation import job_texts as words
from core.presentation.card import Action
from core.presentation.cards.job import offer_actions, question_actions, repeat_actions

BAR_CELLS = 12


def action(verb: str, job_id: str, argument: str = "") -> str:
    """The action_id of a job's button: everything a later process needs."""
    return f"job:{verb}:{job_id}" + (f":{argument}" if argument else "")


def file_name(job: Job) -> str:
    """What the member called the picture."""
    return b.cut(job.source.name, 80) or tr("your picture", job.requester.locale)


def bar(percent: float | None) -> str:
    """A bar of blocks, empty where no percentage is known."""
    if percent is None:
        return ""
    full = round(max(0.0, min(100.0, percent)) / 100 * BAR_CELLS)
    return "▰" * full + "▱" * (BAR_CELLS - full) + "  "


def working(job: Job, progress: Progress, *, streamed: bool = False) -> Content:
    """The message while the job runs. `streamed`: task cards below show the stages, so this one stays still."""
    locale = job.requester.locale
    name = file_name(job)
    title = [b.run(tr("Upscaling {name}", locale, name=name), bold=True)]
    stage = words.stage_text(progress, locale)
    line = [] if streamed else [b.run(bar(progress.percent) + stage)]
    if progress.eta_at is not None and progress.stage in ("waiting", "upscaling"):
        line += [b.run(" · ")] if line else []
        line += b.around(tr("ready at about {time}", locale), time=b.clock_time(progress.eta_at))
    cancel = b.actions(b.button(words.button_label("cancel", locale), action("cancel", job.id)))
    lines = [title, line] if line else [title]
    said = name if streamed else f"{name}: {stage}"
    return Content(said, b.stacked(b.rich(*lines), b.context(*_about(job)), cancel))


def _about(job: Job) -> list[str]:
    """Who asked, with what, for how much."""
    locale = job.requester.locale
    asked = tr("asked by {name}", locale, name=job.requester.user_name) if job.requester.user_name else ""
    price = ""
    if job.quote is not None:
        price = tr("about {price}", locale, price=usd(job.quote.estimate_nanousd, locale))
    return [words.parameters_line(job, locale), price, asked]


def question(job: Job) -> Content:
    """The price, with the button that carries it."""
    locale = job.requester.locale
    if job.quote is None:
        return Content(file_name(job))
    ask = words.ask_text(job.quote, locale)
    lines = [[b.run(file_name(job), bold=True)], [b.run(ask)]]
    if job.confirm_by_at is not None:
        until = tr("The offer stands until {time}.", locale)
        lines.append(b.around(until, time=b.clock_time(job.confirm_by_at, pattern="{time}")))
    row = b.actions(
        *_buttons(question_actions(job, locale)[:-1]),
        b.button(words.button_label("cancel", locale), action("cancel", job.id)),
    )
    parameters = b.context(words.parameters_line(job, locale), *_about(job)[2:])
    return Content(f"{file_name(job)}: {ask}", b.stacked(b.rich(*lines), parameters, row))


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
    """The finished picture. `remark` says how the file shown differs from the full one, or where it went."""
    locale = job.requester.locale
    caption = job.result.caption.strip() if job.result is not None else ""
    alt = words.alt_text(job, locale, max_chars=b.ALT_MAX_CHARS)
    picture = b.image(image_id, alt, file_name(job)) if image_id else b.rich([b.run(file_name(job), bold=True)])
    asked = tr("asked by {name}", locale, name=job.requester.user_name) if job.requester.user_name else ""
    ready = tr("{name} is ready", locale, name=file_name(job))
    size = words.size_line(job, locale)
    return Content(
        ". ".join(part for part in (f"{ready}: {size}" if size else ready, b.cut(caption, 300)) if part),
        b.stacked(
            picture,
            b.quote(caption) if caption else None,
            b.context(size, words.parameters_line(job, locale), asked),
            b.context(words.receipt_line(job, left, locale)),
            b.context(words.notes_text(job, locale), remark),
            result_buttons(job, (*file_ids, f"m{stream_ts}") if stream_ts else file_ids, full_url),
        ),
    )


def result_buttons(job: Job, carried: tuple[str, ...], full_url: str) -> Block | None:
    """The row under a result. Delete carries the files, and the messages (`m` + ts), that go with it."""
    locale = job.requester.locale
    sure = b.confirmation(
        tr("Delete this picture?", locale),
        tr("It is deleted here and at fal, and cannot be brought back. The charge stands.", locale),
        words.button_label("delete", locale),
        tr("Keep", locale),
    )
    return b.actions(
        *_buttons(repeat_actions(job, locale), primary=False),
        b.button(words.button_label("compare", locale), action("compare", job.id)),
        b.button(words.button_label("details", locale), action("details", job.id)),
        b.button(words.button_label("download", locale), action("download", job.id), url=full_url)
        if full_url
        else None,
        b.button(
            words.button_label("delete", locale),
            action("delete", job.id),
            value=",".join(carried),
            style="danger",
            confirm=sure,
        ),
    )


_ICONS = {"error": "warning", "refusal": "raised_hand", "info": "information_source"}


def _buttons(actions: Sequence[Action], *, primary: bool = True) -> list[Block]:
    """With `primary` the first stands out; Slack wants no more than one to."""
    return [
        b.button(
            one.label, action(one.kind, one.subject_id, one.argument), style="" if number or not primary else "primary"
        )
        for number, one in enumerate(actions)
    ]


def notice(said: Notice, locale: str, *, job_id: str = "", name: str = "", again: bool = False) -> Content:
    """What happened, whether it cost anything, what to do; with what would work instead as buttons."""
    first = [b.emoji(_ICONS[said.tone]), b.run(" ")]
    if name:
        first.append(b.run(f"{name}: ", bold=True))
    first.append(b.run(said.what))
    lines = [first]
    more = " ".join(part for part in (said.charged, said.advice) if part)
    if more:
        lines.append([b.run(more)])
    if said.opens_at is not None:
        opens = tr("It opens again on {time}.", locale)
        lines.append(b.around(opens, time=b.clock_time(said.opens_at, pattern="{date_short_pretty}, {time}")))
    buttons = _buttons(offer_actions(said, job_id)) if job_id else []
    buttons += [
        b.button(one.label, action(one.kind, one.place), style="danger" if one.kind == "refuse" else "primary")
        for one in said.offers
        if one.place
    ]
    if again and job_id:
        buttons.append(b.button(tr("Try again", locale), action("same", job_id)))
    reference = b.context(tr("Reference {reference}", locale, reference=said.reference)) if said.reference else None
    text = f"{name}: {said.text}" if name else said.text
    return Content(text, b.stacked(b.rich(*lines), reference, b.actions(*buttons)))


def failure(job: Job, said: Notice) -> Content:
    """A job's last word when it is not a picture."""
    again = job.state is JobState.FAILED and said.tone == "error"
    return notice(said, job.requester.locale, job_id=job.id, name=file_name(job), again=again)


def closed(job: Job, said: Notice) -> Content:
    """The job's own message when the picture is not in it: where it is, what it cost, how to get it."""
    locale = job.requester.locale
    content = notice(said, locale, job_id=job.id, name=file_name(job))
    if job.images_deleted:
        return content
    link = job.result.link if job.result is not None and job.result.link else ""
    kept = job.delivery is None or job.delivery.shape == "kept"
    row = b.actions(
        b.button(words.button_label("details", locale), action("details", job.id)),
        b.button(tr("Send again", locale), action("redeliver", job.id)) if kept else None,
        b.button(words.button_label("download", locale), action("download", job.id), url=link) if link else None,
    )
    return Content(content.text, b.stacked(*content.blocks, row))


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
