"""The same job as a good engineer would write it in an afternoon with the same packages.

Handler → `fal_client.subscribe` with `on_queue_update` editing the message → the whole picture in memory → one upload.
Fair: one shared HTTP session, edits no more often than every two seconds, fal-client as its documentation shows it.
It keeps nothing: no job survives the process, nothing is held before it is spent.
"""

import io
import os
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import fal_client
import fal_client.client as fal_module

ENDPOINT = "fal-ai/flux-vision-upscaler"
EDIT_EVERY_S = 2.0


@dataclass
class AfternoonBot:
    """Needs `start` inside the loop; `addresses` are those of `benchmarks.outside`."""

    addresses: dict[str, str]
    _last_edit_s: dict[str, float] = field(default_factory=dict)

    async def start(self) -> None:
        os.environ["FAL_KEY"] = self.addresses["FAL_KEY"]
        fal_module.QUEUE_URL_FORMAT = self.addresses["FAL_QUEUE_URL"] + "/"
        fal_module.REST_URL = self.addresses["FAL_REST_URL"]
        fal_module.CDN_URL = self.addresses["FAL_CDN_URL"]
        self.fal = fal_client.AsyncClient(key=self.addresses["FAL_KEY"])
        self.http = aiohttp.ClientSession()

    async def close(self) -> None:
        await self.http.close()

    async def handle(self, message: str, attachment_url: str, seed: int) -> None:
        """One member's request, from the attachment to the picture in the message."""
        async with self.http.get(attachment_url) as response:
            picture = await response.read()
        image_url = await self.fal.upload(picture, "image/png", "image.png")

        async def on_queue_update(status: Any) -> None:
            await self._edit(message, type(status).__name__)

        result = await self.fal.subscribe(
            ENDPOINT,
            arguments={"image_url": image_url, "upscale_factor": 2, "seed": seed},
            with_logs=True,
            on_queue_update=on_queue_update,
        )
        async with self.http.get(result["image"]["url"]) as response:
            data = io.BytesIO(await response.read())
        form = aiohttp.FormData()
        form.add_field("file", data, filename="upscaled.png", content_type="image/png")
        async with self.http.post(f"{self.addresses['chat']}/messages/{message}/file", data=form) as response:
            response.raise_for_status()

    async def _edit(self, message: str, text: str) -> None:
        now = time.monotonic()
        if now - self._last_edit_s.get(message, float("-inf")) < EDIT_EVERY_S:
            return
        self._last_edit_s[message] = now
        async with self.http.post(f"{self.addresses['chat']}/messages/{message}", json={"text": text}) as response:
            response.raise_for_status()
