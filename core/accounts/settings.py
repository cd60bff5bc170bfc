"""Members' default values and presets, and the default values of places.

Precedence: values given with the image, the preset named there, the member's defaults, the channel's, the workspace's,
the model's.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeAlias

from core.domain.errors import InvalidParameters, PresetRefused
from core.domain.identity import TEAM_SCOPED, channels_of, person_id
from core.domain.job import Requester
from core.domain.models import Models
from core.domain.parameters.grammar import is_reserved, parse, split_name
from core.domain.parameters.spec import PRESETS, Fields, Parsed, Presets, Value
from core.domain.parameters.values import canonical, displayed
from core.domain.untrusted_text import clean_line
from core.ports import AppState, TypedState, get_many
from core.presentation.cards.account import OwnSettings, preset_deleted, preset_saved
from core.presentation.texts.parameter_texts import values_text

MAX_PRESETS = 20
"""Together with the built-in ones they fit into one list of choices on Discord (25)."""
NAME_CHARS = 32
EXAMPLE = "factor=4 creativity=0.2"
_NAME = re.compile(r"[^\W\d_](?:[\w-]*[^\W_])?")
_CLEAR = frozenset({"reset", "clear", "default", "defaults"})
_DELETE = frozenset({"delete", "remove", "reset", "clear"})
_SAVE = frozenset({"save", "set"})
_WORDS = _CLEAR | _DELETE | _SAVE | {"on", "off", "yes", "no", "true", "false", "none", "own", "show"}
_WORDS |= {"help", "usage", "quota", "history", "queue", "settings", "privacy"}
"""Words of commands and values that are no names, besides those that `is_reserved` knows."""

Saved: TypeAlias = dict[str, Value | str]
"""Values by chat name; `preset` may be among them."""


class SavedSettings:
    def __init__(self, state: AppState, models: Models) -> None:
        self._models = models
        self._defaults = TypedState(state, "defaults", Saved)
        self._presets = TypedState(state, "presets", dict[str, Saved])
        self._place_presets = TypedState(state, "place_presets", Saved)

    async def defaults(self, actor: Requester) -> Saved:
        return await self._defaults.get(owner_key(actor)) or {}

    async def presets(self, actor: Requester) -> Presets:
        return {**PRESETS, **await self._own_presets(actor)}

    async def _own_presets(self, actor: Requester) -> dict[str, Saved]:
        return await self._presets.get(owner_key(actor)) or {}

    async def settings(self, actor: Requester) -> OwnSettings:
        return OwnSettings(await self.defaults(actor), await self._own_presets(actor))

    async def change_settings(self, actor: Requester, text: str) -> OwnSettings:
        """Values, `save logo 4x`, `delete logo`, `reset` or nothing. Raises InvalidParameters, PresetRefused."""
        verb, rest = split_name(text)
        verb = verb.lower()
        name, values = split_name(rest)
        if verb in _DELETE and (rest.strip() or verb not in _CLEAR):
            return await self.delete_preset(actor, rest)
        if verb == "save" and name:
            return await self.save_preset(actor, name, values)
        if not rest.strip() and (not text.strip() or verb in {"show", *_SAVE}):
            return await self.settings(actor)
        if verb in _CLEAR and not rest.strip():
            return await self.set_defaults(actor, "")
        return await self.set_defaults(actor, rest if verb in _SAVE else text)

    async def set_defaults(self, actor: Requester, text: str, fields: Fields | None = None) -> OwnSettings:
        """Replace the defaults. Raises InvalidParameters, PresetRefused."""
        await _put_or_delete(self._defaults, owner_key(actor), await self._default_values(actor, text, fields or {}))
        return await self.settings(actor)

    async def save_preset(self, actor: Requester, name: str, text: str, fields: Fields | None = None) -> OwnSettings:
        """Save or replace a preset. Raises PresetRefused, InvalidParameters."""
        name = self._checked(name)
        old: dict[str, Saved] = {}

        def added(own: dict[str, Saved] | None) -> dict[str, Saved]:
            nonlocal old
            old = own or {}
            if name not in old and len(old) >= MAX_PRESETS:
                raise PresetRefused(reason="too_many", name=name, names=tuple(old))
            asked = parse(text, fields or {}, self._models, presets={**PRESETS, **old})
            _check_kept(asked)
            values = _expanded(asked)
            if not values:
                raise InvalidParameters.of(name, "", "missing_value", EXAMPLE)
            return {**old, name: values}

        await self._presets.change(owner_key(actor), added)
        return dataclasses.replace(await self.settings(actor), note=preset_saved(name, old.get(name), actor.locale))

    async def delete_preset(self, actor: Requester, name: str) -> OwnSettings:
        """Raises PresetRefused if there is none of this name."""
        name = clean_line(name).strip("\"'").lower()

        def removed(own: dict[str, Saved] | None) -> dict[str, Saved] | None:
            own = own or {}
            if not name:
                raise InvalidParameters.of("preset", "", "missing_value", ", ".join(own) or "–")
            if own.pop(name, None) is None:
                raise PresetRefused(reason="unknown", name=displayed(name), names=tuple(own))
            return own or None

        await self._presets.change(owner_key(actor), removed)
        return dataclasses.replace(await self.settings(actor), note=preset_deleted(name, actor.locale))

    def _checked(self, name: str) -> str:
        """The normalised name. Raises PresetRefused if it has another meaning or cannot be typed."""
        name = clean_line(name, 2 * NAME_CHARS).lower()
        if name in PRESETS:
            raise PresetRefused(reason="preset", name=name)
        if canonical(name) is not None:
            raise PresetRefused(reason="parameter", name=name)
        if not _NAME.fullmatch(name) or len(name) > NAME_CHARS:
            raise PresetRefused(reason="shape", name=displayed(name), limit=NAME_CHARS)
        if is_reserved(name) or self._models.find(name) or name in _WORDS:
            raise PresetRefused(reason="word", name=name)
        return name

    async def for_request(self, actor: Requester) -> tuple[Saved, Presets]:
        """The defaults of the member, thread, channel and workspace, merged; and all presets."""
        owner, places = owner_key(actor), ("", *reversed(channels_of(actor))) if actor.workspace_id else ()
        of_places = [(self._place_presets, _place_key(actor, one)) for one in places]
        read = await get_many((self._defaults, owner), (self._presets, owner), *of_places)
        own, presets, *more = (one or {} for one in read)
        found: Saved = {name: value for values in more for name, value in values.items()}
        if not own.keys().isdisjoint(("preset", "model")):  # they imply further values
            found = {name: value for name, value in found.items() if name == "factor" and "model" not in own}
        return {**found, **own}, {**PRESETS, **presets}

    async def replace_place_presets(self, actor: Requester, text: str, channel_id: str) -> tuple[str, str]:
        """Replace the values of a workspace or channel; `off` removes them, no text keeps them. Returns old and new.

        Raises InvalidParameters, PresetRefused.
        """
        key = _place_key(actor, channel_id)
        old = await self._place_presets.get(key) or {}
        if not text.strip():
            return values_text(old), values_text(old)
        saved = await self._default_values(actor, "" if text.strip().lower() in ("off", "none") else text, {})
        await _put_or_delete(self._place_presets, key, saved)
        return values_text(old), values_text(saved)

    async def _default_values(self, actor: Requester, text: str, fields: Fields) -> Saved:
        asked = parse(text, fields, self._models, presets=await self.presets(actor))
        _check_kept(asked)
        if "seed" in asked.values:
            raise PresetRefused(reason="not_kept", name="seed")
        if asked.preset and asked.preset in PRESETS:
            saved: Saved = {**asked.values, "preset": asked.preset}
        else:
            saved = _expanded(asked)
        saved.pop("seed", None)
        return saved

    async def forget_place(self, platform: str, workspace_id: str) -> None:
        """Delete a workspace's values, and its members' where user ids belong to one workspace."""
        prefix = f"{platform}:{workspace_id}:"
        await self._place_presets.delete_below(prefix)
        if platform in TEAM_SCOPED:
            await self._defaults.delete_below(prefix)
            await self._presets.delete_below(prefix)


def _check_kept(asked: Parsed) -> None:
    """Raise PresetRefused for what belongs to one image."""
    if asked.private is not None or asked.links:
        raise PresetRefused(reason="not_kept", name="private" if asked.private is not None else "url")


def owner_key(actor: Requester) -> str:
    return f"{actor.platform}:{person_id(actor)}"


def _place_key(actor: Requester, channel_id: str) -> str:
    return f"{actor.platform}:{actor.workspace_id}:{channel_id}"


def _expanded(asked: Parsed) -> Saved:
    """The values of the preset and those beside it; a size replaces a factor, and the other way round."""
    sized = not asked.values.keys().isdisjoint(("factor", "to"))
    values = {name: value for name, value in asked.preset_values.items() if not (sized and name in ("factor", "to"))}
    return {**values, **asked.values}


async def _put_or_delete(area: TypedState[Any], key: str, value: Mapping[str, object]) -> None:
    await (area.put(key, value) if value else area.delete(key))
