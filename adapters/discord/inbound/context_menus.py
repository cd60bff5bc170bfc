"""The message menus `Upscale` and `Upscale with options`, and the choice when a message has several pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import discord
from discord import app_commands

from adapters.discord.inbound import translate
from adapters.discord.inbound.command_texts import word
from adapters.discord.inbound.dispatcher import Desk
from adapters.discord.inbound.forms import OptionsModal, filled_in
from adapters.discord.inbound.interaction_response import Answer
from adapters.discord.inbound.message_images import FoundImage, images_of
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound.delivery import Payload
from adapters.discord.views import menu as render_menu
from core.domain.errors import NoImage, NotAllowed, QuoteExpired

AREA = "discord-menu"
MENU_LIFE_S = 24 * 3600.0
"""As long as the signed addresses of ephemeral attachments are documented to live."""

FOLLOW_UPS_OF_USER_INSTALLS = 5
"""Discord's cap where only the member brought the app (receiving-and-responding, read 2026-11-22)."""


@dataclass(frozen=True, slots=True)
class Menu:
    """Pictures that a member may choose from. `prices_nanousd` are those that were shown, None where unknown.

    `user_id` is who may choose; "" where only that member sees the menu.
    """

    images: tuple[FoundImage, ...]
    prices_nanousd: tuple[int | None, ...] = ()
    text: str = ""
    fields: Mapping[str, Any] | None = None
    private: bool = False
    user_id: str = ""

    def to_json(self, now: float) -> dict[str, Any]:
        """For the application's store, stamped so that it can be purged."""
        return {
            "images": [image.to_json() for image in self.images],
            "prices_nanousd": list(self.prices_nanousd),
            "text": self.text,
            "fields": dict(self.fields or {}),
            "private": self.private,
            "user_id": self.user_id,
            "at": now,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Menu:
        """The stored menu again."""
        images = tuple(FoundImage(**image) for image in data["images"])
        prices, owner = tuple(data["prices_nanousd"]), data.get("user_id", "")
        return cls(images, prices, data["text"], data["fields"], data["private"], owner)


class Menus:
    """Both menus; their state is in the application's store, so a click after a restart still works."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def commands(self) -> list[app_commands.ContextMenu]:
        """The two context menus, for servers and for user installs."""

        async def upscale(interaction: Interaction, message: discord.Message) -> None:
            await self._desk.run(interaction, lambda answer: self._upscale(answer, message))

        async def with_options(interaction: Interaction, message: discord.Message) -> None:
            await self._desk.run(interaction, lambda answer: self._open_modal(answer, message))

        return [
            app_commands.ContextMenu(name=word("menu_upscale"), callback=upscale),
            app_commands.ContextMenu(name=word("menu_options"), callback=with_options),
        ]

    async def _upscale(self, answer: Answer, message: discord.Message) -> None:
        images = images_of(message)
        if not images:
            raise NoImage
        await answer.think(ephemeral=len(images) > 1)
        if len(images) == 1:
            await self._desk.start_jobs(answer, images)
        else:
            menu = Menu(tuple(images))
            await self._offer(answer, menu, await self._prices(answer, menu))

    async def begin(self, answer: Answer, menu: Menu) -> None:
        """Start these pictures; when several cost more together than a job may without a question, offer them first.

        Of several, the total is shown before any job begins: Discord lets the first further message fill an answer
        that still says "thinking", so that two jobs would share it. Then the first job takes the answer over, and the
        total stays beside it, for the member only.
        """
        total: Payload | None = None
        if len(menu.images) > 1:
            prices = await self._prices(answer, menu)
            if sum(price or 0 for price in prices) > self._desk.service.confirm_above_nanousd:
                await self._offer(answer, replace(menu, user_id=str(answer.interaction.user.id)), prices)
                return
            locale = translate.locale_of(answer.interaction)
            total = Payload(lambda _: render_menu.chosen(len(prices), locale, prices))
            await answer.show(total)
        await self._desk.start_jobs(answer, menu.images, text=menu.text, fields=menu.fields, private=menu.private)
        if total is not None:
            await answer.whisper(total)

    async def _prices(self, answer: Answer, menu: Menu) -> list[int | None]:
        """What each picture would cost, None where Discord did not tell its size."""
        actor = translate.requester(answer.interaction)
        prices: list[int | None] = []
        for image in menu.images:
            if image.width_px is None or image.height_px is None:
                prices.append(None)
                continue
            quote = await self._desk.service.estimate(
                image.width_px, image.height_px, actor, text=menu.text, fields=menu.fields
            )
            prices.append(quote.estimate_nanousd)
        return prices

    async def _offer(self, answer: Answer, menu: Menu, prices: Sequence[int | None]) -> None:
        """Which of them, or all, with prices where Discord told the sizes."""
        locale = translate.locale_of(answer.interaction)
        priced = replace(menu, prices_nanousd=tuple(prices))
        key = str(answer.interaction.id)
        await self._desk.state.put(AREA, key, priced.to_json(self._desk.clock.now()))
        most = self._most(answer.interaction, len(menu.images))
        view = render_menu.choice(key, menu.images, prices, locale, most=most, from_message=not menu.user_id)
        await answer.show(Payload(lambda _: view()))

    @staticmethod
    def _most(interaction: Interaction, count: int) -> int:
        return min(count, FOLLOW_UPS_OF_USER_INSTALLS) if translate.is_user_install_only(interaction) else count

    async def choose(self, answer: Answer, key: str, picked: Sequence[int] | None) -> None:
        """Start the picked pictures (None: all). Each gets a message of its own. Raises QuoteExpired."""
        await answer.hold()
        menu = await self._load(key)
        if menu.user_id not in ("", str(answer.interaction.user.id)):
            raise NotAllowed(needs="requester")
        numbers = list(range(len(menu.images))) if picked is None else sorted(set(picked))
        numbers = [n for n in numbers if 0 <= n < len(menu.images)][: self._most(answer.interaction, 25)]
        await self._desk.state.delete(AREA, key)
        locale = translate.locale_of(answer.interaction)
        prices = [menu.prices_nanousd[n] if n < len(menu.prices_nanousd) else None for n in numbers]
        await answer.update(Payload(lambda _: render_menu.chosen(len(numbers), locale, prices)))
        agreed = [price or 0 for price in prices]
        await self._desk.start_jobs(
            answer if menu.private else answer.with_public_messages(),
            [menu.images[n] for n in numbers],
            text=menu.text,
            fields=menu.fields,
            private=menu.private,
            first_in_original=False,
            agreed_nanousd=agreed,
        )

    async def _load(self, key: str) -> Menu:
        stored = await self._desk.state.get(AREA, key)
        if stored is None:
            raise QuoteExpired
        return Menu.from_json(stored)

    async def _open_modal(self, answer: Answer, message: discord.Message) -> None:
        images = images_of(message)
        if not images:
            raise NoImage
        key = str(answer.interaction.id)
        locale = translate.locale_of(answer.interaction)
        most = self._most(answer.interaction, len(images))
        await answer.open(OptionsModal(key, images, locale, most=most))
        # After the answer, which had to be first; a person needs longer than this to fill it in.
        await self._desk.state.put(AREA, key, Menu(tuple(images)).to_json(self._desk.clock.now()))

    async def submitted(self, answer: Answer, key: str, data: Mapping[str, Any]) -> None:
        """The modal came back: check, acknowledge, start. Works after a restart. Raises InvalidParameters."""
        form = filled_in(data)
        self._desk.service.check(form.text, form.fields)
        await answer.think(ephemeral=form.private)
        menu = await self._load(key)
        numbers = [n for n in form.pictures if 0 <= n < len(menu.images)] or [0]
        images = tuple(menu.images[n] for n in numbers)
        await self.begin(answer, Menu(images, text=form.text, fields=form.fields, private=form.private))
        await self._desk.state.delete(AREA, key)

    async def purge(self) -> None:
        """Forget menus that nobody used within a day."""
        now = self._desk.clock.now()
        for key in await self._desk.state.keys(AREA):
            stored = await self._desk.state.get(AREA, key)
            if stored is not None and now - stored.get("at", 0) > MENU_LIFE_S:
                await self._desk.state.delete(AREA, key)
