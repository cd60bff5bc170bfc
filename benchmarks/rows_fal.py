"""Measurements against fal's emulator and the measuring chat, for the bot and for the baseline."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pyvips

from benchmarks.baseline import AfternoonBot
from benchmarks.chat import BenchAdapter
from benchmarks.kit import (
    LoopWatch,
    cpu_of_this_process,
    ended,
    noise_picture,
    quiet,
    rss_bytes,
    settings_for,
)
from benchmarks.outside import outside
from bot.app import App
from core.domain.job import Job, ReplyAddress, Requester, Source, UpscaleRequest

MEMBER = Requester("bench", "member", is_operator=True)
SETTLE_S = 1.0
WARM_UP = 50
"""Jobs done before memory is read: what code and caches take once is no job's."""


class World:
    """The addresses, and the outside's statistics and knobs."""

    def __init__(self, addresses: dict[str, str], folder: Path, http: aiohttp.ClientSession) -> None:
        self.addresses = addresses
        self.folder = folder
        self._http = http

    async def stats(self) -> dict[str, Any]:
        async with self._http.get(self.addresses["chat"] + "/stats") as response:
            found: dict[str, Any] = await response.json()
            return found

    async def knobs(self, **values: Any) -> None:
        async with self._http.post(self.addresses["chat"] + "/knobs", json=values) as response:
            response.raise_for_status()

    async def served(self, width_px: int, height_px: int, *, noise: float = 40.0, name: str = "in") -> str:
        """The address of a picture that lies in the chat."""
        path = self.folder / f"{name}.png"
        await asyncio.to_thread(noise_picture, path, width_px, height_px, sigma=noise)
        await self.knobs(serve=str(path))
        return f"{self.addresses['chat']}/attachments/{path.name}"

    async def result(self, width_px: int, height_px: int, *, noise: float = 40.0) -> int:
        """Every job is answered with one picture of this size; its bytes."""
        path = await asyncio.to_thread(noise_picture, self.folder / "result.png", width_px, height_px, sigma=noise)
        await self.knobs(result=str(path))
        return path.stat().st_size


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    quiet()
    with tempfile.TemporaryDirectory() as folder, outside() as addresses:
        async with aiohttp.ClientSession() as http:
            yield World(addresses, Path(folder), http)


@asynccontextmanager
async def our_bot(w: World, **settings: Any) -> AsyncIterator[App]:
    """The whole application on SQLite, with fal's emulator and the measuring chat."""
    names = ("FAL_KEY", "FAL_ADMIN_KEY", "FAL_QUEUE_URL", "FAL_REST_URL", "FAL_CDN_URL", "FAL_API_URL")
    fal = {name.lower(): w.addresses[name] for name in names}
    host = w.addresses["chat"].split("/")[2]
    app = App(settings_for(w.folder / "data", trusted_file_hosts=(host,), **fal, **settings))
    adapter = BenchAdapter(w.addresses["chat"], app.ctx)
    app.adapters["bench"] = adapter
    await adapter.start()
    try:
        async with app:
            yield app
    finally:
        await adapter.close()


async def ask(app: App, url: str, number: int) -> Job:
    return await app.service.request(
        UpscaleRequest(
            key=f"bench:{number}",
            requester=MEMBER,
            source=Source("attachment", url=url),
            reply=ReplyAddress("bench", {"message": str(number)}),
            fields={"seed": number},
            confirmed_nanousd=1_000_000_000_000,
        )
    )


async def ours(w: World, numbers: list[int], url: str, **settings: Any) -> None:
    async with our_bot(w, **settings) as app:
        for job in [await ask(app, url, number) for number in numbers]:
            await ended(app, job.id)


async def theirs(w: World, numbers: list[int], url: str) -> None:
    bot = AfternoonBot(w.addresses)
    await bot.start()
    try:
        await asyncio.gather(*(bot.handle(str(number), url, number) for number in numbers))
    finally:
        await bot.close()


# --- rows -------------------------------------------------------------------------------------------------------


async def _requests(run: Callable[[World, list[int], str], Awaitable[None]], job_s: float) -> int:
    async with world() as w:
        url = await w.served(64, 48)
        await w.knobs(job_s=job_s, steps_logged=10, latency_s=0.05)
        await run(w, [1], url)
        return int((await w.stats())["queue_requests"])


async def requests(job_s: float = 53.0) -> dict[str, Any]:
    """Requests to fal's queue for one job of `job_s` with 50 ms of latency; both at the same time, apart."""
    mine, plain = await asyncio.gather(_requests(ours, job_s), _requests(theirs, job_s))
    return {"ours": mine, "baseline": plain}


async def _delay(run: Callable[[World, list[int], str], Awaitable[None]], rounds: int) -> float:
    async with world() as w:
        url = await w.served(64, 48)
        await w.result(700, 480, noise=40)
        await w.knobs(job_s=0.6)
        numbers = list(range(1, rounds + 1))
        if run is ours:
            async with our_bot(w) as app:
                for number in numbers:
                    await ended(app, (await ask(app, url, number)).id)
        else:
            for number in numbers:
                await run(w, [number], url)
        seen = await w.stats()
        delays = [seen["done_at_s"][str(n)] - seen["completed_at_s"][str(n)] for n in numbers]
        return float(1000 * statistics.median(delays))


async def completed_to_final(rounds: int = 11) -> dict[str, Any]:
    """Median milliseconds from "completed" at fal to the end of the final upload, for a 1 MB result."""
    mine = await _delay(ours, rounds)
    return {"ours": mine, "baseline": await _delay(theirs, rounds)}


async def _submitted(app: App, job_id: str) -> None:
    while (remote := (await app.ctx.load(job_id)).remote) is None or not remote.request_id:
        await asyncio.sleep(0.005)


async def phone_to_submitted(rounds: int = 9) -> dict[str, Any]:
    """Median seconds from the command with a JPEG of 12 megapixels to fal's answer to the submit."""
    async with world() as w:
        path = w.folder / "phone.jpg"
        noise = [pyvips.Image.gaussnoise(4000, 3000, mean=128, sigma=14, seed=seed) for seed in (1, 2, 3)]
        noise[0].bandjoin(noise[1:]).cast("uchar").copy(interpretation="srgb").gaussblur(1.2).jpegsave(str(path), Q=90)
        await w.knobs(serve=str(path), job_s=0.1)
        await w.result(64, 48)
        delays = []
        async with our_bot(w) as app:
            for number in range(rounds):
                began = time.perf_counter()
                job = await ask(app, f"{w.addresses['chat']}/attachments/{path.name}", number)
                await _submitted(app, job.id)
                delays.append(time.perf_counter() - began)
    return {"seconds": statistics.median(delays)}


class Peak:
    """The largest resident memory of this process while it is watched, every 10 ms."""

    def __init__(self) -> None:
        self.bytes = 0

    async def watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, rss_bytes())
            await asyncio.sleep(0.01)


@asynccontextmanager
async def measured() -> AsyncIterator[tuple[Peak, LoopWatch, int]]:
    peak, loop = Peak(), LoopWatch()
    before = rss_bytes()
    task = asyncio.create_task(peak.watch())
    async with loop.watching():
        try:
            yield peak, loop, before
        finally:
            task.cancel()


async def large_results(side: str, count: int = 20) -> dict[str, Any]:
    """Megabytes above idle, and the longest block of the loop, while `count` results of 64 megapixels are delivered."""
    async with world() as w:
        url = await w.served(4000, 4000, noise=0.3)
        n_bytes = await w.result(8000, 8000, noise=0.9)
        await w.knobs(job_s=0.2)
        began = time.monotonic()
        numbers = list(range(1, count + 1))
        if side == "ours":
            async with our_bot(w) as app:
                await asyncio.sleep(SETTLE_S)
                async with measured() as (peak, loop, before):
                    jobs = await asyncio.gather(*(ask(app, url, number) for number in numbers))
                    await asyncio.gather(*(ended(app, job.id) for job in jobs))
        else:
            await asyncio.sleep(SETTLE_S)
            async with measured() as (peak, loop, before):
                await theirs(w, numbers, url)
        return {
            "mb": (peak.bytes - before) / 1e6,
            "block_ms": 1000 * loop.longest_s,
            "seconds": time.monotonic() - began,
            "result_mb": n_bytes / 1e6,
        }


async def staging(side: str) -> dict[str, Any]:
    """Megabytes above idle while an input of 50 MB is fetched, read and uploaded to fal."""
    async with world() as w:
        url = await w.served(4400, 3700, noise=40, name="large")
        n_bytes = (w.folder / "large.png").stat().st_size
        await w.result(64, 48)
        await w.knobs(job_s=0.05)
        if side == "ours":
            async with our_bot(w, max_output_pixels=200_000_000, max_input_bytes=60_000_000) as app:
                await ended(app, (await ask(app, await w.served(64, 48), 1)).id)
                await asyncio.sleep(SETTLE_S)
                async with measured() as (peak, _, before):
                    await ended(app, (await ask(app, url, 2)).id)
        else:
            await theirs(w, [1], await w.served(64, 48))
            async with measured() as (peak, _, before):
                await theirs(w, [2], url)
        return {"mb": (peak.bytes - before) / 1e6, "input_mb": n_bytes / 1e6}


async def waiting(count: int) -> dict[str, Any]:
    """Kilobytes per job and share of a core while `count` jobs wait at fal, each on its own status stream."""
    async with world() as w:
        url = await w.served(64, 48)
        await w.knobs(job_s=0.05)
        async with our_bot(w) as app:
            for job in await asyncio.gather(*(ask(app, url, 10**6 + n) for n in range(WARM_UP))):
                await ended(app, job.id)
            await w.knobs(job_s=100_000.0)
            await asyncio.sleep(SETTLE_S)
            before = rss_bytes()
            for start in range(0, count, 100):
                await asyncio.gather(*(ask(app, url, n) for n in range(start, min(count, start + 100))))
                while (await w.stats())["routes"].get("stream", 0) < WARM_UP + min(count, start + 100):
                    await asyncio.sleep(0.2)
            await asyncio.sleep(3 * SETTLE_S)
            with cpu_of_this_process() as share:
                await asyncio.sleep(20)
                cpu = share()
            loop = LoopWatch()  # afterwards, since it takes 2 % of a core itself
            async with loop.watching():
                await asyncio.sleep(5)
            kb = (rss_bytes() - before) / count / 1000
            return {"kb": kb, "cpu": 100 * cpu, "block_ms": 1000 * loop.longest_s}
