"""Members of other organisations have no rights; the owner admits places by a button."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from adapters.slack.inbound.user_cache import _parse_user
from adapters.slack.outbound.api_client import Team
from core.accounts.allowlist import AllowList
from core.domain.errors import NotAllowed
from core.domain.identity import Place
from core.domain.job import Requester
from core.ports import KnownPlace, Verdict
from core.presentation.texts.operator_texts import admission_question
from tests.adapters.slack.conftest import World, make_world
from tests.emulators.slack import SlackEmulator
from tests.typed import unwrap

ADMIN = {"name": "eve", "is_admin": True, "is_owner": True}


@pytest.mark.parametrize(
    ("user", "moderates"),
    [
        (ADMIN | {"team_id": "T1"}, True),
        (ADMIN, True),
        (ADMIN | {"team_id": "T2"}, False),
        (ADMIN | {"team_id": "T1", "is_stranger": True}, False),
        (ADMIN | {"team_id": "E1", "enterprise_user": {"id": "W1", "teams": ["T1", "T3"]}}, True),
        (ADMIN | {"team_id": "E1", "enterprise_user": {"id": "W1", "teams": ["T3"]}}, False),
        ({"name": "ann", "team_id": "T1"}, False),
    ],
)
def test_only_an_admin_of_this_workspace_moderates_it(user: dict[str, Any], moderates: bool) -> None:
    assert _parse_user(user, Team("T1", "", "W1")).is_admin is moderates


@pytest.mark.parametrize(("org", "is_outsider"), [("E1", False), ("E2", True), ("", True)])
def test_a_member_of_another_workspace_of_the_organisation_is_no_outsider_and_no_moderator(
    org: str, is_outsider: bool
) -> None:
    user = ADMIN | {"team_id": "T3", "enterprise_user": {"id": "W1", "enterprise_id": org, "teams": ["T3"]}}
    seen = _parse_user(user, Team("T1", "E1" if org else "", "W1"))
    assert (seen.is_outsider, seen.is_admin, seen.is_owner) == (is_outsider, False, False)


PLACE = Place("slack", "workspace", "T0BETA00002")


class FakeGuests:
    """Accepts decisions of those whom the platform names as owners."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.verdicts: list[tuple[str, str]] = []

    async def check(self, actor: Requester) -> None: ...

    async def is_operator(self, actor: Requester) -> bool:
        return (await unwrap(self.world).adapter.place_facts(Place.of_person(actor))).is_own

    async def question_for(self, actor: Requester) -> KnownPlace | None:
        return None

    async def places(self, actor: Requester) -> Sequence[KnownPlace]:
        return ()

    async def decide(self, actor: Requester, place: Place | str, verdict: Verdict) -> KnownPlace:
        if not await self.is_operator(actor):
            raise NotAllowed(needs="operator")
        self.verdicts.append((str(place), verdict))
        return KnownPlace(PLACE, "admitted" if verdict == "admit" else "refused", "Beta")


async def test_only_an_owner_of_our_workspace_answers_whose_guests_are_paid_for(
    slack: SlackEmulator, tmp_path: Path
) -> None:
    allowlist = FakeGuests()
    world = allowlist.world = make_world(slack, tmp_path, allowlist=cast(AllowList, allowlist))
    await world.start()
    try:
        space = slack.member.space()
        space.users[slack.member.user("ben").id].is_owner = True
        await world.adapter.notify(space.id, slack.member.channel().id, admission_question(PLACE, "Beta", "Eve", "en"))
        (asked,) = world.bot_messages()
        await slack.member.click(asked, f"job:admit:{PLACE.reference}", user="ada")
        await world.until(lambda: "owner can do that" in str(slack.requests[-1].args))
        assert allowlist.verdicts == []
        await slack.member.click(asked, f"job:admit:{PLACE.reference}", user="ben")
        await world.until(lambda: "Beta is let in" in str(world.bot_messages()[0]))
        assert allowlist.verdicts == [(PLACE.reference, "admit")]
    finally:
        await world.stop()


async def test_the_workspace_of_the_configured_token_is_the_operators_own(world: World) -> None:
    team = world.slack.member.space().id
    assert (await world.adapter.place_facts(Place("slack", "workspace", team))).is_own
    assert not (await world.adapter.place_facts(PLACE)).is_own
