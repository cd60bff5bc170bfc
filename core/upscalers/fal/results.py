"""Reads the outputs or the error of a completed request, and cancels requests.

The result endpoint replays the model's own status code and body. Only an error that the model itself names ends a
request that was paid for: a gateway's page, truncated JSON, an unnamed 5xx, a 403 or a 404 are retried for some seconds
here, and then by the caller.
"""

from http import HTTPStatus
from typing import Any

import structlog
from yarl import URL

from core.domain.errors import ModelError, ModelFailed, ProviderBusy, ProviderError, ProviderUnavailable
from core.domain.job import ModelOutput
from core.domain.models import MODELS, ModelSpec
from core.domain.untrusted_text import clean
from core.net.retry import Backoff, retry
from core.ports import CancelAnswer
from core.upscalers.fal.failures import billed_units, billing_facts, error_in_status, is_model_error, model_error
from core.upscalers.fal.json_answer import MAX_RESULT_BYTES, Answer, dig, number, whole_number
from core.upscalers.fal.submit import request_path
from core.upscalers.fal.transport import Transport

log = structlog.get_logger(__name__)

RESULT_TRIES = 6
MAX_CAPTION_CHARS = 10_000

_PAUSES = Backoff(first_s=0.5, cap_s=4.0)
_NO_IMAGE, _TOO_LARGE = "no_image_in_result", "result_too_large"
_OUTPUTS = frozenset({"image", "images", "seed", "timings", "caption", "has_nsfw_concepts"})
_NOT_READY = ("in progress", "in queue", "not completed", "not ready")


class _NotInStatus(Exception):
    """A 5xx of the model, or of what hands out its stored result: the request's status tells no error."""

    def __init__(self, error: ModelError) -> None:
        super().__init__(error.code)
        self.error = error


class Results:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def result(self, request_id: str, model: ModelSpec = MODELS.default) -> ModelOutput:
        """Implement `core.ports.Upscaler.result`. Retries for about 15 seconds in all."""
        path = request_path(model, request_id)

        async def ask() -> ModelOutput:
            answer = await self._transport.read("GET", self._url(path), attempts=1, max_bytes=MAX_RESULT_BYTES)
            return await self._judge(answer, path)

        try:
            return await retry(ask, clock=self._transport.clock, pause=_pause, attempts=RESULT_TRIES)
        except _NotInStatus as last:
            raise last.error from None

    def _url(self, path: str, what: str = "") -> URL:
        return self._transport.url("queue", path + what)

    async def _judge(self, answer: Answer, path: str) -> ModelOutput:
        data = answer.data()
        if answer.ok:
            if isinstance(data, dict) and _OUTPUTS & data.keys():
                return parse_result(answer, data)
            if len(answer.body) >= MAX_RESULT_BYTES:
                raise ModelFailed(kind=_TOO_LARGE, **billing_facts(answer.headers, otherwise=True))
            raise ProviderUnavailable
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ProviderBusy(retry_after_s=answer.retry_after_s(self._transport.clock.now()))
        if not any(words in answer.text_at("detail").lower() for words in _NOT_READY):
            await self._raise_if_failed(path, answer, data)
        raise ProviderUnavailable

    async def _raise_if_failed(self, path: str, answer: Answer, data: Any) -> None:
        """A 5xx, and an error without a name, are the model's for certain only if the request's status says so."""
        named = None
        if is_model_error(answer.status, answer.headers, data):
            named = model_error(answer.status, answer.headers, data)
            if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise named
        elif answer.from_gateway():
            return
        status = await self._transport.read("GET", self._url(path, "/status"), attempts=1)
        failed = error_in_status(status.data()) if status.ok else None
        if failed is not None:
            raise named or model_error(answer.status, answer.headers, failed)
        if named is not None:
            raise _NotInStatus(named)

    async def cancel(self, request_id: str, model: ModelSpec = MODELS.default) -> CancelAnswer:
        """Implement `core.ports.Upscaler.cancel`. Raises ProviderUnavailable if fal gives no clear answer."""
        answer = await self._transport.read("PUT", self._url(request_path(model, request_id), "/cancel"))
        word = answer.at("status")
        if word == "ALREADY_COMPLETED":
            return "already_completed"
        if answer.status == HTTPStatus.NOT_FOUND:
            return "not_found"
        if answer.status == HTTPStatus.OK and word == "OK":
            return "removed"
        if answer.ok:
            return "requested"
        raise ProviderUnavailable


def _pause(error: Exception, attempt: int) -> float | None:
    """Retry also what becomes final after the last attempt: an unsure 5xx, and a complete output without an image."""
    no_image = isinstance(error, ModelFailed) and error.kind in (_NO_IMAGE, _TOO_LARGE)
    if not isinstance(error, (ProviderError, _NotInStatus)) and not no_image:
        return None
    log.info("fal_result_not_yet", error=str(error), attempt=attempt)
    return _PAUSES.pause_s(attempt, error.retry_after_s if isinstance(error, ProviderBusy) else None)


def parse_result(answer: Answer, data: Any) -> ModelOutput:
    """Parse the outputs; those that are missing or invalid are left out. Raises ModelFailed without an image."""
    image = dig(data, "image") or dig(data, "images", 0)
    address, caption = image if isinstance(image, str) else dig(image, "url"), dig(data, "caption")
    if not isinstance(address, str) or not address:
        # fal reports success, which is billed; without a figure the estimate counts until it is reconciled.
        raise ModelFailed(kind=_NO_IMAGE, **billing_facts(answer.headers, otherwise=True))
    flags = dig(data, "has_nsfw_concepts")
    return ModelOutput(
        image_url=address,
        seed=whole_number(dig(data, "seed")),
        inference_s=number(dig(data, "timings", "inference")),
        caption=clean(caption, MAX_CAPTION_CHARS) if isinstance(caption, str) else "",
        units=billed_units(answer.headers),
        file_bytes=whole_number(dig(image, "file_size")),
        flagged=flags is True or (isinstance(flags, list) and any(flag is True for flag in flags)),
    )
