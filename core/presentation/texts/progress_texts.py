"""What a job is doing: its stage while it runs, its state in lists."""

from functools import partial
from typing import Literal, TypeAlias

from core.domain.job import Awaited, Job, JobState, Progress
from core.domain.parameters.spec import translatable
from core.presentation import formats
from core.presentation.translations import tr, translated, trn

cancel_pending_text = partial(
    translated, translatable("Cancelling. The model has already started, so this may still be billed.")
)
"""The immediate answer when a job is cancelled after the model has started."""


def stage_text(progress: Progress, locale: str) -> str:
    """`Waiting for the model, 3 requests ahead`, `Upscaling · 40 %` …; cards show the finish time."""
    if progress.awaits is not None:
        until = formats.date_time(progress.until_at or 0.0, locale)
        return awaiting_text(progress.awaits, locale).format(time=until)
    if progress.stage == "preparing":
        return tr("Reading the image", locale)
    if progress.stage == "turn":
        if not progress.position:
            return tr("Waiting its turn, next in line", locale)
        return trn("Waiting its turn, {n} image ahead", "Waiting its turn, {n} images ahead", progress.position, locale)
    if progress.stage == "waiting":
        return _waiting(progress.position, locale)
    if progress.stage == "upscaling":
        if progress.percent is None:
            return tr("Upscaling", locale)
        return tr("Upscaling · {percent}", locale, percent=formats.percent(progress.percent / 100, locale))
    return tr("Delivering", locale)


def awaiting_text(awaits: Awaited, locale: str) -> str:
    """What the job waits for; `{time}` in it is still to be filled with the end of the wait."""
    sentences: dict[Awaited, str] = {
        "source": tr("Your image has not been fetched yet. Trying until {time}.", locale),
        "accept": tr("The upscaling service has not taken your image yet. Trying until {time}.", locale),
        "search": tr(
            "The upscaling service's answer got lost. Looking for your request there until {time}; "
            "it is never paid for twice.",
            locale,
        ),
        "answer": tr(
            "The upscaling service does not answer at the moment. Nothing is lost; asking again until {time}.", locale
        ),
        "file": tr(
            "The image is ready, but has not come from the upscaling service yet. Trying until {time}.",
            locale,
        ),
        "room": tr("The image is ready, but there is no room for it here at the moment. Trying until {time}.", locale),
        "chat": tr(
            "The image is ready, but the chat does not take it yet. Trying again every few minutes until {time}.",
            locale,
        ),
        "start": tr("The upscaling service has not begun yet. Waiting until {time}.", locale),
    }
    return sentences[awaits]


def _waiting(position: int | None, locale: str) -> str:
    if position is None:
        return tr("Waiting for the model", locale)
    if position == 0:
        return tr("Waiting for the model, next in line", locale)
    return trn(
        "Waiting for the model, {n} request ahead", "Waiting for the model, {n} requests ahead", position, locale
    )


def state_text(job: Job, locale: str) -> str:
    if job.images_deleted:
        return tr("deleted", locale)
    if job.state is JobState.SUCCEEDED and job.delivery is not None and job.delivery.shape == "kept":
        return tr("not delivered", locale)
    names = {
        JobState.AWAITING_CONFIRMATION: tr("to be confirmed", locale),
        JobState.QUEUED: tr("waiting", locale),
        JobState.RUNNING: tr("running", locale),
        JobState.DELIVERING: tr("delivering", locale),
        JobState.SUCCEEDED: tr("done", locale),
        JobState.FAILED: tr("failed", locale),
        JobState.CANCELLED: tr("cancelled", locale),
        JobState.REFUSED: tr("not started", locale),
    }
    return names[job.state]


def status_text(job: Job, locale: str) -> str:
    if job.state is JobState.AWAITING_CONFIRMATION:
        return tr("The price is not confirmed yet", locale)
    return stage_text(job.progress, locale) if job.progress is not None else state_text(job, locale)


Stage: TypeAlias = Literal["preparing", "turn", "waiting", "upscaling", "delivering"]


def stage_done_text(stage: Stage, locale: str) -> str:
    """A completed stage, for platforms that list all stages."""
    titles: dict[Stage, str] = {
        "preparing": tr("Read the image", locale),
        "turn": tr("Waited for the model", locale),
        "waiting": tr("Waited for the model", locale),
        "upscaling": tr("Upscaled", locale),
        "delivering": tr("Delivered", locale),
    }
    return titles[stage]
