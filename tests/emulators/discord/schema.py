"""Checks request bodies against a reduced copy of Discord's OpenAPI description.

Only the keywords that the reduced copy uses are known; a union is decided by its members' `type` constants
where it has them, so that an error names the real field and not a whole union.
"""

import functools
import json
import re
from pathlib import Path
from typing import Any

Faults = list[tuple[str, str, str]]
_HERE = Path(__file__).with_name("openapi.json")


@functools.cache
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_HERE.read_text())
    return loaded


def check(operation: str, body: Any) -> Faults:
    """The faults of `body` as the request of `operation`; an empty list means that Discord would take it."""
    faults: Faults = []
    _check(document()["operations"][operation], body, "", faults)
    return faults


def _check(schema: dict[str, Any], value: Any, path: str, faults: Faults) -> None:
    ref = schema.get("$ref")
    if ref == "SnowflakeType":
        if not (isinstance(value, int) and not isinstance(value, bool)) and not _is_snowflake(value):
            faults.append((path, "NUMBER_TYPE_COERCE", f"Value {value!r} is not snowflake."))
        return
    if ref is not None:
        _check(document()["schemas"][ref], value, path, faults)
        return
    union = schema.get("oneOf") or schema.get("anyOf")
    if union is not None:
        _check_union(union, value, path, faults)
        return
    if not _type_ok(schema.get("type"), value):
        faults.append((path, "BASE_TYPE_BAD", f"{value!r:.80} is not of type {schema.get('type')}"))
        return
    if value is None:
        return
    if "enum" in schema and value not in schema["enum"]:
        faults.append((path, "BASE_TYPE_CHOICES", f"{value!r:.80} is not one of {schema['enum']}"))
    if isinstance(value, str):
        _check_text(schema, value, path, faults)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(schema, value, path, faults)
    elif isinstance(value, list):
        _check_list(schema, value, path, faults)
    elif isinstance(value, dict):
        _check_object(schema, value, path, faults)


def _is_snowflake(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"0|[1-9][0-9]{0,19}", value) is not None


def _type_ok(types: Any, value: Any) -> bool:
    if types is None:
        return True
    for name in [types] if isinstance(types, str) else types:
        if name == "null" and value is None:
            return True
        if name == "boolean" and isinstance(value, bool):
            return True
        if name == "string" and isinstance(value, str):
            return True
        if name == "array" and isinstance(value, list):
            return True
        if name == "object" and isinstance(value, dict):
            return True
        if isinstance(value, bool):
            continue
        if name == "integer" and (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
            return True
        if name == "number" and isinstance(value, (int, float)):
            return True
    return False


def _check_union(members: list[dict[str, Any]], value: Any, path: str, faults: Faults) -> None:
    if value is None and {"type": "null"} in members:
        return
    members = [m for m in members if m != {"type": "null"}]
    tagged = [m for m in members if _tag_matches(m, value)]
    if tagged:
        members = tagged
    elif isinstance(value, dict) and any(_tags(m) for m in members):
        faults.append((path, "UNION_TYPE_CHOICES", f"type {value.get('type')!r} is not allowed here"))
        return
    outcomes: list[Faults] = []
    for member in members:
        found: Faults = []
        _check(member, value, path, found)
        if not found:
            return
        outcomes.append(found)
    faults.extend(sorted(outcomes, key=lambda found: len(found))[0])


def _tags(member: dict[str, Any]) -> list[Any]:
    resolved = document()["schemas"].get(member.get("$ref", ""), member)
    tags: list[Any] = resolved.get("properties", {}).get("type", {}).get("enum", [])
    return tags


def _tag_matches(member: dict[str, Any], value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in _tags(member)


def _check_text(schema: dict[str, Any], value: str, path: str, faults: Faults) -> None:
    # Discord counts UTF-16 units nowhere in its documents; code points are what its own errors count.
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if len(value) < low or (high is not None and len(value) > high):
        faults.append((path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length."))
    if "pattern" in schema and re.search(schema["pattern"], value) is None:
        faults.append((path, "STRING_TYPE_REGEX", f"{value!r:.80} does not match {schema['pattern']}"))


def _check_number(schema: dict[str, Any], value: float, path: str, faults: Faults) -> None:
    if "minimum" in schema and value < schema["minimum"]:
        faults.append((path, "NUMBER_TYPE_MIN", f"{value} is below {schema['minimum']}"))
    if "maximum" in schema and value > schema["maximum"]:
        faults.append((path, "NUMBER_TYPE_MAX", f"{value} is above {schema['maximum']}"))


def _check_list(schema: dict[str, Any], value: list[Any], path: str, faults: Faults) -> None:
    low, high = schema.get("minItems", 0), schema.get("maxItems")
    if len(value) < low or (high is not None and len(value) > high):
        faults.append((path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length."))
    if schema.get("uniqueItems") and len({json.dumps(v, sort_keys=True) for v in value}) != len(value):
        faults.append((path, "SET_TYPE_ALREADY_CONTAINS_VALUE", "The items are not unique."))
    for index, item in enumerate(value):
        _check(schema.get("items", {}), item, f"{path}.{index}", faults)


def _check_object(schema: dict[str, Any], value: dict[str, Any], path: str, faults: Faults) -> None:
    for name in schema.get("required", []):
        if name not in value:
            faults.append((f"{path}.{name}", "BASE_TYPE_REQUIRED", "This field is required"))
    if len(value) > schema.get("maxProperties", len(value)):
        faults.append((path, "BASE_TYPE_BAD_LENGTH", "too many properties"))
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties")
    for name, item in value.items():
        if name in properties:
            _check(properties[name], item, f"{path}.{name}", faults)
        elif isinstance(extra, dict):
            _check(extra, item, f"{path}.{name}", faults)
