"""What Slack's client does with a modal before anything is sent: defaults, required fields, ranges, file limits."""

from collections.abc import Sequence
from typing import Any

from tests.emulators.slack.world import SlackFile

FILE_INPUT_MAX_BYTES = 10_000_000


class ClientRefused(Exception):
    """The client shows an error at the field and sends nothing."""


def fill(view: dict[str, Any], answers: dict[str, Any], files: dict[str, SlackFile]) -> dict[str, Any]:
    """`view.state.values` for `answers` by block_id; unanswered inputs keep their initial values."""
    state: dict[str, Any] = {}
    unknown = set(answers) - {b.get("block_id") for b in view["blocks"]}
    if unknown:
        raise ClientRefused(f"no such field: {sorted(unknown)}")
    for block in view["blocks"]:
        element = block.get("element") if block.get("type") == "input" else None
        if element is None:
            continue
        given = answers.get(block["block_id"], ...)
        value = _value(element, given, files)
        if not block.get("optional") and value_is_empty(value):
            raise ClientRefused(f"{block['block_id']}: please complete this required field")
        state.setdefault(block["block_id"], {})[element["action_id"]] = value
    return state


def value_is_empty(value: dict[str, Any]) -> bool:
    return not any(v for k, v in value.items() if k != "type")


def _value(element: dict[str, Any], given: Any, files: dict[str, SlackFile]) -> dict[str, Any]:
    kind = element["type"]
    if kind in ("plain_text_input", "url_text_input", "email_text_input"):
        text = element.get("initial_value") if given is ... else given
        if text and len(text) > element.get("max_length", 3000):
            raise ClientRefused("too long")
        return {"type": kind, "value": text or None}
    if kind == "number_input":
        text = element.get("initial_value") if given is ... else (None if given is None else str(given))
        _check_number(element, text)
        return {"type": kind, "value": text}
    if kind in ("static_select", "radio_buttons"):
        option = element.get("initial_option") if given is ... else _option(element, given)
        return {"type": kind, "selected_option": option}
    if kind in ("checkboxes", "multi_static_select"):
        chosen = element.get("initial_options", []) if given is ... else [_option(element, v) for v in given]
        return {"type": kind, "selected_options": chosen}
    if kind == "file_input":
        return {"type": kind, "files": _files(element, [] if given is ... else given, files)}
    if kind == "conversations_select":
        return {"type": kind, "selected_conversation": None if given is ... else given}
    raise ClientRefused(f"element {kind} is not emulated")


def _option(element: dict[str, Any], value: str | None) -> dict[str, Any] | None:
    if value is None:
        return None
    for option in element["options"]:
        if option["value"] == value:
            return dict(option)
    raise ClientRefused(f"no option {value}")


def _check_number(element: dict[str, Any], text: str | None) -> None:
    if text in (None, ""):
        return
    number = float(str(text))
    if not element["is_decimal_allowed"] and number != int(number):
        raise ClientRefused("whole numbers only")
    low, high = element.get("min_value"), element.get("max_value")
    if (low is not None and number < float(low)) or (high is not None and number > float(high)):
        raise ClientRefused(f"must be between {low} and {high}")


def _files(element: dict[str, Any], given: list[str], files: dict[str, SlackFile]) -> list[str]:
    if len(given) > element.get("max_files", 10):
        raise ClientRefused("too many files")
    for file_id in given:
        file = files[file_id]
        if len(file.data) > FILE_INPUT_MAX_BYTES:
            raise ClientRefused("files in this field are limited to 10 MB")
        types = element.get("filetypes")
        if types and file.extension not in types:
            raise ClientRefused(f"file type {file.extension} is not allowed here")
        file.handed_to_app = True
    return given


def ticked_values(blocks: list[dict[str, Any]], values: Sequence[str]) -> dict[str, Any]:
    """`state.values` of a press in a message whose checkboxes are ticked so."""
    found: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        for element in block.get("elements") or []:
            if element.get("type") == "checkboxes":
                chosen = {"type": "checkboxes", "selected_options": [_option(element, value) for value in values]}
                found[block.get("block_id") or f"b{number}"] = {element["action_id"]: chosen}
    return found
