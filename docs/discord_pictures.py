"""Draws docs/img/discord-*.png from what the emulator of Discord recorded: `python docs/discord_pictures.py`.

The adapter is the real one on the real discord.py; only the core behind it is the tests' one in memory.
"""

import asyncio
import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from PIL import Image, ImageDraw, ImageFilter  # noqa: E402

from core.domain.errors import OutputTooLarge  # noqa: E402
from core.domain.job import Progress  # noqa: E402
from docs.discord_drawing import draw, page  # noqa: E402
from tests.adapters.discord import fake_service  # noqa: E402
from tests.adapters.discord.kit import Bot, running  # noqa: E402
from tests.emulators.discord import SeenMessage, Upload  # noqa: E402

OUT = ROOT / "docs" / "img"
CAPTION = (
    "A lighthouse on a low headland at dusk, its beam reaching over a calm sea; behind it rows of hills fade "
    "from violet to pale orange under a wide, clear sky."
)


def landscape(width: int = 1200, height: int = 750) -> bytes:
    """A drawn evening, so that the documents need nobody's photograph."""
    image = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(image)
    for y in range(height):
        t = y / height
        pen.line([(0, y), (width, y)], fill=(int(38 + 215 * t), int(36 + 120 * t), int(92 + 20 * t)))
    pen.ellipse([780, 330, 900, 450], fill=(255, 222, 160))
    image = image.filter(ImageFilter.GaussianBlur(3))
    pen = ImageDraw.Draw(image)
    for n, colour in enumerate([(140, 92, 128), (104, 68, 112), (70, 46, 90)]):
        base = 470 + n * 36
        points = [
            (x, base - 60 + n * 8 + int(38 * ((x * (n + 2) * 7 // 50) % 13) / 13)) for x in range(0, width + 60, 60)
        ]
        pen.polygon([(0, height), *points, (width, height)], fill=colour)
    pen.rectangle([0, 580, width, height], fill=(48, 44, 84))
    for n in range(60):
        x, y = (n * 197) % width, 590 + (n * 53) % 150
        pen.line([(x, y), (x + 40 + n % 50, y)], fill=(150, 104, 110), width=2)
    pen.polygon([(0, height), (0, 560), (230, 545), (420, 620), (520, height)], fill=(24, 22, 44))
    pen.polygon([(196, 556), (206, 390), (238, 390), (248, 556)], fill=(236, 228, 216))
    pen.rectangle([199, 450, 245, 486], fill=(196, 70, 62))
    pen.rectangle([204, 366, 240, 390], fill=(255, 236, 150))
    pen.polygon([(200, 366), (222, 344), (244, 366)], fill=(60, 40, 50))
    beam = Image.new("RGBA", image.size, (0, 0, 0, 0))
    ImageDraw.Draw(beam).polygon([(240, 378), (width, 250), (width, 420)], fill=(255, 240, 180, 60))
    image = Image.alpha_composite(image.convert("RGBA"), beam.filter(ImageFilter.GaussianBlur(6))).convert("RGB")
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


async def _shots(bot: Bot, picture: bytes) -> dict[str, tuple[list[SeenMessage], str]]:
    discord, core = bot.discord, bot.core
    core.script = None
    core.media.picture = picture
    core.link = "https://files.example.org/full.png"
    core.size_px = (1200, 750)
    used = "<b>alice</b> used <b>/upscale</b>"
    shots: dict[str, tuple[list[SeenMessage], str]] = {}
    upload = Upload("lighthouse.png", picture)

    started = await discord.invoke("/upscale", {"image": upload, "factor": 2.0, "seed": 4711})
    job_id = await discord.until(lambda: next(iter(core.jobs), None))
    await core.progress(job_id, Progress("upscaling", percent=57, eta_at=core.clock.now() + 23))
    shots["progress"] = ([await started.answer(lambda m: "57" in m.text)], used)
    await core.finish(job_id)
    result = await started.answer(lambda m: m.images)
    shots["result"] = ([result], used)
    details = await (await discord.click(result, "Details")).answer()
    shots["details"] = ([details], "")

    core.size_px = (2400, 1600)
    asked = await discord.invoke("/upscale", {"image": upload, "factor": 2.0})
    job_id = await discord.until(lambda: next(iter(set(core.jobs) - {job_id}), None))
    await core.ask(job_id, others=(("seedvr2", 16_000_000),), preview_nanousd=100_000_000)
    shots["price"] = ([await asked.answer()], used)
    await core.fail(
        job_id,
        OutputTooLarge(width_px=16000, height_px=12000, limit_px=100_000_000, limit_side_px=14142, largest_factor=2.88),
    )
    shots["refusal"] = ([await asked.answer(lambda m: "16000" in m.text)], used)

    post = discord.post("", (upload, Upload("harbour.png", fake_service.png(1200, 800))))
    choice = await (await discord.message_menu("Upscale", post)).answer()
    shots["choice"] = ([choice], "<b>alice</b> used <b>Upscale</b>")
    return shots


async def main() -> None:
    """Run the bot against the emulator, and draw every state of a job."""
    fake_service.CAPTION = CAPTION
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as bot:
            for name, (messages, used) in (await _shots(bot, landscape())).items():
                await draw(page(messages, bot.discord.world, used), OUT / f"discord-{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
