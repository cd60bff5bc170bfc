"""Several processes on one PostgreSQL: of different roles, or with disks of their own and one object store."""

import asyncio
from pathlib import Path
from typing import Any

from tests.bot.process_kit import Bot, Client, accepted, check_ledger, check_receipts, client_of, until
from tests.emulators.fal import FalEmulator, Slow
from tests.emulators.s3 import S3Emulator

JOBS = range(1, 13)


def submitted(bot: Bot) -> int:
    return sum(event["event"] == "submitted" for event in bot.events)


async def test_one_takes_the_requests_two_run_the_jobs_and_one_of_them_is_killed(
    postgres_url: str, tmp_path: Path
) -> None:
    async with FalEmulator(slots=20) as fal:
        fal.job_s = 3.0
        env = {**fal.env(), "DATABASE_URL": postgres_url}
        chat, first, second = bots = [
            Bot(tmp_path / "shared", {**env, "ROLE": role}) for role in ("chat", "worker", "worker")
        ]
        try:
            await chat.start()
            async with client_of(chat) as client:
                left = asyncio.create_task(client.post(0))  # its answer waits for the price, which nobody reads yet
                await until(lambda: any(event["event"] == "job_accepted" for event in chat.events))
                await asyncio.gather(first.start(), second.start())
                await left
                check_receipts(await client.finished([0]))  # left while nobody ran jobs
                streams = len(fal.seen("stream"))
                await asyncio.gather(*(client.post(number) for number in JOBS))
                await until(lambda: len(fal.seen("stream")) >= streams + len(JOBS))
                taken = {bot.pid: submitted(bot) for bot in (first, second)}
                living, dying = sorted((first, second), key=submitted)  # one may have taken all of them
                await dying.kill()
                check_receipts(await client.finished(list(JOBS)))
                assert submitted(chat) == 0
                assert sum(taken.values()) == len(JOBS) + 1
                assert any(event["event"] == "job_taken_over" for event in living.events)
                assert (await client.image(1)).startswith(b"\x89PNG")
                said = {bot: await _says(client, bot) for bot in (chat, living)}
            assert [said[bot][0] for bot in (chat, living)] == ["chat", "worker"]
            assert 'role="worker"' in said[living][1]
            assert "upscale_processes_running_jobs" in said[chat][1]
            assert accepted(fal) == dict.fromkeys([0, *JOBS], 1)
            assert [bot.errors() for bot in bots] == [[], [], []]
            await check_ledger(postgres_url, jobs=len(JOBS) + 1)
        finally:
            await asyncio.gather(*(bot.close() for bot in bots))


async def _says(client: Any, bot: Bot) -> tuple[str, str]:
    client.bot = bot
    async with client.session.get(client.url("/healthz")) as answer:
        role = (await answer.json())["role"]
    async with client.session.get(client.url("/metrics")) as answer:
        return role, await answer.text()


PUBLIC_URL, WEB_TOKEN = "https://pictures.example.org", "a token of the page for this test"


async def _shared_by(client: Client, bot: Bot, number: int) -> str:
    """Return the path of the link that this process makes for a result."""
    client.bot = bot
    async with client.session.post(client.url(f"/api/jobs/{client.job_id(number)}/share")) as answer:
        address = str((await answer.json())["url"])
    assert address.startswith(PUBLIC_URL)
    return address.removeprefix(PUBLIC_URL)


async def _shown_by(client: Client, bot: Bot, path: str) -> tuple[int, int]:
    """Return the status of a shared page and of its picture at this process."""
    client.bot = bot
    async with client.session.get(client.url(path)) as page, client.session.get(client.url(f"{path}/image")) as image:
        return page.status, image.status


async def _seen_by(client: Client, bot: Bot, number: int, what: str = "image") -> tuple[int, bytes]:
    client.bot = bot
    async with client.session.get(client.url(f"/api/jobs/{client.job_id(number)}/{what}")) as answer:
        return answer.status, await answer.read()


async def test_any_process_shows_compares_shares_and_deletes_what_another_made(
    postgres_url: str, tmp_path: Path
) -> None:
    async with S3Emulator(tmp_path / "s3") as s3, FalEmulator(slots=20) as fal:
        fal.job_s = 0.5
        env = {**fal.env(), "DATABASE_URL": postgres_url, **s3.env(), "PUBLIC_URL": PUBLIC_URL, "WEB_TOKEN": WEB_TOKEN}
        first, second, third = bots = [Bot(tmp_path / f"data{n}", env) for n in range(3)]
        try:
            await asyncio.gather(*(bot.start() for bot in bots))
            async with client_of(first) as client:
                client.session.headers["Authorization"] = f"Bearer {WEB_TOKEN}"
                await client.post(1)
                check_receipts(await client.finished([1]))
                downloads = len(fal.seen("download"))
                made = await _seen_by(client, first, 1)
                assert made[0] == 200
                assert await _seen_by(client, second, 1) == made
                assert (await _seen_by(client, third, 1, "compare"))[0] == 200
                assert len(fal.seen("download")) == downloads, "from the store, not from fal again"
                path = await _shared_by(client, second, 1)
                assert {await _shown_by(client, bot, path) for bot in bots} == {(200, 200)}
                client.bot = third
                async with client.session.delete(client.url(f"/api/jobs/{client.job_id(1)}")) as answer:
                    assert answer.status == 200
                assert {(await _seen_by(client, bot, 1))[0] for bot in bots} == {409}
                assert {(await _shown_by(client, bot, path))[0] for bot in bots} == {410}
                assert s3.keys == []

                fal.faults.add("upload", Slow(30.0))
                client.bot = first
                await client.post(2)  # a picture from the page, on the first one's disk alone
                await until(lambda: len(fal.seen("upload")) == 2)
                await first.kill()
                client.bot = second
                check_receipts(await client.finished([2]))
            assert accepted(fal) == {1: 1, 2: 1}
            assert s3.violations == []
            assert [bot.errors() for bot in bots] == [[], [], []]
        finally:
            await asyncio.gather(*(bot.close() for bot in bots))
