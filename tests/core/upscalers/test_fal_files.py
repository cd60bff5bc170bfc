"""Uploads: lifetimes, names, no key to storage hosts, failures of both ways, memory."""

import json
import tracemalloc
from pathlib import Path

import pytest

from core.domain.errors import ProviderHalted, ProviderUnavailable
from tests.core.upscalers.fal_kit import API_KEY, Rig, backend, picture
from tests.emulators.fal import DropBefore, FalEmulator, Respond, json_5xx, nginx, too_many, unauthorised
from tests.fakes.clock import JumpingClock

JOB = "0123456789ab"


async def test_an_upload_carries_its_lifetime_its_type_and_a_plain_name(fal: FalEmulator, tmp_path: Path) -> None:
    odd = picture(tmp_path).rename(tmp_path / "größe 图.png")
    async with backend(fal, retention_s=86_400) as upscaler:
        url = await upscaler.stage(odd, "image/png", job_id=JOB)
    upload = fal.seen("upload")[0]
    assert json.loads(upload.headers["x-fal-object-lifecycle"]) == {"expiration_duration_seconds": 86_400}
    assert (upload.headers["content-type"], upload.headers["x-fal-file-name"]) == ("image/png", f"{JOB}.png")
    assert fal.files[url.removeprefix(fal.cdn_url)].path.read_bytes() == odd.read_bytes()
    assert fal.violations == []


async def test_the_same_picture_staged_twice_has_two_addresses_and_one_token(rig: Rig) -> None:
    urls = [await rig.upscaler.stage(picture(rig.folder), "image/png", job_id=JOB) for _ in range(2)]
    assert len(set(urls)) == 2
    assert len(rig.fal.seen("token")) == 1


@pytest.mark.parametrize("fault", [nginx(502), json_5xx(500), DropBefore(), unauthorised(), too_many()])
async def test_an_upload_is_tried_again(rig: Rig, fault: Respond) -> None:
    rig.fal.faults.add("upload", fault, times=2)
    url = await rig.upscaler.stage(picture(rig.folder), "image/png", job_id=JOB)
    assert url.startswith(rig.fal.cdn_url)
    assert rig.fal.seen("initiate") == []


async def test_when_the_cdn_takes_nothing_storage_does_and_sees_no_key(rig: Rig) -> None:
    rig.fal.faults.add("upload", Respond(413), times=99)
    path = picture(rig.folder)
    url = await rig.upscaler.stage(path, "image/png", job_id=JOB)
    assert rig.fal.files[url.removeprefix(rig.fal.cdn_url)].path.read_bytes() == path.read_bytes()
    assert "authorization" not in rig.fal.seen("put")[0].headers
    assert rig.fal.violations == []


async def test_if_no_upload_works_fal_is_unavailable(rig: Rig) -> None:
    rig.fal.faults.add("upload", nginx(503), times=99)
    rig.fal.faults.add("initiate", nginx(503), times=99)
    with pytest.raises(ProviderUnavailable):
        await rig.upscaler.stage(picture(rig.folder), "image/png", job_id=JOB)


@pytest.mark.parametrize("fault", [json_5xx(500), nginx(502), Respond(200, text="<html>"), Respond(404), DropBefore()])
async def test_a_failing_token_service_is_provider_unavailable_until_it_works(
    fal: FalEmulator, tmp_path: Path, fault: Respond
) -> None:
    fal.faults.add("token", fault, times=12)
    fal.faults.add("initiate", fault, times=6)
    clock = JumpingClock()
    async with backend(fal, clock) as upscaler:
        with pytest.raises(ProviderUnavailable):  # which the job waits for
            await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)
        fal.faults.clear()
        assert (await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)).startswith(fal.cdn_url)


async def test_a_refused_key_at_the_token_halts(fal: FalEmulator, tmp_path: Path) -> None:
    async with backend(fal, key="wrong:key") as upscaler:
        with pytest.raises(ProviderHalted) as caught:
            await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)
    assert caught.value.kind == "key"


async def test_a_key_with_a_line_break_at_its_end_is_still_good(fal: FalEmulator, tmp_path: Path) -> None:
    async with backend(fal, key=API_KEY + "\n") as upscaler:
        await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)


async def test_staging_50_megabytes_takes_little_memory(rig: Rig) -> None:
    big = rig.folder / "big.png"
    with big.open("wb") as file:
        file.truncate(50 * 1024**2)
    tracemalloc.start()
    await rig.upscaler.stage(big, "image/png", job_id=JOB)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 20 * 1024**2  # the emulator's share is in there too
