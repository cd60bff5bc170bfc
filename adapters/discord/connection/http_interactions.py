"""HTTP interactions: Discord posts signed events to us instead of sending them over the gateway.

The event goes to the same handlers, which always respond over REST; the post itself gets an empty 202. The signature
covers the raw body, so a proxy must not rewrite it.
"""

import json
import time
from collections.abc import Callable

import structlog
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.discord.connection.client import UpscaleClient

log = structlog.get_logger(__name__)

PATH = "/discord/interactions"
BODY_MAX_BYTES = 1024 * 1024
SIGNATURE_MAX_AGE_S = 300.0
"""How far a post's timestamp may be from the machine's own clock (ours follows it slowly), against replay."""
PING, PONG = 1, 1


class InteractionEndpoint:
    """`client` returns the logged-in client, or None while there is none."""

    def __init__(self, public_key_hex: str, client: Callable[[], UpscaleClient | None]) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key_hex))
        self._client = client

    def routes(self) -> list[web.RouteDef]:
        return [web.post(PATH, self.receive)]

    async def receive(self, request: web.Request) -> web.Response:
        """Return 401 for a bad or old signature (Discord tests this and drops the URL otherwise), PONG, or 202."""
        if (request.content_length or 0) > BODY_MAX_BYTES:
            raise web.HTTPRequestEntityTooLarge(BODY_MAX_BYTES, request.content_length or 0)
        body = await request.read()
        if not self._is_signed(request, body):
            return web.Response(status=401, text="invalid request signature")
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            payload = None
        if not isinstance(payload, dict):
            return web.Response(status=400)
        if payload.get("type") == PING:
            return web.json_response({"type": PONG})
        client = self._client()
        if client is None:
            return web.Response(status=503)
        client.handle_interaction(payload)
        return web.Response(status=202)

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        stamp = request.headers.get("X-Signature-Timestamp", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            return False
        if abs(time.time() - int(stamp)) > SIGNATURE_MAX_AGE_S:
            return False
        try:
            signature = bytes.fromhex(request.headers.get("X-Signature-Ed25519", ""))
            self._key.verify(signature, stamp.encode() + body)
        except (InvalidSignature, ValueError):
            return False
        return True
