"""Detection of dead processes: each is taken over once; live and suspended ones are left alone."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import asyncpg
import pytest

from core.engine.cluster import FileRoster, PostgresRoster, Roster, new_name, watch
from core.engine.replicas import Replicas
from core.ports import LeaseUnsure, awake_clock_s
from tests.fakes.core import closing, meanwhile, until
from tests.pg import fresh_database, open_database

Make = Callable[[], Awaitable[Roster]]


class OfAge(PostgresRoster):
    """A roster whose server seems to have run for a while, and for which a free lock means death at once."""

    dead_after_s = 0.0

    uptime_s = 60.0

    async def _uptime_s(self) -> float:
        await super()._uptime_s()
        return self.uptime_s


@pytest.fixture(params=["files", "postgresql"])
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    """Make the roster of one more process."""
    made: list[Roster] = []
    async with contextlib.AsyncExitStack() as stack:
        on_files = request.param == "files"
        url = f"sqlite:///{tmp_path / 'bot.db'}"
        if not on_files:
            url = await stack.enter_async_context(fresh_database(request.getfixturevalue("postgres_server")))
        replicas = await stack.enter_async_context(replicas_on(url))

        async def one_more() -> Roster:
            made.append(FileRoster(tmp_path / "replicas", replicas) if on_files else OfAge(url, replicas))
            return made[-1]

        yield one_more
        for roster in made:
            await roster.sign_out()


@contextlib.asynccontextmanager
async def replicas_on(url: str) -> AsyncIterator[Replicas]:
    async with closing(await open_database(url)) as database:
        yield Replicas(database)


async def look(roster: Roster, times: int = 3) -> list[str]:
    """The names of the processes that this roster finds dead."""
    found: list[str] = []

    async def take(name: str, _token: str) -> None:
        found.append(name)

    for _ in range(times):
        await roster.take_dead(take)
    return found


async def test_the_lock_of_another_user_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root typed a command beside the service, and it was killed."""
    async with replicas_on(f"sqlite:///{tmp_path / 'bot.db'}") as replicas:
        roster = FileRoster(tmp_path, replicas)
        await roster.sign_in(new_name())
        (tmp_path / "p-of-root.lock").touch()
        with monkeypatch.context() as patched:
            patched.setattr("core.engine.cluster.FileLock", Mock(side_effect=PermissionError))
            assert await look(roster) == []
        await roster.sign_out()


async def test_the_living_are_left_alone_and_the_ended_are_taken_once(make: Make) -> None:
    first, second, third = [await make() for _ in range(3)]
    names = [new_name() for _ in range(3)]
    for roster, name in zip((first, second, third), names, strict=True):
        await roster.sign_in(name)
    assert await look(second) == []
    await first.sign_out()
    found = await look(second) + await look(third) + await look(second)
    assert found == [names[0]]


async def test_who_cannot_finish_the_taking_leaves_it_to_the_next_look(make: Make) -> None:
    dead, living = await make(), await make()
    name = new_name()
    await dead.sign_in(name)
    await living.sign_in(new_name())
    await dead.sign_out()

    async def fail(_: str, _token: str) -> None:
        raise OSError("no disk")

    for _ in range(2):
        try:
            await living.take_dead(fail)
        except OSError:
            break
    assert await look(living) == [name]


async def test_the_watch_outlives_every_trouble(make: Make) -> None:
    dead, living = await make(), await make()
    await living.sign_in(new_name())
    name = new_name()
    await dead.sign_in(name)
    await dead.sign_out()
    found: list[str] = []
    troubles: list[Exception] = [OSError("away"), RuntimeError("odd"), ZeroDivisionError()]

    async def take(dead_name: str, _token: str) -> None:
        if troubles:
            raise troubles.pop()
        found.append(dead_name)

    async with meanwhile(watch(living, take, every_s=0.01)):
        await until(lambda: found == [name])


async def test_who_may_be_dead_is_looked_at_again_as_soon_as_that_can_be_told(
    postgres_url: str, replicas: Replicas
) -> None:
    dead, living = OfAge(postgres_url, replicas), OfAge(postgres_url, replicas)
    living.dead_after_s = 0.2
    name = new_name()
    await dead.sign_in(name)
    await living.sign_in(new_name())
    await dead.sign_out()
    found: list[str] = []

    async def take(dead_name: str, _token: str) -> None:
        found.append(dead_name)

    async with meanwhile(watch(living, take, every_s=3600)):
        await until(lambda: found == [name] and living.due_s > 3600)  # nobody else is due
    await living.sign_out()


@pytest.fixture
async def replicas(postgres_url: str) -> AsyncIterator[Replicas]:
    async with replicas_on(postgres_url) as made:
        yield made


async def test_after_a_restart_of_the_server_nobody_is_declared_dead_for_a_while(
    postgres_url: str, replicas: Replicas
) -> None:
    first, second = OfAge(postgres_url, replicas), OfAge(postgres_url, replicas)
    name = new_name()
    await first.sign_in(name)
    await second.sign_in(new_name())
    await first.sign_out()
    second.uptime_s = 3.0
    assert await look(second) == []
    second.uptime_s = 11.0
    assert await look(second) == [name]
    await second.sign_out()


async def test_a_connection_that_was_cut_is_made_again_and_holds_its_name_again(
    postgres_url: str, replicas: Replicas
) -> None:
    cut, other = OfAge(postgres_url, replicas), OfAge(postgres_url, replicas)
    name = new_name()
    await cut.sign_in(name)
    await other.sign_in(new_name())
    async with closing(await asyncpg.connect(postgres_url)) as killer:
        query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
        await killer.fetchval(query, f"upscale-bot {name}")
        await until(cut._connection.is_closed)
    await look(cut, times=1)
    assert await look(other) == []
    await cut.sign_out()
    assert await look(other) == [name]
    await other.sign_out()


async def test_who_was_taken_for_dead_by_mistake_loses_its_token_signs_in_anew_and_is_watched_again(make: Make) -> None:
    mistaken, other = await make(), await make()
    name = new_name()
    await mistaken.sign_in(name)
    await other.sign_in(new_name())
    old = mistaken.token
    await mistaken.sign_out()  # its connection is cut, or its file removed, while it goes on
    assert await look(other) == [name]
    assert await look(mistaken) == []
    assert mistaken.token != old
    assert await look(other) == []
    assert (await mistaken._replicas.tokens())[name] == mistaken.token
    await mistaken.sign_out()
    assert await look(other) == [name]


async def test_a_lease_on_a_connection_that_is_gone_is_not_confirmed(postgres_url: str, replicas: Replicas) -> None:
    roster = OfAge(postgres_url, replicas)
    await roster.sign_in(new_name())
    asked_s = awake_clock_s()
    assert asked_s < await roster.confirm() <= awake_clock_s() + PostgresRoster.dead_after_s
    await roster.sign_out()
    with pytest.raises(LeaseUnsure):
        await roster.confirm()


async def test_a_lease_on_a_connection_that_the_server_is_just_closing_is_not_confirmed(
    postgres_url: str, replicas: Replicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closing(*_: Any, **__: Any) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

    roster = OfAge(postgres_url, replicas)
    await roster.sign_in(new_name())
    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "fetchval", closing)
        with pytest.raises(LeaseUnsure):
            await roster.confirm()
    assert await look(roster) == [], "on a new connection"
    assert await roster.confirm() > awake_clock_s()
    await roster.sign_out()


async def test_who_leaves_orderly_is_not_taken_for_dead(make: Make) -> None:
    leaving, crashing, other = [await make() for _ in range(3)]
    names = [new_name() for _ in range(2)]
    await leaving.sign_in(names[0])
    await crashing.sign_in(names[1])
    await other.sign_in(new_name())
    await leaving.sign_out()
    token = crashing.token
    await crashing.sign_out()
    await crashing._replicas.sign_in(names[1], token)  # a crash takes no leave
    seen: dict[str, str] = {}

    async def take(name: str, token: str) -> None:
        seen[name] = token

    for _ in range(3):
        await other.take_dead(take)
    assert seen == {names[0]: "", names[1]: token}
