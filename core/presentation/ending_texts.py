"""What is said of what is over: a stage, a job whose picture is not in its message, an image that was deleted."""

from functools import partial
from typing import Literal, TypeAlias

from core.domain.job import Job
from core.domain.parameters.spec import translatable
from core.presentation.job_texts import charge_text
from core.presentation.notices import Notice
from core.presentation.translations import tr, translated

NAME_MAX_CHARS = 80
Stage: TypeAlias = Literal["preparing", "turn", "waiting", "upscaling", "delivering"]

sent_directly_text = partial(translated, translatable("It has been sent to you as a direct message."))
sending_directly_text = partial(translated, translatable("I am sending it to you as a direct message."))
deleted_text = partial(translated, translatable("The image and its original have been deleted."))
not_removed_text = partial(translated, translatable("Deleted, but the message could not be removed."))
moved_text = partial(
    translated,
    translatable(
        "I cannot post in this channel, so the image comes to you as a direct message. "
        "Add me to the channel to have it here."
    ),
)
lost_text = partial(
    translated,
    translatable("An earlier message here may still say that I am upscaling. Cancel in it takes it away."),
)
"""Where a message that may be there can neither be found nor taken away."""


def ending(job: Job) -> Notice:
    """Where the picture is, what it cost, and how to get it. For a job whose result was made."""
    locale = job.requester.locale
    if job.images_deleted:
        return Notice(deleted_text(locale), reference=job.reference, tone="info")
    if job.delivery is None or job.delivery.shape == "kept":
        advice = tr("It is kept; find it in your history.", locale)
    elif job.delivery.elsewhere == "direct_message":
        advice = sent_directly_text(locale)
    else:
        advice = tr("Posted as a new message, because the first one could no longer be changed.", locale)
    return Notice(
        tr("The image is ready, but it could not be delivered here.", locale),
        charged=charge_text(job.receipt, locale) if job.receipt is not None else "",
        advice=advice,
        reference=job.reference,
        tone="info",
    )


def stage_done_text(stage: Stage, locale: str) -> str:
    """A stage that is over, for platforms that show each."""
    titles: dict[Stage, str] = {
        "preparing": tr("Read the image", locale),
        "turn": tr("Waited for the model", locale),
        "waiting": tr("Waited for the model", locale),
        "upscaling": tr("Upscaled", locale),
        "delivering": tr("Delivered", locale),
    }
    return titles[stage]


def image_name(job: Job, locale: str) -> str:
    name = job.source.name
    return (name if len(name) <= NAME_MAX_CHARS else f"{name[:NAME_MAX_CHARS]}…") or tr("your image", locale)


def ready_text(job: Job, locale: str) -> str:
    return tr("{name} is ready", locale, name=image_name(job, locale))
