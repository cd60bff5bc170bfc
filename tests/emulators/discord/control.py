"""The same acting and looking over HTTP (`/control/…`), for programs in another process.

POST /control/invoke   {"name", "options", "files": {"image": path}, "user", "locale", "attachment_size_limit"}
POST /control/menu     {"name", "message"}; POST /control/click {"message", "label"|"custom_id", "values"}
POST /control/modal    {"interaction", "values"}; POST /control/post or write {"content", "files": [path]}
POST /control/advance  {"seconds"}; POST /control/fault {Fault's fields}
GET  /control/messages, /control/requests, /control/state
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.emulators.discord.faults import Fault
from tests.emulators.discord.interactions import Invocation
from tests.emulators.discord.seen import ClientRefused, SeenMessage, Upload
from tests.emulators.discord.world import User, dumps

if TYPE_CHECKING:
    from tests.emulators.discord.server import DiscordEmulator


def control_routes(emulator: DiscordEmulator) -> list[web.RouteDef]:
    control = _Control(emulator)
    return [
        web.post("/control/{action}", control.act),
        web.get("/control/messages", control.messages),
        web.get("/control/requests", control.requests),
        web.get("/control/state", control.state),
    ]


class _Control:
    def __init__(self, emulator: DiscordEmulator) -> None:
        self.emulator = emulator
        self.invocations: dict[int, Invocation] = {}

    async def act(self, request: web.Request) -> web.Response:
        given = await request.json() if request.can_read_body else {}
        action = getattr(self, f"_{request.match_info['action']}", None)
        if action is None:
            raise web.HTTPNotFound
        try:
            result = await action(given)
        except ClientRefused as refusal:
            return _json({"refused": str(refusal)}, 409)
        if isinstance(result, Invocation):
            self.invocations[result.interaction.id] = result
            return _json({"interaction": str(result.interaction.id), "sessions": result.reached_sessions})
        return _json(result)

    def _place(self, given: dict[str, Any]) -> dict[str, Any]:
        place: dict[str, Any] = {k: given[k] for k in ("install", "attachment_size_limit", "locale") if k in given}
        if "user" in given:
            place["user"] = self._user(given["user"])
        return place

    def _user(self, name: str) -> User:
        world = self.emulator.world
        return next((u for u in world.users.values() if u.username == name), None) or world.add_user(name)

    async def _invoke(self, given: dict[str, Any]) -> Invocation:
        options = dict(given.get("options") or {})
        for name, path in (given.get("files") or {}).items():
            options[name] = Upload(Path(path).name, Path(path).read_bytes())
        return await self.emulator.invoke(given["name"], options, **self._place(given))

    async def _menu(self, given: dict[str, Any]) -> Invocation:
        message = self.emulator.world.messages[int(given["message"])]
        return await self.emulator.message_menu(given["name"], message, **self._place(given))

    async def _click(self, given: dict[str, Any]) -> Invocation:
        message = self.emulator.world.messages[int(given["message"])]
        return await self.emulator.click(
            message,
            given.get("label"),
            custom_id=given.get("custom_id"),
            values=given.get("values"),
            **self._place(given),
        )

    async def _modal(self, given: dict[str, Any]) -> Invocation:
        opened = self.invocations[int(given["interaction"])]
        return await self.emulator.submit_modal(opened, given["values"])

    async def _post(self, given: dict[str, Any]) -> dict[str, str]:
        files = tuple(Upload(Path(p).name, Path(p).read_bytes()) for p in given.get("files") or [])
        message = self.emulator.post(given.get("content", ""), files)
        return {"message": str(message.id)}

    async def _write(self, given: dict[str, Any]) -> dict[str, str]:
        files = tuple(Upload(Path(p).name, Path(p).read_bytes()) for p in given.get("files") or [])
        message = await self.emulator.write(given.get("content", ""), files)
        return {"message": str(message.id)}

    async def _advance(self, given: dict[str, Any]) -> dict[str, float]:
        self.emulator.clock.advance(float(given["seconds"]))
        return {"now": self.emulator.clock.now()}

    async def _fault(self, given: dict[str, Any]) -> dict[str, bool]:
        self.emulator.faults.append(Fault(**given))
        return {"ok": True}

    async def messages(self, request: web.Request) -> web.Response:
        user = self._user(request.query["user"]) if "user" in request.query else self.emulator.user
        return _json([_message(m) for m in self.emulator.messages(user=user) + self.emulator.dms(user)])

    async def requests(self, _: web.Request) -> web.Response:
        rows = [dataclasses.asdict(r) for r in self.emulator.requests]
        for row in rows:
            row["headers"].pop("Authorization", None)
        return _json(rows)

    async def state(self, _: web.Request) -> web.Response:
        return _json(
            {
                "connected": len(self.emulator.gateway.connected),
                "commands": [c["name"] for c in self.emulator.world.commands],
                "violations": self.emulator.violations,
                "warnings": self.emulator.posts.warnings,
                "invalid_requests": self.emulator.limits.invalid_requests,
                "interactions": {
                    str(i.id): {"ack_latency_s": i.ack_latency_s, "modal": i.modal}
                    for i in self.emulator.world.interactions.values()
                },
            }
        )


def _message(message: SeenMessage) -> dict[str, Any]:
    return {
        "id": str(message.id),
        "text": message.text,
        "buttons": [dataclasses.asdict(b) for b in message.buttons],
        "images": [{"filename": i.filename, "alt": i.alt, "url": i.url} for i in message.images],
        "files": [{"filename": i.filename, "url": i.url} for i in message.files],
        "ephemeral": message.ephemeral,
        "loading": message.loading,
        "edits": message.edits,
        "components": message.components,
    }


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=dumps(body).encode(), status=status, content_type="application/json")
