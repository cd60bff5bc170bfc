"""Several images of one message: the choice among them, with prices and the total. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from core.domain.limits import LimitStatus
from core.presentation.card import Action, Card, Choice, Option, lines
from core.presentation.formats import cents, size
from core.presentation.formats import image_count as images_text
from core.presentation.texts.limit_texts import left_sentence
from core.presentation.texts.request_texts import choose_images_text
from core.presentation.translations import tr, trn


@dataclass(frozen=True, slots=True)
class Candidate:
    """An image to choose. Its size is None if the platform does not tell it, its price if it is not known yet.

    A size of 0 is that of a file that is not an image.
    """

    name: str
    width_px: int | None = None
    height_px: int | None = None
    price_nanousd: int | None = None


def image_choice(
    key: str, images: Sequence[Candidate], locale: str, *, most: int, too_many_for: Sequence[LimitStatus] = ()
) -> Card:
    """A list of the images, and a button for all of them with the total price. `key` identifies the question.

    Where all together exceed a limit, that limit instead of the button.
    """
    count = len(images)
    names = [image.name or tr("a file without a name", locale) for image in images]
    labels = [f"{number}. {name}" for number, name in enumerate(names, 1)]
    options = tuple(Option(str(n), labels[n], _facts(image, locale)) for n, image in enumerate(images))
    all_of_them = Action("all", total_text(images, locale), key, style="success")
    up_to = tr("Choose up to {n}. Each result is a separate message.", locale, n=most)
    least = min(too_many_for, key=lambda status: status.left / max(1, status.limit.amount), default=None)
    fits = most >= count and least is None
    too_many = (total_text(images, locale) if most >= count else "", left_sentence(least, locale)) if least else ()
    return Card(
        "question",
        images_text(count, locale),
        paragraphs=lines(choose_images_text(locale) if fits else up_to, *too_many),
        choices=(Choice("pick", tr("Choose which to upscale", locale), options, tr("Upscale", locale), key, most),),
        rows=((all_of_them,),) if fits else (),
    )


def _facts(image: Candidate, locale: str) -> str:
    price = image.price_nanousd
    if image.width_px == 0:
        return tr("not an image", locale)
    known = [size(image.width_px, image.height_px)] if image.width_px and image.height_px else []
    known.append(cents(price, locale) if price is not None else tr("price known after reading", locale))
    return " · ".join(known)


def total_text(images: Sequence[Candidate], locale: str) -> str:
    prices = [image.price_nanousd for image in images]
    if len(images) == 1:
        return _facts(replace(images[0], width_px=None), locale)
    total = cents(sum(price or 0 for price in prices), locale)
    if not any(prices) and None in prices:
        return tr("All {n}", locale, n=len(prices))
    if None in prices:
        return tr("All {n}, at least {price}", locale, n=len(prices), price=total)
    if len(prices) == 2:
        return tr("Both for {price}", locale, price=total)
    return tr("All {n} for {price}", locale, n=len(prices), price=total)


def batch_started(images: Sequence[Candidate], locale: str) -> Card:
    prices = [image.price_nanousd for image in images]
    price = cents(sum(each or 0 for each in prices), locale)
    if len(images) == 1:
        total = total_text(images, locale)
    elif None not in prices:
        total = tr("Total: {price}", locale, price=price)
    else:
        total = "" if set(prices) == {None} else tr("Total: at least {price}", locale, price=price)
    return Card("info", paragraphs=lines(trn("{n} image started.", "{n} images started.", len(images), locale), total))
