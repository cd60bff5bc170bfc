"""Checks request bodies against a reduced copy of Discord's OpenAPI description, by the library of JSON Schema."""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError, validators

Faults = list[tuple[str, str, str]]
_SNOWFLAKE = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^(0|[1-9][0-9]{0,19})$"}]}
_CODES = {"required": "BASE_TYPE_REQUIRED", "enum": "BASE_TYPE_CHOICES", "anyOf": "UNION_TYPE_CHOICES"}


def check(operation: str, body: Any) -> Faults:
    """The faults of `body` as the request of `operation`; an empty list means that Discord would take it."""
    return [_fault(error) for error in _validator(operation).iter_errors(body)]


def _fault(error: ValidationError) -> tuple[str, str, str]:
    path, rule, schema = "".join(f".{step}" for step in error.absolute_path), str(error.validator), error.schema
    if rule.endswith(("Length", "Items")) and isinstance(schema, dict):
        low, high = (schema.get(f"{end}{rule[3:]}") for end in ("min", "max"))
        return path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low or 0} and {high} in length."
    return path, _CODES.get(rule, "BASE_TYPE_BAD"), error.message[-200:]


@functools.cache
def _validator(operation: str) -> Any:
    whole = {**_document()["operations"][operation], "$defs": _document()["schemas"]}
    return validators.extend(Draft202012Validator, {"anyOf": _union})(whole)


@functools.cache
def _document() -> dict[str, Any]:
    text = Path(__file__).with_name("openapi.json").read_text().replace('"oneOf":', '"anyOf":')
    known: dict[str, Any] = json.loads(re.sub(r'"\$ref": ?"', '"$ref": "#/$defs/', text))
    known["schemas"]["SnowflakeType"] = _SNOWFLAKE
    return known


def _tags(member: dict[str, Any]) -> list[Any]:
    schema = _document()["schemas"].get(member.get("$ref", "").removeprefix("#/$defs/"), member)
    tags: list[Any] = schema.get("properties", {}).get("type", {}).get("enum", [])
    return tags


def _union(validator: Any, members: list[dict[str, Any]], value: Any, _: Any) -> Iterator[ValidationError]:
    """It is decided by its members' `type` constants, where they have them, so that an error names the real field."""
    tags = [_tags(member) for member in members] if isinstance(value, dict) else []
    if any(tags):
        members = [member for member, own in zip(members, tags, strict=True) if value.get("type") in own]
    outcomes = [list(validator.descend(value, member)) for member in members]
    if not outcomes:
        yield ValidationError(f"type {value.get('type')!r} is not allowed here")
    elif all(outcomes):
        yield from min(outcomes, key=len)
