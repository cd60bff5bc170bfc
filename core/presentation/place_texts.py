"""What is said of places that the operator pays for, or does not."""

from typing import Literal

from core.domain import errors as e
from core.domain.identity import Place
from core.presentation.card import Action
from core.presentation.notices import Notice
from core.presentation.translations import tr


def not_admitted(error: e.NotAdmitted, locale: str) -> Notice:
    if error.kind == "outsider":
        return Notice(
            tr("Here the bot works for people of its own organisation only.", locale),
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


def question(place: Place, name: str, by: str, locale: str) -> Notice:
    if place.kind == "user":
        what = tr("{name} ({address}) wants to use the bot.", locale, name=by or "?", address=place.address)
    elif by:
        facts = {"name": name or "?", "address": place.address, "by": by}
        what = tr("{by} wants to use the bot in {name} ({address}).", locale, **facts)
    else:
        what = tr("{name} ({address}) is not let in yet.", locale, name=name or "?", address=place.address)
    return Notice(
        what,
        advice=tr("Upscales there would be paid by you, within your limits.", locale),
        offers=(
            Action("admit", tr("Let in", locale), place.reference, style="success"),
            Action("refuse", tr("Refuse", locale), place.reference, style="danger"),
        ),
        tone="info",
    )


def installation_text(outcome: Literal["done", "declined", "expired", "refused"], locale: str, command: str) -> str:
    """What the page says that the platform leads to after an installation."""
    texts = {
        "done": tr("Installed. Type {command} in Slack to begin.", locale, command=command),
        "declined": tr("Nothing was installed.", locale),
        "expired": tr("This link has expired. Please begin again.", locale),
        "refused": tr("Slack refused the installation. Please begin again.", locale),
    }
    return texts[outcome]


def decided(place: Place, name: str, locale: str, *, admitted: bool) -> str:
    facts = {"name": name or place.address}
    if admitted:
        return tr("{name} is let in. You pay for its upscales, within your limits.", locale, **facts)
    return tr("{name} is refused, and you will not be asked again.", locale, **facts)
