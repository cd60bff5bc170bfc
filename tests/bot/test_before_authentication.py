"""What a client can do without authentication: it affects no other client, and leaves no row and no traceback."""

import asyncio
import base64
import contextlib
import gc
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from aiohttp import ClientSession, web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.discord.connection.http_interactions import InteractionEndpoint
from bot.app import App
from bot.http.connections import Connections
from bot.http.request_bodies import RequestBodies
from bot.http.server import LARGE_BODY_BYTES
from bot.settings import load
from core.net.client_address import TrustedProxies
from tests.bot.raw_requests import ANSWER_LIMIT_S, DEEP, SIGNING_SECRET, ask_raw, attacks, open_raw, post
from tests.bot.test_http import World
from tests.fakes.core import until
from tests.fakes.loop_turns import counted_turns


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    yield world
    await world.server.stop()


@pytest.mark.parametrize("sent", [b"", b"GET /hello HT", b"GET /hello HTTP/1.1\r\nHost: x\r\nX-A: "])
async def test_a_connection_that_never_finishes_its_headers_is_closed(world: World, sent: bytes) -> None:
    world.server.connections.header_timeout_s = 0.05
    await world.server.start()
    assert await ask_raw(world.server.port, sent) == b""
    assert len(world.server.connections) == 0


async def test_a_body_that_never_ends_is_answered_408_and_closed(world: World) -> None:
    world.server.bodies.body_timeout_s = 0.05
    await world.server.start()
    answer = await ask_raw(world.server.port, post("/fal/webhook/x", b"half", declared=100))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert world.webhooks == []


async def test_two_thousand_half_sent_bodies_leave_health_and_webhooks_answering(world: World) -> None:
    await world.server.start()
    half = post("/fal/webhook/x", b"half", declared=100)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2_005):
            _, writer = await open_raw(world.server.port, half)
            stack.callback(writer.close)
        async with ClientSession() as client:
            for path in ("/healthz", "/hello"):
                async with client.get(world.url(path)) as answer:
                    assert answer.status == 200
            async with client.post(world.url("/fal/webhook/x"), data=b"whole") as answer:
                assert answer.status == 200
        assert len(world.server.bodies._waiting) <= world.server.bodies.per_client


async def test_a_client_with_too_many_half_sent_bodies_loses_its_oldest_only(world: World) -> None:
    world.server.bodies = RequestBodies(per_client=2)
    await world.server.start()
    half = post("/fal/webhook/x", b"h", declared=2)
    made = []
    for number in (1, 2, 2):
        before = set(world.server.bodies._waiting)
        made.append(await open_raw(world.server.port, half))
        await until(lambda: (now := set(world.server.bodies._waiting)) != before and len(now) == number)  # noqa: B023
    async with asyncio.timeout(ANSWER_LIMIT_S):
        assert (await made[0][0].read()).startswith(b"HTTP/1.1 408 ")
        for reader, writer in made[1:]:
            writer.write(b"!")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    for _, writer in made:
        writer.close()


async def test_silent_connections_give_way_to_a_request(world: World) -> None:
    world.server.connections = Connections(TrustedProxies(), max_total=5)
    await world.server.start()
    silent = [await open_raw(world.server.port, b"") for _ in range(12)]
    async with ClientSession() as client, client.get(world.url("/healthz")) as answer:
        assert answer.status == 200
    assert len(world.server.connections) <= 5
    async with asyncio.timeout(ANSWER_LIMIT_S):
        assert await silent[0][0].read() == b""
    for _, writer in silent:
        writer.close()


class FakeHandler:
    """A connection as `Connections` uses it."""

    def __init__(self, *, is_waiting: bool) -> None:
        self.is_waiting = is_waiting
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


def test_one_address_has_a_share_of_the_connections_and_others_are_not_touched() -> None:
    register = Connections(TrustedProxies.of(["10.0.0.1"]), max_total=100, per_client=2)
    other, old, busy = FakeHandler(is_waiting=True), FakeHandler(is_waiting=True), FakeHandler(is_waiting=False)
    assert register.add(other, "198.51.100.7")
    assert register.add(old, "2001:db8::1")
    assert register.add(busy, "2001:db8::2")
    newest = FakeHandler(is_waiting=False)
    assert register.add(newest, "2001:db8::3")
    assert (old.dropped, other.dropped) == (True, False)
    register.remove(old)
    assert not register.add(FakeHandler(is_waiting=False), "2001:db8::4")
    for _ in range(5):
        assert register.add(FakeHandler(is_waiting=False), "10.0.0.1")


def test_addresses_that_find_no_room_leave_nothing_behind() -> None:
    register = Connections(TrustedProxies(), max_total=1)
    assert register.add(FakeHandler(is_waiting=False), "2001:db8::1")
    assert not any(register.add(FakeHandler(is_waiting=False), f"2001:db8:{one}::1") for one in range(1, 50))
    assert len(register._of_client) == 1


async def test_of_large_bodies_one_is_worked_on_in_each_turn_of_the_loop(world: World) -> None:
    begun_in: list[int] = []

    async def webhook(*_: object) -> int:
        begun_in.append(turn())
        return 200

    world.server.webhook = webhook
    await world.server.start()
    large = post("/fal/webhook/x", b"x" * (LARGE_BODY_BYTES + 1))
    async with counted_turns() as turn:
        answers = await asyncio.gather(*(ask_raw(world.server.port, large) for _ in range(12)))
    assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
    assert len(set(begun_in)) == 12


async def test_a_connection_without_room_is_told_so_and_a_stop_closes_silent_ones(world: World) -> None:
    world.server.connections = Connections(TrustedProxies(), max_total=1)
    await world.server.start()
    _, busy = await open_raw(world.server.port, post("/fal/webhook/x", b"half", declared=9))
    await until(lambda: len(world.server.connections) == 1)
    assert (await ask_raw(world.server.port, b"")).startswith(b"HTTP/1.1 503 ")
    busy.close()
    await until(lambda: not len(world.server.connections))
    silent, writer = await open_raw(world.server.port, b"")
    await world.server.stop()
    async with asyncio.timeout(ANSWER_LIMIT_S):
        assert await silent.read() == b""
    writer.close()


def environment(folder: Path) -> dict[str, str]:
    """Settings of a bot with the page closed, Slack's HTTP events and installations, and no service reachable."""
    return {
        "DATA_DIR": str(folder / "data"),
        "WEB_PORT": "0",
        "WEB_TOKEN": "correct horse battery staple",
        "PUBLIC_URL": "https://bot.example",
        "SLACK_SIGNING_SECRET": SIGNING_SECRET,
        "SLACK_CLIENT_ID": "1.2",
        "SLACK_CLIENT_SECRET": "client-secret",
        "SLACK_API_URL": "http://127.0.0.1:9/api/",
        "FAL_KEY": "key:secret",
        "FAL_REST_URL": "http://127.0.0.1:9",
        "FAL_API_URL": "http://127.0.0.1:9",
        "FAL_QUEUE_URL": "http://127.0.0.1:9",
        "FAL_CDN_URL": "http://127.0.0.1:9",
    }


@pytest.fixture
async def whole_bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    async with App(load(None)) as app:
        yield app


async def test_bad_bytes_before_authentication_are_a_4xx_without_a_row_or_a_traceback(
    whole_bot: App, capfd: pytest.CaptureFixture[str]
) -> None:
    with structlog.testing.capture_logs() as logged:
        for name, request in attacks().items():
            answer = await ask_raw(whole_bot.http.port, request)
            status = int(answer.split(b" ", 2)[1]) if answer else 0
            away = name in {"fal, keys away", "fal, bytes"} and status == 503
            assert 400 <= status < 500 or away, (name, answer[:200])
            assert b"Traceback" not in answer
    assert [entry for entry in logged if "exc_info" in entry or entry["event"] == "incident"] == []
    assert "Traceback" not in "".join(capfd.readouterr())
    with contextlib.closing(sqlite3.connect(whole_bot.settings.data_dir / "bot.db")) as database:
        assert database.execute("SELECT count(*) FROM incidents").fetchone() == (0,)


async def test_a_hundred_visits_to_the_installation_page_write_no_row_and_its_pages_are_protected(
    whole_bot: App,
) -> None:
    base = f"http://127.0.0.1:{whole_bot.http.port}"
    with contextlib.closing(sqlite3.connect(whole_bot.settings.data_dir / "bot.db")) as database:
        async with ClientSession() as client:
            for _ in range(100):
                async with client.get(f"{base}/slack/install", allow_redirects=False) as answer:
                    assert answer.status == 302
            async with client.get(f"{base}/slack/oauth_redirect?state=x&code=y") as answer:
                assert answer.status == 400
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["X-Frame-Options"] == "DENY"
        assert database.execute("SELECT count(*) FROM app_state WHERE area LIKE 'slack%'").fetchone() == (0,)


async def test_signed_discord_interactions_are_taken_once_fresh_and_never_as_anything_but_an_object(
    tmp_path: Path,
) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    world = World(tmp_path)
    ingress = InteractionEndpoint(public, lambda: None)
    world.server.routes = ingress.routes()
    await world.server.start()

    def signed(body: bytes, stamp: str) -> bytes:
        signature = key.sign(stamp.encode() + body).hex()
        headers: dict[str, str | bytes] = {"X-Signature-Timestamp": stamp, "X-Signature-Ed25519": signature}
        return post("/discord/interactions", body, headers)

    at = int(time.time())  # the bot's own clock, a week behind, follows the machine's slowly
    now, ping = str(at), json.dumps({"type": 1}).encode()
    cases = {
        "ping": (signed(ping, now), 200),
        "an old copy": (signed(ping, str(at - 310)), 401),
        "from the future": (signed(ping, str(at + 310)), 401),
        "other digits": (signed(ping, "²"), 401),
        "no stamp": (signed(ping, ""), 401),
        "a list": (signed(b"[]", now), 400),
        "depth": (signed(DEEP, now), 400),
        "bytes": (signed(b"\xff\xfe", now), 400),
        "no signature": (post("/discord/interactions", ping, {"X-Signature-Timestamp": now}), 401),
        "signature bytes": (post("/discord/interactions", ping, {"X-Signature-Ed25519": b"\xff"}), 401),
    }
    try:
        for name, (request, status) in cases.items():
            answer = await ask_raw(world.server.port, request)
            assert answer.startswith(f"HTTP/1.1 {status} ".encode()), name
    finally:
        await world.server.stop()
    assert world.incidents == []


async def test_maintenance_deletes_claims_states_and_incidents_whose_time_is_over(whole_bot: App) -> None:
    state, store = whole_bot.state, whole_bot.store
    assert await state.claim("an.area", "over", ttl_s=-1)
    assert await state.claim("an.area", "held", ttl_s=600)
    await state.put("an.area", "kept", {"x": base64.b64encode(b"x").decode()})
    await store.add_incident("REFOLD", area="http", kind="X", job_id="")
    await whole_bot.maintenance.forget_expired()
    assert list(await state.keys("an.area")) == ["held", "kept"]
    assert await store.incident("REFOLD") is not None
    await store.delete_expired(incidents_before=time.time() + 1)
    assert await store.incident("REFOLD") is None


async def test_a_refused_request_leaves_no_frames_until_everything_is_looked_through(world: World) -> None:
    """A raised response and its frames would form a reference cycle."""
    world.server.bodies.body_timeout_s = 0.05
    await world.server.start()
    half = post("/fal/webhook/x", b"half", declared=100)
    refused = (
        half,
        post("/nothing", b""),
        post("/healthz", b""),
        post("/fal/webhook/x", b"x", {"Content-Encoding": "gzip"}),
    )
    gc.collect()
    gc.disable()
    try:
        answers = [(await ask_raw(world.server.port, sent)).split()[1] for sent in refused]
        await asyncio.sleep(0)
        left = [one for one in gc.get_objects() if isinstance(one, web.HTTPException) and one.__traceback__]
    finally:
        gc.enable()
    assert answers == [b"408", b"404", b"405", b"415"]
    assert left == []
