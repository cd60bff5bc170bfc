"""Several images of one message: the choice among them, with prices and the total, and what was not taken. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from core.domain.parameters.spec import translatable
from core.presentation.card import Action, Card, Choice, Option, lines
from core.presentation.translations import cents, size, tr, translated, trn
from core.presentation.translations import images as images_text


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image to choose. Its size is None where the platform does not tell it, its price where that is not known."""

    name: str
    width_px: int | None = None
    height_px: int | None = None
    price_nanousd: int | None = None


def choosing(key: str, images: Sequence[Candidate], locale: str, *, most: int) -> Card:
    """A list of the images, and a button for all of them that carries the total. `key` names the question."""
    count = len(images)
    options = tuple(Option(str(n), f"{n + 1}. {image.name}", _facts(image, locale)) for n, image in enumerate(images))
    all_of_them = Action("all", total_text(images, locale), key, style="success")
    return Card(
        "question",
        images_text(count, locale),
        paragraphs=lines(tr("Choose one or more, or take all. Each result is a separate message.", locale)),
        choices=(Choice("pick", tr("Choose which to upscale", locale), options, tr("Upscale", locale), key, most),),
        rows=((all_of_them,),) if most >= count else (),
    )


def _facts(image: Candidate, locale: str) -> str:
    price = image.price_nanousd
    known = [size(image.width_px, image.height_px)] if image.width_px and image.height_px else []
    known.append(cents(price, locale) if price is not None else tr("price known after reading", locale))
    return " · ".join(known)


def total_text(images: Sequence[Candidate], locale: str) -> str:
    prices = [image.price_nanousd for image in images]
    if len(images) == 1:
        return _facts(replace(images[0], width_px=None), locale)
    total = cents(sum(price or 0 for price in prices), locale)
    if None in prices:
        return tr("All {n}, at least {price}", locale, n=len(prices), price=total)
    if len(prices) == 2:
        return tr("Both for {price}", locale, price=total)
    return tr("All {n} for {price}", locale, n=len(prices), price=total)


def chosen(images: Sequence[Candidate], locale: str) -> Card:
    words = trn("{n} image started.", "{n} images started.", len(images), locale)
    total = cents(sum(image.price_nanousd or 0 for image in images), locale)
    told = tr("Total: {price}", locale, price=total)
    if any(image.price_nanousd is None for image in images):
        told = tr("Total: at least {price}", locale, price=total)
    return Card("info", paragraphs=lines(words, total_text(images, locale) if len(images) == 1 else told))


def thread_unreadable_text(scope: str, locale: str) -> str:
    """Why the picture above a mention cannot be taken, and what helps."""
    said = tr("I can't see the messages above: that needs the permission {scope}.", locale, scope=scope)
    return f"{said} " + tr("Attach the image itself instead.", locale)


def left_out_text(
    taken: int,
    total: int,
    others: Sequence[str],
    locale: str,
    *,
    offered: bool = False,
    unreadable: Sequence[str] = (),
) -> str:
    """Pictures beyond what can be taken (or `offered`) at once, and files that are none (`others`, by name).

    `unreadable` (names, "" where there is none) are in `total`. Empty where nothing was left out.
    """
    lines = []
    if total - len(unreadable) > taken:
        lines.append(
            tr("{n} of {total} can be chosen here.", locale, n=taken, total=total)
            if offered
            else tr("{n} of {total} started; more at once are not possible.", locale, n=taken, total=total)
        )
    elif unreadable and not offered:
        lines.append(tr("{n} of {total} started.", locale, n=taken, total=total))
    if unreadable:
        names = ", ".join(name or tr("a file without a name", locale) for name in unreadable)
        lines.append(tr("Could not be read: {names}", locale, names=names))
    if others:
        lines.append(tr("Not an image, so left alone: {names}", locale, names=", ".join(others)))
    return "\n".join(lines)


reply_how_text = partial(translated, translatable("To upscale that image, reply with “upscale” or, for example, 3x."))
"""Under a picture that somebody only talked about."""


outdated_command_text = partial(
    translated, translatable("This command has changed. Restart your Discord app, then use it again.")
)
"""Used from a client that still knows the commands of before an update."""


def unreadable_text(locale: str) -> str:
    return tr("This could not be understood, and nothing was started. Please try again.", locale)
