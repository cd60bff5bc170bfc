"""Whose guests the operator pays for: who is let in, who has asked, and who decides. Implemented in `core.accounts`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from core.domain.identity import Place
from core.domain.job import Requester

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


class Guests(Protocol):
    """Who may spend the operator's money at all."""

    async def check(self, actor: Requester) -> None:
        """Raises NotAdmitted, after asking the operator once for each place; PlatformBusy where it cannot be told."""

    async def is_operator(self, actor: Requester) -> bool:
        """Whether this is one of the people whose bot it is."""

    async def question_for(self, actor: Requester) -> KnownPlace | None:
        """The place that the actor, who is the operator, uses the bot in and has not decided on; once for each."""

    async def places(self, actor: Requester) -> Sequence[KnownPlace]:
        """Those that wait for a verdict, then those that have one; newest first. Raises NotAllowed."""

    async def decide(self, actor: Requester, place: Place | str, verdict: Verdict) -> KnownPlace:
        """Admit, refuse or forget a place, or the known one of this reference. Raises NotAllowed, JobNotFound."""
