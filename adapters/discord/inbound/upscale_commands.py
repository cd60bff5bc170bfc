"""The entry points of an upscale: `/upscale`, the message menus, the options modal, the choice of pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import discord
from discord import app_commands, ui

from adapters.discord.inbound.commands import Command, localized, optional, parameter_command
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer, Response, no_ack
from adapters.discord.inbound.message_images import FoundImage, ImageSelection, from_attachment, from_link, images_of
from adapters.discord.inbound.translate import Interaction
from adapters.discord.views.markup import cut
from core.domain.errors import DownloadFailed, NoImage, NotAllowed, NotAnImage, SelectionClosed
from core.domain.models import Models
from core.domain.parameters.spec import SPECS
from core.ports import TypedState
from core.presentation import plain_card, tr
from core.presentation.cards import batch
from core.presentation.cards.account import OwnSettings
from core.presentation.cards.help import Field, form_fields
from core.presentation.texts.command_texts import command_text
from core.presentation.texts.parameter_texts import value_text
from core.presentation.texts.request_texts import left_out_text

MODAL_PREFIX = "up1modal:"
MODAL_TIMEOUT_S = 15 * 60.0
LABEL_MAX, DESCRIPTION_MAX, TITLE_MAX, OPTION_MAX, PLACEHOLDER_MAX = 45, 100, 45, 100, 100
TYPED_MAX = 300
_IMAGES = ("image", "image2", "image3", "image4")


class OptionsModal(ui.Modal):
    """At most five fields (Discord's limit): pictures when there are several, preset, factor, the rest as text.

    A submitted modal is handled from the raw interaction, so that it works in any process and after a restart.
    """

    def __init__(
        self, key: str, images: Sequence[FoundImage], locale: str, models: Models, own: OwnSettings, *, most: int
    ) -> None:
        title = cut(command_text("upscale", locale), TITLE_MAX)
        super().__init__(title=title, custom_id=f"{MODAL_PREFIX}{key}", timeout=MODAL_TIMEOUT_S)
        fields, several = form_fields(models, own, locale), len(images) > 1
        if several:
            names = {str(n): f"{n + 1}. {image.name}" for n, image in enumerate(images)}
            pictures = Field("pictures", tr("Which images?", locale), choices=names)
            self._select(pictures, most=min(most, len(images)), required=True)
        shown = ("preset", "factor") if several else ("preset", "factor", "model")
        for each in (fields[name] for name in shown if name in fields):
            self._select(each) if each.choices else self._text(each)
        others = {name: each.default for name, each in models.inputs.items() if name != "factor" and each.default}
        example = " ".join(f"{name}={value_text(default)}" for name, default in others.items())
        typed = tr("As you would type it: name=value", locale)
        self._text(Field("more", tr("Everything else", locale), typed, example or "factor=2"))
        private = Field("private", tr("Private", locale), command_text("private", locale))
        self._add(private, ui.Checkbox[ui.Modal](custom_id=private.name))

    def _add(self, each: Field, component: ui.Item[Any]) -> None:
        shown = cut(each.hint, DESCRIPTION_MAX) or None
        self.add_item(ui.Label(text=cut(each.label, LABEL_MAX), description=shown, component=component))

    def _select(self, each: Field, *, most: int = 1, required: bool = False) -> None:
        """Add a select; if it is required, its first option is preselected."""
        options = [
            discord.SelectOption(label=cut(words, OPTION_MAX), value=value, default=required and n == 0)
            for n, (value, words) in enumerate(each.choices.items())
        ]
        select = ui.Select[ui.Modal](
            custom_id=each.name,
            options=options,
            placeholder=cut(each.placeholder, PLACEHOLDER_MAX) or None,
            min_values=int(required),
            max_values=most,
            required=required,
        )
        self._add(each, select)

    def _text(self, each: Field) -> None:
        shown = cut(each.placeholder, PLACEHOLDER_MAX)
        text = ui.TextInput[ui.Modal](custom_id=each.name, required=False, max_length=TYPED_MAX, placeholder=shown)
        self._add(each, text)


def parse_modal(data: Mapping[str, Any]) -> tuple[ImageSelection, list[int]]:
    """The parameters of a submitted modal without empty fields, and the numbers of the chosen pictures."""
    values = {item["custom_id"]: item for item in _walk(data.get("components") or []) if "custom_id" in item}
    fields = {}
    for name in (*SPECS, "preset"):
        given = values.get(name) or {}
        typed = str(given.get("value") or next(iter(given.get("values") or ()), "")).strip()
        if typed not in ("", "own"):  # "own": nothing chosen in a form of an older release, open at its upgrade
            fields[name] = typed
    pictures = [int(n) for n in (values.get("pictures") or {}).get("values") or [] if str(n).isdigit()]
    text = str((values.get("more") or {}).get("value") or "").strip()
    return ImageSelection(text=text, fields=fields, private=bool((values.get("private") or {}).get("value"))), pictures


def _walk(components: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for component in components:
        yield component
        inner = component.get("component")
        yield from _walk([inner] if inner else component.get("components") or [])


AREA = "discord-menu"
CLAIM_TTL_S = 10.0
SELECTION_TTL_S = 24 * 3600.0
"""The documented lifetime of the signed URLs of ephemeral attachments."""


def require_images(message: discord.Message) -> ImageSelection:
    """The images of a message. Raises NoImage, NotAnImage (which names the other files), or DownloadFailed."""
    found = images_of(message)
    if not found.images:
        if found.unreadable:
            raise DownloadFailed(reason="not_visible")
        others = found.others
        raise NotAnImage(detected=", ".join(others), files=len(others)) if others else NoImage()
    return found


class UpscaleCommands:
    """Starts upscales, and keeps open selections in the application's store, where they outlive a restart."""

    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx
        self._selections = TypedState(ctx.state, AREA, ImageSelection, ttl_s=SELECTION_TTL_S)

    def commands(self) -> list[app_commands.ContextMenu]:
        async def upscale(interaction: Interaction, message: discord.Message) -> None:
            await self._ctx.run(interaction, lambda answer: self._upscale(answer, message))

        async def with_options(interaction: Interaction, message: discord.Message) -> None:
            await self._ctx.run(interaction, lambda answer: self._open_modal(answer, message))

        return [
            app_commands.ContextMenu(name=localized("menu_upscale"), callback=upscale),
            app_commands.ContextMenu(name=localized("menu_options"), callback=with_options),
        ]

    async def _upscale(self, answer: Answer, message: discord.Message) -> None:
        await self.begin(answer, require_images(message), from_menu=True)

    async def begin(
        self, answer: Response, selection: ImageSelection, *, ask: bool = False, from_menu: bool = False
    ) -> None:
        """Start the pictures; let the member choose first if `ask`, from a menu, or if the total is high or not known.

        For several, the total is shown before any job starts (for one, the files left out): the first follow-up to a
        deferred response replaces it, so that it would take the job's place. Then the first job takes over the
        response, and the total stays in an ephemeral message.
        """
        total, words = None, _left_out(answer, selection, len(selection.images))
        first = plain_card(words) if words and answer.is_reused_by_first_job else None
        if len(selection.images) > 1:
            prices = await self._ctx.commits.before_ack(self._prices(answer, selection), no_ack)
            if ask or from_menu or not self._ctx.service.may_start_unasked(prices):
                await self._offer(answer, selection, prices)
                return
            first = total = batch.batch_started(_candidates(selection.images, prices), answer.locale)

        async def show_first() -> None:
            if first is not None:
                await answer.show(first)

        acknowledge = partial(answer.acknowledge, ephemeral=selection.private)
        await self._ctx.start_jobs(answer, selection, acknowledge, shown=show_first)
        if total is not None and answer.is_reused_by_first_job:
            await answer.follow_up(total)
        if words:
            await answer.follow_up(plain_card(words))

    async def _prices(self, answer: Response, selection: ImageSelection) -> list[int | None]:
        prices: list[int | None] = []
        for image in selection.images:
            if image.width_px is None or image.height_px is None:
                prices.append(None)
                continue
            quote = await self._ctx.service.estimate(
                image.width_px, image.height_px, answer.actor, text=selection.text, fields=selection.fields
            )
            prices.append(quote.estimate_nanousd)
        return prices

    async def _offer(self, answer: Response, selection: ImageSelection, prices: Sequence[int | None]) -> None:
        """Let the member choose among the pictures; with prices where Discord states the sizes."""
        key = str(answer.id)
        offered = replace(selection, user_id=answer.actor.user_id, prices_nanousd=tuple(prices))
        await self._ctx.commits.before_ack(self._selections.put(key, offered), no_ack)
        most = min(answer.max_messages, len(selection.images))
        await answer.show(batch.image_choice(key, _candidates(selection.images, prices), answer.locale, most=most))
        if words := _left_out(answer, selection, len(selection.images), offered=True):
            await answer.follow_up(plain_card(words))

    async def choose(self, answer: Answer, key: str, picked: Sequence[int] | None) -> None:
        """Start the picked pictures (None: all), each with a message of its own. Raises SelectionClosed."""
        selection = await self._ctx.commits.before_ack(self._take(key, answer.actor.user_id), no_ack)
        numbers = list(range(len(selection.images))) if picked is None else sorted(set(picked))
        wanted = [n for n in numbers if 0 <= n < len(selection.images)]
        numbers = wanted[: answer.max_messages]
        prices = [selection.prices_nanousd[n] if n < len(selection.prices_nanousd) else None for n in numbers]
        chosen = replace(selection, images=tuple(selection.images[n] for n in numbers), prices_nanousd=tuple(prices))
        card = batch.batch_started(_candidates(chosen.images, prices), answer.locale)
        await self._ctx.start_jobs(
            answer if selection.private else answer.with_public_messages(),
            chosen,
            answer.defer_update,
            shown=lambda: answer.update(card),
            first_in_original=False,
        )
        await self._selections.delete(key)
        if len(numbers) < len(wanted):
            await answer.follow_up(plain_card(_left_out(answer, ImageSelection(total=len(wanted)), len(numbers))))

    async def _take(self, key: str, user_id: str) -> ImageSelection:
        """The stored selection, only once and only for its member. Raises SelectionClosed, NotAllowed."""
        selection = await self._load(key, user_id)
        if not await self._ctx.state.claim(AREA, f"{key}:taken", ttl_s=CLAIM_TTL_S):
            raise SelectionClosed
        return selection

    async def _load(self, key: str, user_id: str) -> ImageSelection:
        selection = await self._selections.get(key)
        if selection is None:
            raise SelectionClosed
        if selection.user_id not in (user_id, ""):  # "": a private one of an older release, open at its upgrade
            raise NotAllowed(needs="requester")
        return selection

    async def _open_modal(self, answer: Answer, message: discord.Message) -> None:
        found = require_images(message)
        key = str(answer.id)
        models, most = self._ctx.service.models, min(answer.max_messages, len(found.images))
        own = await self._ctx.commits.before_ack(self._ctx.service.accounts.settings(answer.actor), no_ack)
        await answer.open_modal(OptionsModal(key, found.images, answer.locale, models, own, most=most))
        # Stored after the modal was opened, which must come first; filling it in takes longer than this.
        await self._selections.put(key, replace(found, user_id=answer.actor.user_id))

    async def submit_modal(self, answer: Answer, key: str, data: Mapping[str, Any]) -> None:
        """Start the pictures of a submitted modal. Raises InvalidParameters."""
        parsed, chosen = parse_modal(data)
        self._ctx.service.check(parsed.text, parsed.fields, await self._ctx.presets(answer.actor))
        selection = await self._ctx.commits.before_ack(self._load(key, answer.actor.user_id), no_ack)
        numbers = [n for n in chosen if 0 <= n < len(selection.images)] or [0]
        images = tuple(selection.images[n] for n in numbers)
        beyond = selection.total - len(selection.images)
        wanted = replace(
            selection, images=images, user_id="", text=parsed.text, fields=parsed.fields, private=parsed.private
        )
        await self.begin(answer, replace(wanted, total=len(images) + beyond if beyond > 0 else 0))
        await self._selections.delete(key)


def _left_out(answer: Response, selection: ImageSelection, taken: int, *, offered: bool = False) -> str:
    names = {"others": selection.others, "unreadable": selection.unreadable}
    return left_out_text(taken, selection.total, locale=answer.locale, offered=offered, **names)


def _candidates(images: Sequence[FoundImage], prices: Sequence[int | None]) -> list[batch.Candidate]:
    return [
        batch.Candidate(image.name, image.width_px, image.height_px, price)
        for image, price in zip(images, prices, strict=True)
    ]


def upscale_command(ctx: HandlerContext, entry: UpscaleCommands) -> Command:
    async def upscale(answer: Answer, **given: Any) -> None:
        files = [given.pop(name) for name in _IMAGES if name in given]
        images = [from_attachment(file) for file in files if file.url]
        images += [from_link(link)] if (link := given.pop("url", "")) else []
        unreadable = tuple(file.filename for file in files if not file.url)
        total, private = len(images) + len(unreadable), bool(given.pop("private", False))
        selection = ImageSelection(tuple(images), private=private, fields=given, total=total, unreadable=unreadable)
        if not selection.images:
            raise DownloadFailed(reason="not_visible") if unreadable else NoImage
        if total > 1:  # one alone is checked when its row is written; for several the total is shown before
            ctx.service.check("", given)
        await entry.begin(answer, selection)

    before = [optional("image", discord.Attachment), optional("url", app_commands.Range[str, 1, 2000])]
    after = [optional("private", bool), *(optional(name, discord.Attachment, "image_more") for name in _IMAGES[1:])]
    return parameter_command(ctx, "upscale", upscale, before=before, after=after)
