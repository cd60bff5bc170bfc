"""The form of `Upscale with options`, and what comes back from it. Judges nothing; the core does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import discord
from discord import ui

from adapters.discord.inbound.message_images import FoundImage
from adapters.discord.views.markup import cut
from core.domain.models import Models
from core.domain.parameters.spec import PRESETS, SPECS
from core.presentation import tr
from core.presentation.labels.commands import command_text
from core.presentation.parameter_texts import allowed_text, model_choice, parameter_hint, parameter_label, value_text

PREFIX = "up1modal:"
LIFE_S = 15 * 60.0
OWN_DEFAULTS = "own"
LABEL_MAX, DESCRIPTION_MAX, TITLE_MAX, OPTION_MAX = 45, 100, 45, 100


class OptionsModal(ui.Modal):
    """At most five fields (Discord's limit): pictures when there are several, preset, numbers, the rest as text.

    Its submit is handled from the raw interaction, so it works on any process and after a restart.
    """

    def __init__(self, key: str, images: Sequence[FoundImage], locale: str, models: Models, *, most: int) -> None:
        title = cut(tr("Upscale with options", locale), TITLE_MAX)
        super().__init__(title=title, custom_id=f"{PREFIX}{key}", timeout=LIFE_S)
        if len(images) > 1:
            self.add_item(_pictures(images, locale, most))
        self.add_item(_presets(locale))
        self.add_item(_number("factor", locale, models))
        if len(images) == 1 and len(models) > 1:
            self.add_item(_models(locale, models))
        self.add_item(_rest(locale, models))
        private = ui.Checkbox[ui.Modal](custom_id="private")
        self.add_item(_label(tr("Private", locale), private, command_text("private", locale)))


def _label(text: str, component: ui.Item[Any], description: str | None = None) -> ui.Label[ui.Modal]:
    shown = cut(description, DESCRIPTION_MAX) if description else None
    return ui.Label(text=cut(text, LABEL_MAX), description=shown, component=component)


def _pictures(images: Sequence[FoundImage], locale: str, most: int) -> ui.Label[ui.Modal]:
    options = [
        discord.SelectOption(label=cut(f"{n + 1}. {image.name}", OPTION_MAX), value=str(n), default=n == 0)
        for n, image in enumerate(images)
    ]
    select: ui.Select[ui.Modal] = ui.Select(custom_id="pictures", options=options, max_values=min(most, len(options)))
    return _label(tr("Pictures", locale), select)


def _presets(locale: str) -> ui.Label[ui.Modal]:
    options = [discord.SelectOption(label=tr("My own defaults", locale), value=OWN_DEFAULTS, default=True)]
    options += [discord.SelectOption(label=command_text(f"preset_{name}", locale), value=name) for name in PRESETS]
    select: ui.Select[ui.Modal] = ui.Select(custom_id="preset", options=options, required=False)
    return _label(tr("Preset", locale), select, command_text("preset", locale))


def _models(locale: str, models: Models) -> ui.Label[ui.Modal]:
    options = [discord.SelectOption(label=tr("My own defaults", locale), value=OWN_DEFAULTS, default=True)]
    options += [
        discord.SelectOption(label=cut(model_choice(model.id, models, locale), OPTION_MAX), value=model.id)
        for model in models
    ]
    select: ui.Select[ui.Modal] = ui.Select(custom_id="model", options=options, required=False)
    return _label(parameter_label("model", locale), select, parameter_hint("model", locale))


def _number(name: str, locale: str, models: Models) -> ui.Label[ui.Modal]:
    said = tr("{allowed}; empty for your default", locale, allowed=allowed_text(name, locale, models))
    field_: ui.TextInput[ui.Modal] = ui.TextInput(
        custom_id=name, required=False, max_length=20, placeholder=cut(said, 100)
    )
    return _label(parameter_label(name, locale), field_, parameter_hint(name, locale))


def _rest(locale: str, models: Models) -> ui.Label[ui.Modal]:
    example = " ".join(
        f"{name}={value_text(each.default)}"
        for name, each in models.widest.items()
        if name != "factor" and each.default
    )
    field_: ui.TextInput[ui.Modal] = ui.TextInput(
        custom_id="more", required=False, max_length=300, placeholder=cut(example or "factor=2", 100)
    )
    return _label(tr("Everything else", locale), field_, tr("As you would type it: name=value", locale))


@dataclass(frozen=True, slots=True)
class Form:
    """What a member filled in; empty fields are left out."""

    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[int, ...] = ()
    private: bool = False


def filled_in(data: Mapping[str, Any]) -> Form:
    """The form from the raw data of a modal submit."""
    values = {item["custom_id"]: item for item in _walk(data.get("components") or []) if "custom_id" in item}
    fields = {}
    for name in SPECS:
        typed = str((values.get(name) or {}).get("value") or "").strip()
        if typed:
            fields[name] = typed
    for name in ("preset", "model"):
        picked = next(iter((values.get(name) or {}).get("values") or []), OWN_DEFAULTS)
        if picked != OWN_DEFAULTS:
            fields[name] = str(picked)
    pictures = tuple(int(n) for n in (values.get("pictures") or {}).get("values") or [] if str(n).isdigit())
    text = str((values.get("more") or {}).get("value") or "").strip()
    return Form(text, fields, pictures, bool((values.get("private") or {}).get("value")))


def _walk(components: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for component in components:
        yield component
        inner = component.get("component")
        yield from _walk([inner] if inner else component.get("components") or [])
