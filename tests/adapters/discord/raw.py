"""A bot that sends plain HTTP requests, so that no library hides the emulator's responses."""

import io
import json
from typing import Any

import aiohttp

from tests.adapters.discord.fake_service import png
from tests.emulators.discord import DiscordEmulator, Invocation, Upload

V2 = 1 << 15
COMMANDS: list[dict[str, Any]] = [
    {
        "name": "upscale",
        "description": "d",
        "type": 1,
        "options": [
            {"type": 11, "name": "image", "description": "d"},
            {"type": 10, "name": "factor", "description": "d", "min_value": 1, "max_value": 4},
        ],
    }
]


class Raw:
    def __init__(self, discord: DiscordEmulator, session: aiohttp.ClientSession) -> None:
        self.discord = discord
        self.session = session

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bot {self.discord.token}", **more.pop("headers", {})}
        async with self.session.request(method, self.discord.api_url + path, headers=headers, **more) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith(("{", "[")) else text

    async def begin(self, **place: Any) -> Invocation:
        return await self.discord.invoke("/upscale", {"image": Upload("a.png", png())}, **place)

    async def deferred(self, **place: Any) -> Invocation:
        """Use the command and acknowledge it."""
        started = await self.begin(**place)
        await self.answer(started, 5)
        return started

    async def answer(self, started: Invocation, kind: int, data: Any = None) -> tuple[int, Any]:
        i = started.interaction
        body = {"type": kind} if data is None else {"type": kind, "data": data}
        return await self.call("POST", f"/interactions/{i.id}/{i.token}/callback?with_response=1", json=body)

    def hook(self, started: Invocation) -> str:
        return f"/webhooks/{self.discord.world.application_id}/{started.interaction.token}"

    async def edit(self, started: Invocation, body: Any, *files: tuple[str, bytes]) -> tuple[int, Any]:
        path = f"{self.hook(started)}/messages/@original"
        if not files:
            return await self.call("PATCH", path, json=body)
        form = aiohttp.FormData()
        form.add_field("payload_json", json.dumps(body), content_type="application/json")
        for n, (name, data) in enumerate(files):
            form.add_field(f"files[{n}]", io.BytesIO(data), filename=name, content_type="application/octet-stream")
        return await self.call("PATCH", path, data=form)


def text(text: str = "hello") -> dict[str, Any]:
    return {"type": 10, "content": text}


def v2(*components: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"flags": V2, "components": list(components), **more}


def gallery(name: str) -> dict[str, Any]:
    return {"type": 12, "items": [{"media": {"url": f"attachment://{name}"}}]}
