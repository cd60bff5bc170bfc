"""Results, errors and cancels: every documented outcome maps to its error and its bill."""

from decimal import Decimal
from pathlib import Path

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from core.domain.errors import (
    ContentRejected,
    ImageRejected,
    InvalidForModel,
    ModelError,
    ModelFailed,
    ProviderBusy,
    ProviderUnavailable,
    to_json,
)
from core.upscalers.fal import failures
from core.upscalers.fal.json_answer import Answer
from core.upscalers.fal.results import parse_result
from tests.core.upscalers.fal_kit import Rig, backend, completed, statuses, submitted
from tests.emulators.fal import (
    DropBefore,
    FalEmulator,
    InfraError,
    ModelErrorOutcome,
    Respond,
    json_5xx,
    nginx,
    too_many,
)
from tests.emulators.fal.outcomes import INFRA_ERROR_STATUS, MODEL_ERRORS
from tests.fakes.clock import JumpingClock


async def ended(fal: FalEmulator, folder: Path) -> ModelError:
    """Run one job to its end and return the error it raises."""
    async with backend(fal) as upscaler:
        request_id = await completed(upscaler, folder)
        with pytest.raises(ModelError) as caught:
            await upscaler.result(request_id)
    assert len(fal.submits) == 1
    return caught.value


async def test_every_output_of_the_model_comes_back(rig: Rig) -> None:
    request_id = await rig.completed(upscale_factor=2.5, seed=2**32 - 1)
    result = await rig.upscaler.result(request_id)
    assert result.seed == 2**32 - 1
    assert result.image_url.startswith(rig.fal.cdn_url)
    assert "160 by 120" in result.caption
    assert result.inference_s is not None
    assert result.units == Decimal(1)
    assert result.file_bytes is not None


async def test_an_image_of_which_only_the_address_is_told_is_enough(rig: Rig) -> None:
    rig.fal.bare_image, rig.fal.units_header = True, False
    request_id = await rig.completed()
    result = await rig.upscaler.result(request_id)
    assert (result.file_bytes, result.units) == (None, None)


@pytest.mark.parametrize(
    "body", [b'{"image": "https://f/a.png"}', b'{"image": {"url": "https://f/a.png"}, "caption": "\xe9"}']
)
def test_an_image_that_is_told_in_an_unusual_way_is_not_lost(body: bytes) -> None:
    answer = Answer(200, CIMultiDictProxy(CIMultiDict()), body)
    assert parse_result(answer, answer.data()).image_url == "https://f/a.png"


async def test_fractional_billable_units_are_kept_exactly(rig: Rig) -> None:
    rig.fal.exact_units = True
    request_id = await rig.completed()
    assert (await rig.upscaler.result(request_id)).units == Decimal("0.012288")


LEAVES: dict[str, type[ModelError]] = {
    "content_policy_violation": ContentRejected,
    "no_media_generated": ImageRejected,
    "image_too_small": ImageRejected,
    "image_too_large": ImageRejected,
    "image_load_error": ImageRejected,
    "unsupported_image_format": ImageRejected,
    "file_download_error": ImageRejected,
    "file_too_large": ImageRejected,
    "face_detection_error": ImageRejected,
    "internal_server_error": ModelFailed,
    "generation_timeout": ModelFailed,
    "downstream_service_error": ModelFailed,
    "downstream_service_unavailable": ModelFailed,
}


@pytest.mark.parametrize("kind", MODEL_ERRORS)
async def test_every_documented_model_error_is_mapped(fal: FalEmulator, tmp_path: Path, kind: str) -> None:
    fal.outcomes.append(ModelErrorOutcome(kind))
    error = await ended(fal, tmp_path)
    assert type(error) is LEAVES.get(kind, InvalidForModel)
    assert error.billed is (False if ModelErrorOutcome(kind).status() >= 500 else None)


@pytest.mark.parametrize("kind", sorted(INFRA_ERROR_STATUS))
async def test_every_documented_request_error_is_mapped(fal: FalEmulator, tmp_path: Path, kind: str) -> None:
    fal.outcomes.append(InfraError(kind))
    error = await ended(fal, tmp_path)
    assert isinstance(error, ModelFailed)
    assert error.kind == kind


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (
            ModelErrorOutcome("image_too_large", "0"),
            ImageRejected(
                reason="too_large", limit_width_px=4096, limit_height_px=4096, billed=False, billed_units=Decimal(0)
            ),
        ),
        (ModelErrorOutcome("file_too_large"), ImageRejected(reason="file_too_large", limit_bytes=52_428_800)),
        (ModelErrorOutcome("content_policy_violation", "3"), ContentRejected(billed=True, billed_units=Decimal(3))),
        (ModelErrorOutcome("something_new"), ModelFailed(kind="something_new")),
    ],
)
async def test_the_limits_in_an_error_are_kept(
    fal: FalEmulator, tmp_path: Path, outcome: ModelErrorOutcome, expected: ModelError
) -> None:
    fal.outcomes.append(outcome)
    assert to_json(await ended(fal, tmp_path)) == to_json(expected)


async def test_a_refused_input_value_was_not_billed(rig: Rig) -> None:
    request_id = await rig.completed(guidance=9.0)
    with pytest.raises(InvalidForModel) as caught:
        await rig.upscaler.result(request_id)
    assert (caught.value.parameter, caught.value.rule, caught.value.billed) == ("guidance", "≤ 4", False)


@pytest.mark.parametrize("fault", [nginx(502), nginx(503), nginx(504), json_5xx(500), DropBefore(), too_many("1")])
async def test_a_result_is_asked_for_again_where_that_may_help(rig: Rig, fault: Respond) -> None:
    request_id = await rig.completed()
    rig.fal.faults.add("result", fault, times=3)
    assert (await rig.upscaler.result(request_id)).seed == 7


async def test_a_result_asked_for_too_early_is_waited_for(fal: FalEmulator, tmp_path: Path) -> None:
    fal.job_s = 0.1
    async with backend(fal, JumpingClock(nap_s=0.1)) as upscaler:
        assert (await upscaler.result(await submitted(upscaler, tmp_path))).seed == 7


@pytest.mark.parametrize(
    ("fault", "leaf"),
    [
        (nginx(503), ProviderUnavailable),
        (DropBefore(), ProviderUnavailable),
        (too_many("9"), ProviderBusy),
        (Respond(400, json={"detail": "Request is still in progress"}), ProviderUnavailable),
        (json_5xx(500), ProviderUnavailable),
        (json_5xx(502), ProviderUnavailable),
        (Respond(404, json={"status": "NOT_FOUND"}), ProviderUnavailable),
        (Respond(410, json={"detail": "Gone"}), ProviderUnavailable),
        (Respond(401, json={"detail": "No user found for Key ID and Secret"}), ProviderUnavailable),
        (Respond(403, json={"detail": "User is locked. Reason: Exhausted balance."}), ProviderUnavailable),
        (Respond(404, json={"detail": "Application 'flux-vision-upscaler' not found"}), ProviderUnavailable),
        (Respond(200, json={"seed": 1}), ModelFailed),
        (Respond(200, text="<html>"), ProviderUnavailable),
        (Respond(200, text='{"image": {"url": "https://v3.fal'), ProviderUnavailable),
        (Respond(200, json={"detail": "try later"}), ProviderUnavailable),
        (Respond(500, json={"error": {"type": "server_error", "message": "x"}}), ProviderUnavailable),
        (Respond(403, json={"detail": "Content blocked"}), ContentRejected),
        (Respond(422, json={"detail": "the picture is odd"}), ModelFailed),
        (Respond(400, json={"detail": "Bad Request"}), ProviderUnavailable),
    ],
)
async def test_a_result_that_never_comes_raises(rig: Rig, fault: Respond, leaf: type[Exception]) -> None:
    rig.fal.faults.add("result", fault, times=100)
    with pytest.raises(leaf):
        await rig.upscaler.result(await rig.submitted())
    assert rig.upscaler.halted is None, "one result's answer is never the account's state"
    assert len(rig.fal.seen("result")) <= 24


async def test_an_unnamed_error_is_the_models_own_if_the_status_says_so(fal: FalEmulator, tmp_path: Path) -> None:
    fal.outcomes.append(InfraError("runner_server_error"))
    fal.faults.add("result", json_5xx(500), times=100)
    error = await ended(fal, tmp_path)
    assert isinstance(error, ModelFailed)
    assert (error.kind, error.billed) == ("runner_server_error", False)


@pytest.mark.parametrize(
    "body",
    [
        {"detail": [{"type": "content_policy_violation", "msg": "x"}]},
        {"detail": {"type": "content_policy_violation", "msg": "x"}},
        {"detail": {"error": {"type": "content_policy_violation"}}},
        {"error": {"type": "content_policy_violation", "message": "x"}},
        {"error_type": "content_policy_violation", "detail": "x"},
        {"detail": ["Content blocked"]},
        {"detail": "Content blocked."},
        {"message": "The safety checker refused this."},
        {"error": "NSFW content"},
    ],
)
def test_a_refused_content_is_known_in_every_shape_of_an_error(body: object) -> None:
    assert failures.is_model_error(422, {}, body)
    assert isinstance(failures.model_error(422, {}, body), ContentRejected)


@pytest.mark.parametrize("removes", [False, True])
async def test_cancelling_a_waiting_request(rig: Rig, removes: bool) -> None:
    rig.fal.slots, rig.fal.cancel_removes = 0, removes
    request_id = await rig.submitted()
    assert await rig.upscaler.cancel(request_id) == ("removed" if removes else "requested")
    if not removes:
        await statuses(rig.upscaler, request_id)
        with pytest.raises(ModelFailed) as caught:
            await rig.upscaler.result(request_id)
        assert caught.value.kind == "client_cancelled"


async def test_cancelling_a_finished_or_unknown_request(rig: Rig) -> None:
    request_id = await rig.completed()
    assert await rig.upscaler.cancel(request_id) == "already_completed"
    assert await rig.upscaler.cancel("never-heard-of") == "not_found"


async def test_a_cancel_through_a_broken_gateway_is_repeated(rig: Rig) -> None:
    rig.fal.job_s = 5
    rig.fal.faults.add("cancel", nginx(502), times=2)
    assert await rig.upscaler.cancel(await rig.submitted()) == "requested"


@pytest.mark.parametrize(
    "data", [None, [], "text", {"detail": None}, {"detail": [1, None]}, {"detail": [{"type": 4}]}, {"error_type": []}]
)
def test_no_shape_of_an_error_body_is_an_exception(data: object) -> None:
    assert isinstance(failures.model_error(422, {}, data), ModelFailed)


@pytest.mark.parametrize("absurd", [float("inf"), float("nan"), 10**400, -(10**400), True, "9", [[]]])
def test_no_number_in_an_error_body_is_an_exception(absurd: object) -> None:
    image = {"type": "image_too_large", "ctx": {"max_width": absurd, "max_height": 5, "max_size": absurd}}
    rejected = failures.model_error(422, {}, {"detail": [image]})
    assert isinstance(rejected, ImageRejected)
    assert (rejected.limit_width_px, rejected.limit_height_px, rejected.limit_bytes) == (None, 5, None)
    rule = {"type": "less_than", "loc": ["body", "steps"], "ctx": {"lt": absurd}}
    assert isinstance(failures.model_error(422, {}, {"detail": [rule]}), InvalidForModel)


def test_what_the_member_sent_does_not_come_back_in_an_error() -> None:
    entry = {"type": "less_than", "loc": ["body", "x" * 5000], "ctx": {"lt": "y" * 5000}, "input": "secret"}
    error = failures.model_error(422, {}, {"detail": [entry]})
    assert isinstance(error, InvalidForModel)
    assert len(error.parameter) + len(error.rule) < 200
