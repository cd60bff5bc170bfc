"""A completed request's outputs, or the error it ended with; and cancelling one.

The result endpoint replays the model's own status code and body, errors included, so a 5xx here may be final: only
answers of a gateway, and nameless ones, are tried again.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import structlog

from core.domain.errors import ModelFailed, ProviderBusy, ProviderUnavailable, ResultExpired
from core.domain.untrusted_text import clean
from core.ports import ModelResult
from core.upscalers.fal.circuit_breaker import Halts
from core.upscalers.fal.failures import halt_in, model_error, units_in
from core.upscalers.fal.submit import in_path
from core.upscalers.fal.transport import Answer, Transport, backoff_s

log = structlog.get_logger(__name__)

RESULT_TRIES = 6
LONGEST_CAPTION_CHARS = 10_000
CancelAnswer: TypeAlias = Literal["requested", "removed", "already_completed", "not_found"]


class Results:
    """Fetches results, cancels requests."""

    def __init__(self, transport: Transport, halts: Halts) -> None:
        self._transport = transport
        self._halts = halts

    async def result(self, request_id: str) -> ModelResult:
        """See `core.ports.Upscaler.result`. Bounded: about half a minute of waiting in all."""
        url = self._transport.url("queue", f"/{self._transport.config.endpoint}/requests/{in_path(request_id)}")
        answer: Answer | None = None
        for attempt in range(RESULT_TRIES):
            if attempt:
                await self._transport.clock.sleep(backoff_s(attempt, cap_s=8.0))
            answer = await self._transport.read("GET", url)
            if answer.ok and isinstance(answer.data(), dict):
                break
            if not answer.ok and not _may_change(answer):
                raise await self._failure(answer)
            log.info("fal_result_not_yet", status=answer.status, attempt=attempt + 1)
        if answer is None or not answer.ok:
            raise ProviderUnavailable if answer is None else await self._failure(answer)
        return parse_result(answer)

    async def _failure(self, answer: Answer) -> Exception:
        data = answer.data()
        if (halted := halt_in(answer.status, data)) is not None:
            await self._halts.trip(halted)
            return halted
        if answer.status == HTTPStatus.GONE or (answer.status == HTTPStatus.NOT_FOUND and _is_unknown(data)):
            return ResultExpired()
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            return ProviderBusy(retry_after_s=answer.retry_after_s(self._transport.clock.now()))
        if answer.from_gateway() or _in_progress(answer.status, data):
            return ProviderUnavailable()
        return model_error(answer.status, answer.headers, data)

    async def cancel(self, request_id: str) -> CancelAnswer:
        """See `core.ports.Upscaler.cancel`. Raises ProviderUnavailable where fal gives no clear answer."""
        url = self._transport.url("queue", f"/{self._transport.config.endpoint}/requests/{in_path(request_id)}/cancel")
        answer = await self._transport.read("PUT", url)
        data = answer.data()
        word = data.get("status") if isinstance(data, dict) else None
        if word == "ALREADY_COMPLETED":
            return "already_completed"
        if answer.status == HTTPStatus.NOT_FOUND:
            return "not_found"
        if answer.status == HTTPStatus.OK and word == "OK":
            return "removed"
        if answer.ok:
            return "requested"
        if (halted := halt_in(answer.status, data)) is not None:
            await self._halts.trip(halted)
            raise halted
        raise ProviderUnavailable


def _is_unknown(data: Any) -> bool:
    return not isinstance(data, dict) or not isinstance(data.get("detail"), list)


def _in_progress(status: int, data: Any) -> bool:
    detail = data.get("detail") if isinstance(data, dict) else None
    return status == HTTPStatus.BAD_REQUEST and isinstance(detail, str) and "in progress" in detail


def _may_change(answer: Answer) -> bool:
    """Whether asking again may help: a gateway's page, a nameless 5xx, a limit, or a result that is not ready."""
    data = answer.data()
    if answer.from_gateway() or answer.status == HTTPStatus.TOO_MANY_REQUESTS or _in_progress(answer.status, data):
        return True
    named = isinstance(data, dict) and (isinstance(data.get("detail"), list) or "error_type" in data)
    named = named or "X-Fal-Error-Type" in answer.headers
    return answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not named


def parse_result(answer: Answer) -> ModelResult:
    """The model's outputs, as far as they are there and of the right type. Raises ModelFailed without an image."""
    data = answer.data()
    body: Mapping[str, Any] = data if isinstance(data, dict) else {}
    images = body.get("images")
    image = body.get("image") or (images[0] if isinstance(images, list) and images else None)
    units = units_in(answer.headers)
    address = image.get("url") if isinstance(image, dict) else None
    if not isinstance(image, dict) or not isinstance(address, str) or not address:
        # fal calls this a success, and successes are billed; without a figure the estimate counts until reconciled.
        billed = True if units is None else units > 0
        raise ModelFailed(kind="no_image_in_result", billed=billed, billed_units=units)
    timings = body.get("timings")
    caption = body.get("caption")
    content_type = image.get("content_type")
    return ModelResult(
        image_url=address,
        seed=_whole(body.get("seed")),
        inference_s=_seconds(timings.get("inference")) if isinstance(timings, dict) else None,
        caption=clean(caption, LONGEST_CAPTION_CHARS) if isinstance(caption, str) else "",
        billable_units=units,
        width_px=_whole(image.get("width")),
        height_px=_whole(image.get("height")),
        file_bytes=_whole(image.get("file_size")),
        content_type=content_type if isinstance(content_type, str) else None,
    )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _seconds(value: Any) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if good else None
