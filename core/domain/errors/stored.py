"""Errors as JSON, so that one can be stored with its job and explained later, by another process."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from core.domain.errors.base import InternalError, UpscaleError


def leaves(root: type[UpscaleError] = UpscaleError) -> list[type[UpscaleError]]:
    """Every class of the tree that can be raised, in drawn order."""
    below = [leaf for child in root.__subclasses__() for leaf in leaves(child)]
    return below if below else [root]


@cache
def _registry() -> dict[str, type[UpscaleError]]:
    return {leaf.code: leaf for leaf in leaves()}


def _fact_names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []


def to_json(error: UpscaleError) -> dict[str, Any]:
    """`{"code", "facts"}`, JSON-safe."""
    facts = {name: to_jsonable_python(getattr(error, name)) for name in _fact_names(type(error))}
    return {"code": error.code, "facts": facts}


def from_json(data: dict[str, Any]) -> UpscaleError:
    """The stored error again. An unknown code, or facts of an older version, become `InternalError`."""
    kind = _registry().get(str(data.get("code")))
    if kind is None:
        return InternalError()
    hints = get_type_hints(kind)
    given = data.get("facts", {})
    try:
        known = [name for name in _fact_names(kind) if name in given]
        return kind(**{name: TypeAdapter(hints[name]).validate_python(given[name]) for name in known})
    except (TypeError, ValueError):
        return InternalError()
