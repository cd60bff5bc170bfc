"""Uploads (rest.fal.ai), the CDN (v3.fal.media), the fallback object store, and the webhook keys."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.emulators.fal.faults import FAULT, Drip, Truncate
from tests.emulators.fal.state import StoredFile

if TYPE_CHECKING:
    from tests.emulators.fal.server import FalEmulator, Handler


def rest_routes(fal: FalEmulator) -> list[tuple[str, str, str, str, Handler]]:
    api = StorageApi(fal)
    return [
        ("rest", "token", "POST", "/storage/auth/token", api.token),
        ("rest", "initiate", "POST", "/storage/upload/initiate", api.initiate),
        ("storage", "put", "PUT", "/emulated-bucket/{name}", api.put),
        ("rest", "jwks", "GET", "/.well-known/jwks.json", api.jwks),
    ]


def cdn_routes(fal: FalEmulator) -> list[tuple[str, str, str, str, Handler]]:
    api = StorageApi(fal)
    return [
        ("cdn", "upload", "POST", "/files/upload", api.upload),
        ("cdn", "download", "GET", "/files/{tail:.*}", api.download),
    ]


class StorageApi:
    def __init__(self, fal: FalEmulator) -> None:
        self._fal = fal

    async def token(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("storage_type") != "fal-cdn-v3":
            return web.json_response({"detail": "unknown storage type"}, status=400)
        token = secrets.token_urlsafe(16)
        self._fal.tokens.add(token)
        expires = datetime.now(UTC) + timedelta(hours=1)
        answer = {"token": token, "token_type": "Bearer", "base_url": self._fal.cdn_url}
        return web.json_response({**answer, "expires_at": expires.isoformat()})

    async def upload(self, request: web.Request) -> web.StreamResponse:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or token not in self._fal.tokens:
            return web.json_response({"detail": "Unauthorized"}, status=401)
        name = request.headers.get("X-Fal-File-Name", "")
        if not name or not name.isascii() or "/" in name:
            self._fal.violations.append(f"upload without a plain file name: {name!r}")
        lifecycle = self._lifecycle(request)
        stored = await self._store(request, name or "file", lifecycle)
        path = f"/files/b/{secrets.token_hex(4)}/{secrets.token_urlsafe(12)}_{stored.name}"
        self._fal.files[path] = stored
        return web.json_response({"access_url": self._fal.cdn_url + path})

    def _lifecycle(self, request: web.Request) -> dict[str, Any] | None:
        header = request.headers.get("X-Fal-Object-Lifecycle")
        if header is None:
            self._fal.violations.append("upload without X-Fal-Object-Lifecycle")
            return None
        parsed: dict[str, Any] = json.loads(header)
        if not isinstance(parsed.get("expiration_duration_seconds"), int):
            self._fal.violations.append("upload's lifecycle has no seconds")
        return parsed

    async def _store(self, request: web.Request, name: str, lifecycle: dict[str, Any] | None) -> StoredFile:
        path: Path = self._fal.folder / secrets.token_hex(8)
        size = 0
        with path.open("wb") as file:
            async for chunk in request.content.iter_chunked(1 << 18):
                size += len(chunk)
                file.write(chunk)
        return StoredFile(path, request.content_type, name, size, lifecycle, True)

    async def initiate(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if set(body) != {"file_name", "content_type"}:
            return web.json_response({"detail": "file_name and content_type are required"}, status=422)
        name = f"{secrets.token_hex(8)}-{body['file_name']}"
        path = f"/files/bucket/{name}"
        empty = self._fal.folder / name
        self._fal.files[path] = StoredFile(empty, body["content_type"], name, 0, self._lifecycle(request), True)
        url = f"{self._fal.rest_url}/emulated-bucket/{name}?signature={secrets.token_hex(8)}"
        return web.json_response({"upload_url": url, "file_url": self._fal.cdn_url + path})

    async def put(self, request: web.Request) -> web.StreamResponse:
        entry = self._fal.files.get(f"/files/bucket/{request.match_info['name']}")
        if entry is None or "signature" not in request.query:
            return web.Response(status=403)
        stored = await self._store(request, entry.name, entry.lifecycle)
        entry.path, entry.size_bytes = stored.path, stored.size_bytes
        return web.Response(status=200)

    async def download(self, request: web.Request) -> web.StreamResponse:
        entry = self._fal.files.get(request.path)
        if entry is None or not entry.path.exists():
            return web.json_response({"detail": "Not Found"}, status=404)
        fault = request[FAULT]
        if isinstance(fault, Truncate | Drip):
            return await self._partly(request, entry, fault)
        return web.FileResponse(entry.path, headers={"Content-Type": entry.content_type})

    async def _partly(self, request: web.Request, entry: StoredFile, fault: Truncate | Drip) -> web.StreamResponse:
        start = request.http_range.start or 0
        data = entry.path.read_bytes()[start:]
        response = web.StreamResponse(
            status=206 if start else 200,
            headers={"Content-Length": str(len(data)), "Content-Type": entry.content_type},
        )
        if start:
            response.headers["Content-Range"] = f"bytes {start}-{start + len(data) - 1}/{start + len(data)}"
        if fault.etag is not None:
            response.headers["ETag"] = fault.etag
        await response.prepare(request)
        if isinstance(fault, Drip):
            step = len(data) // fault.parts + 1
            with contextlib.suppress(ConnectionError):  # of somebody who has had enough
                for at in range(0, len(data), step):
                    await asyncio.sleep(fault.pause_s)
                    await response.write(data[at : at + step])
            return response
        await response.write(data[: fault.after_bytes])
        if fault.stalls:
            await asyncio.sleep(60)
        if request.transport is not None:
            request.transport.close()
        return response

    async def jwks(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response(self._fal.signer.jwks())
