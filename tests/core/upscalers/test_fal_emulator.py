"""The emulator itself: fal-client works with it, and it is stricter than our client needs."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import fal_client
import pytest
import pyvips

from tests.core.upscalers.fal_kit import picture
from tests.emulators.fal import ADMIN_KEY, API_KEY, ENDPOINT, BlackImage, FalEmulator, Slow

KEY = {"Authorization": f"Key {API_KEY}"}
LIFE = {"X-Fal-Object-Lifecycle": '{"expiration_duration_seconds": 60}'}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def upload(fal: FalEmulator, http: aiohttp.ClientSession, path: Path) -> str:
    url = fal.rest_url + "/storage/auth/token?storage_type=fal-cdn-v3"
    async with http.post(url, json={}, headers=KEY) as response:
        token = (await response.json())["token"]
    headers = {"Authorization": f"Bearer {token}", "X-Fal-File-Name": "a.png", "Content-Type": "image/png"} | LIFE
    async with http.post(fal.cdn_url + "/files/upload", data=path.read_bytes(), headers=headers) as response:
        address: str = (await response.json())["access_url"]
    return address


async def run(fal: FalEmulator, http: aiohttp.ClientSession, body: Any, headers: Any = KEY) -> tuple[int, Any, Any]:
    """Submit, wait, and return the result's status, body and headers."""
    async with http.post(f"{fal.queue_url}/{ENDPOINT}", json=body, headers=headers) as response:
        if response.status != 200:
            return response.status, await response.json(), response.headers
        submitted = await response.json()
    for _ in range(500):
        async with http.get(submitted["status_url"], headers=KEY) as response:
            assert response.status in {200, 202}
            if response.status == 200:
                break
        await asyncio.sleep(0.01)
    async with http.get(submitted["response_url"], headers=KEY) as response:
        return response.status, await response.json(), response.headers


async def test_fals_own_client_uploads_submits_polls_and_reads_the_result(
    fal: FalEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", fal.queue_url + "/")
    monkeypatch.setattr(fal_client.client, "REST_URL", fal.rest_url)
    monkeypatch.setattr(fal_client.client, "CDN_URL", fal.cdn_url)
    client = fal_client.AsyncClient(key=API_KEY)
    path = await asyncio.to_thread(picture, tmp_path)
    url = await client.upload_file(path, lifecycle=fal_client.StorageSettings(expires_in="1h"))
    seen: list[str] = []
    result = await client.subscribe(
        ENDPOINT,
        {"image_url": url, "upscale_factor": 3},
        with_logs=True,
        interval=0.01,
        on_queue_update=lambda status: seen.append(type(status).__name__),
    )
    assert (result["image"]["width"], result["image"]["height"]) == (192, 144)
    assert seen[-1] == "Completed"
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await client.subscribe(ENDPOINT, {"image_url": url, "upscale_factor": 9}, interval=0.01)
    assert caught.value.status_code == 422
    await (await client._client).aclose()


async def test_the_picture_really_grows_and_stands_upright(
    fal: FalEmulator, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    turned = tmp_path / "turned.jpg"
    image = pyvips.Image.new_from_file(str(picture(tmp_path))).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    image.jpegsave(str(turned))
    status, body, headers = await run(fal, http, {"image_url": await upload(fal, http, turned), "upscale_factor": 2})
    assert status == 200
    assert (body["image"]["width"], body["image"]["height"]) == (96, 128)
    assert headers["X-Fal-Billable-Units"] == "1"
    async with http.get(body["image"]["url"], headers={"Range": "bytes=1-3"}) as response:
        assert (response.status, await response.read()) == (206, b"PNG")
    assert set(body) == {"image", "seed", "timings", "caption"}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"upscale_factor": 4.01}, "less_than_equal"),
        ({"upscale_factor": "2"}, "float_type"),
        ({"upscale_factor": True}, "float_type"),
        ({"creativity": -0.1}, "greater_than_equal"),
        ({"steps": 20.0}, "int_type"),
        ({"steps": 51}, "less_than_equal"),
        ({"seed": "7"}, "int_type"),
        ({"enable_safety_checker": "on"}, "bool_type"),
        ({"factor": 2}, "extra_forbidden"),
        ({"image_url": 5}, "string_type"),
    ],
)
async def test_a_wrong_input_ends_as_a_422_that_names_it(
    fal: FalEmulator, http: aiohttp.ClientSession, change: dict[str, Any], kind: str
) -> None:
    status, body, headers = await run(fal, http, {"image_url": "http://127.0.0.1:9/x"} | change)
    assert (status, body["detail"][0]["type"]) == (422, kind)
    assert body["detail"][0]["loc"] == ["body", next(iter(change))]
    assert headers["X-Fal-Billable-Units"] == "0"


@pytest.mark.parametrize("tail", ["/files/none.png", "/files/text"])
async def test_an_image_that_cannot_be_had_or_read_is_refused(
    fal: FalEmulator, http: aiohttp.ClientSession, tmp_path: Path, tail: str
) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    url = fal.cdn_url + tail if "none" in tail else await upload(fal, http, text)
    status, body, _ = await run(fal, http, {"image_url": url})
    expected = "file_download_error" if "none" in tail else "image_load_error"
    assert (status, body["detail"][0]["type"]) == (422, expected)


async def test_the_emulator_records_calls_that_cost_money_or_privacy(
    fal: FalEmulator, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    url = await upload(fal, http, picture(tmp_path))
    for _ in range(2):
        await run(fal, http, {"image_url": url})
    async with http.get(url, headers=KEY):
        pass
    assert "the same image_url was submitted twice" in fal.violations
    assert "the output has no lifecycle" in fal.violations
    assert "the API key was sent to cdn (download)" in fal.violations


@pytest.mark.parametrize("header", ["", "Bearer x", "Key nocolon", "Key wrong:key"])
async def test_a_bad_key_is_a_401_everywhere(fal: FalEmulator, http: aiohttp.ClientSession, header: str) -> None:
    headers = {"Authorization": header}
    for method, url in [
        ("POST", f"{fal.queue_url}/{ENDPOINT}"),
        ("GET", f"{fal.queue_url}/{ENDPOINT}/requests/x/status"),
        ("GET", f"{fal.queue_url}/{ENDPOINT}/requests/x/status/stream"),
        ("PUT", f"{fal.queue_url}/{ENDPOINT}/requests/x/cancel"),
        ("POST", f"{fal.rest_url}/storage/auth/token?storage_type=fal-cdn-v3"),
        ("GET", f"{fal.api_url}/models/pricing?endpoint_id={ENDPOINT}"),
    ]:
        async with http.request(method, url, headers=headers, json={}) as response:
            assert response.status == 401, url


async def test_the_admin_calls_want_the_admin_key(fal: FalEmulator, http: aiohttp.ClientSession) -> None:
    for path in ("/models/billing-events", "/account/billing?expand=credits"):
        async with http.get(fal.api_url + path, headers=KEY) as response:
            assert response.status == 403
            assert (await response.json())["error"]["type"] == "authorization_error"
        async with http.get(fal.api_url + path, headers={"Authorization": f"Key {ADMIN_KEY}"}) as response:
            assert response.status == 200


async def test_an_idle_stream_is_kept_alive_by_comments_and_closes_at_the_end(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with FalEmulator(job_s=0.4, steps_logged=1, heartbeat_s=0.1) as fal:
        url = await upload(fal, http, picture(tmp_path))
        async with http.post(f"{fal.queue_url}/{ENDPOINT}", json={"image_url": url}, headers=KEY) as response:
            status_url = (await response.json())["status_url"]
        async with http.get(status_url + "/stream?logs=1", headers=KEY) as response:
            lines = (await response.text()).splitlines()
    assert lines.count(": ping") >= 2
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
    assert events[-1]["status"] == "COMPLETED"
    assert all("logs" in event for event in events if event["status"] != "IN_QUEUE")


async def test_a_black_image_is_black(fal: FalEmulator, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    fal.outcomes.append(BlackImage())
    _, body, _ = await run(fal, http, {"image_url": await upload(fal, http, picture(tmp_path))})
    async with http.get(body["image"]["url"]) as response:
        image = pyvips.Image.new_from_buffer(await response.read(), "")
    assert image.max() == 0


async def test_two_slots_work_and_the_others_wait(
    fal: FalEmulator, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    fal.job_s = 0.3
    for _ in range(5):
        url = await upload(fal, http, picture(tmp_path))
        async with http.post(f"{fal.queue_url}/{ENDPOINT}", json={"image_url": url}, headers=KEY) as response:
            assert response.status == 200
    states = [job.status for job in fal.jobs.values()]
    assert states.count("IN_PROGRESS") == 2
    assert states.count("IN_QUEUE") == 3


async def test_a_slow_answer_is_slow(fal: FalEmulator, http: aiohttp.ClientSession) -> None:
    fal.faults.add("pricing", Slow(0.2))
    began_s = time.monotonic()
    async with http.get(f"{fal.api_url}/models/pricing?endpoint_id={ENDPOINT}", headers=KEY) as response:
        assert response.status == 200
    assert time.monotonic() - began_s >= 0.2


async def test_the_emulators_run_by_themselves_and_say_how_to_point_the_bot_at_them() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.emulators"),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            lines = [(await process.stdout.readline()).decode().strip() for _ in range(12)]
    finally:
        process.terminate()
        await process.wait()
    env = dict(line.split("=", 1) for line in lines)
    fal = {"FAL_KEY", "FAL_ADMIN_KEY", "FAL_QUEUE_URL", "FAL_REST_URL", "FAL_CDN_URL", "FAL_API_URL"}
    chat = {"DISCORD_TOKEN", "DISCORD_API_URL", "SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"}
    assert set(env) == fal | chat | {"TRUSTED_FILE_HOSTS"}
