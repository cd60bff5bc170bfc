"""Processes of different roles on one PostgreSQL: one takes requests, others run the jobs, and one of those dies."""

import asyncio
from pathlib import Path
from typing import Any

from tests.bot.process_kit import Bot, accepted, check_ledger, check_receipts, client_of, until
from tests.emulators.fal import FalEmulator

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
