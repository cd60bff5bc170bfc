"""The root of the tree, how an error is stored, and the leaves that belong to no branch."""

import dataclasses
import re
from functools import cache
from typing import Any, ClassVar, dataclass_transform, get_type_hints

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python


@dataclass_transform(eq_default=False, kw_only_default=True)
class UpscaleError(Exception):
    """Base of the tree. Every class below is a dataclass of facts that JSON can hold.

    `code` is the stable machine name used by the HTTP API and the database: the class's own name in snake case.
    """

    code: ClassVar[str] = "error"
    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(eq=False, kw_only=True)(cls)
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__.removesuffix("Error")).lower()

    def __str__(self) -> str:
        """For logs only: the code. Facts may hold what a person typed and stay out of log lines."""
        return self.code


class Draining(UpscaleError):
    """This process is shutting down and takes nothing new."""


class InternalError(UpscaleError):
    """Something unforeseen; the log has it under `reference`."""

    reference: str = ""


class StorageUnavailable(UpscaleError):
    """The database does not answer, so nothing can be done or even written down."""


class Restored(UpscaleError):
    """A backup that was restored held this job unfinished; what became of it after the backup is not known."""


def leaves(root: type[UpscaleError] = UpscaleError) -> list[type[UpscaleError]]:
    """Every class of the tree that can be raised, in drawn order."""
    below = [leaf for child in root.__subclasses__() for leaf in leaves(child)]
    return below or [root]


@cache
def _registry() -> dict[str, type[UpscaleError]]:
    return {leaf.code: leaf for leaf in leaves()}


def to_json(error: UpscaleError) -> dict[str, Any]:
    """`{"code", "facts"}`, JSON-safe, so that an error can be stored with its job and explained by another process."""
    facts = {field.name: to_jsonable_python(getattr(error, field.name)) for field in dataclasses.fields(error)}
    return {"code": error.code, "facts": facts}


def from_json(data: dict[str, Any]) -> UpscaleError:
    """The stored error again. An unknown code, or facts of an older version, become `InternalError`."""
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
