"""Files to and from fal: lifetimes, names, keys that stay home, cut transfers, memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.domain.errors import ModelFailed, ProviderHalted, ProviderUnavailable, ResultExpired
from core.upscalers.fal import FalConfig
from tests.core.upscalers.fal_kit import API_KEY, backend, config_for, inputs, nothing, picture, statuses, submitted
from tests.emulators.fal import (
    DropBefore,
    FalEmulator,
    Respond,
    Truncate,
    json_5xx,
    nginx,
    too_many,
    unauthorised,
)

JOB = "0123456789ab"


@pytest.fixture
async def fal() -> AsyncIterator[FalEmulator]:
    async with FalEmulator(job_s=0.01, steps_logged=1) as emulator:
        yield emulator


async def test_an_upload_carries_its_lifetime_its_type_and_a_plain_name(fal: FalEmulator, tmp_path: Path) -> None:
    odd = picture(tmp_path).rename(tmp_path / "größe 图.png")
    async with backend(fal, retention_s=86_400) as upscaler:
        url = await upscaler.stage(odd, "image/png", job_id=JOB)
    upload = fal.seen("upload")[0]
    assert json.loads(upload.headers["x-fal-object-lifecycle"]) == {"expiration_duration_seconds": 86_400}
    assert (upload.headers["content-type"], upload.headers["x-fal-file-name"]) == ("image/png", f"{JOB}.png")
    assert fal.files[url.removeprefix(fal.cdn_url)].path.read_bytes() == odd.read_bytes()
    assert fal.violations == []


async def test_the_same_picture_staged_twice_has_two_addresses_and_one_token(fal: FalEmulator, tmp_path: Path) -> None:
    async with backend(fal) as upscaler:
        urls = [await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB) for _ in range(2)]
    assert len(set(urls)) == 2
    assert len(fal.seen("token")) == 1


@pytest.mark.parametrize("fault", [nginx(502), json_5xx(500), DropBefore(), unauthorised(), too_many()])
async def test_an_upload_is_tried_again(fal: FalEmulator, tmp_path: Path, fault: Respond) -> None:
    fal.faults.add("upload", fault, times=2)
    async with backend(fal) as upscaler:
        url = await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)
    assert url.startswith(fal.cdn_url)
    assert fal.seen("initiate") == []


async def test_when_the_cdn_takes_nothing_storage_does_and_sees_no_key(fal: FalEmulator, tmp_path: Path) -> None:
    fal.faults.add("upload", Respond(413), times=99)
    path = picture(tmp_path)
    async with backend(fal) as upscaler:
        url = await upscaler.stage(path, "image/png", job_id=JOB)
    assert fal.files[url.removeprefix(fal.cdn_url)].path.read_bytes() == path.read_bytes()
    assert "authorization" not in fal.seen("put")[0].headers
    assert fal.violations == []


async def test_when_nothing_takes_the_file_fal_is_unavailable(fal: FalEmulator, tmp_path: Path) -> None:
    fal.faults.add("upload", nginx(503), times=99)
    fal.faults.add("initiate", nginx(503), times=99)
    async with backend(fal) as upscaler:
        with pytest.raises(ProviderUnavailable):
            await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)


async def test_a_refused_key_at_the_token_halts(fal: FalEmulator, tmp_path: Path) -> None:
    async with backend(fal, key="wrong:key") as upscaler:
        with pytest.raises(ProviderHalted) as caught:
            await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)
    assert caught.value.kind == "key"


async def test_a_key_with_a_line_break_at_its_end_is_still_good(fal: FalEmulator, tmp_path: Path) -> None:
    async with backend(fal, key=API_KEY + "\n") as upscaler:
        await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)


async def test_staging_50_megabytes_takes_little_memory(fal: FalEmulator, tmp_path: Path) -> None:
    big = tmp_path / "big.png"
    with big.open("wb") as file:
        file.truncate(50 * 1024**2)
    async with backend(fal) as upscaler:
        tracemalloc.start()
        await upscaler.stage(big, "image/png", job_id=JOB)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak_bytes < 20 * 1024**2  # the emulator's share is in there too


async def finished(fal: FalEmulator, folder: Path, side_px: int = 256) -> tuple[str, bytes]:
    """A result's address and its bytes."""
    async with backend(fal) as upscaler:
        url = await upscaler.stage(picture(folder, side_px, side_px), "image/png", job_id=JOB)
        request_id = await upscaler.submit(inputs(url), job_id=JOB, on_sending=nothing)
        await statuses(upscaler, request_id)
        result = await upscaler.result(request_id)
    return result.image_url, fal.files[result.image_url.removeprefix(fal.cdn_url)].path.read_bytes()


async def test_a_download_is_the_file(fal: FalEmulator, tmp_path: Path) -> None:
    url, whole = await finished(fal, tmp_path)
    async with backend(fal) as upscaler:
        await upscaler.fetch(url, tmp_path / "out.png", max_bytes=10**8)
    assert (tmp_path / "out.png").read_bytes() == whole
    assert [r.headers.get("authorization") for r in fal.seen("download")] == [None, None]


async def test_a_cut_download_is_resumed_where_it_stopped(fal: FalEmulator, tmp_path: Path) -> None:
    url, whole = await finished(fal, tmp_path)
    fal.faults.add("download", Respond(502, text="nginx"))
    async with backend(fal) as upscaler:
        await upscaler.fetch(url, tmp_path / "out.png", max_bytes=10**8)
        fal.requests.clear()
        fal.faults.add("download", Truncate(100_000), times=1)
        await upscaler.fetch(url, tmp_path / "again.png", max_bytes=10**8)
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "again.png").read_bytes() == whole


async def test_the_second_part_asks_only_for_what_is_missing(fal: FalEmulator, tmp_path: Path) -> None:
    url, whole = await finished(fal, tmp_path)
    served = fal.files[url.removeprefix(fal.cdn_url)]
    stat = served.path.stat()
    etag = f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    fal.requests.clear()
    fal.faults.add("download", Truncate(100_000, etag=etag))
    async with backend(fal) as upscaler:
        await upscaler.fetch(url, tmp_path / "out.png", max_bytes=10**8)
    ranges = [r.headers.get("range") for r in fal.seen("download")]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert ranges[1].startswith("bytes=")
    assert (tmp_path / "out.png").read_bytes() == whole


async def test_a_vanished_result_is_expired_and_leaves_no_file(fal: FalEmulator, tmp_path: Path) -> None:
    async with backend(fal) as upscaler:
        with pytest.raises(ResultExpired):
            await upscaler.fetch(fal.cdn_url + "/files/gone.png", tmp_path / "out.png", max_bytes=10**8)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_above_the_cap_is_not_kept(fal: FalEmulator, tmp_path: Path) -> None:
    url, _ = await finished(fal, tmp_path)
    async with backend(fal) as upscaler:
        with pytest.raises(ModelFailed):
            await upscaler.fetch(url, tmp_path / "out.png", max_bytes=1000)
    assert not (tmp_path / "out.png").exists()


async def test_a_redirect_to_a_foreign_host_is_not_followed(fal: FalEmulator, tmp_path: Path) -> None:
    url, _ = await finished(fal, tmp_path)
    fal.faults.add("download", Respond(302, text="", headers={"Location": "https://evil.example/x"}))
    async with backend(fal) as upscaler:
        with pytest.raises(ModelFailed):
            await upscaler.fetch(url, tmp_path / "out.png", max_bytes=10**8)


async def test_a_download_that_never_works_is_unavailable_after_few_tries(fal: FalEmulator, tmp_path: Path) -> None:
    url, _ = await finished(fal, tmp_path)
    fal.requests.clear()
    fal.faults.add("download", nginx(503), times=99)
    async with backend(fal) as upscaler:
        with pytest.raises(ProviderUnavailable):
            await upscaler.fetch(url, tmp_path / "out.png", max_bytes=10**8)
    assert len(fal.seen("download")) <= 6


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
        ("data:image/png;base64,AAAA", False),
        ("nonsense", False),
        ("http://[", False),
    ],
)
def test_only_fals_own_hosts_serve_results(address: str, allowed: bool) -> None:
    assert FalConfig(key="a:b").may_fetch_from(address) is allowed


def test_configured_hosts_serve_results_too() -> None:
    config = FalConfig(key="a:b", cdn_url="http://127.0.0.1:4000")
    assert config.may_fetch_from("http://127.0.0.1:5000/x")
    assert config.may_fetch_from("http://localhost:5000/x")
    assert not config.may_fetch_from("http://10.0.0.1/x")


async def test_the_key_is_sent_to_the_configured_services_only(fal: FalEmulator, tmp_path: Path) -> None:
    async with backend(fal) as upscaler:
        request_id = await submitted(upscaler, tmp_path)
        await statuses(upscaler, request_id)
        result = await upscaler.result(request_id)
        await upscaler.fetch(result.image_url, tmp_path / "out.png", max_bytes=10**8)
    for seen in fal.requests:
        told_key = "emulated-secret" in seen.headers.get("authorization", "")
        assert not told_key or seen.service in {"queue", "rest", "api"}
    assert "emulated-secret" not in repr(config_for(fal))
