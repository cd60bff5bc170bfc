"""What a job will cost, and what it was charged."""

from core.domain.job import Job, Quote, Receipt
from core.domain.limits import LimitStatus
from core.presentation.formats import cents, duration, megapixels, size
from core.presentation.texts.limit_texts import left_text
from core.presentation.translations import joined, tr


def price_line(quote: Quote, locale: str) -> str:
    before, after = size(quote.width_px, quote.height_px), size(quote.out_width_px, quote.out_height_px)
    return f"{before} → {after} · {megapixels(quote.megapixels, locale)} · {cents(quote.estimate_nanousd, locale)}"


def quote_text(quote: Quote, locale: str) -> str:
    return ". ".join(part for part in (price_line(quote, locale), left_text(quote.left, locale)) if part)


def receipt_line(job: Job, left: tuple[LimitStatus, ...], locale: str) -> str:
    """`Charged $1.60. The model took 4.2 s. You have $3.20 left today.`"""
    parts = [charge_text(job.receipt, locale)] if job.receipt else []
    if job.result is not None and job.result.inference_s is not None:
        parts.append(tr("The model took {time}.", locale, time=duration(job.result.inference_s, locale)))
    return joined(*parts, left_text(left, locale))


def charge_text(receipt: Receipt, locale: str) -> str:
    amount = cents(receipt.charged_nanousd, locale)
    if receipt.basis == "repeat":
        return tr("From an earlier job, {amount}.", locale, amount=amount)
    if receipt.basis == "none":
        return tr("Not charged.", locale)
    if receipt.basis == "unknown" and receipt.unclear:
        return tr("Charged {amount}, to be checked.", locale, amount=amount)
    if receipt.basis == "unknown":
        return tr(
            "This may still be billed, at most {amount}.",
            locale,
            amount=cents(receipt.estimate_nanousd, locale),
        )
    if receipt.play_money:
        return tr("Charged {amount} of play money.", locale, amount=amount)
    return tr("Charged {amount}.", locale, amount=amount)
