"""Webhooks: signatures, request ids and repeated deliveries."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.domain.errors import ProviderUnavailable
from core.ports import RemoteCompleted
from core.upscalers.fal import FalUpscaler, WebhookAccepted
from core.upscalers.fal.submit import webhook_token
from tests.core.upscalers.fal_kit import API_KEY, Rig, backend, statuses, submitted
from tests.emulators.fal import FalEmulator, Slow, nginx
from tests.emulators.fal.signing import Signer
from tests.fakes.clock import JumpingClock
from tests.fakes.core import until
from tests.served import served

JOB = "0123456789ab"
ID = "11111111-2222-3333-4444-555555555555"


def body_for(request_id: str = ID, **changes: Any) -> bytes:
    return json.dumps({"request_id": request_id, "status": "OK", "payload": None} | changes).encode()


async def judge(
    upscaler: FalUpscaler, headers: dict[str, str], body: bytes, token: str | None = None
) -> WebhookAccepted | str:
    return await upscaler.receive_webhook(headers, body, job_id=JOB, token=token)


async def test_a_signed_delivery_is_accepted_and_its_token_is_checked(rig: Rig) -> None:
    body = body_for()
    headers = rig.fal.signer.headers(ID, "someone", body)
    assert await judge(rig.upscaler, headers, body) == WebhookAccepted(ID, ours=False)
    token = webhook_token(API_KEY, JOB)
    assert await judge(rig.upscaler, headers, body, token) == WebhookAccepted(ID, ours=True)
    other = webhook_token(API_KEY, "another-job")
    assert await judge(rig.upscaler, headers, body, other) == WebhookAccepted(ID, ours=False)
    assert len(rig.fal.seen("jwks")) == 1
    assert "authorization" not in rig.fal.seen("jwks")[0].headers


async def test_the_delivery_of_a_failed_request_is_accepted_too(rig: Rig) -> None:
    body = body_for(status="ERROR", error="Invalid status code: 422")
    outcome = await judge(rig.upscaler, rig.fal.signer.headers(ID, "u", body), body)
    assert outcome == WebhookAccepted(ID, ours=False)


@pytest.mark.parametrize("age_s", [-301, 301, -86_400, 10**9])
async def test_a_stale_or_early_delivery_is_refused(rig: Rig, age_s: int) -> None:
    body = body_for()
    headers = rig.fal.signer.headers(ID, "u", body, at_s=time.time() - age_s)
    assert await judge(rig.upscaler, headers, body) == "stale"


async def test_a_delivery_signed_by_somebody_else_is_refused(upscaler: FalUpscaler) -> None:
    body = body_for()
    assert await judge(upscaler, Signer().headers(ID, "u", body), body) == "signature"


async def test_a_changed_body_user_or_id_is_refused(rig: Rig) -> None:
    body = body_for()
    headers = rig.fal.signer.headers(ID, "u", body)
    assert await judge(rig.upscaler, headers, body + b" ") == "signature"
    assert await judge(rig.upscaler, headers | {"X-Fal-Webhook-User-Id": "v"}, body) == "signature"
    changed = headers | {"X-Fal-Webhook-Request-Id": "another-id"}
    assert await judge(rig.upscaler, changed, body) == "signature"


async def test_a_body_about_another_request_than_the_signed_one_is_refused(rig: Rig) -> None:
    body = body_for("another-id")
    assert await judge(rig.upscaler, rig.fal.signer.headers(ID, "u", body), body) == "request_id"


@pytest.mark.parametrize(
    "headers",
    [{}, {"X-Fal-Webhook-Request-Id": "../x"}, {"X-Fal-Webhook-Request-Id": ID, "X-Fal-Webhook-Timestamp": "²"}],
)
async def test_missing_or_odd_headers_are_refused_without_asking_fal(rig: Rig, headers: dict[str, str]) -> None:
    assert await judge(rig.upscaler, headers, body_for()) == "headers"
    assert rig.fal.requests == []


async def test_changed_keys_are_fetched_at_most_once_a_minute(fal: FalEmulator) -> None:
    body, clock = body_for(), JumpingClock()
    async with backend(fal, clock) as upscaler:
        await judge(upscaler, fal.signer.headers(ID, "u", body), body)
        fal.signer = Signer()
        headers = fal.signer.headers(ID, "u", body)
        assert await judge(upscaler, headers, body) == "signature"
        clock.offset_s += 61
        assert isinstance(await judge(upscaler, headers, body), WebhookAccepted)
        for _ in range(5):
            await judge(upscaler, Signer().headers(ID, "u", body), body)
    assert len(fal.seen("jwks")) == 2


async def test_keys_are_not_trusted_for_more_than_a_day(fal: FalEmulator) -> None:
    body, clock = body_for(), JumpingClock()
    async with backend(fal, clock) as upscaler:
        await judge(upscaler, fal.signer.headers(ID, "u", body), body)
        clock.offset_s += 86_401
        accepted = await judge(upscaler, fal.signer.headers(ID, "u", body), body)
        assert accepted == WebhookAccepted(ID, ours=False), "fresh by the machine's clock, which counts"
    assert len(fal.seen("jwks")) == 2


async def test_without_keys_no_delivery_is_accepted_and_none_queues_behind_another(fal: FalEmulator) -> None:
    body, clock = body_for(), JumpingClock()
    headers = fal.signer.headers(ID, "u", body)
    fal.faults.add("jwks", nginx(503), times=99)
    async with backend(fal, clock) as upscaler:
        refused = await asyncio.gather(*(judge(upscaler, headers, body) for _ in range(20)), return_exceptions=True)
        assert {type(outcome) for outcome in refused} == {ProviderUnavailable}
        assert len(fal.seen("jwks")) == 1
        fal.faults.clear()
        clock.offset_s += 11
        assert isinstance(await judge(upscaler, headers, body), WebhookAccepted)


async def test_a_delivery_ends_every_wait_at_once_and_its_repeats_do_nothing(tmp_path: Path) -> None:
    async with FalEmulator(job_s=600) as fal, backend(fal) as upscaler:
        request_id = await submitted(upscaler, tmp_path)
        waiting = asyncio.gather(*(statuses(upscaler, request_id) for _ in range(2)))
        await asyncio.sleep(0.1)
        body = body_for(request_id)
        headers = fal.signer.headers(request_id, "u", body)
        for _ in range(3):
            assert isinstance(await judge(upscaler, headers, body), WebhookAccepted)
        async with asyncio.timeout(60):
            assert [told[-1] for told in await waiting] == [RemoteCompleted()] * 2
        assert isinstance(await judge(upscaler, headers, body), WebhookAccepted)


async def test_a_delivery_ends_a_wait_between_polls_too(tmp_path: Path) -> None:
    async with FalEmulator(job_s=600) as fal:
        fal.stream_available = False
        async with backend(fal, JumpingClock(nap_s=30)) as upscaler:
            request_id = await submitted(upscaler, tmp_path)
            waiting = asyncio.ensure_future(statuses(upscaler, request_id))
            await asyncio.sleep(0.1)
            body = body_for(request_id)
            await judge(upscaler, fal.signer.headers(request_id, "u", body), body)
            async with asyncio.timeout(60):
                assert (await waiting)[-1] == RemoteCompleted()


@pytest.mark.parametrize("unanswered", ["stream", "status"])
async def test_a_delivery_ends_a_wait_whose_call_is_not_answered(tmp_path: Path, unanswered: str) -> None:
    async with FalEmulator(job_s=60) as fal, backend(fal) as upscaler:
        fal.stream_available = unanswered == "stream"
        fal.faults.add(unanswered, Slow(30, before=True))
        request_id = await submitted(upscaler, tmp_path)
        waiting = asyncio.ensure_future(statuses(upscaler, request_id))
        await until(lambda: bool(fal.seen(unanswered)))
        body = body_for(request_id)
        await judge(upscaler, fal.signer.headers(request_id, "u", body), body)
        async with asyncio.timeout(5):
            assert (await waiting)[-1] == RemoteCompleted()


async def test_the_whole_way_from_submit_to_a_repeated_delivery(tmp_path: Path) -> None:
    outcomes: list[object] = []
    async with FalEmulator(job_s=0.3, heartbeat_s=60) as fal:
        fal.webhook_repeats = 2
        holder: list[FalUpscaler] = []

        async def receive(request: web.Request) -> web.Response:
            body = await request.read()
            job_id, token = request.match_info["job_id"], request.query.get("t")
            outcomes.append(await holder[0].receive_webhook(request.headers, body, job_id=job_id, token=token))
            return web.Response()

        app = web.Application()
        app.router.add_post("/fal/webhook/{job_id}", receive)
        async with served(app) as address, backend(fal, public_url=address) as upscaler:
            holder.append(upscaler)
            request_id = await submitted(upscaler, tmp_path)
            told = await statuses(upscaler, request_id)
            async with asyncio.timeout(60):
                while len(outcomes) < 2:
                    await asyncio.sleep(0.01)
    assert told[-1] == RemoteCompleted()
    assert outcomes == [WebhookAccepted(request_id, ours=True)] * 2
