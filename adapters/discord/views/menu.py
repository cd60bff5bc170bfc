"""The choice among several pictures of one message, with prices and the total. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import discord
from discord import ui

from adapters.discord.inbound.components import Choice, Control, row
from adapters.discord.inbound.message_images import FoundImage
from adapters.discord.views import markup
from adapters.discord.views.job import ASKING, WORKING, card, text
from core.domain.money import usd
from core.presentation import tr, trn
from core.presentation.formats import size

OPTION_MAX = 100


def choice(
    key: str,
    images: Sequence[FoundImage],
    prices: Sequence[int | None],
    locale: str,
    *,
    most: int,
    from_message: bool = True,
) -> Callable[[], ui.LayoutView]:
    """A maker of the message: a select of the pictures, and a button for all of them that carries the total."""

    def view() -> ui.LayoutView:
        n = len(images)
        in_message = trn("{n} picture in this message", "{n} pictures in this message", n, locale)
        title = in_message if from_message else tr("Enlarging pictures", locale)
        options = [
            _option(i, image, price, locale) for i, (image, price) in enumerate(zip(images, prices, strict=True))
        ]
        pick = Choice("pick", key, options, placeholder=tr("Choose which to enlarge", locale), most=most)
        items: list[ui.Item[ui.LayoutView]] = [
            text(f"### {title}", tr("Choose one or more, or take all. Each gets a message of its own.", locale)),
            row(pick),
        ]
        if most >= n:
            items.append(row(Control("all", key, _all_label(prices, locale), style=discord.ButtonStyle.success)))
        return card(ASKING, *items)

    return view


def _option(number: int, image: FoundImage, price: int | None, locale: str) -> discord.SelectOption:
    facts = [size(image.width_px, image.height_px)] if image.width_px and image.height_px else []
    facts.append(usd(price, locale) if price is not None else tr("price known after reading", locale))
    return discord.SelectOption(
        label=markup.cut(f"{number + 1}. {image.name}", OPTION_MAX), value=str(number), description=", ".join(facts)
    )


def _all_label(prices: Sequence[int | None], locale: str) -> str:
    known = sum(price for price in prices if price is not None)
    if None in prices:
        return tr("All {n}, at least {price}", locale, n=len(prices), price=usd(known, locale))
    return tr("All {n} for {price}", locale, n=len(prices), price=usd(known, locale))


def chosen(count: int, locale: str, prices: Sequence[int | None] = ()) -> ui.LayoutView:
    """What the choice becomes once it is made; with the total where nothing had to be asked."""
    words = trn("Enlarging {n} picture.", "Enlarging {n} pictures.", count, locale)
    return card(WORKING, text(words, _all_label(prices, locale) if prices else ""))
