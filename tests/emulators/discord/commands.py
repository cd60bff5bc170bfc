"""Rules of the command PUT that OpenAPI cannot say, and the client's own checks of options."""

import re
from typing import Any

from tests.emulators.discord import schema
from tests.emulators.discord.errors import invalid_form

CHAT, USER, MESSAGE = 1, 2, 3
SUB, GROUP, STRING, INTEGER, BOOLEAN, NUMBER, ATTACHMENT = 1, 2, 3, 4, 5, 10, 11
_LOCALES = "id da de en-GB en-US es-ES es-419 fr hr it lt hu nl no pl pt-BR ro fi sv-SE vi tr cs el bg ru uk hi th"
LOCALES = frozenset([*_LOCALES.split(), "zh-CN", "ja", "zh-TW", "ko"])
_NAME = re.compile(r"^[-_'\w]{1,32}$", re.UNICODE)
_FILE_TYPES = {"image", "video", "audio"}
Faults = list[tuple[str, str, str]]


def check_put(body: Any) -> None:
    """Raise 50035 unless Discord would take `body` as the whole set of global commands."""
    faults: Faults = schema.check("bulk_commands", body)
    if not faults:
        for kind, most in ((CHAT, 100), (USER, 15), (MESSAGE, 15)):
            names = [c["name"] for c in body if (c.get("type") or CHAT) == kind]
            if len(names) > most:
                faults.append(("", "APPLICATION_COMMANDS_LIMIT", f"{len(names)} commands of type {kind}"))
            if len(set(names)) != len(names):
                faults.append(("", "APPLICATION_COMMANDS_DUPLICATE_NAME", "names must be unique"))
        for index, command in enumerate(body):
            _check_command(command, str(index), faults)
    if faults:
        raise invalid_form(faults)


def _check_command(command: dict[str, Any], path: str, faults: Faults) -> None:
    kind = command.get("type") or CHAT
    _check_names(command, path, faults, chat=kind == CHAT)
    if kind != CHAT:
        if command.get("description") or command.get("options"):
            faults.append((path, "CONTEXT_MENU_INVALID", "a context menu has no description and no options"))
        return
    if not command.get("description"):
        faults.append((f"{path}.description", "BASE_TYPE_REQUIRED", "This field is required"))
    _check_options(command.get("options") or [], f"{path}.options", faults)
    size = _size(command)
    if size > 8000:
        faults.append((path, "APPLICATION_COMMAND_TOO_LARGE", f"{size} of 8000 characters"))


def _check_names(item: dict[str, Any], path: str, faults: Faults, chat: bool = True) -> None:
    names = {"name": item["name"]} | {
        f"name_localizations.{k}": v for k, v in (item.get("name_localizations") or {}).items()
    }
    for where, name in names.items():
        if chat and (not _NAME.match(name) or name != name.lower()):
            faults.append((f"{path}.{where}", "APPLICATION_COMMAND_INVALID_NAME", f"Command name is invalid: {name}"))
    for key in ("name_localizations", "description_localizations"):
        for locale in item.get(key) or {}:
            if locale not in LOCALES:
                faults.append((f"{path}.{key}.{locale}", "ENUM_TYPE_COERCE", "not a locale"))


def _check_options(options: list[dict[str, Any]], path: str, faults: Faults) -> None:
    names = [o["name"] for o in options]
    if len(set(names)) != len(names):
        faults.append((path, "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "option names must be unique"))
    optional_seen = False
    for index, option in enumerate(options):
        here = f"{path}.{index}"
        _check_names(option, here, faults)
        if option["type"] in (SUB, GROUP):
            _check_options(option.get("options") or [], f"{here}.options", faults)
            continue
        if option.get("required") and optional_seen:
            faults.append((here, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", "required options come first"))
        optional_seen = optional_seen or not option.get("required")
        _check_values(option, here, faults)


def _check_values(option: dict[str, Any], path: str, faults: Faults) -> None:
    choices = option.get("choices") or []
    if choices and option.get("autocomplete"):
        faults.append((path, "APPLICATION_COMMAND_AUTOCOMPLETE_CHOICES", "choices exclude autocomplete"))
    for part in ("name", "value"):
        if len({c[part] for c in choices}) != len(choices):
            faults.append((path, "APPLICATION_COMMAND_CHOICES_DUPLICATE", f"choice {part}s must be unique"))
    low, high = option.get("min_value"), option.get("max_value")
    if (low is not None or high is not None) and option["type"] not in (INTEGER, NUMBER):
        faults.append((path, "APPLICATION_COMMAND_OPTION_RANGE", "a range needs a number"))
    if low is not None and high is not None and low > high:
        faults.append((path, "APPLICATION_COMMAND_OPTION_RANGE", "min_value above max_value"))
    for kind in option.get("file_types") or []:
        if option["type"] != ATTACHMENT or (kind not in _FILE_TYPES and not re.fullmatch(r"\.\w+", kind)):
            faults.append((path, "APPLICATION_COMMAND_FILE_TYPES", f"bad file type {kind!r}"))


def _size(item: dict[str, Any]) -> int:
    """Characters of name, description and values; the longest localisation counts."""
    total = 0
    for key in ("name", "description"):
        texts = [item.get(key) or "", *(item.get(f"{key}_localizations") or {}).values()]
        total += max(len(t) for t in texts)
    total += sum(len(str(c["value"])) + max(len(n) for n in _choice_names(c)) for c in item.get("choices") or [])
    return total + sum(_size(o) for o in item.get("options") or [])


def _choice_names(choice: dict[str, Any]) -> list[str]:
    return [choice["name"], *(choice.get("name_localizations") or {}).values()]


def client_problem(option: dict[str, Any], value: Any) -> str | None:
    """Why a member's client would refuse to send `value` for `option`, or None."""
    kind = option["type"]
    if kind == INTEGER and (isinstance(value, bool) or not isinstance(value, int)):
        return "not an integer"
    if kind == NUMBER and (isinstance(value, bool) or not isinstance(value, (int, float))):
        return "not a number"
    if kind == BOOLEAN and not isinstance(value, bool):
        return "not a boolean"
    if kind == STRING and not isinstance(value, str):
        return "not a text"
    if kind in (INTEGER, NUMBER):
        low, high = option.get("min_value"), option.get("max_value")
        if (low is not None and value < low) or (high is not None and value > high):
            return f"outside {low}–{high}"
    if kind == STRING:
        low, high = option.get("min_length") or 0, option.get("max_length") or 6000
        if not low <= len(value) <= high:
            return f"length outside {low}–{high}"
    choices = option.get("choices")
    if choices and value not in [c["value"] for c in choices]:
        return "not one of the choices"
    return None
