"""Three processes with disks of their own, one PostgreSQL and one object store: each serves what any of them made."""

import asyncio
from pathlib import Path

from tests.bot.process_kit import Bot, Client, accepted, check_receipts, client_of, until
from tests.emulators.fal import FalEmulator, Slow
from tests.emulators.s3 import S3Emulator

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
