"""What the job's own message says when the picture is not in it."""

from __future__ import annotations

from core.domain.job import Job
from core.presentation.job_texts import charge_text
from core.presentation.notices import Notice
from core.presentation.translations import tr


def ending(job: Job) -> Notice:
    """Where the picture is, what it cost, and how to get it. For a job whose result was made."""
    locale = job.requester.locale
    where = job.delivery.elsewhere if job.delivery is not None else ""
    kept = job.delivery is None or job.delivery.shape == "kept"
    if job.images_deleted:
        return Notice(tr("The images of this job have been deleted.", locale), reference=job.reference, tone="info")
    if kept:
        advice = tr("It is kept; find it in your history.", locale)
    elif where == "direct_message":
        advice = tr("It has been sent to you as a direct message.", locale)
    else:
        advice = tr("Posted as a new message, because the first one could no longer be changed.", locale)
    return Notice(
        tr("The image is ready, but it could not be delivered here.", locale),
        charged=charge_text(job.receipt, locale) if job.receipt is not None else "",
        advice=advice,
        reference=job.reference,
        tone="info",
    )
