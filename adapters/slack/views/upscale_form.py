"""The modals: the form with a file field and every parameter, details, defaults. Pure; values are not checked here.

Files of this field are limited to 10 MB by Slack (docs: file input element; bolt-python #1059, read 2026-11-22).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.slack.inbound.translate import Origin, declared_size
from adapters.slack.views import blocks as b
from adapters.slack.views.blocks import Block
from adapters.slack.views.card import draw
from core.domain.errors import InvalidParameters
from core.domain.models import MODELS, Models
from core.domain.parameters.spec import SPECS
from core.presentation import Card, cut, joined
from core.presentation.cards.account import OwnSettings
from core.presentation.cards.help import Field, form_fields
from core.presentation.texts.form_texts import form_text
from core.presentation.texts.parameter_texts import parameter_problem, values_text

CALLBACK = "upscale_form"
DEFAULTS_CALLBACK = "upscale_defaults"
EXAMPLE = "factor=3 creativity=0.5 creative"
MAX_FILES = 4
FILE_TYPES = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "heif", "ico"]
NUMBERS = tuple(name for name, spec in SPECS.items() if spec.kind in ("float", "int"))
PICK_FIELD = "pick"
ORIGIN_FIELDS = {"channel": "channel_id", "channel_name": "channel_name", "thread_ts": "thread_ts",
         "response_url": "response_url", "at": "at"}  # fmt: skip
"""Metadata key -> field of `Origin`: where the form was opened, which its submission does not say."""
MAX_PICKED = 10
"""Slack's limit of checkboxes in a group."""
NOTED_NAME_CHARS = 50


@dataclass(frozen=True, slots=True)
class FormInput:
    fields: dict[str, str]
    files: list[dict[str, Any]]
    link: str
    private: bool


def form(
    origin: Origin,
    locale: str,
    *,
    allow_unsafe: bool,
    models: Models = MODELS,
    own: OwnSettings | None = None,
    pick: Sequence[Mapping[str, Any]] = (),
    remark: str = "",
    total_nanousd: int = 0,
) -> Block:
    """The modal. `own`: the member's defaults, shown as hints, and presets; `pick`: these files instead of a field.

    `remark` tells what all of these would cost, `total_nanousd`.
    """
    notes = {"user": origin.user_id, **{short: getattr(origin, name) for short, name in ORIGIN_FIELDS.items()}}
    if pick:
        notes["pick"] = [_noted_file(file) for file in pick[:MAX_PICKED]]
        notes["total"] = total_nanousd
    blocks = b.non_empty(
        b.rich([b.text_run(remark)]) if remark else None,
        *(_picking(pick, locale) if pick else _handing_in(locale)),
        *map(_field, form_fields(models, own or OwnSettings(), locale).values()),
        _options(locale, allow_unsafe, in_channel=bool(origin.channel_id) and origin.kind != "im"),
    )
    metadata = json.dumps(notes, separators=(",", ":"), ensure_ascii=False)  # at most 3,000 characters
    return _modal("title", locale, blocks, "submit", callback_id=CALLBACK, private_metadata=metadata)


def _noted_file(file: Mapping[str, Any]) -> dict[str, Any]:
    sides = dict(zip(("original_w", "original_h"), declared_size(file) or (), strict=False))
    return {"id": file["id"], "name": cut(str(file.get("name") or ""), NOTED_NAME_CHARS), **sides}


def _modal(title: str, locale: str, blocks: list[Block], submit: str = "", **more: str) -> Block:
    """A modal; `title` and `submit` are keys of `form_text`."""
    words = {"title": title, "close": "close"} | ({"submit": submit} if submit else {})
    shown = {part: b.plain(form_text(key, locale), b.TITLE_MAX_CHARS) for part, key in words.items()}
    return {"type": "modal", **shown, **more, "blocks": blocks}


def details_modal(locale: str, card: Card | None = None) -> Block:
    """A card in a modal; without one, a text that asks to wait."""
    waiting = [b.rich([b.text_run(form_text("wait", locale))])]
    return _modal("details", locale, draw(replace(card, title="")).blocks if card is not None else waiting)


def defaults_form(locale: str, saved: Mapping[str, object]) -> Block:
    element = {"type": "plain_text_input", "max_length": 500, "placeholder": b.plain(EXAMPLE)}
    if saved:
        element["initial_value"] = values_text(saved)
    line = _input("text", form_text("defaults_line", locale), element, hint=form_text("defaults_hint", locale))
    return _modal("defaults", locale, [line], "save", callback_id=DEFAULTS_CALLBACK)


def _input(block_id: str, label: str, element: Block, *, hint: str = "", optional: bool = True) -> Block:
    out: Block = {
        "type": "input",
        "block_id": block_id,
        "label": b.plain(label),
        "element": element | {"action_id": block_id},
        "optional": optional,
    }
    if hint:
        out["hint"] = b.plain(hint)
    return out


def _handing_in(locale: str) -> list[Block]:
    field = {"type": "file_input", "filetypes": FILE_TYPES, "max_files": MAX_FILES}
    link = {"type": "url_text_input", "placeholder": b.plain("https://…")}
    return [
        _input("image", form_text("image", locale), field, hint=form_text("image_hint", locale, n=MAX_FILES)),
        _input("link", form_text("link", locale), link),
    ]


def _picking(files: Sequence[Mapping[str, Any]], locale: str) -> list[Block]:
    options = [{"text": b.plain(str(f.get("name") or f["id"]), 75), "value": str(f["id"])} for f in files[:10]]
    element = {"type": "checkboxes", "options": options, "initial_options": options}
    return [_input(PICK_FIELD, form_text("pick", locale), element, optional=False)]


def _field(each: Field) -> Block:
    element: Block = {"type": "plain_text_input", "max_length": 40}
    if each.choices:
        options = [{"text": b.plain(words, 75), "value": value} for value, words in each.choices.items()]
        element = {"type": "static_select", "options": options}
    elif each.number is not None:
        whole, low, high = SPECS[each.name].kind == "int", f"{each.number.low:g}", str(int(each.number.high))
        element = {"type": "number_input", "is_decimal_allowed": not whole, "min_value": low, "max_value": high}
    return _input(each.name, each.label, element | {"placeholder": b.plain(each.placeholder, 150)}, hint=each.hint)


def _options(locale: str, allow_unsafe: bool, *, in_channel: bool) -> Block | None:
    options: list[Block] = []
    if in_channel:
        options.append({"text": b.plain(form_text("private", locale), 75), "value": "private"})
    if allow_unsafe:
        options.append({"text": b.plain(form_text("unsafe", locale), 75), "value": "unsafe"})
    if not options:
        return None
    return _input("options", form_text("options", locale), {"type": "checkboxes", "options": options})


# ---------------------------------------------------------------------- reading it


def read(view: Mapping[str, Any]) -> FormInput:
    """The submitted values; `files` are Slack's file objects, which the SDK's model of the state lacks."""
    values = (view.get("state") or {}).get("values") or {}
    state: dict[str, dict[str, Any]] = {block_id: next(iter(block.values()), {}) for block_id, block in values.items()}
    fields: dict[str, str] = {}
    for name in (*NUMBERS, "to"):
        value = state.get(name, {}).get("value")
        if value not in (None, ""):
            fields[name] = str(value)
    for name in ("model", "preset"):
        if value := (state.get(name, {}).get("selected_option") or {}).get("value"):
            fields[name] = str(value)
    options = {option.get("value") for option in state.get("options", {}).get("selected_options") or []}
    if "unsafe" in options:
        fields["safety"] = "off"
    files = [f for f in state.get("image", {}).get("files") or [] if isinstance(f, dict)]
    chosen = {option.get("value") for option in state.get(PICK_FIELD, {}).get("selected_options") or []}
    files += [f for f in metadata_of(view).get("pick") or [] if f["id"] in chosen]
    return FormInput(fields, files, str(state.get("link", {}).get("value") or "").strip(), "private" in options)


def metadata_of(view: Mapping[str, Any]) -> dict[str, Any]:
    try:
        notes = json.loads(view.get("private_metadata") or "{}")
    except ValueError:
        return {}
    return notes if isinstance(notes, dict) else {}


def origin_fields(notes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: notes.get(short) or "" for short, name in ORIGIN_FIELDS.items() if short != "at" or notes.get("at")}


def noted_total(notes: Mapping[str, Any]) -> int:
    """The total price that the form has shown."""
    total = notes.get("total")
    return total if isinstance(total, int) else 0


def errors_of(error: InvalidParameters, locale: str) -> dict[str, str]:
    """Error texts by field; those that belong to no field are shown at the first number."""
    at: dict[str, list[str]] = {}
    for problem in error.problems:
        block = problem.name if problem.name in (*NUMBERS, "preset", "model", "to") else NUMBERS[0]
        at.setdefault(block, []).append(parameter_problem(problem, locale))
    return {block: joined(*lines) for block, lines in at.items()}
