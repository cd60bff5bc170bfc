"""What runs and waits in a place, for its moderators. Pure."""

from core.domain.job import Job
from core.ports import OpenHere
from core.presentation.card import Card, Choice, Line, Mention, Moment, Option, Strong, lines, one
from core.presentation.job_texts import where_text
from core.presentation.translations import tr, trn


def queue(here: OpenHere, locale: str) -> Card:
    """The unfinished jobs, oldest first, and a choice to cancel one. Of a private one the image is not named."""
    title = tr("Running and waiting", locale)
    jobs = here.jobs
    if not jobs:
        return Card("info", title, paragraphs=lines(tr("Nothing runs or waits.", locale)))
    options = tuple(Option(job.id, _label(n, job), where_text(job, locale)) for n, job in enumerate(jobs, 1))
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
    return one(f"{number}. ", *name, f"{where_text(job, locale)} · ", who, " · ", Moment(job.created_at))


def _label(number: int, job: Job) -> str:
    parts = (_name(job), job.requester.user_name or job.requester.user_id)
    return f"{number}. " + " · ".join(part for part in parts if part)


def _name(job: Job) -> str:
    return "" if job.private else job.source.name
