"""The rows of `work`: inserted once, deleted by their owner only, taken by one process."""

import asyncio

import pytest

from core.engine.replicas import Replicas
from core.engine.work import Piece, Work
from core.storage.database import Database
from tests.fakes.core import FakeClock

ONE = Piece("job", "request")


@pytest.fixture
def work(database: Database) -> Work:
    return Work(database, FakeClock())


async def signed_in(database: Database, *tokens: str) -> None:
    for token in tokens:
        await Replicas(database).sign_in(f"p-{token}", token)


async def test_processes_that_take_at_once_what_was_left_share_it(work: Work, database: Database) -> None:
    jobs = [f"job-{number:03}" for number in range(120)]
    await asyncio.gather(*(work.start(job) for job in jobs for _ in range(2)))
    tokens = [f"token-{number}" for number in range(3)]
    await signed_in(database, *tokens)

    async def take(token: str) -> list[str]:
        found: list[str] = []
        while taken := await work.take_unowned(token):
            found += [piece.job_id for piece in taken]
        return found

    shares = await asyncio.gather(*map(take, tokens))
    assert sorted(job for share in shares for job in share) == jobs
    assert [sorted(share) for share in shares] == [
        sorted(piece.job_id for piece in await work.of(token)) for token in tokens
    ]


async def test_of_those_who_begin_the_same_at_once_one_is_the_first(work: Work, database: Database) -> None:
    await signed_in(database, "mine", "other")
    other = Work(database, FakeClock())
    new = await asyncio.gather(*(one.add(ONE, owner) for one, owner in ((work, "mine"), (other, "other")) * 5))
    assert sum(new) == 1
    assert await work.add(Piece("job", "confirmed"), "mine"), "another part is another row"


async def test_what_ends_and_begins_in_one_moment_is_there(work: Work, database: Database) -> None:
    await signed_in(database, "mine")
    assert await work.add(ONE, "mine")
    answers = await asyncio.gather(work.add(ONE, "mine"), work.end(ONE, "mine"), work.add(ONE, "mine"))
    assert (answers[0], answers[2]) == (True, False)
    assert await work.of("mine") == [ONE]


async def test_only_a_signed_in_owner_ends_its_row_and_only_the_signed_in_take(work: Work, database: Database) -> None:
    await signed_in(database, "mine", "other")
    await work.add(ONE, "mine")
    await work.end(ONE, "other")
    assert await work.of("mine") == [ONE]
    assert await work.take_unowned("other") == (), "its owner lives"
    await Replicas(database).revoke("p-mine")
    await work.end(ONE, "mine")
    assert list(await work.take_unowned("mine")) == [], "nobody signed in has this token"
    assert list(await work.take_from("mine", "nobody")) == []
    assert list(await work.take_from("mine", "other")) == [ONE]
    await work.end(ONE, "other")
    assert list(await work.of("other")) == []
