"""The root of the error tree, its conversion to and from JSON, and the errors that belong to no branch."""

import dataclasses
import re
from functools import cache
from typing import Any, ClassVar, dataclass_transform, get_type_hints

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python


@dataclass_transform(eq_default=False, kw_only_default=True)
class UpscaleError(Exception):
    """Base class. Every subclass becomes a keyword-only dataclass whose fields are JSON values.

    `code` is the stable name in the HTTP API and the database: the class name in snake case without `Error`.
    """

    code: ClassVar[str] = "error"
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(eq=False, kw_only=True)(cls)
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__.removesuffix("Error")).lower()

    def __str__(self) -> str:
        """Return the code only, for logs: fields may hold what a person typed."""
        return self.code


class Draining(UpscaleError):
    """This process is shutting down and accepts no new work."""


class InternalError(UpscaleError):
    """An unexpected exception, logged under `reference`."""

    reference: str = ""


class StorageUnavailable(UpscaleError):
    """The database does not answer."""


class Restored(UpscaleError):
    """A restored backup held this job unfinished; how it continued after the backup is unknown."""


def leaves(root: type[UpscaleError] = UpscaleError) -> list[type[UpscaleError]]:
    """Every class of the tree that can be raised, in order of definition."""
    below = [leaf for child in root.__subclasses__() for leaf in leaves(child)]
    return below or [root]


@cache
def _registry() -> dict[str, type[UpscaleError]]:
    return {leaf.code: leaf for leaf in leaves()}


def to_json(error: UpscaleError) -> dict[str, Any]:
    """Return `{"code": …, "facts": …}` with JSON values only."""
    facts = {field.name: to_jsonable_python(getattr(error, field.name)) for field in dataclasses.fields(error)}
    return {"code": error.code, "facts": facts}


def from_json(data: dict[str, Any]) -> UpscaleError:
    """Restore a stored error. An unknown code, or facts that do not validate, become `InternalError`."""
    kind = _registry().get(str(data.get("code")))
    if kind is None:
        return InternalError()
    hints = get_type_hints(kind)
    given = data.get("facts", {})
    try:
        known = [field.name for field in dataclasses.fields(kind) if field.name in given]
        return kind(**{name: TypeAdapter(hints[name]).validate_python(given[name]) for name in known})
    except (TypeError, ValueError):
        return InternalError()
