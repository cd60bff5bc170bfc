"""Typed links lead to public addresses only, whatever they contain and whatever a name server answers."""

import asyncio
import ipaddress
import socket
import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from core.domain.errors import LinkRefused
from core.net import guard as netguard
from core.net.fetch import SourceFetcher, SourceLimits
from core.net.guard import Guard, HostSet, is_public, literal_address, parse_link
from tests.served import served


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.9.9.9", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
        "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1",
        "168.63.129.16", "100.100.100.200", "192.0.0.192", "192.31.196.1", "192.52.193.1", "192.175.48.1",
        "::ffff:168.63.129.16", "64:ff9b::a83f:8110", "2002:101:101::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2620:4f:8000::1", "100:0:0:1::1", "2606:4700::5efe:a00:1", "2606:4700::200:5efe:7f00:1", "4000::1",
        "::ffff:0:7f00:1", "fd00:ec2::254", "fd20:ce::254",
        "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "3fff::1", "5f00::1",
    ],
)  # fmt: skip
def test_these_addresses_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "1.1.1.1",
        "100.128.0.1",
        "172.32.0.1",
        "2606:4700:4700::1111",
        "::ffff:1.1.1.1",
        "64:ff9b::101:101",
    ],
)
def test_these_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_never_more_public_than_the_one_inside(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for wrapped in (
        0xFFFF << 32 | number,
        int(ipaddress.IPv6Address("64:ff9b::")) | number,
        0x2002 << 112 | number << 80,
    ):
        assert is_public(ipaddress.IPv6Address(wrapped)) <= is_public(address)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1"), ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"), ("127.0.0.1.", "127.0.0.1"), ("0", "0.0.0.0"), ("fe80::1%eth0", "fe80::1"),
    ],
)  # fmt: skip
def test_old_spellings_of_an_address_are_understood(host: str, address: str) -> None:
    assert str(literal_address(host)) == address


@pytest.mark.parametrize("host", ["example.com", "1.example", "face.cafe", "x7f"])
def test_names_are_not_taken_for_addresses(host: str) -> None:
    assert literal_address(host) is None


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("ftp://example.com/a.png", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("data:image/png;base64,AAAA", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("example.com/a.png", "syntax"),
        ("http://", "syntax"),
        ("http:///a.png", "syntax"),
        ("http://exa mple.com/", "syntax"),
        ("http://example.com\\@127.0.0.1/", "syntax"),
        ("http://example.com/\r\nHost: x", "syntax"),
        ("http://[::1", "syntax"),
        ("http://example.com:99999/", "syntax"),
        ("http://example.com:0/", "syntax"),
        ("https://me@example.com/a.png", "credentials"),
        ("https://me:secret@example.com/a.png", "credentials"),
        ("https://:secret@example.com/a.png", "credentials"),
        ("http://example.com:8080/a.png", "port"),
        ("https://example.com:22/", "port"),
        ("http://127.0.0.1/", "private_address"),
        ("http://2130706433/", "private_address"),
        ("http://0x7f.1/", "private_address"),
        ("http://0177.0.0.1/", "private_address"),
        ("http://[::1]/", "private_address"),
        ("http://[::ffff:127.0.0.1]/", "private_address"),
        ("http://[fe80::1%25eth0]/", "private_address"),
        ("http://169.254.169.254/latest/meta-data/", "private_address"),
        ("http://0/", "private_address"),
        ("http://localhost/", "private_address"),
        ("http://" + "a" * 9000 + ".example/", "syntax"),
        ("http://" + "a" * 64 + ".example/a.png", "syntax"),
        ("http://a..b/", "syntax"),
        ("http://.example/", "syntax"),
        ("http://[::g]/", "syntax"),
        ("http://xn--lcalhost-/", "syntax"),
    ],
)
async def test_links_are_refused_for_what_is_wrong_with_them(link: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(LinkRefused) as caught:
        await SourceFetcher(SourceLimits(retry_pause_s=0)).fetch_link(link, tmp_path / "x")
    assert caught.value.reason == reason
    assert list(tmp_path.iterdir()) == []


@given(st.text(max_size=60))
def test_any_text_is_a_link_or_refused(text: str) -> None:
    for link in (text, f"http://{text}", f"https://{text}/a.png"):
        try:
            url = parse_link(link)
            Guard(HostSet.of(())).check_url(url)
        except LinkRefused:
            continue
        assert url.scheme in ("http", "https")
        assert url.host
        assert url.port in (80, 443)
        assert url.user is None


def test_an_international_name_is_sent_in_its_ascii_form() -> None:
    assert parse_link("https://bücher.example/ä.png").raw_host == "xn--bcher-kva.example"
    assert parse_link("<https://example.com/a.png>").host == "example.com"


def test_hosts_are_matched_with_ports_and_suffixes() -> None:
    hosts = HostSet.of(["Files.Example", "127.0.0.1:99", ".slack.example", "[::1]:80"])
    assert hosts.has("files.example", 443)
    assert hosts.has("FILES.example.", 80)
    assert not hosts.has("files.example", 8080)
    assert hosts.has("127.0.0.1", 99)
    assert not hosts.has("127.0.0.1", 98)
    assert hosts.has("a.b.slack.example", 443)
    assert hosts.has("slack.example", 443)
    assert not hosts.has("evilslack.example", 443)
    assert hosts.has("::1", 80)
    assert not hosts.has("example", 443)


class FakeNames:
    """A name server of our own; `say` maps names to addresses."""

    say: ClassVar[dict[str, list[str]]] = {}

    def __init__(self, *_: object) -> None:
        return

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        if host not in self.say:
            raise OSError("unknown name")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.say[host]
        ]

    async def close(self) -> None:
        return


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [(["10.0.0.7"], "private_address"), (["93.184.215.14", "127.0.0.1"], "private_address"), (None, "dns")],
)
async def test_a_name_with_one_inner_address_is_refused_and_an_unknown_one_told(
    addresses: list[str] | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netguard, "ThreadedResolver", FakeNames)
    monkeypatch.setattr(FakeNames, "say", {"pictures.example": addresses} if addresses else {})
    with pytest.raises(LinkRefused) as caught:
        await SourceFetcher().fetch_link("http://pictures.example/a.png", tmp_path / "x")
    assert caught.value.reason == reason


async def test_names_whose_server_is_silent_keep_no_other_work_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def silent(*_: object, **__: object) -> None:
        over.wait(60)
        raise socket.gaierror("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    links = (f"http://silent{number}.example/a.png" for number in range(100))
    patient = SourceFetcher(SourceLimits(connect_s=120.0, answer_s=120.0))  # also where the whole machine stands still
    fetches = [asyncio.create_task(patient.fetch_link(link, tmp_path / "x")) for link in links]
    try:
        await asyncio.sleep(0.2)
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(int) == 0
    finally:
        over.set()
        answers = await asyncio.gather(*fetches, return_exceptions=True)
    assert {type(answer) for answer in answers} == {LinkRefused}


async def test_a_name_that_changes_its_mind_after_the_check_gains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def inside(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text="secret")

    class Rebinding(FakeNames):
        """A resolver whose checked answer differs from the one that is used."""

        async def resolve(self, *args: Any, **kwargs: Any) -> list[ResolveResult]:
            port = int(address.rpartition(":")[2])
            name, inner = "rebind.example", "127.0.0.1"
            return [ResolveResult(hostname=name, host=inner, port=port, family=socket.AF_INET, proto=0, flags=0)]

    app = web.Application()
    app.router.add_get("/", inside)
    monkeypatch.setattr(netguard, "GuardedResolver", lambda guard: Rebinding())
    monkeypatch.setattr(netguard, "AbstractResolver", object)
    async with served(app) as address:
        with pytest.raises(LinkRefused) as caught:
            await SourceFetcher().fetch_link("http://rebind.example/", tmp_path / "x")
        monkeypatch.setattr(Guard, "make_socket", lambda guard, info: socket.socket(info[0], info[1], info[2]))
        with pytest.raises(LinkRefused) as late:
            await SourceFetcher().fetch_link("http://rebind.example/", tmp_path / "x")
    assert (caught.value.reason, late.value.reason, asked) == ("private_address", "private_address", [])
