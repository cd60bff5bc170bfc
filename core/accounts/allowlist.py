"""Who may spend the operator's money: the lists in the settings, the operator's own places, and admitted places.

A request from another place is refused and not stored, and the operator is asked about the place once.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from core.domain.errors import JobNotFound, NotAdmitted, NotAllowed, PlatformBusy
from core.domain.identity import TEAM_SCOPED, Place
from core.domain.job import Requester
from core.ports import (
    AppState,
    ChatAdapter,
    Clock,
    KnownPlace,
    KnowsOwner,
    OperatorAlerts,
    PlaceFacts,
    TypedState,
    Verdict,
)
from core.presentation.texts import operator_texts

log = structlog.get_logger(__name__)

_ASKED_FOR_S = 30 * 86_400.0
_MAX_ASKED = 200
"""Open questions to the operator; requests from further places are only refused."""

_ASKS_AN_HOUR = 10

EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class AllowSettings:
    """The operator's lists; an empty one means their own places. `open_to_all`: no real money is spent."""

    workspaces: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    outsiders: bool = False
    open_to_all: bool = False


def _questions(state: AppState) -> TypedState[KnownPlace]:
    return TypedState(state, "place_asked", KnownPlace, ttl_s=_ASKED_FOR_S)


def _decisions(state: AppState) -> TypedState[KnownPlace]:
    return TypedState(state, "place", KnownPlace)


async def forget_asker(state: AppState, who: Requester) -> None:
    """Delete the question about this person, and their name everywhere else; decisions stay: erasure lifts no ban."""
    person = Place.of_person(who)
    await _questions(state).delete(person.reference)
    await state.delete("place_turn", person.reference)
    for area in (_questions(state), _decisions(state)):
        for reference, known in (await area.items()).items():
            theirs = known.by_id == person.address or (not known.by_id and known.by in (who.user_name, who.user_id))
            clean = dataclasses.replace(known, by="", by_id="") if theirs else known
            if known.place == person:
                clean = dataclasses.replace(clean, name="")
            if clean != known:
                await area.put(reference, clean)


class AllowList:
    """Shared by all processes through the database."""

    def __init__(
        self,
        settings: AllowSettings,
        state: AppState,
        clock: Clock,
        operator: OperatorAlerts,
        adapters: Mapping[str, ChatAdapter],
    ) -> None:
        self._settings = settings
        self._state = state
        self._clock = clock
        self._operator = operator
        self._adapters = adapters
        self._asked, self._decided = _questions(state), _decisions(state)

    async def check(self, actor: Requester) -> None:
        """Raises NotAdmitted, after asking the operator once per place; PlatformBusy if it is unknown at the moment."""
        if self._settings.open_to_all or actor.is_operator:
            return
        if actor.is_outsider and not self._settings.outsiders:
            raise NotAdmitted(kind="outsider")
        workspace, person = Place.of_workspace(actor), Place.of_person(actor)
        if self._listed(actor, workspace, person):
            return
        busy: PlatformBusy | None = None
        for place in filter(None, (workspace, person)):
            try:
                if await self._is_admitted(place):
                    return
            except PlatformBusy as error:
                busy = error
        if busy is not None:
            raise busy
        place = person if workspace is None or actor.brought_by_user else workspace
        known = await self._decided.get(place.reference)
        if known is None:
            known = await self._ask(place, actor, tell=True)
        raise NotAdmitted(kind=place.kind, refused=known.state == "refused")

    def _listed(self, actor: Requester, workspace: Place | None, person: Place) -> bool:
        ids = {actor.workspace_id, actor.org_id} - {""} if workspace is not None else set()
        names = {EVERYBODY, *ids, *(f"{actor.platform}:{one}" for one in ids)}
        if workspace is not None and not names.isdisjoint(self._settings.workspaces):
            return True
        own = {EVERYBODY, f"{person.platform}:{person.id}"}
        if actor.platform not in TEAM_SCOPED:
            own.add(person.id)
        return not own.isdisjoint(self._settings.users)

    async def _is_admitted(self, place: Place) -> bool:
        """By the operator's decision, or as an own place if the list is empty. Raises PlatformBusy."""
        known = await self._decided.get(place.reference)
        if known is not None:
            return known.state == "admitted"
        listed = self._settings.workspaces if place.kind == "workspace" else self._settings.users
        return not listed and (await self._facts(place)).is_own

    async def _facts(self, place: Place) -> PlaceFacts:
        adapter = self._adapters.get(place.platform)
        return await adapter.place_facts(place) if isinstance(adapter, KnowsOwner) else PlaceFacts(is_own=False)

    async def _ask(self, place: Place, actor: Requester, *, tell: bool) -> KnownPlace:
        known = await self._asked.get(place.reference)
        if known is not None:
            return known
        own_id = Place.of_person(actor).address
        known = KnownPlace(place, "asked", actor.user_name, actor.user_name, self._clock.now(), own_id)
        if await self._asked.count() >= _MAX_ASKED:
            log.warning("place_not_noted", platform=place.platform, kind=place.kind)
            return known
        if place.kind == "workspace":
            known = dataclasses.replace(known, name=(await self._facts(place)).name)
        if await self._state.claim("place_turn", place.reference, ttl_s=_ASKED_FOR_S):
            await self._asked.put(place.reference, known)
            log.info("place_asks", place=place.address)
            if tell:
                asks = partial(operator_texts.admission_question, place, known.name, known.by)
                self._operator.tell("place", asks, most_an_hour=_ASKS_AN_HOUR)
        return known

    async def is_operator(self, actor: Requester) -> bool:
        return actor.is_operator or (await self._facts(Place.of_person(actor))).is_own

    async def question_for(self, actor: Requester) -> KnownPlace | None:
        """The undecided place in which the operator uses the bot; None for others, and after the first call."""
        place = Place.of_workspace(actor)
        if self._settings.open_to_all or place is None or actor.brought_by_user:
            return None
        if self._listed(actor, place, Place(actor.platform, "user", "")) or not await self.is_operator(actor):
            return None
        if await self._decided.get(place.reference) is not None or await self._is_admitted(place):
            return None
        known = await self._ask(place, actor, tell=False)
        return known if await self._state.claim("place_owner", place.reference, ttl_s=_ASKED_FOR_S) else None

    async def places(self, actor: Requester) -> Sequence[KnownPlace]:
        """Undecided places, then decided ones, each newest first. Raises NotAllowed."""
        await self._check_operator(actor)
        groups = ((await self._asked.items()).values(), (await self._decided.items()).values())
        return [known for group in groups for known in sorted(group, key=lambda one: -one.at)]

    async def decide(self, actor: Requester, place: Place | str, verdict: Verdict) -> KnownPlace:
        """Admit, refuse or forget a place, or the one with this reference. Raises NotAllowed, JobNotFound."""
        await self._check_operator(actor)
        reference = place if isinstance(place, str) else place.reference
        known = await self._asked.get(reference) or await self._decided.get(reference)
        if known is None:
            if isinstance(place, str):
                raise JobNotFound
            known = KnownPlace(place, "asked")
        by, by_id = actor.user_name or actor.user_id, Place.of_person(actor).address
        known = dataclasses.replace(known, by=by, by_id=by_id, at=self._clock.now())
        if verdict == "revoke":
            await self._decided.delete(reference)
            for area in ("place_turn", "place_owner"):
                await self._state.delete(area, reference)
            known = dataclasses.replace(known, state="asked")
        else:
            known = dataclasses.replace(known, state="admitted" if verdict == "admit" else "refused")
            await self._decided.put(reference, known)
        await self._asked.delete(reference)
        log.info("place_decided", place=known.place.address, verdict=verdict)
        return known

    async def _check_operator(self, actor: Requester) -> None:
        if not await self.is_operator(actor):
            raise NotAllowed(needs="operator")
