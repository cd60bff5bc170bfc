"""Where a result was sent, and what became of the message that should have shown it."""

from functools import partial

from core.domain.job import Delivery, Job
from core.domain.parameters.spec import translatable
from core.presentation.notices import Notice
from core.presentation.texts.price_texts import charge_text
from core.presentation.texts.result_texts import cancelled_late_text
from core.presentation.translations import joined, tr, translated

send_again_text = partial(translated, translatable("Send again"))


def delivery_text(delivery: Delivery, locale: str) -> str:
    """How the shown file differs from the full one, and where it was sent instead; one line each, or empty."""
    shapes = {
        "lossless_webp": tr("Shown as lossless WebP, because the full file is too large for here.", locale),
        "webp": tr("Shown as high-quality WebP, because the full file is too large for here.", locale),
        "jpeg": tr("Shown as high-quality JPEG, because the full file is too large for here.", locale),
        "preview": tr("This is a reduced preview; the full file is too large for here.", locale),
        "link": tr("The file can't be shown here; use the link.", locale),
        "kept": tr("It could not be delivered here and is kept in your history.", locale),
    }
    places = {
        "direct_message": tr("Sent as a direct message, because it could not be posted there.", locale),
        "new_message": tr("Posted as a new message, because the first one could no longer be changed.", locale),
    }
    parts = [shapes.get(delivery.shape, ""), places.get(delivery.elsewhere, "")]
    return "\n".join(part for part in parts if part)


sent_directly_text = partial(translated, translatable("It has been sent to you as a direct message."))
sending_directly_text = partial(translated, translatable("I am sending it to you as a direct message."))
deleted_text = partial(translated, translatable("The image and its original have been deleted."))
deleted_copy_text = partial(
    translated, translatable("Deleted. If an earlier message still shows the image, press Delete there too.")
)
"""Where an image was sent again, which does not know the message of the first time."""
not_removed_text = partial(translated, translatable("Deleted, but the message could not be removed."))
lost_text = partial(
    translated,
    translatable("An earlier message here may still say that I am upscaling. Press Cancel in it to remove it."),
)
"""For a message that may exist but can be neither found nor removed."""


def undelivered_notice(job: Job) -> Notice:
    """Where the image is, what it cost, and how to get it, for a job whose result is not in its message."""
    locale = job.requester.locale
    if job.images_deleted:
        return Notice(deleted_text(locale), reference=job.id, tone="info")
    if job.delivery is None or job.delivery.shape == "kept":
        advice = tr("It is kept; find it in your history.", locale)
    elif job.delivery.elsewhere == "direct_message":
        advice = sent_directly_text(locale)
    else:
        advice = tr("It has been posted as a new message.", locale)
    what = tr("The image is ready, but it could not be delivered here.", locale)
    return Notice(
        cancelled_late_text(locale) if job.cancel_requested_by else what,
        charged=charge_text(job.receipt, locale) if job.receipt is not None else "",
        advice=advice,
        reference=job.id,
        tone="info",
    )


def moved_text(locale: str, *, bot_is_missing: bool) -> str:
    moved = tr("I cannot post here, so the image comes to you as a direct message.", locale)
    return joined(moved, tr("Add me to the channel to have it here.", locale) if bot_is_missing else "")
