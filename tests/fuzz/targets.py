"""What is fed: the parser, the probe, the three signatures that let strangers' events in, and the HTTP server."""

import asyncio
import hashlib
import hmac
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.discord.connection.http_interactions import InteractionEndpoint
from adapters.slack.connection.app import HttpEndpoint
from bot.app import App
from bot.settings import load
from core.domain.errors import UpscaleError
from core.domain.parameters.grammar import parse
from core.images.service import ImageService
from core.upscalers.fal import WebhookAccepted
from tests.bot.raw_requests import attacks
from tests.bot.test_before_authentication import environment
from tests.core.images.pictures import encoded, scene
from tests.core.upscalers.fal_kit import backend
from tests.emulators.fal import FalEmulator

Feed = Callable[[random.Random], Awaitable[None]]
Target = Callable[[Path], AbstractAsyncContextManager[Feed]]

_WORDS = (
    "factor", "2x", "x3", "=", ":", "--", "creativity", "50%", "1,5", "\u201c", "\u201d", "'", '"', "\u200b", "\u00a0",
    "\u2014", "model=", "to=4k", "a4@300dpi", "max=$1", "<", ">", "|", "http://a.example/b.png", "<@123>", "seed=",
    "-1", "1e999", "NaN", "\u202e", "\x00", "\U0001f600", "width=", "please", "\n", "\t", " ",
)  # fmt: skip
_REQUEST_ID = "11111111-2222-3333-4444-555555555555"


class Unforeseen(Exception):
    """A request of a stranger was answered as an accident of ours."""


class Forged(Exception):
    """Something was believed that nobody signed."""


def mutated(chance: random.Random, data: bytes) -> bytes:
    """Some bytes changed, doubled, cut or put in."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(4)
        if kind == 0 and out:
            out[min(at, len(out) - 1)] = chance.randrange(256)
        elif kind == 1:
            out[at:at] = chance.randbytes(chance.randint(1, 16))
        elif kind == 2:
            del out[at : at + chance.randint(1, 64)]
        else:
            out[at:at] = out[at : at + chance.randint(1, 64)] * chance.randint(1, 4)
    return bytes(out)


def _text(chance: random.Random) -> str:
    if chance.random() < 0.3:
        return chance.randbytes(chance.randint(0, 4_000)).decode("utf-8", "replace")
    return "".join(chance.choice(_WORDS) * chance.choice((1, 1, 1, 50)) for _ in range(chance.randint(0, 60)))


@asynccontextmanager
async def parser(_: Path) -> AsyncIterator[Feed]:
    """Chat texts and form fields."""

    async def feed(chance: random.Random) -> None:
        try:
            parse(_text(chance), {_text(chance)[:60]: _text(chance)})
        except UpscaleError:
            return

    yield feed


@asynccontextmanager
async def probe(folder: Path) -> AsyncIterator[Feed]:
    """Pictures in every format that Pillow writes, broken; through the real worker processes."""
    whole = [encoded(scene(), kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")]
    async with ImageService() as images:

        async def feed(chance: random.Random) -> None:
            path = folder / "input"
            path.write_bytes(mutated(chance, chance.choice(whole)))
            try:
                await images.probe(path)
            except UpscaleError:
                return

        yield feed


@asynccontextmanager
async def webhook(_: Path) -> AsyncIterator[Feed]:
    """fal's deliveries: signed ones, and signed ones with something changed."""
    async with FalEmulator() as fal, backend(fal) as upscaler:

        async def feed(chance: random.Random) -> None:
            body = json.dumps({"request_id": _REQUEST_ID, "status": "OK"}).encode()
            signed = fal.signer.headers(_REQUEST_ID, "user", body)
            headers, sent = _tampered(chance, signed, body)
            outcome = await upscaler.receive_webhook(headers, sent, job_id="job", token=_text(chance)[:40])
            if isinstance(outcome, WebhookAccepted) and (outcome.ours or _differs(headers, sent, signed, body)):
                raise Forged("fal")

        yield feed


@asynccontextmanager
async def discord(_: Path) -> AsyncIterator[Feed]:
    """Interactions over HTTP."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    ingress = InteractionEndpoint(public, lambda: None)

    async def feed(chance: random.Random) -> None:
        body, stamp = json.dumps({"type": 1}).encode(), str(int(time.time()))
        signed = {"X-Signature-Timestamp": stamp, "X-Signature-Ed25519": key.sign(stamp.encode() + body).hex()}
        headers, sent = _tampered(chance, signed, body)
        status = (await ingress.receive(_request(headers, sent))).status
        if status not in (400, 401, 413) and _differs(headers, sent, signed, body):
            raise Forged("discord")

    yield feed


@asynccontextmanager
async def slack(_: Path) -> AsyncIterator[Feed]:
    """Events over HTTP; 503 means that the signature held, since no app is connected."""
    secret = "8f742231b10e8888abcd99baac85a5ff"
    endpoint = HttpEndpoint(secret)

    async def feed(chance: random.Random) -> None:
        body, stamp = json.dumps({"type": "event_callback"}).encode(), str(int(time.time()))
        mac = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        signed = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mac}"}
        headers, sent = _tampered(chance, signed, body)
        status = (await endpoint.handle(_request(headers, sent))).status
        if status != 401 and _differs(headers, sent, signed, body):
            raise Forged("slack")

    yield feed


@asynccontextmanager
async def http(folder: Path) -> AsyncIterator[Feed]:
    """Broken requests to the whole bot's server, from somebody without a token: never our fault, never a traceback."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        settings = load(None)
    whole = list(attacks().values())
    async with App(settings) as app:
        app.http.bodies.body_timeout_s = app.http.connections.header_timeout_s = 0.1

        async def feed(chance: random.Random) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", app.http.port)
            try:
                writer.write(mutated(chance, chance.choice(whole)))
                async with asyncio.timeout(60):
                    answer = await reader.read(65_536)
            except ConnectionError:
                return
            finally:
                writer.close()
            if answer.startswith(b"HTTP/1.1 500") or b"Traceback" in answer:
                raise Unforeseen(answer[-200:])

        yield feed


def _tampered(chance: random.Random, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """A copy with one header, or the body, changed; one in ten stays as it is."""
    if chance.random() < 0.1:
        return dict(headers), body
    if chance.random() < 0.4:
        return dict(headers), mutated(chance, body)
    name = chance.choice(sorted(headers))
    value = mutated(chance, headers[name].encode()).decode("latin-1")
    return {**headers, name: "".join(character for character in value if character not in "\r\n\0")}, body


def _differs(headers: dict[str, str], body: bytes, signed: dict[str, str], whole: bytes) -> bool:
    """Whether what was sent is not what was signed. Hexadecimal digits mean the same in either case."""
    same = all(
        headers[name].strip().lower() == value.lower() for name, value in signed.items() if name != "Content-Type"
    )
    return body != whole or not same


def _request(headers: dict[str, str], body: bytes) -> web.Request:
    request = make_mocked_request("POST", "/", headers=headers)
    request._read_bytes = body
    return request


TARGETS: dict[str, Target] = {
    "parser": parser,
    "probe": probe,
    "webhook": webhook,
    "discord": discord,
    "slack": slack,
    "http": http,
}
