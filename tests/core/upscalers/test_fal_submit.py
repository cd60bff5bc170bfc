"""The paid call: one POST whatever happens, and the right error."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from core.domain.errors import (
    ContentRejected,
    InvalidForModel,
    ModelFailed,
    ModelNotOffered,
    ProviderBusy,
    ProviderHalted,
    SubmitNotSent,
    SubmitUnknown,
)
from core.ports import RemoteCompleted
from tests.core.upscalers.fal_kit import Rig, backend, inputs, no_op, picture, submitted
from tests.emulators.fal import (
    DropAfter,
    DropBefore,
    FalEmulator,
    Respond,
    Slow,
    exhausted,
    json_5xx,
    nginx,
    too_many,
    unauthorised,
)
from tests.fakes.clock import JumpingClock

JOB = "0123456789ab"


async def test_every_input_arrives_under_its_api_name_with_its_type(rig: Rig) -> None:
    await rig.submitted(upscale_factor=3.5, creativity=0.0, steps=4, enable_safety_checker=False)
    sent = rig.fal.submits[0].json
    assert sent.pop("image_url").startswith(rig.fal.cdn_url)
    assert sent == {
        "upscale_factor": 3.5,
        "creativity": 0.0,
        "guidance": 1.0,
        "steps": 4,
        "seed": 7,
        "enable_safety_checker": False,
    }
    assert rig.fal.violations == []


@pytest.mark.parametrize("odd", [-1, "-1", "a/b", "../../x", "%2F", "..", "a\x00b", "r" * 81, True, ["r"]])
async def test_a_request_id_that_is_none_leaves_the_submit_unknown_unless_the_header_names_it(
    rig: Rig, odd: object
) -> None:
    known = await rig.submitted()
    rig.fal.faults.add("submit", Respond(200, json={"request_id": odd, "status": "IN_QUEUE"}))
    with pytest.raises(SubmitUnknown):
        await rig.submitted()
    named = {"x-fal-request-id": known}
    rig.fal.faults.add("submit", Respond(200, json={"request_id": odd, "status": "IN_QUEUE"}, headers=named))
    assert await rig.submitted() == known


@pytest.mark.parametrize("odd", ["a/b", "req 1 ä", "_r+1=~", "x?y#z", "%2F", "7"])
async def test_whatever_is_in_a_request_id_the_request_is_followed_and_its_result_read(rig: Rig, odd: str) -> None:
    rig.fal.request_ids.append(odd)
    request_id = await rig.submitted()
    assert request_id == odd
    statuses = [status async for status in rig.upscaler.watch(request_id)]
    assert isinstance(statuses[-1], RemoteCompleted)
    assert (await rig.upscaler.result(request_id)).seed == 7
    assert await rig.upscaler.cancel(request_id) == "already_completed"


async def test_the_submit_asks_for_a_lifetime_and_a_start_limit_and_no_webhook_without_a_public_url(
    fal: FalEmulator, tmp_path: Path
) -> None:
    async with backend(fal, retention_s=3600) as upscaler:
        await submitted(upscaler, tmp_path)
    submit = fal.submits[0]
    assert submit.headers["x-fal-object-lifecycle-preference"] == '{"expiration_duration_seconds": 3600}'
    assert submit.headers["x-fal-store-io"] == "1", "whatever the account says"
    assert float(submit.headers["x-fal-request-start-timeout"]) > 60
    assert submit.query == {}


@pytest.mark.parametrize(
    "fault",
    [
        DropAfter(),
        DropBefore(),
        json_5xx(500),
        json_5xx(503),
        nginx(503),
        Respond(200, text="<html>"),
        *(Respond(status, text="gateway") for status in (302, 408, 409, 425)),
        Respond(307, text="", headers={"Location": "/files/upload"}),
    ],
)
async def test_an_unclear_answer_is_unknown_after_exactly_one_post(rig: Rig, fault: Respond) -> None:
    rig.fal.faults.add("submit", fault)
    with pytest.raises(SubmitUnknown):
        await rig.submitted()
    assert len(rig.fal.submits) == 1
    assert len(rig.fal.seen("upload")) == 1, "a redirect is not followed"


async def test_accepted_then_dropped_is_posted_once_and_found_again(fal: FalEmulator, tmp_path: Path) -> None:
    fal.faults.add("submit", DropAfter())
    clock = JumpingClock()
    async with backend(fal, clock) as upscaler:
        url = await upscaler.stage(picture(tmp_path), "image/png", job_id=JOB)
        since = clock.now()
        with pytest.raises(SubmitUnknown):
            await upscaler.submit(inputs(url), job_id=JOB, on_sending=no_op)
        found = await upscaler.find(url, since=since)
    assert len(fal.submits) == 1
    assert found.conclusive
    assert [found.request_id] == list(fal.jobs)


async def test_a_reply_that_never_comes_is_unknown(fal: FalEmulator, tmp_path: Path) -> None:
    fal.faults.add("submit", Slow(5))
    async with backend(fal, reply_timeout_s=0.2) as upscaler:
        with pytest.raises(SubmitUnknown):
            await submitted(upscaler, tmp_path)
    assert len(fal.submits) == 1


@pytest.mark.parametrize("broken", [Respond(200, text="{cut"), too_many("3")])
async def test_a_broken_reply_whose_header_names_the_request_is_adopted(rig: Rig, broken: Respond) -> None:
    first = await rig.submitted()
    named = {**broken.headers, "x-fal-request-id": first}
    rig.fal.faults.add("submit", dataclasses.replace(broken, headers=named))
    assert await rig.submitted() == first
    assert len(rig.fal.submits) == 2


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (None, None), ("soon", None), ("100000", 300.0)])
async def test_429_gives_the_time_of_the_next_attempt(rig: Rig, header: str | None, seconds: float | None) -> None:
    busy = too_many(header)
    rig.fal.faults.add("submit", dataclasses.replace(busy, headers={**busy.headers, "x-fal-request-id": "unheard-of"}))
    with pytest.raises(ProviderBusy) as caught:
        await rig.submitted()
    assert caught.value.retry_after_s == seconds
    assert len(rig.fal.submits) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (exhausted(), "credit"),
        (unauthorised(), "key"),
        (Respond(402), "credit"),
        (Respond(403, json={"detail": {"type": "user_locked", "message": "x"}}), "credit"),
        (Respond(403, json={"error": {"type": "authorization_error", "message": "x"}}), "key"),
    ],
)
async def test_an_account_refusal_opens_the_breaker(rig: Rig, fault: Respond, kind: str) -> None:
    rig.fal.faults.add("submit", fault)
    with pytest.raises(ProviderHalted) as caught:
        await rig.submitted()
    assert rig.upscaler.halted is not None
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("fault", "leaf"),
    [
        (Respond(403, json={"detail": "Content blocked"}), ContentRejected),
        (Respond(403, json={"detail": "This content is locked, my balance is upset"}), ModelFailed),
        (Respond(404, json={"detail": "Not Found"}), ModelFailed),
        (
            Respond(403, json={"detail": [{"type": "content_policy_violation", "msg": "User is locked"}]}),
            ContentRejected,
        ),
        (Respond(404, json={"detail": "Application 'flux-vision-upscaler' not found"}), ModelNotOffered),
        (Respond(404, json={"error": {"message": "Application not found"}}), ModelNotOffered),
    ],
)
async def test_one_jobs_refusal_does_not_open_the_breaker(rig: Rig, fault: Respond, leaf: type[Exception]) -> None:
    rig.fal.faults.add("submit", fault)
    with pytest.raises(leaf):
        await rig.submitted()
    assert rig.upscaler.halted is None
    await rig.submitted()
    assert len(rig.fal.submits) == 2


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
async def test_a_closed_port_or_unknown_host_was_surely_not_reached_and_nothing_was_announced(
    fal: FalEmulator, address: str
) -> None:
    announced: list[str] = []

    async def announce() -> None:
        announced.append("sending")

    async with backend(fal, queue_url=address) as upscaler:
        with pytest.raises(SubmitNotSent):
            await upscaler.submit(inputs("http://x/y.png"), job_id=JOB, on_sending=announce)
    assert announced == []


async def test_sending_is_announced_before_the_request_is_seen(rig: Rig) -> None:
    seen: list[int] = []

    async def announce() -> None:
        await asyncio.sleep(0.05)
        seen.append(len(rig.fal.submits))

    await rig.upscaler.submit(inputs("http://127.0.0.1:9/y.png"), job_id=JOB, on_sending=announce)
    assert seen == [0]
    assert len(rig.fal.submits) == 1


@pytest.mark.parametrize("failure", [RuntimeError("no"), OSError("database is away"), TimeoutError()])
async def test_a_failing_announcement_stops_the_request(rig: Rig, failure: Exception) -> None:
    async def announce() -> None:
        raise failure

    with pytest.raises(type(failure)) as caught:
        await rig.upscaler.submit(inputs("http://x/y.png"), job_id=JOB, on_sending=announce)
    assert caught.value is failure
    assert rig.fal.submits == []


async def test_a_lost_answer_of_the_backup_is_unknown_although_the_first_attempt_was_not_sent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.upscalers.fal.submit.backup_of", lambda url: url)
    rig.fal.faults.add("submit", DropAfter())
    refusals = [SubmitNotSent()]

    async def announce() -> None:
        if refusals:
            raise refusals.pop()

    with pytest.raises(SubmitUnknown):
        await rig.upscaler.submit(inputs("http://x/y.png"), job_id=JOB, on_sending=announce)
    assert len(rig.fal.submits) == 1


async def test_a_refused_value_names_the_parameter_and_the_rule(rig: Rig) -> None:
    rig.fal.validate_at_submit = True
    with pytest.raises(InvalidForModel) as caught:
        await rig.submitted(upscale_factor=5.0)
    assert (caught.value.parameter, caught.value.rule, caught.value.billed) == ("factor", "≤ 4", False)


async def test_the_webhook_address_carries_the_job_and_a_proof(fal: FalEmulator, tmp_path: Path) -> None:
    async with backend(fal, public_url="https://bot.example/") as upscaler:
        await submitted(upscaler, tmp_path)
    hook = fal.submits[0].query["fal_webhook"]
    assert hook.startswith(f"https://bot.example/fal/webhook/{JOB}?t=")
    fal.jobs.popitem()[1].webhook = None


async def test_fifty_submits_at_once_are_fifty_posts(rig: Rig) -> None:
    ids = await asyncio.gather(
        *(rig.upscaler.submit(inputs(f"http://127.0.0.1:9/{n}.png"), job_id=JOB, on_sending=no_op) for n in range(50))
    )
    assert len(set(ids)) == len(rig.fal.submits) == 50
