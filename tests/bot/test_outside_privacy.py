"""What is left on the disk after an erasure. The real process with the emulated model."""

from pathlib import Path

from tests.bot.process_kit import Bot, Client, client_of
from tests.emulators.fal import FalEmulator


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
