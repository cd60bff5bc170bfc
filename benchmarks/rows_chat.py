"""Measurements through a real chat adapter: the whole bot as a process between the emulators of Discord and of fal."""

import asyncio
import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.bot.process_kit import Bot
from tests.emulators.discord import DiscordEmulator, Upload
from tests.emulators.fal import FalEmulator


def _png() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 48), 60).convert("RGB").save(out, "PNG")
    return out.getvalue()


async def acknowledged(count: int) -> dict[str, Any]:
    """99th percentile and median of the milliseconds from an event to its acknowledgement, `count` members at once."""
    async with DiscordEmulator() as discord, FalEmulator(slots=1_000, job_s=0.2) as fal:
        discord.limits.everything = (100_000, 1.0)
        with tempfile.TemporaryDirectory() as folder:
            env = {**fal.env(), **discord.env()}
            bot = await Bot(Path(folder) / "data", env).start()
            try:
                await discord.gateway.wait_connected(timeout_s=30)
                await discord.until(lambda: discord.world.commands, 30)
                latencies_s = await _crowd(discord, count)
            finally:
                await bot.close()
    ordered = sorted(latencies_s)
    return {"p99": 1000 * ordered[(len(ordered) - 1) * 99 // 100], "p50": 1000 * ordered[len(ordered) // 2]}


async def _crowd(discord: DiscordEmulator, count: int) -> list[float]:
    picture = _png()
    warm = await discord.invoke("/upscale", {"image": Upload("a.png", picture), "seed": 1})
    await warm.answer(lambda message: bool(message.images), 60)
    users = [discord.world.add_user(f"member{number}") for number in range(count)]
    started = await asyncio.gather(
        *(
            discord.invoke("/upscale", {"image": Upload("a.png", picture), "seed": 10 + number}, user=user)
            for number, user in enumerate(users)
        )
    )
    return [await one.acknowledged() for one in started]
