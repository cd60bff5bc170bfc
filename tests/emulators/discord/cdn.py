"""The CDN: signed, expiring attachment addresses, and the re-encoding media proxy."""

import asyncio
import hashlib
import hmac
import io
import mimetypes
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web
from PIL import Image, UnidentifiedImageError

from tests.emulators.discord.world import Attachment, World

EPHEMERAL_LIFE_S = 24 * 3600
ORDINARY_LIFE_S = 14 * 24 * 3600
PREVIEW_PX = 9500 * 9500
PREVIEW_BYTES = 73 * 1024 * 1024


class Cdn:
    def __init__(self, world: World) -> None:
        self.world = world
        self.base = ""
        self._secret = secrets.token_bytes(16)
        self.downloads: list[str] = []
        self.held: dict[int, asyncio.Event] = {}
        """Attachments of these channels are handed over only when the event is set."""

    def _sign(self, path: str, ex: str, issued: str) -> str:
        return hmac.new(self._secret, f"{path}|{ex}|{issued}".encode(), hashlib.sha256).hexdigest()

    def url(self, attachment: Attachment, proxy: bool = False) -> str:
        """A fresh signed address."""
        kind = "ephemeral-attachments" if attachment.ephemeral else "attachments"
        path = f"/{kind}/{attachment.channel_id}/{attachment.id}/{quote(attachment.filename)}"
        now = int(self.world.clock.now())
        life = EPHEMERAL_LIFE_S if attachment.ephemeral else ORDINARY_LIFE_S
        ex, issued = f"{now + life:x}", f"{now:x}"
        prefix = "/media-proxy" if proxy else ""
        return f"{self.base}{prefix}{path}?ex={ex}&is={issued}&hm={self._sign(path, ex, issued)}&"

    def data(self, attachment: Attachment) -> dict[str, Any]:
        """The attachment object of the API."""
        body: dict[str, Any] = {
            "id": str(attachment.id),
            "filename": attachment.filename,
            "size": attachment.size_bytes,
            "url": self.url(attachment),
            "proxy_url": self.url(attachment, proxy=True),
            "flags": 1 << 3 if attachment.spoiler else 0,
        }
        if attachment.content_type:
            body["content_type"] = attachment.content_type
        if attachment.width_px:
            body |= {"width": attachment.width_px, "height": attachment.height_px, "placeholder_version": 1}
        if attachment.description:
            body["description"] = attachment.description
        if attachment.ephemeral:
            body["ephemeral"] = True
        return body

    def media(self, attachment: Attachment) -> dict[str, Any]:
        """The unfurled media item that a component of a message object carries."""
        body = self.data(attachment)
        kept = {k: body[k] for k in ("url", "proxy_url", "content_type", "width", "height") if k in body}
        return kept | {"attachment_id": body["id"], "loading_state": 2}

    def store(self, filename: str, data: bytes | Path, channel_id: int, **more: Any) -> Attachment:
        """A new file. The type comes from the name, the size in pixels from the bytes, as Discord does it."""
        attachment_id = self.world.snowflake()
        if isinstance(data, bytes):
            path = self.world.directory / str(attachment_id)
            path.write_bytes(data)
        else:
            path = data
        width, height = _dimensions(path)
        attachment = Attachment(
            attachment_id,
            channel_id,
            filename,
            path,
            path.stat().st_size,
            mimetypes.guess_type(filename)[0],
            width,
            height,
            **more,
        )
        self.world.attachments[attachment_id] = attachment
        return attachment

    def routes(self) -> list[web.RouteDef]:
        path = "/{kind:attachments|ephemeral-attachments}/{channel}/{attachment}/{name}"
        return [web.get(path, self._serve), web.get("/media-proxy" + path, self._serve_proxy)]

    def _find(self, request: web.Request) -> Attachment:
        path = request.raw_path.split("?")[0].removeprefix("/media-proxy")
        ex, issued = request.query.get("ex", ""), request.query.get("is", "")
        good = hmac.compare_digest(self._sign(path, ex, issued), request.query.get("hm", ""))
        if not good or int(ex, 16) < self.world.clock.now():
            raise web.HTTPNotFound(text="This content is no longer available.")
        attachment = self.world.attachments.get(int(request.match_info["attachment"]))
        if attachment is None or not attachment.path.exists():
            raise web.HTTPNotFound(text="This content is no longer available.")
        return attachment

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        attachment = self._find(request)
        self.downloads.append(request.path)
        if (held := self.held.get(attachment.channel_id)) is not None:
            await held.wait()
        headers = {"Content-Type": attachment.content_type or "application/octet-stream"}
        return web.FileResponse(attachment.path, headers=headers)

    async def _serve_proxy(self, request: web.Request) -> web.StreamResponse:
        """Re-encodes, as the real proxy does: whoever wants the original bytes must not come here."""
        attachment = self._find(request)
        self.downloads.append(request.path)
        if not attachment.width_px:
            raise web.HTTPUnsupportedMediaType
        with Image.open(attachment.path) as image:
            image.thumbnail((256, 256))
            out = io.BytesIO()
            image.convert("RGB").save(out, "WEBP")
        return web.Response(body=out.getvalue(), content_type="image/webp")


def previewable(attachment: Attachment) -> bool:
    """Would a client show this picture? Observed ceiling: 9500 × 9500 px and 73 MiB."""
    if not attachment.width_px or not attachment.height_px:
        return False
    return attachment.width_px * attachment.height_px <= PREVIEW_PX and attachment.size_bytes <= PREVIEW_BYTES


def _dimensions(path: Path) -> tuple[int | None, int | None]:
    try:
        with Image.open(path) as image:
            return image.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError):
        return None, None
