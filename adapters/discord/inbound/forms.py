"""The form of `Upscale with options`, and what comes back from it. Judges nothing; the core does."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import discord
from discord import ui

from adapters.discord.inbound.message_images import FoundImage, Menu
from adapters.discord.views.markup import cut
from core.domain.models import Models
from core.domain.parameters.spec import SPECS
from core.presentation import tr
from core.presentation.cards.account import OwnSettings
from core.presentation.cards.form import Field, form_fields
from core.presentation.labels.commands import command_text
from core.presentation.parameter_texts import value_text

PREFIX = "up1modal:"
LIFE_S = 15 * 60.0
LABEL_MAX, DESCRIPTION_MAX, TITLE_MAX, OPTION_MAX, PLACEHOLDER_MAX = 45, 100, 45, 100, 100
TYPED_MAX = 300


class OptionsModal(ui.Modal):
    """At most five fields (Discord's limit): pictures when there are several, preset, factor, the rest as text.

    Its submit is handled from the raw interaction, so it works on any process and after a restart.
    """

    def __init__(
        self, key: str, images: Sequence[FoundImage], locale: str, models: Models, own: OwnSettings, *, most: int
    ) -> None:
        title = cut(command_text("upscale", locale), TITLE_MAX)
        super().__init__(title=title, custom_id=f"{PREFIX}{key}", timeout=LIFE_S)
        fields, several = form_fields(models, own, locale), len(images) > 1
        if several:
            names = {str(n): f"{n + 1}. {image.name}" for n, image in enumerate(images)}
            pictures = Field("pictures", tr("Which images?", locale), choices=names)
            self._select(pictures, most=min(most, len(images)), required=True)
        shown = ("preset", "factor") if several else ("preset", "factor", "model")
        for each in (fields[name] for name in shown if name in fields):
            self._select(each) if each.choices else self._text(each)
        others = {name: each.default for name, each in models.widest.items() if name != "factor" and each.default}
        example = " ".join(f"{name}={value_text(default)}" for name, default in others.items())
        typed = tr("As you would type it: name=value", locale)
        self._text(Field("more", tr("Everything else", locale), typed, example or "factor=2"))
        private = Field("private", tr("Private", locale), command_text("private", locale))
        self._add(private, ui.Checkbox[ui.Modal](custom_id=private.name))

    def _add(self, each: Field, component: ui.Item[Any]) -> None:
        shown = cut(each.hint, DESCRIPTION_MAX) or None
        self.add_item(ui.Label(text=cut(each.label, LABEL_MAX), description=shown, component=component))

    def _select(self, each: Field, *, most: int = 1, required: bool = False) -> None:
        """Of what has to be chosen the first is chosen already."""
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


def filled_in(data: Mapping[str, Any]) -> tuple[Menu, list[int]]:
    """What a member wants, and the numbers of the pictures that were chosen; empty fields are left out."""
    values = {item["custom_id"]: item for item in _walk(data.get("components") or []) if "custom_id" in item}
    fields = {}
    for name in (*SPECS, "preset"):
        given = values.get(name) or {}
        typed = str(given.get("value") or next(iter(given.get("values") or ()), "")).strip()
        if typed not in ("", "own"):  # "own": nothing chosen in a form of an older release, open at its upgrade
            fields[name] = typed
    pictures = [int(n) for n in (values.get("pictures") or {}).get("values") or [] if str(n).isdigit()]
    text = str((values.get("more") or {}).get("value") or "").strip()
    return Menu(text=text, fields=fields, private=bool((values.get("private") or {}).get("value"))), pictures


def _walk(components: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for component in components:
        yield component
        inner = component.get("component")
        yield from _walk([inner] if inner else component.get("components") or [])
