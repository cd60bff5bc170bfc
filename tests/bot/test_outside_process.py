"""The real process: stopped while it starts or runs, a command killed, and what an erasure leaves on the disk."""

import asyncio
import signal
import sys
from pathlib import Path

from tests.bot.process_kit import Bot, Client, client_of, picture, until
from tests.emulators.fal import FalEmulator


async def test_a_stop_right_after_the_start_is_a_stop_like_any_other(tmp_path: Path) -> None:
    async with Bot(tmp_path, {}) as bot:
        bot.signal(signal.SIGTERM)
        assert await bot.ended() == 0


async def test_while_it_stops_whoever_asks_is_told_to_come_back(tmp_path: Path) -> None:
    async with FalEmulator(job_s=600) as fal, Bot(tmp_path, fal.env()) as bot:
        async with client_of(bot) as client:
            await client.post(1)
            await until(lambda: len(fal.seen("stream")) == 1)
            bot.signal(signal.SIGTERM)
            await until(lambda: any(event["event"] == "draining" for event in bot.events))
            status, body = await client.try_post(2)
            assert (status, body["error"]["code"]) == (503, "draining")
        assert await bot.ended() == 0, "it waited for the job at fal"


async def test_a_command_that_was_killed_is_not_paid_again_when_it_is_typed_again(tmp_path: Path) -> None:
    async with FalEmulator(job_s=3) as fal:
        bot = Bot(tmp_path / "data", fal.env())
        bot.data_dir.mkdir()
        (bot.data_dir / "cat.png").write_bytes(picture(64, 48, 1))

        async def type_it() -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "upscale", "cat.png", "2x",
                cwd=bot.data_dir, env=bot.environment(), stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip

        killed = await type_it()
        await until(lambda: len(fal.submits) == 1)
        killed.kill()
        await killed.communicate()
        again = await type_it()
        said, _ = await asyncio.wait_for(again.communicate(), 60)
        assert (again.returncode, (bot.data_dir / "cat.2x.png").exists()) == (0, True), said.decode()
        assert len(fal.submits) == 1


def pictures(data_dir: Path) -> list[str]:
    folders = (data_dir / "jobs", data_dir / "uploads")
    return [path.name for folder in folders for path in folder.rglob("*") if path.is_file()]


async def called(client: Client, method: str, path: str) -> int:
    async with client.session.request(method, client.url(path), json={"confirm": True}) as response:
        return response.status


async def test_deleted_pictures_are_gone_under_every_name(tmp_path: Path) -> None:
    async with FalEmulator() as fal, Bot(tmp_path, fal.env()) as bot:
        async with client_of(bot) as client:
            await client.post(1)
            await client.post(2)
            await client.finished([1, 2])
            assert "source" in pictures(tmp_path)
            assert await called(client, "DELETE", f"/api/jobs/{client.job_id(1)}") == 200
            assert await called(client, "POST", "/api/privacy/delete") == 200
            assert (await client.job(2))["state"] == "HTTP 404"
        assert pictures(tmp_path) == []
        assert len({seen.path for seen in fal.seen("erase")}) == 2
