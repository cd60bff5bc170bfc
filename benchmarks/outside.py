"""Everything outside the bot, in a process of its own: fal's emulator and a small chat that takes uploads.

`python -m benchmarks.outside` prints one JSON line of addresses and serves until its input closes. It is the same for
the bot and for the baseline. `GET /stats` tells what was asked of it, `POST /knobs` sets the emulator's knobs.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.emulators.fal import FalEmulator, Slow
from tests.emulators.fal.state import StoredFile

FAL_ROUTES = ("submit", "status", "stream", "result", "cancel")


class Chat:
    """A message is posted once and edited by its number; pictures are taken as a multipart file and thrown away."""

    def __init__(self, fal: FalEmulator) -> None:
        self.fal = fal
        self.edits: Counter[str] = Counter()
        self.done_at_s: dict[str, float] = {}
        self.taken_bytes = 0
        self.files: dict[str, Path] = {}

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(
            [
                web.post("/messages/{id}", self.edit),
                web.post("/messages/{id}/file", self.upload),
                web.get("/attachments/{name}", self.attachment),
                web.get("/stats", self.stats),
                web.post("/knobs", self.knobs),
            ]
        )
        return app

    async def edit(self, request: web.Request) -> web.Response:
        await request.read()
        self.edits[request.match_info["id"]] += 1
        return web.json_response({})

    async def upload(self, request: web.Request) -> web.Response:
        async for part in await request.multipart():
            while chunk := await part.read_chunk(1 << 18):  # type: ignore[union-attr]
                self.taken_bytes += len(chunk)
        self.done_at_s[request.match_info["id"]] = time.monotonic()
        return web.json_response({})

    async def attachment(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self.files[request.match_info["name"]])

    async def stats(self, _: web.Request) -> web.Response:
        fal = self.fal
        routes = Counter(seen.route for seen in fal.requests)
        completed = {str(job.model_input.get("seed")): job.completed_at_s for job in fal.jobs.values()}
        running = sum(job.status != "COMPLETED" for job in fal.jobs.values())
        return web.json_response(
            {
                "routes": routes,
                "queue_requests": sum(routes[name] for name in FAL_ROUTES),
                "completed_at_s": completed,
                "running": running,
                "done_at_s": self.done_at_s,
                "edits": sum(self.edits.values()),
                "taken_bytes": self.taken_bytes,
            }
        )

    async def knobs(self, request: web.Request) -> web.Response:
        """Attributes of the emulator; `latency_s` for its queue, `result` as the picture of every job, `serve`."""
        knobs: dict[str, Any] = await request.json()
        if (latency_s := knobs.pop("latency_s", None)) is not None:
            for route in FAL_ROUTES:
                self.fal.faults.add(route, Slow(latency_s, before=True), times=1 << 30)
        if (picture := knobs.pop("result", None)) is not None:
            self._answer_with(Path(picture))
        if (served := knobs.pop("serve", None)) is not None:
            self.files[Path(served).name] = Path(served)
        for name, value in knobs.items():
            setattr(self.fal, name, value)
        return web.json_response({})

    def _answer_with(self, picture: Path) -> None:
        """Every job is answered with this file: enlarging in the emulator would be measured with the bot."""
        fal = self.fal
        fal.files["/files/b/result.png"] = StoredFile(
            picture, "image/png", "result.png", picture.stat().st_size, None, False
        )

        async def make(job: Any, source: Path) -> None:
            job.result_status = 200
            job.result_headers["X-Fal-Billable-Units"] = "1"
            job.result_body = {
                "image": {"url": fal.cdn_url + "/files/b/result.png"},
                "seed": job.model_input.get("seed", 1),
                "timings": {"inference": 0.0},
                "caption": "A picture.",
            }

        fal.runner._make = make  # type: ignore[method-assign]


async def _serve() -> None:
    async with FalEmulator(slots=1_000_000, steps_logged=1) as fal:
        chat = Chat(fal)
        runner = web.AppRunner(chat.application(), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2_048)
        await site.start()
        port = runner.addresses[0][1]
        print(json.dumps({"chat": f"http://127.0.0.1:{port}", **fal.env()}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await runner.cleanup()


@contextmanager
def outside() -> Iterator[dict[str, str]]:
    """The process, and its addresses."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.outside"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        addresses: dict[str, str] = json.loads(process.stdout.readline())
        yield addresses
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()


if __name__ == "__main__":
    asyncio.run(_serve())
