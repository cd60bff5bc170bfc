"""Checks Block Kit the way Slack would: the SDK's own models first, then the limits that they miss.

Sources of the numbers: the Block Kit reference (read 2026-11) and slack_sdk 3.47's validators. It must not mend
anything: every finding is a sentence in a list.
"""

from collections.abc import Callable, Iterator
from typing import Any

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.blocks import Block
from slack_sdk.models.views import View as SdkView

Found = list[str]
FileCheck = Callable[[dict[str, Any]], str | None]

MESSAGE_TYPES = {
    "section", "divider", "image", "actions", "context", "context_actions", "header", "markdown", "rich_text",
    "table", "task_card", "plan", "alert", "video", "file", "input", "card", "carousel", "container",
}  # fmt: skip
VIEW_TYPES = {"section", "divider", "image", "actions", "context", "header", "rich_text", "input", "alert", "video"}
INTERACTIVE = {
    "button", "static_select", "multi_static_select", "overflow", "checkboxes", "radio_buttons", "users_select",
    "conversations_select", "channels_select", "external_select", "datepicker", "timepicker", "datetimepicker",
    "plain_text_input", "number_input", "url_text_input", "email_text_input", "file_input", "rich_text_input",
    "feedback_buttons", "icon_button", "multi_users_select", "multi_conversations_select", "workflow_button",
}  # fmt: skip
INPUT_ELEMENTS = INTERACTIVE - {"button", "overflow", "feedback_buttons", "icon_button", "workflow_button"}
IMAGE_TYPES = {"png", "jpg", "jpeg", "gif"}


def check_blocks(blocks: Any, surface: str, file_check: FileCheck | None = None) -> Found:
    """Everything wrong with `blocks` on `surface` (message | ephemeral | modal | home)."""
    if not isinstance(blocks, list):
        return ["blocks is not a list"]
    found: Found = []
    most = 50 if surface in ("message", "ephemeral") else 100
    if len(blocks) > most:
        found.append(f"no more than {most} items allowed [json-pointer:/blocks]")
    ids: set[str] = set()
    for index, block in enumerate(blocks):
        where = f"/blocks/{index}"
        if not isinstance(block, dict):
            found.append(f"not an object [json-pointer:{where}]")
            continue
        found += _check_one(block, where, surface, file_check)
        block_id = block.get("block_id")
        if block_id is not None:
            if block_id in ids:
                found.append(f"duplicate block_id `{block_id}`")
            ids.add(str(block_id))
    return found


def _check_one(block: dict[str, Any], where: str, surface: str, file_check: FileCheck | None) -> Found:
    kind = block.get("type")
    allowed = VIEW_TYPES if surface in ("modal", "home") else MESSAGE_TYPES
    if kind not in allowed:
        return [f"unsupported type: {kind} [json-pointer:{where}/type]"]
    found: Found = _by_model(block, where)
    check = CHECKS.get(str(kind))
    if check:
        found += check(block, where)
    if kind == "image":
        found += _image(block, where, surface, file_check)
    if kind == "input" and block.get("element", {}).get("type") == "file_input" and surface != "modal":
        found.append(f"file_input only in modals [json-pointer:{where}/element]")
    found += _elements(block, where)
    return found


def _by_model(block: dict[str, Any], where: str) -> Found:
    try:
        parsed = Block.parse(dict(block))
        if parsed is not None:
            parsed.to_dict()
    except SlackObjectFormationError as error:
        return [f"{error} [json-pointer:{where}]"]
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        return [f"malformed: {error!r} [json-pointer:{where}]"]
    return []


def check_text(text: Any, where: str, most: int, *, plain_only: bool = False) -> Found:
    """A text object: of the right type, not empty, not too long. Unknown keys are the SDK's to find."""
    if not isinstance(text, dict):
        return [f"text object missing [json-pointer:{where}]"]
    kind, value = text.get("type"), text.get("text")
    found: Found = []
    if kind not in ("plain_text", "mrkdwn") or (plain_only and kind != "plain_text"):
        found.append(f"wrong text type {kind} [json-pointer:{where}/type]")
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        found.append(f"must be 1-{most} characters, has {len(str(value))} [json-pointer:{where}/text]")
    return found


def _section(block: dict[str, Any], where: str) -> Found:
    found = check_text(block["text"], f"{where}/text", 3000) if "text" in block else []
    for index, item in enumerate(block.get("fields") or []):
        found += check_text(item, f"{where}/fields/{index}", 2000)
    return found


def _header(block: dict[str, Any], where: str) -> Found:
    return check_text(block.get("text"), f"{where}/text", 150, plain_only=True)


def _context(block: dict[str, Any], where: str) -> Found:
    elements = block.get("elements")
    found: Found = [] if elements else [f"context without elements [json-pointer:{where}]"]
    for index, element in enumerate(elements or []):
        if element.get("type") != "image":
            found += check_text(element, f"{where}/elements/{index}", 2000)
    return found


def _actions(block: dict[str, Any], where: str) -> Found:
    elements = block.get("elements")
    found: Found = [] if elements else [f"actions without elements [json-pointer:{where}]"]
    ids = [e.get("action_id") for e in elements or [] if e.get("action_id")]
    if len(ids) != len(set(ids)):
        found.append(f"action_id twice in one block [json-pointer:{where}]")
    return found


def _input(block: dict[str, Any], where: str) -> Found:
    found = check_text(block.get("label"), f"{where}/label", 2000, plain_only=True)
    if "hint" in block:
        found += check_text(block["hint"], f"{where}/hint", 2000, plain_only=True)
    if block.get("element", {}).get("type") not in INPUT_ELEMENTS:
        found.append(f"not an input element [json-pointer:{where}/element]")
    return found


def _markdown(block: dict[str, Any], where: str) -> Found:
    return [] if block.get("text") else [f"markdown without text [json-pointer:{where}]"]


def _rich_text(block: dict[str, Any], where: str) -> Found:
    parts = block.get("elements")
    found: Found = [] if parts else [f"rich_text without elements [json-pointer:{where}]"]
    for index, part in enumerate(parts or []):
        kind = part.get("type")
        if kind not in ("rich_text_section", "rich_text_list", "rich_text_preformatted", "rich_text_quote"):
            found.append(f"rich_text part {kind} [json-pointer:{where}/elements/{index}]")
        for inner in part.get("elements") or []:
            needed = {"text": "text", "link": "url"}.get(str(inner.get("type")))
            if needed and not inner.get(needed):
                found.append(f"rich_text {needed} missing [json-pointer:{where}/elements/{index}]")
    return found


def _table(block: dict[str, Any], where: str) -> Found:
    rows = block.get("rows") or []
    cells = [cell for row in rows for cell in row]
    ok = 1 <= len(rows) <= 100 and all(1 <= len(row) <= 20 for row in rows)
    ok = ok and all(cell.get("type") in ("raw_text", "rich_text") for cell in cells)
    ok = ok and all(cell.get("text") or cell["type"] == "rich_text" for cell in cells)
    return [] if ok else [f"table [json-pointer:{where}]"]


CHECKS: dict[str, Callable[[dict[str, Any], str], Found]] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "input": _input,
    "markdown": _markdown,
    "rich_text": _rich_text,
    "table": _table,
}


def _image(block: dict[str, Any], where: str, surface: str, file_check: FileCheck | None) -> Found:
    found: Found = []
    given = [key for key in ("image_url", "slack_file") if block.get(key)]
    if len(given) != 1:
        found.append(f"exactly one of image_url and slack_file [json-pointer:{where}]")
    if not block.get("alt_text"):
        found.append(f"alt_text missing [json-pointer:{where}/alt_text]")
    if "title" in block:
        found += check_text(block["title"], f"{where}/title", 2000, plain_only=True)
    if "slack_file" in block:
        if surface == "ephemeral":
            found.append(f"ephemeral messages cannot hold shared files [json-pointer:{where}]")
        elif file_check and (problem := file_check(block["slack_file"])):
            found.append(f"{problem} [json-pointer:{where}/slack_file]")
    return found


def _elements(block: dict[str, Any], where: str) -> Iterator[str]:
    candidates = list(block.get("elements") or []) if block.get("type") in ("actions", "context_actions") else []
    candidates += [block[key] for key in ("accessory", "element") if isinstance(block.get(key), dict)]
    for index, element in enumerate(candidates):
        yield from _element(element, f"{where}/elements/{index}")


def _element(element: dict[str, Any], where: str) -> Found:
    kind = element.get("type")
    if kind == "image":
        return []
    if kind not in INTERACTIVE:
        return [f"unsupported element {kind} [json-pointer:{where}]"]
    found: Found = []
    if "placeholder" in element:
        found += check_text(element["placeholder"], f"{where}/placeholder", 150, plain_only=True)
    for key, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)) if "confirm" in element else ():
        found += check_text(element["confirm"].get(key), f"{where}/confirm/{key}", most, plain_only=key != "text")
    if kind == "button":
        found += check_text(element.get("text"), f"{where}/text", 75, plain_only=True)
    elif kind in ("static_select", "overflow", "checkboxes", "radio_buttons", "multi_static_select"):
        found += _options(element, where, str(kind))
    elif kind == "number_input":
        found += _number(element, where)
    elif kind == "plain_text_input":
        if len(element.get("initial_value", "")) > 3000 or not 0 < element.get("max_length", 1) <= 3000:
            found.append(f"text input limits [json-pointer:{where}]")
    elif kind == "file_input" and not 1 <= element.get("max_files", 10) <= 10:
        found.append(f"max_files must be 1-10 [json-pointer:{where}]")
    return found


def _options(element: dict[str, Any], where: str, kind: str) -> Found:
    options = element.get("options") or []
    most = {"overflow": 5, "checkboxes": 10, "radio_buttons": 10}.get(kind, 100)
    found: Found = [] if 1 <= len(options) <= most else [f"1-{most} options [json-pointer:{where}]"]
    for index, option in enumerate(options):
        found += check_text(option.get("text"), f"{where}/options/{index}/text", 75)
        if not 1 <= len(option.get("value", "")) <= 150:
            found.append(f"option value must be 1-150 [json-pointer:{where}/options/{index}]")
        if "description" in option:
            found += check_text(option["description"], f"{where}/options/{index}/description", 75)
    values = [option.get("value") for option in options]
    if len(values) != len(set(values)):
        found.append(f"option value twice [json-pointer:{where}]")
    initial = element.get("initial_option")
    wanted = [initial] if initial else element.get("initial_options") or []
    if any(option not in options for option in wanted):
        found.append(f"initial option is not one of the options [json-pointer:{where}]")
    return found


def _number(element: dict[str, Any], where: str) -> Found:
    found: Found = []
    if not isinstance(element.get("is_decimal_allowed"), bool):
        found.append(f"is_decimal_allowed missing [json-pointer:{where}]")
    values: dict[str, float] = {}
    for key in ("min_value", "max_value", "initial_value"):
        if key not in element:
            continue
        if not isinstance(element[key], str):
            found.append(f"{key} must be a string [json-pointer:{where}]")
            continue
        values[key] = float(element[key])
    low, high = values.get("min_value", float("-inf")), values.get("max_value", float("inf"))
    if low > high or not low <= values.get("initial_value", low) <= high:
        found.append(f"number out of its own range [json-pointer:{where}]")
    return found


def check_view(view: Any, *, home: bool) -> Found:
    """Everything wrong with a modal or a Home tab."""
    if not isinstance(view, dict):
        return ["view is not an object"]
    found: Found = []
    if view.get("type") != ("home" if home else "modal"):
        found.append(f"view type {view.get('type')}")
    if not home:
        found += check_text(view.get("title"), "/title", 24, plain_only=True)
        for key in ("submit", "close"):
            if key in view:
                found += check_text(view[key], f"/{key}", 24, plain_only=True)
        has_input = any(b.get("type") == "input" for b in view.get("blocks", []))
        if has_input and "submit" not in view:
            found.append("submit is required with input blocks")
    elif "submit" in view or "title" in view:
        found.append("a Home tab has neither title nor submit")
    if len(view.get("private_metadata", "")) > 3000 or len(view.get("callback_id", "")) > 255:
        found.append("private_metadata or callback_id too long")
    found += check_blocks(view.get("blocks"), "home" if home else "modal")
    try:
        SdkView(**view).to_dict()
    except (SlackObjectFormationError, TypeError) as error:
        found.append(str(error))
    return found
