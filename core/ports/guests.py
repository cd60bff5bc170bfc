"""Whose guests the operator pays for: who is let in, and who has asked. Decided in `core.accounts.allowlist`."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from core.domain.identity import Place

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
