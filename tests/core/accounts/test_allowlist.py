"""Who may spend the operator's money."""

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.accounts.allowlist import AllowList, AllowSettings
from core.budgets.service import Budgets
from core.domain.errors import JobNotFound, NotAdmitted, NotAllowed, PlatformBusy
from core.domain.identity import Place
from core.domain.job import Requester
from core.domain.limits import ScopeKind
from core.ports import PlaceFacts
from core.presentation.cards.budget import usage
from core.presentation.texts.operator_texts import admission_question
from core.storage.encryption import Vault
from core.storage.state import SqlAppState
from tests.core.storage.ledger_kit import day_usd, default_money, make_ledger
from tests.fakes.clock import HandClock
from tests.fakes.core import FakeClock
from tests.fakes.operator import Told
from tests.fakes.sources import FakePrices
from tests.pg import open_database
from tests.typed import unwrap

OWNER = Requester("discord", "1", "Owner", workspace_id="900")
STRANGER = Requester("discord", "2", "Eve", workspace_id="900", is_moderator=True)
HOME = Place("discord", "workspace", "100")
TERMINAL = Requester("cli", "op", "op", is_operator=True)


class World:
    """An allowlist per process on one database; user `1` is the operator and owns server 100."""

    def __init__(self, state: SqlAppState, clock: FakeClock) -> None:
        self.state = state
        self.clock = clock
        self.told = Told()
        self.tell = self.told.tell
        self.own = {HOME, Place("discord", "user", "1"), Place("slack", "workspace", "T1")}
        self.busy = False

    async def place_facts(self, place: Place) -> PlaceFacts:
        if self.busy:
            raise PlatformBusy
        return PlaceFacts(place in self.own, "Eve's server")

    def process(self, *workspaces: str, users: tuple[str, ...] = (), outsiders: bool = False) -> AllowList:
        return self.list(AllowSettings(workspaces, users, outsiders))

    def list(self, settings: AllowSettings) -> AllowList:
        return AllowList(settings, self.state, self.clock, self, {"discord": self, "slack": self})  # type: ignore[dict-item]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database, clock = await open_database(f"sqlite:///{tmp_path / 'b.db'}"), FakeClock()
    yield World(SqlAppState(database, Vault("a key"), clock), clock)
    await database.close()


@pytest.mark.parametrize(
    ("who", "workspaces", "users", "allowed"),
    [
        (dataclasses.replace(STRANGER, workspace_id="100"), (), (), True),
        (STRANGER, (), (), False),
        (dataclasses.replace(STRANGER, workspace_id=""), (), (), False),
        (OWNER, (), (), True),
        (dataclasses.replace(OWNER, workspace_id=""), (), (), True),
        (dataclasses.replace(STRANGER, workspace_id="100"), ("discord:7",), (), False),
        (STRANGER, ("discord:900",), (), True),
        (STRANGER, ("900",), (), True),
        (STRANGER, ("slack:900",), (), False),
        (STRANGER, ("*",), (), True),
        (dataclasses.replace(STRANGER, workspace_id=""), ("*",), (), False),
        (dataclasses.replace(STRANGER, workspace_id=""), (), ("discord:2",), True),
        (dataclasses.replace(STRANGER, workspace_id=""), (), ("2",), True),
        (dataclasses.replace(OWNER, workspace_id=""), (), ("2",), False),
        (dataclasses.replace(STRANGER, workspace_id=""), (), ("*",), True),
        (Requester("slack", "U1", workspace_id="T1"), (), (), True),
        (Requester("slack", "U1", workspace_id="T2"), (), (), False),
        (Requester("slack", "U1", workspace_id="T2", org_id="E9"), ("slack:E9",), (), True),
        (Requester("slack", "U1", workspace_id="T2"), (), ("slack:T2:U1",), True),
        (Requester("slack", "U1", workspace_id="T2"), (), ("slack:T1:U1",), False),
        (Requester("slack", "U1", workspace_id="T2"), (), ("U1",), False),
        (TERMINAL, ("discord:7",), (), True),
    ],
)
async def test_the_lists_and_the_operators_own_places_say_who_may_spend(
    world: World, who: Requester, workspaces: tuple[str, ...], users: tuple[str, ...], allowed: bool
) -> None:
    guests = world.process(*workspaces, users=users)
    if allowed:
        await guests.check(who)
        assert world.told == []
        return
    with pytest.raises(NotAdmitted) as raised:
        await guests.check(who)
    assert raised.value.kind == ("workspace" if who.workspace_id else "user")


async def test_the_sandbox_is_open_to_all(world: World) -> None:
    await world.list(AllowSettings(open_to_all=True)).check(STRANGER)


async def test_people_of_another_organisation_spend_only_where_the_operator_says_so(world: World) -> None:
    guest = Requester("slack", "U9", workspace_id="T1", is_outsider=True)
    for guests in (world.process(), world.process("*")):
        with pytest.raises(NotAdmitted) as raised:
            await guests.check(guest)
        assert raised.value.kind == "outsider"
    await world.process(outsiders=True).check(guest)
    assert world.told == []


async def test_the_operator_is_asked_once_however_many_processes_and_members_meet_a_place(world: World) -> None:
    for n in range(6):
        with pytest.raises(NotAdmitted):
            await world.process().check(dataclasses.replace(STRANGER, user_id=str(n + 2)))
    assert world.told == [
        ("place", admission_question(Place("discord", "workspace", "900"), "Eve's server", "Eve", "en"))
    ]


def test_a_place_whose_name_is_unknown_is_told_by_its_address_alone() -> None:
    place = Place("discord", "workspace", "900")
    assert admission_question(place, "", "Eve", "en").what == "Eve wants to use the bot in discord:900."
    assert admission_question(place, "", "", "en").what == "discord:900 is not let in yet."


async def test_a_verdict_holds_in_every_process_and_can_be_revoked(world: World) -> None:
    guests, other = world.process(), world.process()
    with pytest.raises(NotAdmitted):
        await guests.check(STRANGER)
    (asked,) = await guests.places(TERMINAL)
    await guests.decide(TERMINAL, asked.place.reference, "admit")
    await other.check(STRANGER)
    assert [known.state for known in await other.places(TERMINAL)] == ["admitted"]
    await guests.decide(TERMINAL, asked.place, "refuse")
    for _ in range(2):
        with pytest.raises(NotAdmitted) as raised:
            await other.check(STRANGER)
        assert raised.value.refused
    assert len(world.told) == 1, "a refused place is not asked about again"
    await guests.decide(TERMINAL, asked.place, "revoke")
    with pytest.raises(NotAdmitted) as raised:
        await other.check(STRANGER)
    assert not raised.value.refused
    assert len(world.told) == 2


async def test_the_operators_own_place_can_be_refused_too_for_everybody_but_the_operator(world: World) -> None:
    here, guests = dataclasses.replace(STRANGER, workspace_id="100"), world.process()
    await guests.check(here)
    await guests.decide(TERMINAL, HOME, "refuse")
    with pytest.raises(NotAdmitted):
        await guests.check(here)
    await guests.check(dataclasses.replace(OWNER, workspace_id="100"))
    await guests.decide(TERMINAL, HOME, "revoke")
    await guests.check(here)


async def test_only_the_operator_sees_and_decides_whatever_rights_somebody_has_in_their_own_server(
    world: World,
) -> None:
    guests = world.process()
    with pytest.raises(NotAdmitted):
        await guests.check(STRANGER)
    place = Place("discord", "workspace", "900")
    for call in (guests.places(STRANGER), guests.decide(STRANGER, place.reference, "admit")):
        with pytest.raises(NotAllowed):
            await call
    with pytest.raises(JobNotFound):
        await guests.decide(OWNER, "0123456789ab", "admit")
    await guests.decide(OWNER, place.reference, "admit")
    await guests.check(STRANGER)


async def test_the_operator_using_the_bot_in_a_strange_place_is_asked_there_once(world: World) -> None:
    guests = world.process()
    await guests.check(OWNER)
    assert await guests.question_for(STRANGER) is None
    known = await guests.question_for(OWNER)
    assert unwrap(known).place == Place("discord", "workspace", "900")
    assert await guests.question_for(OWNER) is None
    assert await guests.question_for(dataclasses.replace(OWNER, workspace_id="100")) is None
    assert await guests.question_for(dataclasses.replace(OWNER, workspace_id="901", brought_by_user=True)) is None
    assert world.told == [], "who is asked in the place itself is not asked elsewhere too"


async def test_a_platform_that_is_away_lets_nobody_in_but_those_who_are_admitted_already(world: World) -> None:
    guests = world.process()
    await guests.decide(TERMINAL, Place("discord", "workspace", "900"), "admit")
    world.busy = True
    await guests.check(STRANGER)
    with pytest.raises(PlatformBusy):
        await guests.check(dataclasses.replace(STRANGER, workspace_id="901"))


async def test_strangers_from_very_many_places_leave_a_bounded_number_of_rows(world: World) -> None:
    guests = world.process()
    for n in range(230):
        with pytest.raises(NotAdmitted):
            await guests.check(dataclasses.replace(STRANGER, workspace_id=str(10_000 + n)))
    assert len(await guests.places(TERMINAL)) == 200
    await world.clock.sleep(31 * 86_400)
    assert await guests.places(TERMINAL) == []


@pytest.mark.parametrize("address", ["discord:123", "discord:@42", "slack:T1", "slack:@T1:U1"])
def test_an_address_is_read_as_it_is_written(address: str) -> None:
    assert unwrap(Place.parse(address)).address == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "discord",
        "discord:",
        ":1",
        "discord:@",
        "discord:1 2",
        "a b:1",
        "x:" + "1" * 99,
        "slack:@U1",
        "slack:T1:U1",
        "discord:@1:2",
    ],
)
def test_what_is_no_address_is_none(address: str) -> None:
    assert Place.parse(address) is None


@pytest.mark.parametrize("who", [STRANGER, dataclasses.replace(STRANGER, is_moderator=False)])
async def test_who_may_not_spend_is_not_told_of_money_but_that_the_owner_has_to_let_the_place_in(
    world: World, tmp_path: Path, who: Requester
) -> None:
    guests = world.process()
    await guests.decide(TERMINAL, Place("discord", "workspace", "901"), "admit")
    database = await open_database(f"sqlite:///{tmp_path / 'b.db'}")
    bot_day, place_day = (day_usd(kind, 100) for kind in (ScopeKind.EVERYTHING, ScopeKind.WORKSPACE))
    ledger = make_ledger(database, HandClock(), default_money(5), place_day, bot_day)
    budgets = Budgets(ledger, FakePrices(), allowlist=guests)  # type: ignore[arg-type]
    report = await budgets.usage(who)
    told = str(usage(report, report.left, "en"))
    assert "has to let this place in first" in told
    assert "left today" not in told
    assert report.budget_day_nanousd is None
    for asked in (
        budgets.limits.applying(who),
        budgets.limits.workspace_limits(dataclasses.replace(who, is_moderator=True)),
    ):
        with pytest.raises(NotAdmitted):
            await asked
    here = await budgets.usage(dataclasses.replace(who, workspace_id="901"))
    assert "left today" in str(usage(here, here.left, "en"))
    world.busy = True
    unsure = await budgets.usage(dataclasses.replace(who, workspace_id="902"))
    assert (unsure.left, unsure.budget_day_nanousd, unsure.refused) == ((), None, None)
    await database.close()
