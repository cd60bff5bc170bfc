"""Who owns a server is asked of Discord before an acknowledgement: once, however many events wait for it."""

import asyncio
from typing import Any, cast

import pytest

from adapters.discord.setup.owners import CACHE_TTL_S, Owners
from core.domain.errors import PlatformBusy
from core.domain.identity import Place
from core.ports import PlaceFacts
from tests.fakes.clock import HandClock

SERVER = Place("discord", "workspace", "5")


class Rest:
    """Discord, which answers in the next turn of the event loop, or while `away` not at all."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.away = False

    async def fetch_application(self) -> dict[str, Any]:
        return await self._answer(0, {"owner": {"id": "1"}})

    async def fetch_guild(self, guild_id: int) -> dict[str, Any]:
        return await self._answer(guild_id, {"owner_id": "1", "name": "Ann's server"})

    async def _answer(self, number: int, found: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(number)
        await asyncio.sleep(0)
        if self.away:
            raise TimeoutError
        return found


async def test_a_burst_of_events_asks_once() -> None:
    rest, clock = Rest(), HandClock()
    owners = Owners(cast(Any, rest), clock)
    found = await asyncio.gather(*(owners.facts(SERVER) for _ in range(50)))
    assert set(found) == {PlaceFacts(is_own=True, name="Ann's server")}
    assert rest.asked == [0, 5]
    clock.at += CACHE_TTL_S + 1
    await asyncio.gather(*(owners.facts(SERVER) for _ in range(50)))
    assert rest.asked == [0, 5, 0, 5]


async def test_a_failure_is_not_kept() -> None:
    rest = Rest()
    owners = Owners(cast(Any, rest), HandClock())
    rest.away = True
    assert all(isinstance(one, PlatformBusy) for one in await _all(owners))
    rest.away = False
    assert await owners.facts(SERVER) == PlaceFacts(is_own=True, name="Ann's server")
    assert rest.asked == [0, 0, 5]


async def test_a_caller_who_gives_up_does_not_cut_off_the_others() -> None:
    owners = Owners(cast(Any, Rest()), HandClock())
    first, other = (asyncio.create_task(owners.facts(SERVER)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await other).is_own
    with pytest.raises(asyncio.CancelledError):
        await first


async def _all(owners: Owners) -> list[PlaceFacts | BaseException]:
    return await asyncio.gather(*(owners.facts(SERVER) for _ in range(3)), return_exceptions=True)
