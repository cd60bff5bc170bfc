"""The form of `Upscale with options`, and what comes back from it. Judges nothing; the core does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import discord
from discord import ui

from adapters.discord.inbound.message_images import FoundImage
from adapters.discord.views.markup import cut
from core.domain.models import Models
from core.domain.parameters.spec import SPECS, Presets
from core.presentation import tr
from core.presentation.labels.commands import command_text, preset_choice
from core.presentation.parameter_texts import allowed_text, model_choice, parameter_hint, parameter_label, value_text

PREFIX = "up1modal:"
LIFE_S = 15 * 60.0
OWN_DEFAULTS = "own"
LABEL_MAX, DESCRIPTION_MAX, TITLE_MAX, OPTION_MAX, PLACEHOLDER_MAX = 45, 100, 45, 100, 100


class OptionsModal(ui.Modal):
    """At most five fields (Discord's limit): pictures when there are several, preset, numbers, the rest as text.

    Its submit is handled from the raw interaction, so it works on any process and after a restart.
    """

    def __init__(
        self, key: str, images: Sequence[FoundImage], locale: str, models: Models, presets: Presets, *, most: int
    ) -> None:
        title = cut(tr("Upscale with options", locale), TITLE_MAX)
        super().__init__(title=title, custom_id=f"{PREFIX}{key}", timeout=LIFE_S)
        if len(images) > 1:
            names = {str(n): f"{n + 1}. {image.name}" for n, image in enumerate(images)}
            self._select("pictures", tr("Images", locale), names, most=min(most, len(images)))
        own = {OWN_DEFAULTS: tr("My own defaults", locale)}
        named = own | {name: preset_choice(name, values, locale) for name, values in presets.items()}
        self._select("preset", tr("Preset", locale), named, command_text("preset", locale))
        allowed = tr("{allowed}; empty for your default", locale, allowed=allowed_text("factor", locale, models))
        self._text("factor", parameter_label("factor", locale), parameter_hint("factor", locale), allowed, 20)
        if len(images) == 1 and len(models) > 1:
            offered = own | {model.id: model_choice(model.id, models, locale) for model in models}
            self._select("model", parameter_label("model", locale), offered, parameter_hint("model", locale))
        others = {name: each.default for name, each in models.widest.items() if name != "factor" and each.default}
        example = " ".join(f"{name}={value_text(default)}" for name, default in others.items())
        typed = tr("As you would type it: name=value", locale)
        self._text("more", tr("Everything else", locale), typed, example or "factor=2", 300)
        private = ui.Checkbox[ui.Modal](custom_id="private")
        self._add(tr("Private", locale), private, command_text("private", locale))

    def _add(self, text: str, component: ui.Item[Any], description: str = "") -> None:
        shown = cut(description, DESCRIPTION_MAX) or None
        self.add_item(ui.Label(text=cut(text, LABEL_MAX), description=shown, component=component))

    def _select(self, name: str, label: str, choices: Mapping[str, str], hint: str = "", *, most: int = 1) -> None:
        """The first choice is chosen already."""
        options = [
            discord.SelectOption(label=cut(words, OPTION_MAX), value=value, default=n == 0)
            for n, (value, words) in enumerate(choices.items())
        ]
        select = ui.Select[ui.Modal](custom_id=name, options=options, max_values=most, required=name == "pictures")
        self._add(label, select, hint)

    def _text(self, name: str, label: str, hint: str, placeholder: str, max_chars: int) -> None:
        shown = cut(placeholder, PLACEHOLDER_MAX)
        field_ = ui.TextInput[ui.Modal](custom_id=name, required=False, max_length=max_chars, placeholder=shown)
        self._add(label, field_, hint)


@dataclass(frozen=True, slots=True)
class Form:
    """What a member filled in; empty fields are left out."""

    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[int, ...] = ()
    private: bool = False


def filled_in(data: Mapping[str, Any]) -> Form:
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
