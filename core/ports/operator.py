"""Alerts and questions to the operator, and the places whose upscales the operator pays for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from core.domain.identity import Place
from core.presentation import Notice


class OperatorAlerts(Protocol):
    """Sends alerts to the operator. Never waits and never raises, so that no job depends on it."""

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        """Queue an alert; `notice` makes its text for a locale. At most `most_an_hour` with the same `about`."""


Verdict: TypeAlias = Literal["admit", "refuse", "revoke"]
"""`revoke` deletes an earlier verdict: the next request from there asks the operator again."""


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A place that the operator was asked about, or decided on. `at` is unix seconds."""

    place: Place
    state: Literal["asked", "admitted", "refused"]
    name: str = ""
    by: str = ""
    """Name of whoever asked or decided."""
    at: float = 0.0
    by_id: str = ""


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """What a platform knows of a place: its name, and whether it belongs to the operator (or is the operator)."""

    is_own: bool
    name: str = ""


@runtime_checkable
class KnowsOwner(Protocol):
    """An adapter whose platform names the owners of the bot and of the places it is in."""

    async def place_facts(self, place: Place) -> PlaceFacts:
        """The platform's answer, at most a minute old. Raises PlatformBusy if there is none."""


class NotUsable(Exception):
    """A setting or a file of the operator's cannot be used; the text is plain sentences for the operator."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check of `doctor`, in plain words; `fix` says how to mend it and is empty when all is well."""

    level: Literal["ok", "warning", "problem"]
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """A variable that `python -m bot setup` asks for, and the steps to find its value. Input of a secret is hidden."""

    variable: str
    title: str
    steps: tuple[str, ...]
    secret: bool = True
