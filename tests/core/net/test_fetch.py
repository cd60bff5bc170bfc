"""Downloads: complete or absent, within limits, and without secrets sent to other hosts."""

import asyncio
import gc
import hashlib
import itertools
import tracemalloc
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from aiohttp import web

from core.domain.errors import DownloadFailed, FileTooLarge, LinkRefused, UpscaleError
from core.net.fetch import SourceFetcher, SourceLimits
from core.net.file_sink import save_stream
from tests.core.net.site import BODY, raw_answers, redirect, silent_answer, site_with, text_answer, whole_body

E = TypeVar("E", bound=UpscaleError)
QUICK = SourceLimits(retry_pause_s=0.0)
OPEN = SourceFetcher(QUICK, allow_private=True)
TOKEN = {"Authorization": "Bearer t"}


async def _refused(error: type[E], call: Awaitable[object]) -> E:
    with pytest.raises(error) as caught:
        await call
    return caught.value


async def test_a_link_is_fetched_whole_with_its_digest(tmp_path: Path) -> None:
    async with site_with(a=whole_body) as site:
        fetched = await OPEN.fetch_link(site.url("/a#part"), tmp_path / "x")
        assert fetched.path.read_bytes() == BODY
        assert (fetched.bytes, fetched.sha256) == (len(BODY), hashlib.sha256(BODY).hexdigest())
        headers = site.seen[0].headers
        assert headers["Accept-Encoding"] == "identity"
        assert "Authorization" not in headers
        assert "Cookie" not in headers


async def test_redirects_are_followed_five_times_and_no_further(tmp_path: Path) -> None:
    hops = {f"r{n}": redirect(f"/r{n - 1}", 307 if n % 2 else 301) for n in range(1, 7)}
    async with site_with(r0=whole_body, **hops) as site:
        assert (await OPEN.fetch_link(site.url("/r5"), tmp_path / "x")).bytes == len(BODY)
        caught = await _refused(LinkRefused, OPEN.fetch_link(site.url("/r6"), tmp_path / "y"))
        assert caught.reason == "redirects"
        assert not (tmp_path / "y").exists()


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://127.0.0.1/inside", "private_address"),
        ("http://[::ffff:169.254.169.254]/latest", "private_address"),
        ("http://93.184.215.14:8080/", "port"),
        ("ftp://93.184.215.14/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("http://me:pw@93.184.215.14/", "credentials"),
    ],
)
async def test_each_redirect_is_judged_anew(location: str, reason: str, tmp_path: Path) -> None:
    async with site_with(a=redirect(location)) as site:
        caught = await _refused(
            LinkRefused, SourceFetcher(QUICK).fetch_trusted(site.url("/a"), tmp_path / "x", {}, [site.host])
        )
    assert caught.reason == reason


@pytest.mark.parametrize(
    "link", ["https://acme.slack.com/archives/C1/p1700000000000100", "https://discord.com/channels/1/2/3"]
)
async def test_a_link_to_a_message_is_named_as_one(link: str, tmp_path: Path) -> None:
    refused = await _refused(LinkRefused, SourceFetcher(QUICK).fetch_link(link, tmp_path / "x"))
    assert refused.reason == "message"


async def test_an_operators_trusted_host_is_no_exemption_for_typed_links_or_redirects(tmp_path: Path) -> None:
    async with site_with(a=whole_body, b=redirect("/a")) as site:
        fetcher = SourceFetcher(QUICK, trusted_hosts=[site.host, "127.0.0.1"])
        for link in (site.url("/a"), "http://127.0.0.1/a"):
            with pytest.raises(LinkRefused):
                await fetcher.fetch_link(link, tmp_path / "x")
        with pytest.raises(LinkRefused):
            await fetcher.fetch_trusted(site.url("/b"), tmp_path / "x", {}, ["files.example"])
        assert [request.path for request in site.seen] == ["/b"]


async def test_a_declared_length_over_the_cap_is_refused_unread(tmp_path: Path) -> None:
    async with site_with(a=whole_body) as site:
        fetcher = SourceFetcher(replace(QUICK, max_bytes=1000), allow_private=True)
        caught = await _refused(FileTooLarge, fetcher.fetch_link(site.url("/a"), tmp_path / "x"))
    assert (caught.bytes, caught.limit_bytes) == (len(BODY), 1000)


async def test_an_undeclared_body_is_cut_at_the_cap(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(65536))
        except ConnectionError:
            return response

    async with site_with(a=endless) as site:
        fetcher = SourceFetcher(replace(QUICK, max_bytes=1_000_000), allow_private=True)
        caught = await _refused(FileTooLarge, fetcher.fetch_link(site.url("/a"), tmp_path / "x"))
        assert caught.bytes is None
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "reason", "asked"), [(404, "gone", 1), (410, "gone", 1), (403, "status", 1), (503, "status", 2)]
)
async def test_a_status_is_told_and_only_a_passing_one_tried_again(
    status: int, reason: str, asked: int, tmp_path: Path
) -> None:
    async with site_with(a=text_answer(status)) as site:
        caught = await _refused(DownloadFailed, OPEN.fetch_link(site.url("/a"), tmp_path / "x"))
        assert (caught.status, caught.reason, len(site.seen)) == (status, reason, asked)


SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"


async def test_a_download_that_breaks_off_is_tried_once_more(tmp_path: Path) -> None:
    async with raw_answers(SHORT, WHOLE) as (host, asked):
        fetched = await OPEN.fetch_link(f"http://{host}/", tmp_path / "x")
        assert (fetched.path.read_bytes(), len(asked)) == (b"whole", 2)
    async with raw_answers(b"", WHOLE) as (host, asked):
        assert (await OPEN.fetch_link(f"http://{host}/", tmp_path / "x")).bytes == 5


async def test_a_download_that_breaks_off_twice_is_told_as_such(tmp_path: Path) -> None:
    async with raw_answers(SHORT) as (host, asked):
        caught = await _refused(DownloadFailed, OPEN.fetch_link(f"http://{host}/", tmp_path / "x"))
    assert (caught.reason, len(asked)) == ("truncated", 2)
    assert list(tmp_path.iterdir()) == []


async def test_silence_and_slowness_end(tmp_path: Path) -> None:
    async with site_with(a=silent_answer) as site:
        for limits in (replace(QUICK, idle_s=0.05), replace(QUICK, total_s=0.05)):
            caught = await _refused(
                DownloadFailed, SourceFetcher(limits, allow_private=True).fetch_link(site.url("/a"), tmp_path / "x")
            )
            assert caught.reason == "timeout"


async def test_a_host_that_does_not_answer_is_told(tmp_path: Path) -> None:
    async with site_with() as site:
        host = site.host
    caught = await _refused(DownloadFailed, OPEN.fetch_link(f"http://{host}/", tmp_path / "x"))
    assert caught.reason == "connection"


async def test_a_web_page_behind_a_link_is_no_picture(tmp_path: Path) -> None:
    async with site_with(a=text_answer(200, "\n<!DOCTYPE html><p>hello", "text/html")) as site:
        caught = await _refused(DownloadFailed, OPEN.fetch_link(site.url("/a"), tmp_path / "x"))
    assert caught.reason == "login_page"
    assert list(tmp_path.iterdir()) == []


async def test_an_attachment_is_fetched_with_the_platforms_headers(tmp_path: Path) -> None:
    async with site_with(a=whole_body) as site:
        fetched = await SourceFetcher(QUICK).fetch_trusted(site.url("/a"), tmp_path / "x", TOKEN, [site.host])
        assert fetched.bytes == len(BODY)
        assert site.seen[0].headers["Authorization"] == "Bearer t"


async def test_the_operators_trusted_hosts_may_serve_attachments_too(tmp_path: Path) -> None:
    async with site_with(a=whole_body) as site:
        fetcher = SourceFetcher(QUICK, trusted_hosts=[site.host])
        await fetcher.fetch_trusted(site.url("/a"), tmp_path / "x", TOKEN, ["files.example"])
        assert site.seen[0].headers["Authorization"] == "Bearer t"


async def test_a_login_page_instead_of_an_attachment_is_named(tmp_path: Path) -> None:
    async with site_with(a=text_answer(200, "<!doctype html><title>Sign in</title>", "text/html")) as site:
        caught = await _refused(
            DownloadFailed, SourceFetcher(QUICK).fetch_trusted(site.url("/a"), tmp_path / "x", {}, [site.host])
        )
    assert caught.reason == "login_page"


async def test_a_token_never_follows_a_redirect_to_another_host(tmp_path: Path) -> None:
    async with site_with(b=whole_body) as other, site_with(a=redirect(f"http://{other.host}/b")) as site:
        await OPEN.fetch_trusted(site.url("/a"), tmp_path / "x", TOKEN, [site.host])
        assert "Authorization" in site.seen[0].headers
        assert "Authorization" not in other.seen[0].headers
        with pytest.raises(LinkRefused):
            await SourceFetcher(QUICK).fetch_trusted(site.url("/a"), tmp_path / "x", {}, [site.host])
        assert len(other.seen) == 1


async def test_a_token_goes_along_within_the_platforms_hosts(tmp_path: Path) -> None:
    async with site_with(b=whole_body) as other, site_with(a=redirect(f"http://{other.host}/b")) as site:
        await OPEN.fetch_trusted(site.url("/a"), tmp_path / "x", TOKEN, [site.host, other.host])
        assert "Authorization" in other.seen[0].headers


async def test_a_token_is_not_sent_in_clear_to_a_host_named_without_its_port(tmp_path: Path) -> None:
    async with site_with(a=whole_body) as site:
        await OPEN.fetch_trusted(site.url("/a"), tmp_path / "x", TOKEN, ["127.0.0.1"])
        assert "Authorization" not in site.seen[0].headers


async def test_fifty_megabytes_cost_little_memory(tmp_path: Path) -> None:
    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(50_000_000)})
        await response.prepare(request)
        chunk = bytes(50_000)
        for _ in range(1000):
            await response.write(chunk)
        return response

    async with site_with(a=large) as site:
        gc.collect()
        tracemalloc.start()
        try:
            fetched = await OPEN.fetch_link(site.url("/a"), tmp_path / "x")
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert fetched.bytes == 50_000_000
    assert peak_bytes < 10_000_000  # this server's own buffers included


async def test_a_stream_is_saved_and_cut_at_its_cap(tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 100

    saved = await save_stream(chunks(), tmp_path / "x", 400)
    assert (saved.bytes, saved.sha256) == (400, hashlib.sha256(b"x" * 400).hexdigest())
    caught = await _refused(FileTooLarge, save_stream(chunks(), tmp_path / "x", 399))
    assert caught.limit_bytes == 399
    assert not (tmp_path / "x").exists()


async def test_a_cancelled_fetch_leaves_no_file(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        begun.set()
        await asyncio.sleep(30)
        return response

    async with site_with(a=slow) as site:
        task = asyncio.create_task(OPEN.fetch_link(site.url("/a"), tmp_path / "x"))
        await begun.wait()
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert list(tmp_path.iterdir()) == []


async def _drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000000"})
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(1000):
            await response.write(b"x" * 100)
            await asyncio.sleep(0)
    return response


async def test_a_download_slower_than_the_least_speed_is_ended(tmp_path: Path) -> None:
    instants_s = itertools.count(0.0, 3.0)  # each look at the clock, three seconds have passed
    async with site_with(a=_drip) as site:
        fetcher = SourceFetcher(QUICK, allow_private=True, now=lambda: next(instants_s))
        caught = await _refused(DownloadFailed, fetcher.fetch_link(site.url("/a"), tmp_path / "x"))
        assert caught.reason == "timeout"
        assert len(site.seen) == 1  # a slow link is not tried again
    assert not (tmp_path / "x").exists()


async def test_a_download_that_keeps_the_least_speed_may_take_its_time(tmp_path: Path) -> None:
    instants_s = itertools.count(0.0, 3.0)
    async with site_with(a=whole_body) as site:
        limits = replace(QUICK, least_bytes=1)
        fetcher = SourceFetcher(limits, allow_private=True, now=lambda: next(instants_s))
        assert (await fetcher.fetch_link(site.url("/a"), tmp_path / "x")).bytes == len(BODY)


async def test_a_server_that_never_answers_is_given_up_though_it_redirects_on(tmp_path: Path) -> None:
    async with site_with(a=redirect("/b"), b=silent_answer) as site:
        fetcher = SourceFetcher(replace(QUICK, answer_s=0.2), allow_private=True)
        caught = await _refused(DownloadFailed, fetcher.fetch_link(site.url("/a"), tmp_path / "x"))
    assert caught.reason == "timeout"
