"""Downloads: interrupted transfers, temporary failures, and addresses that are never fetched."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from core.domain.errors import ModelFailed, ProviderUnavailable
from core.net.guard import Guard
from core.upscalers.fal import FalConfig, download
from tests.core.upscalers.fal_kit import Rig, backend, config_for, inputs, no_op, picture, statuses
from tests.emulators.fal import Drip, DropBefore, FalEmulator, Respond, Truncate, json_5xx, nginx

JOB = "0123456789ab"


async def finished(fal: FalEmulator, folder: Path, side_px: int = 256) -> tuple[str, bytes]:
    """A result's URL and its bytes."""
    async with backend(fal) as upscaler:
        url = await upscaler.stage(picture(folder, side_px, side_px), "image/png", job_id=JOB)
        request_id = await upscaler.submit(inputs(url), job_id=JOB, on_sending=no_op)
        await statuses(upscaler, request_id)
        result = await upscaler.result(request_id)
    return result.image_url, fal.files[result.image_url.removeprefix(fal.cdn_url)].path.read_bytes()


async def test_a_download_is_the_file(rig: Rig) -> None:
    url, whole = await finished(rig.fal, rig.folder)
    await rig.upscaler.fetch(url, rig.folder / "out.png", max_bytes=10**8)
    assert (rig.folder / "out.png").read_bytes() == whole
    assert [r.headers.get("authorization") for r in rig.fal.seen("download")] == [None, None]


def etag_of(fal: FalEmulator, url: str) -> str:
    """The ETag of aiohttp's file server."""
    stat = fal.files[url.removeprefix(fal.cdn_url)].path.stat()
    return f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


@pytest.mark.parametrize("what", ["drips", "stalls", "stalls, and no range is served"])
async def test_a_slow_host_is_asked_again_where_it_stopped_and_the_file_arrives(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    url, whole = await finished(rig.fal, rig.folder)
    etag = etag_of(rig.fal, url)
    if what == "drips":
        monkeypatch.setattr(download, "WINDOW_S", 0.0)  # each chunk is a window of its own
        monkeypatch.setattr(download, "MIN_WINDOW_BYTES", 10_000)
        rig.fal.faults.add("download", Drip(40, 0.01, etag), times=3)
    else:
        rig.fal.faults.add("download", Truncate(50_000, etag, stalls=True), times=2)
    if what.endswith("served"):
        rig.fal.faults.add("download", Respond(416))
    async with backend(rig.fal, reply_timeout_s=0.4) as upscaler:
        rig.fal.requests.clear()
        await upscaler.fetch(url, rig.folder / "out.png", max_bytes=10**8)
    assert (rig.folder / "out.png").read_bytes() == whole
    asked = [r.headers.get("range") for r in rig.fal.seen("download")]
    assert asked[0] is None
    assert asked[1] is not None
    assert (asked[-1] is None) == what.endswith("served")


async def test_a_partial_download_is_kept_for_the_next_call(rig: Rig) -> None:
    url, whole = await finished(rig.fal, rig.folder)
    dest = rig.folder / "out.png"
    rig.fal.faults.add("download", Truncate(10_000, etag_of(rig.fal, url)), times=download.FETCH_TRIES)
    with pytest.raises(ProviderUnavailable):
        await rig.upscaler.fetch(url, dest, max_bytes=10**8)
    rig.fal.requests.clear()
    await rig.upscaler.fetch(url, dest, max_bytes=10**8)
    assert [r.headers.get("range") for r in rig.fal.seen("download")] == [f"bytes={download.FETCH_TRIES * 10_000}-"]
    assert dest.read_bytes() == whole
    assert not dest.with_name("out.png.part").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Respond(403, json={"detail": "Forbidden"}),
        Respond(404, json={"detail": "Not Found"}),
        Respond(410),
        Respond(502, text="nginx"),
        nginx(503),
        json_5xx(500),
        DropBefore(),
        Truncate(100_000),
        Respond(200, text="<!doctype html><title>Back soon</title>", headers={"Content-Type": "text/html"}),
        Respond(200, text='<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>'),
        Respond(200, json={"detail": "try later"}),
        Respond(302, text="", headers={"Location": "http://169.254.169.254/latest"}),
    ],
)
async def test_a_temporary_failure_of_the_host_is_retried(rig: Rig, fault: Respond) -> None:
    url, whole = await finished(rig.fal, rig.folder)
    rig.fal.faults.add("download", fault, times=3)
    await rig.upscaler.fetch(url, rig.folder / "out.png", max_bytes=10**8)
    assert (rig.folder / "out.png").read_bytes() == whole


@pytest.mark.parametrize("fault", [Respond(403), Respond(404), Respond(200, text="<html>"), DropBefore(), nginx(503)])
async def test_a_lasting_failure_is_provider_unavailable_and_leaves_no_file(rig: Rig, fault: Respond) -> None:
    rig.fal.faults.add("download", fault, times=99)
    with pytest.raises(ProviderUnavailable):
        await rig.upscaler.fetch(rig.fal.cdn_url + "/files/gone.png", rig.folder / "out.png", max_bytes=10**8)
    assert list(rig.folder.iterdir()) == []
    assert len(rig.fal.seen("download")) <= 2 * download.FETCH_TRIES, "aiohttp asks once more where a connection drops"


async def test_a_data_uri_is_decoded_within_the_cap(rig: Rig) -> None:
    whole = b"\x89PNG" + bytes(range(256)) * 4
    uri = "data:image/png;base64," + base64.b64encode(whole).decode()
    await rig.upscaler.fetch(uri, rig.folder / "out.png", max_bytes=len(whole))
    assert (rig.folder / "out.png").read_bytes() == whole
    for bad in (uri, "data:image/png;base64,====", "data:nonsense"):
        with pytest.raises(ModelFailed) as caught:
            await rig.upscaler.fetch(bad, rig.folder / "more.png", max_bytes=len(whole) - 1)
        assert caught.value.billed
    assert not (rig.folder / "more.png").exists()


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1:1/x",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://2130706433/x",
        "https://user:pw@storage.googleapis.com/x",
        "http://storage.googleapis.com/x",
        "ftp://storage.googleapis.com/x",
        "file:///etc/passwd",
        "nonsense",
        "http://[",
        "https://storage.googleapis.com:8443/x",
    ],
)
async def test_a_private_or_plain_address_is_never_asked(fal: FalEmulator, tmp_path: Path, address: str) -> None:
    async with backend(fal, cdn_url="https://v3.fal.media", queue_url="https://queue.fal.run",
                       rest_url="https://rest.fal.ai", api_url="https://api.fal.ai/v1") as upscaler:  # fmt: skip
        with pytest.raises(ModelFailed) as caught:
            await upscaler.fetch(address, tmp_path / "out.png", max_bytes=10**8)
    assert (caught.value.kind, caught.value.billed) == ("foreign_result_address", True)


async def test_a_name_that_leads_to_a_private_address_is_never_asked(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(_self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        return [{"hostname": host, "host": "10.1.2.3", "port": port, "family": family, "proto": 0, "flags": 0}]

    monkeypatch.setattr("core.net.guard.ThreadedResolver.resolve", resolve)
    with pytest.raises(ModelFailed) as caught:
        await rig.upscaler.fetch("https://storage.googleapis.com/x", rig.folder / "out.png", max_bytes=10**8)
    assert caught.value.kind == "foreign_result_address"


async def test_a_result_in_another_public_store_is_fetched_without_the_key_after_a_redirect(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, whole = await finished(rig.fal, rig.folder)
    elsewhere = "https://storage.googleapis.com" + url.removeprefix(rig.fal.cdn_url)

    def session(_guard: Guard, *_: object) -> aiohttp.ClientSession:
        """Redirect what the guard allows to the emulator: without TLS and to its own port."""
        return aiohttp.ClientSession(connector=ToEmulator(URL(rig.fal.cdn_url).port or 0))

    monkeypatch.setattr(download, "guarded_session", session)
    rig.fal.requests.clear()
    rig.fal.faults.add("download", Respond(302, text="", headers={"Location": elsewhere}))
    await rig.upscaler.fetch(url, rig.folder / "out.png", max_bytes=10**8)
    assert (rig.folder / "out.png").read_bytes() == whole
    assert [r.headers["host"] for r in rig.fal.seen("download")][1:] == ["storage.googleapis.com"]
    assert all("authorization" not in r.headers for r in rig.fal.seen("download"))


class ToEmulator(aiohttp.TCPConnector):
    """Connects every request to one port of this machine, without TLS."""

    def __init__(self, port: int) -> None:
        super().__init__(force_close=True)
        self._port = port

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:
        loop = asyncio.get_running_loop()
        made = await loop.create_connection(self._factory, "127.0.0.1", self._port)
        return made[1]


async def test_a_file_above_the_cap_is_not_kept(rig: Rig) -> None:
    url, _ = await finished(rig.fal, rig.folder)
    with pytest.raises(ModelFailed):
        await rig.upscaler.fetch(url, rig.folder / "out.png", max_bytes=1000)
    assert not (rig.folder / "out.png").exists()


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://v3.fal.media/files/b/x.png", True),
        ("https://v3b.fal.media/files/x.png", True),
        ("https://fal.media/x", True),
        ("https://queue.fal.run/x", True),
        ("http://v3.fal.media/x", False),
        ("https://v3.fal.media:8443/x", False),
        ("https://evil-fal.media/x", False),
        ("https://fal.media.evil.example/x", False),
        ("https://user:pw@v3.fal.media/x", False),
        ("https://169.254.169.254/x", False),
        ("http://127.0.0.1:1/x", False),
        ("file:///etc/passwd", False),
        ("nonsense", False),
        ("http://[", False),
    ],
)
def test_only_fals_own_hosts_are_trusted(address: str, allowed: bool) -> None:
    assert FalConfig(key="a:b").may_fetch_from(address) is allowed


def test_configured_hosts_are_trusted_too() -> None:
    config = FalConfig(key="a:b", cdn_url="http://127.0.0.1:4000")
    assert config.may_fetch_from("http://127.0.0.1:5000/x")
    assert config.may_fetch_from("http://localhost:5000/x")
    assert not config.may_fetch_from("http://10.0.0.1/x")


async def test_the_key_is_sent_to_the_configured_services_only(rig: Rig) -> None:
    request_id = await rig.completed()
    result = await rig.upscaler.result(request_id)
    await rig.upscaler.fetch(result.image_url, rig.folder / "out.png", max_bytes=10**8)
    for seen in rig.fal.requests:
        told_key = "emulated-secret" in seen.headers.get("authorization", "")
        assert not told_key or seen.service in {"queue", "rest", "api"}
    assert "emulated-secret" not in repr(config_for(rig.fal))
