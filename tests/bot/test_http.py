"""The HTTP server, over loopback."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp import ClientSession, web

from bot.http.health import Health
from bot.http.request_bodies import MAX_BODY_BYTES
from bot.http.server import HttpServer
from bot.observability.metrics import PrometheusMetrics
from core.domain.errors import ProviderUnavailable, ResultExpired
from core.net.client_address import CLIENT, TrustedProxies
from core.net.host_check import HostCheck
from core.net.signed_links import FileLinks
from core.net.token_gate import ATTEMPTS_PER_WINDOW, TokenGate
from core.ports import NotUsable
from tests.fakes.clock import HandClock
from tests.typed import unwrap

JOB = "0123456789ab"


class Mounted:
    """The routes of an adapter."""

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        async def hello(_: web.Request) -> web.Response:
            return web.Response(text="hello")

        async def client(request: web.Request) -> web.Response:
            return web.Response(text=request[CLIENT])

        async def broken(_: web.Request) -> web.Response:
            raise RuntimeError("a secret in a message")

        return [
            web.get("/hello", hello),
            web.get("/api/hello", hello),
            web.get("/client", client),
            web.get("/broken", broken),
        ]


class World:
    """A server with fakes behind it."""

    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.health = Health(self.clock)
        self.links = FileLinks(b"key", "https://bot.example/", 100, self.clock)
        self.folder = folder
        self.webhooks: list[tuple[str, bytes, str | None]] = []
        self.incidents: list[BaseException] = []
        self.server = HttpServer(
            host="127.0.0.1",
            port=0,
            health=self.health,
            metrics=PrometheusMetrics("9.9"),
            version="9.9",
            incident=self.incident,
            routes=Mounted().routes(),
            links=self.links,
            find_file=self.find,
            webhook=self.webhook,
            gate=TokenGate(None, self.clock, TrustedProxies.of(["127.0.0.1"])),
        )

    async def incident(self, _: str, error: BaseException) -> str:
        self.incidents.append(error)
        return "REF123"

    async def find(self, job_id: str, name: str) -> Path | None:
        path = self.folder / job_id / name
        return path if path.is_file() else None

    async def webhook(self, job_id: str, _: Mapping[str, str], body: bytes, token: str | None) -> int:
        self.webhooks.append((job_id, body, token))
        return 401 if body == b"forged" else 200

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.port}{path}"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.server.start()
    yield world
    await world.server.stop()


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def test_healthz_tells_that_the_process_lives(world: World, client: ClientSession) -> None:
    async with client.get(world.url("/healthz")) as answer:
        assert answer.status == 200
        assert await answer.json() == {"status": "ok", "version": "9.9", "role": "all"}
        assert answer.headers["Server"] == "upscale-bot"


async def test_a_route_is_told_the_client_that_a_declared_proxy_names(world: World, client: ClientSession) -> None:
    headers = {"X-Forwarded-For": "192.0.2.1, 203.0.113.9"}
    async with client.get(world.url("/client"), headers=headers) as answer:
        assert await answer.text() == "203.0.113.9"


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/api/no", "not_found"), ("PUT", "/api/hello", "method_not_allowed")]
)
async def test_the_api_answers_in_json_where_nothing_is_served(
    world: World, client: ClientSession, method: str, path: str, code: str
) -> None:
    async with client.request(method, world.url(path)) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (404 if code == "not_found" else 405, code)
        assert ("Allow" in answer.headers) is (code == "method_not_allowed")


@pytest.mark.parametrize("sent", [b"WHAT /a HTTP/1.1\r\n\r\n", b"GET /a HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"])
async def test_http_that_cannot_be_read_is_answered_without_its_bytes(world: World, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.server.port)
    writer.write(sent)
    answer = (await reader.read()).decode()
    writer.close()
    assert json.loads(answer.partition("\r\n\r\n")[2])["error"]["code"] == "bad_request"
    assert "aiohttp" not in answer


async def test_readyz_names_what_is_wrong(world: World, client: ClientSession) -> None:
    answers: dict[str, str | None] = {"database": None, "slack": "connecting"}

    async def broken() -> str | None:
        raise OSError("password in here")

    world.health.add("database", lambda: _answer(answers["database"]))
    world.health.add("slack", lambda: _answer(answers["slack"]))
    world.health.add("fal", broken)
    async with client.get(world.url("/readyz")) as answer:
        assert answer.status == 503
        assert (await answer.json())["checks"] == {"database": "ok", "slack": "connecting", "fal": "not working"}


async def _answer(value: Any) -> Any:
    return value


async def test_readyz_turns_ready_and_is_not_ready_while_draining(world: World, client: ClientSession) -> None:
    world.health.add("database", lambda: _answer(None))
    async with client.get(world.url("/readyz")) as answer:
        assert (answer.status, (await answer.json())["ready"]) == (200, True)
    world.health.draining = True
    async with client.get(world.url("/readyz")) as answer:
        assert answer.status == 503
        assert (await answer.json())["checks"]["process"] == "shutting down"


async def test_many_probes_cost_one_round_of_checks(world: World) -> None:
    rounds = 0

    async def counted() -> str | None:
        nonlocal rounds
        rounds += 1
        return None

    world.health.add("database", counted)
    for _ in range(5):
        assert set((await world.health.readiness()).values()) == {"ok"}
    world.clock.at += 2
    await world.health.readiness()
    assert rounds == 2


async def test_metrics_are_prometheus_text(world: World, client: ClientSession) -> None:
    world.server.metrics.job("slack", "succeeded")
    world.server.metrics.money("charged", 1_500_000_000)
    async with client.get(world.url("/metrics")) as answer:
        text = await answer.text()
    assert 'upscale_jobs_total{platform="slack",state="succeeded"} 1.0' in text
    assert 'upscale_usd_total{kind="charged"} 1.5' in text
    assert 'upscale_info{role="all",version="9.9"} 1.0' in text


async def test_metrics_want_the_token_where_one_is_set_and_count_guesses(world: World, client: ClientSession) -> None:
    world.server.gate = TokenGate("letmein-letmein-letmein", world.clock)
    statuses = []
    for number in range(40):
        headers = {"Authorization": f"Bearer guess {number}"}
        async with client.get(world.url("/metrics"), headers=headers) as answer:
            statuses.append(answer.status)
    assert statuses == [401] * ATTEMPTS_PER_WINDOW + [429] * (40 - ATTEMPTS_PER_WINDOW)
    async with client.get(world.url("/metrics"), headers={"Authorization": "Bearer letmein-letmein-letmein"}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "bot.example:81", ""])
async def test_no_route_answers_to_a_foreign_host_name(world: World, client: ClientSession, host: str) -> None:
    world.server.hosts = HostCheck("127.0.0.1", "https://bot.example")
    for path in ("/healthz", "/metrics", "/hello", "/files/x/y"):
        async with client.get(world.url(path), headers={"Host": host}) as answer:
            assert answer.status == 403
    async with client.get(world.url("/hello"), headers={"Host": "bot.example"}) as answer:
        assert answer.status == 200


def test_a_server_open_to_a_network_answers_to_addresses_and_private_names_only() -> None:
    check = HostCheck("0.0.0.0", "https://bot.example")
    for host in ("192.168.1.5:8080", "[2001:db8::1]:8080", "bot:8080", "box.local", "bot.example", "localhost"):
        assert check.allows(host), host
    for host in ("rebind.example", "192.168.1.5.rebind.example", "bot.example.evil.example"):
        assert not check.allows(host), host


async def test_a_webhook_is_handed_on_with_its_token(world: World, client: ClientSession) -> None:
    async with client.post(world.url(f"/fal/webhook/{JOB}?t=tok"), data=b"{}") as answer:
        assert answer.status == 200
    async with client.post(world.url(f"/fal/webhook/{JOB}"), data=b"forged") as answer:
        assert answer.status == 401
    assert world.webhooks == [(JOB, b"{}", "tok"), (JOB, b"forged", None)]


async def test_a_body_past_the_limit_is_refused(world: World, client: ClientSession) -> None:
    async with client.post(world.url(f"/fal/webhook/{JOB}"), data=io.BytesIO(b"x" * (MAX_BODY_BYTES + 1))) as answer:
        assert answer.status == 413
    assert world.webhooks == []


async def test_adapters_routes_are_mounted_and_their_accidents_become_a_reference(
    world: World, client: ClientSession
) -> None:
    async with client.get(world.url("/hello")) as answer:
        assert await answer.text() == "hello"
    async with client.get(world.url("/broken")) as answer:
        text = await answer.text()
        assert answer.status == 500
    assert "REF123" in text
    assert "secret" not in text
    assert len(world.incidents) == 1


async def test_a_signed_link_gives_the_file_until_it_expires(world: World, client: ClientSession) -> None:
    (world.folder / JOB).mkdir()
    (world.folder / JOB / "result.png").write_bytes(b"picture")
    link = unwrap(world.links.file_url(JOB, "result.png"))
    path = link.removeprefix("https://bot.example")
    async with client.get(world.url(path)) as answer:
        assert (answer.status, await answer.read(), answer.content_type) == (200, b"picture", "image/png")
    for bad in (path[:-1] + "x", path.replace(JOB, "ba9876543210"), path.split("?")[0], path.replace("sig=", "sig=9")):
        async with client.get(world.url(bad)) as answer:
            assert answer.status == 403
    for found, status in ((None, 410), (ResultExpired(), 410), (ProviderUnavailable(), 503)):
        world.server.find_file = AsyncMock(side_effect=[found])
        async with client.get(world.url(path)) as answer:
            assert answer.status == status
    world.clock.at += 101
    async with client.get(world.url(path)) as answer:
        assert answer.status == 403


def test_without_a_public_address_there_are_no_links() -> None:
    assert FileLinks(b"key", None, 100, HandClock()).file_url(JOB, "result.png") is None


async def test_a_busy_port_is_one_plain_sentence(world: World, tmp_path: Path) -> None:
    other = World(tmp_path)
    other.server.port = world.server.port
    with pytest.raises(NotUsable, match=rf"^Port {world.server.port} on 127.0.0.1 is already in use; .*WEB_PORT"):
        await other.server.start()


async def test_a_foreign_address_is_one_plain_sentence(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.server.host = "192.0.2.1"
    with pytest.raises(NotUsable, match=r"WEB_HOST 192\.0\.2\.1"):
        await world.server.start()


async def test_a_limit_on_open_files_is_one_plain_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Mock(side_effect=OSError))
    with pytest.raises(NotUsable, match="ulimit"):
        await World(tmp_path).server.start()


async def test_after_stop_nobody_is_served_and_the_port_is_free(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.server.start()
    await world.server.stop()
    await world.server.stop()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", world.server.port)) != 0
