"""The entry points of an upscale: `/upscale`, the message menus, the options modal, the choice of pictures."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import discord
from discord import app_commands, ui

from adapters.discord.inbound import translate
from adapters.discord.inbound.commands import Command, localized, optional, parameter_command
from adapters.discord.inbound.dispatcher import HandlerContext
from adapters.discord.inbound.interaction_response import Answer, Response
from adapters.discord.inbound.message_images import (
    MAX_IMAGES,
    FoundImage,
    ImageSelection,
    from_attachment,
    from_link,
    images_of,
    linked_images,
)
from adapters.discord.inbound.translate import Interaction
from adapters.discord.outbound.delivery_state import PLATFORM
from core.domain.errors import DownloadFailed, NoImage, NotAnImage
from core.domain.models import Models
from core.domain.parameters.spec import SPECS
from core.jobs.selections import Selection, Selections
from core.ports import TypedState
from core.presentation import cut, plain_card, tr
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
    pictures = numbers_of((values.get("pictures") or {}).get("values") or ())
    text = str((values.get("more") or {}).get("value") or "").strip()
    return ImageSelection(text=text, fields=fields, private=bool((values.get("private") or {}).get("value"))), pictures


def numbers_of(values: Collection[object]) -> list[int]:
    """The numbers of images among the values of a select."""
    return [n for n in range(MAX_IMAGES) if str(n) in values]


def _walk(components: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for component in components:
        yield component
        inner = component.get("component")
        yield from _walk([inner] if inner else component.get("components") or [])


def require_images(message: discord.Message) -> ImageSelection:
    """The images of a message, else its links. Raises NoImage, NotAnImage (with the other files) or DownloadFailed."""
    found = images_of(message)
    if found.images:
        return found
    if found.unreadable:
        raise DownloadFailed(reason="not_visible")
    if found.others:
        raise NotAnImage(detected=", ".join(found.others), files=len(found.others))
    linked = linked_images(message)
    if not linked:
        raise NoImage
    return replace(found, images=linked[:MAX_IMAGES], total=len(linked))


LeftOut: TypeAlias = Callable[..., str]
"""`left_out_text` of one message, given the number of started images."""


class UpscaleCommands:
    """Starts upscales, after the member's choice where there are several images."""

    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx
        self._selections = Selections(ctx.service, ctx.state, PLATFORM)
        self._old_selections = TypedState(ctx.state, "discord-menu", ImageSelection)

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
        await self.begin(answer, require_images(message), ask=True)

    async def begin(self, answer: Response, found: ImageSelection, *, ask: bool = False) -> None:
        """Start the pictures; let the member choose first if `ask`, or if the total is high or not known."""
        left_out = partial(
            left_out_text,
            total=found.total,
            others=found.others,
            locale=answer.locale,
            unreadable=found.unreadable,
        )
        await self._begin(answer, translate.selection_of(answer.actor, answer.key, found), left_out, ask=ask)

    async def _begin(self, answer: Response, selection: Selection, left_out: LeftOut, *, ask: bool = False) -> None:
        """For several, show the total before any job starts (for one, the files left out).

        The first follow-up to a deferred response replaces it, so that it would take the job's place. Then the first
        job takes over the response, and the total stays in an ephemeral message.
        """
        count = len(selection.requests)
        total, words = None, left_out(count)
        first = plain_card(words) if words and answer.is_reused_by_first_job else None
        if count > 1:
            selection = await self._ctx.commits.before_ack(self._selections.priced(selection))
            may_start = self._selections.may_start(selection, None if ask else 0)
            if not await self._ctx.commits.before_ack(may_start):
                await self._offer(answer, selection, left_out)
                return
            first = total = selection.started(answer.locale)

        async def show_first() -> None:
            if first is not None:
                await answer.show(first)

        acknowledge = partial(answer.acknowledge, ephemeral=selection.requests[0].private)
        await self._ctx.start_jobs(answer, selection.requests, acknowledge, shown=show_first)
        if total is not None and answer.is_reused_by_first_job:
            await answer.follow_up(total)
        if words:
            await answer.follow_up(plain_card(words))

    async def _offer(self, answer: Response, selection: Selection, left_out: LeftOut) -> None:
        """Let the member choose among the pictures; with prices where Discord states the sizes."""
        key, count = str(answer.id), len(selection.requests)
        await self._ctx.commits.before_ack(self._selections.stored.put(key, selection))
        await answer.show(selection.question(key, answer.locale, most=min(answer.max_messages, count)))
        if words := left_out(count, offered=True):
            await answer.follow_up(plain_card(words))

    async def choose(self, answer: Answer, key: str, picked: Sequence[int] | None) -> None:
        """Start the picked pictures (None: all), each with a message of its own. Raises SelectionClosed."""
        chosen = await self._ctx.commits.before_ack(self._take(answer, key, picked))
        if chosen is None:
            await answer.defer_update()
            return
        wanted = len(chosen.requests)
        chosen = chosen.only(range(answer.max_messages))
        card, count = chosen.started(answer.locale), len(chosen.requests)
        await self._ctx.start_jobs(
            answer if chosen.requests[0].private else answer.with_public_messages(),
            chosen.requests,
            answer.defer_update,
            shown=lambda: answer.update(card),
            first_in_original=False,
        )
        await self._selections.close(key)
        if count < wanted:
            await answer.follow_up(plain_card(left_out_text(count, wanted, (), answer.locale)))

    async def _take(self, answer: Answer, key: str, picked: Sequence[int] | None) -> Selection | None:
        await self._convert_old(answer, key)
        return await self._selections.take(key, answer.actor, picked)

    async def _convert_old(self, answer: Answer, key: str) -> None:
        """Convert a question that release 0.2 stored; it is open for a day at most."""
        old = await self._old_selections.get(key)
        if old is None:
            return
        # Private ones were bound to nobody, for only their member saw them.
        owner = replace(answer.actor, user_id=old.user_id or answer.actor.user_id)
        prices = (*old.prices_nanousd, *[None] * len(old.images))[: len(old.images)]
        selection = replace(translate.selection_of(owner, answer.key, old), prices_nanousd=prices)
        await self._selections.stored.put(key, selection)
        await self._old_selections.delete(key)

    async def _open_modal(self, answer: Answer, message: discord.Message) -> None:
        found = require_images(message)
        key = str(answer.id)
        models, most = self._ctx.service.models, min(answer.max_messages, len(found.images))
        own = await self._ctx.commits.before_ack(self._ctx.service.accounts.settings(answer.actor))
        await answer.open_modal(OptionsModal(key, found.images, answer.locale, models, own, most=most))
        # Stored after the modal was opened, which must come first; filling it in takes longer than this.
        await self._selections.stored.put(key, translate.selection_of(answer.actor, answer.key, found))

    async def submit_modal(self, answer: Answer, key: str, data: Mapping[str, Any]) -> None:
        """Start the pictures of a submitted modal. Raises InvalidParameters."""
        parsed, chosen = parse_modal(data)
        self._ctx.service.check(parsed.text, parsed.fields, await self._ctx.presets(answer.actor))
        await self._ctx.commits.before_ack(self._convert_old(answer, key))
        selection = await self._ctx.commits.before_ack(self._selections.load(key, answer.actor))
        picked = selection.only(chosen)
        picked = picked if picked.requests else selection.only([0])
        requests = tuple(
            replace(one, text=parsed.text, fields=parsed.fields, private=parsed.private) for one in picked.requests
        )
        beyond = max(0, selection.total - len(selection.requests))
        left_out = partial(left_out_text, total=len(requests) + beyond, others=(), locale=answer.locale)
        await self._begin(answer, replace(picked, requests=requests), left_out)
        await self._selections.close(key)


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
