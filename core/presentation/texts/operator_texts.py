"""Alerts and questions for the operator, and replies about places that the operator has to admit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from core.domain import errors as e
from core.domain.identity import Place
from core.presentation.card import Action
from core.presentation.formats import date_time, usd
from core.presentation.notices import Notice
from core.presentation.translations import tr

if TYPE_CHECKING:
    from core.budgets.billing_differences import Difference

_MOST_NAMED = 10


def not_admitted(error: e.NotAdmitted, locale: str) -> Notice:
    if error.kind == "outsider":
        return Notice(
            tr("Here the bot works only for people of its own organisation.", locale),
            advice=tr("Ask one of them to run the upscale for you.", locale),
            tone="refusal",
        )
    if error.refused:
        return Notice(tr("The bot's owner does not offer upscales here.", locale), tone="refusal")
    if error.kind == "user":
        what = tr("The bot's owner pays for every upscale, and has to let you in first.", locale)
    else:
        what = tr("The bot's owner pays for every upscale, and has to let this place in first.", locale)
    return Notice(what, advice=tr("They have been asked. Please try again later.", locale), tone="refusal")


def admission_question(place: Place, name: str, by: str, locale: str) -> Notice:
    name = by if place.kind == "user" else name
    shown = f"{name} ({place.address})" if name else place.address
    if place.kind == "user":
        what = tr("{place} wants to use the bot.", locale, place=shown)
    elif by:
        what = tr("{by} wants to use the bot in {place}.", locale, by=by, place=shown)
    else:
        what = tr("{place} is not let in yet.", locale, place=shown)
    return Notice(
        what,
        advice=tr("Upscales there would be paid by you, within your limits.", locale),
        offers=(
            Action("admit", tr("Let in", locale), place.reference, style="success"),
            Action("refuse", tr("Refuse", locale), place.reference, style="danger"),
        ),
        tone="info",
    )


Installation: TypeAlias = Literal["done", "declined", "expired", "refused", "missing"]


def installation_text(outcome: Installation, locale: str, command: str) -> str:
    texts = {
        "done": tr("Installed. Type {command} in Slack to begin.", locale, command=command),
        "declined": tr("Nothing was installed.", locale),
        "expired": tr("This link has expired. Please begin again.", locale),
        "refused": tr("Slack did not complete the installation. Please begin again.", locale),
        "missing": tr("I am not installed in this workspace any more. A workspace admin can add me again.", locale),
    }
    return texts[outcome]


def unclear_bill(job_id: str, charged_nanousd: int, locale: str) -> Notice:
    return Notice(
        tr(
            "fal's bill for job {reference} cannot be right. The estimate of {amount} was charged instead.",
            locale,
            reference=job_id,
            amount=usd(charged_nanousd, locale),
        ),
        advice=tr("With FAL_ADMIN_KEY it is checked and corrected by itself; else look at fal's bill.", locale),
    )


def submit_refused(job_id: str, kind: str, locale: str) -> Notice:
    return Notice(
        tr("fal refused job {reference} for an unknown reason ({reason}).", locale, reference=job_id, reason=kind),
        advice=tr("If this happens to every job, look at the log and at fal's status page.", locale),
    )


def unclear_price(kept_nanousd: int, locale: str) -> Notice:
    return Notice(
        tr(
            "The price that fal names cannot be right. {amount} per megapixel still counts.",
            locale,
            amount=usd(kept_nanousd, locale),
        ),
        advice=tr("Look at the model's page, and set UPSCALE_PRICE_PER_MP_USD if the price changed.", locale),
    )


def billing_differences(differences: Sequence[Difference], locale: str) -> Notice:
    lines = [tr("New differences between fal's bill and our books: {count}.", locale, count=len(differences))]
    lines += [_difference(one, locale) for one in differences[:_MOST_NAMED]]
    return Notice("\n".join(lines), advice=tr("See them all with “python -m bot reconcile”.", locale))


def _difference(one: Difference, locale: str) -> str:
    job, ours, theirs = one.job_id, usd(one.ours_nanousd or 0, locale), usd(one.theirs_nanousd or 0, locale)
    if one.kind == "unreadable":
        return tr("fal's bill for {request} cannot be read.", locale, request=one.request_id or "?")
    if not job:
        return tr(
            "fal billed {amount} for {request}, which no job here asked for.",
            locale,
            amount=theirs,
            request=one.request_id,
        )
    if one.theirs_nanousd is None:
        return tr("Job {reference}: {ours} charged, nothing billed.", locale, reference=job, ours=ours)
    return tr("Job {reference}: {ours} charged, {theirs} billed.", locale, reference=job, ours=ours, theirs=theirs)


def stuck_jobs(count: int, oldest_id: str, locale: str) -> Notice:
    return Notice(
        tr("Jobs under way for longer than a job can take: {count}.", locale, count=count),
        advice=tr("Look at the oldest with “python -m bot job {reference}”.", locale, reference=oldest_id),
    )


def no_image_worker(locale: str) -> Notice:
    return Notice(
        tr("This bot cannot start the processes that read images, so upscales fail.", locale),
        advice=tr("Look at its log. If its files were updated, or memory ran out, restart it.", locale),
    )


def few_connects_left(platform: str, left: int, total: int, until_at: float, locale: str) -> Notice:
    """Most of the connections that the platform allows until `until_at` (unix seconds) are used up."""
    return Notice(
        tr(
            "{platform} lets this bot connect {n} of {total} more times until {time}.",
            locale,
            platform=platform.capitalize(),
            n=left,
            total=total,
            time=date_time(until_at, locale),
        ),
        advice=tr("It keeps connecting again: look at its log, and restart it as seldom as possible.", locale),
    )


def connection_refused(platform: str, refused: str, locale: str) -> Notice:
    """`refused`: what the platform no longer accepts, such as the name of the setting with the token."""
    name = platform.capitalize()
    return Notice(
        tr(
            "{platform} refuses to connect this bot ({reason}); nobody can use it there.",
            locale,
            platform=name,
            reason=refused,
        ),
        advice=tr("Check it in the developer portal. The bot keeps trying; a changed setting needs a restart.", locale),
    )


def provider_halted(kind: Literal["credit", "key"], locale: str) -> Notice:
    if kind == "credit":
        return Notice(
            tr("fal is out of credit; new upscales are refused until it is topped up.", locale),
            advice=tr("Top up the balance in fal's dashboard. The bot goes on by itself.", locale),
        )
    return Notice(
        tr("fal refuses this bot's key; new upscales are refused until it is accepted again.", locale),
        advice=tr("Check FAL_KEY, and that the key has not been deleted.", locale),
    )
