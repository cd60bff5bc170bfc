"""What the operator is told and asked, and whose upscales they pay for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import structlog

from core.domain.identity import Place
from core.presentation import Notice

log = structlog.get_logger(__name__)


class OperatorAlerts(Protocol):
    """Takes news for the operator. Never waits and never raises, so that no job depends on it."""

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        """Pass it on soon, in each reader's language (`notice`); of news about the same at most so many an hour."""


class LogOnlyAlerts:
    """Where there is nobody to tell but the log."""

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        """Write it down."""
        log.warning("operator_news", about=about, news=notice("en").what)


Verdict: TypeAlias = Literal["admit", "refuse", "revoke"]
"""`revoke` forgets an earlier verdict: whoever comes from there next is asked about again."""


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """A place that the operator was asked about, or has decided on. `at` is unix seconds."""

    place: Place
    state: Literal["asked", "admitted", "refused"]
    name: str = ""
    by: str = ""
    """Who asked, or who decided."""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """What a platform knows of a place: whether it is the operator's own (or is the operator), and its name."""

    is_own: bool
    name: str = ""


@runtime_checkable
class KnowsOwner(Protocol):
    """An adapter whose platform tells who owns the bot and the places that it is in."""

    async def place_facts(self, place: Place) -> PlaceFacts:
        """What the platform says now, at most a minute old. Raises PlatformBusy where it does not answer."""


class NotUsable(Exception):
    """Something that the operator has set, or that lies here, cannot be used; the text is plain sentences for them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was seen, in plain words, and how to mend it (empty when fine)."""

    level: Literal["ok", "warning", "problem"]
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """One variable that `python -m bot setup` asks for, with where its value is found, step by step.

    What is typed for a secret is not shown.
    """

    variable: str
    title: str
    steps: tuple[str, ...]
    secret: bool = True
