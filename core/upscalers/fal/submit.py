"""The one paid call: at most one POST, and an error that says whether it may have arrived.

It must never repeat a POST that may have arrived. What is surely not accepted says so (`SubmitNotSent`,
`ProviderBusy`, `ProviderHalted`, a `ModelError`); everything else is `SubmitUnknown`.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from yarl import URL

from core.domain.errors import ProviderBusy, RequestLost, SubmitNotSent, SubmitUnknown
from core.domain.models import ModelSpec
from core.ports import ModelInputs
from core.upscalers.fal.circuit_breaker import CircuitBreaker
from core.upscalers.fal.config import backup_of
from core.upscalers.fal.failures import halt_in, model_error
from core.upscalers.fal.json_answer import Answer
from core.upscalers.fal.transport import NETWORK_ERRORS, Sending, Transport
from core.upscalers.fal.upload import lifecycle_json

log = structlog.get_logger(__name__)

START_TIMEOUT_HEADER = "X-Fal-Request-Start-Timeout"
"""The current name; fal-client 1.0.3 still sends the deprecated X-Fal-Request-Timeout (platform-headers page)."""

_LONGEST_ID_CHARS = 80
"""As wide as its column."""
_SAYS_NOTHING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY})
"""Answers of something in between: whether fal has read the request, they do not tell."""


def usable_id(value: Any) -> str | None:
    """The value if it can be a request id. fal sends UUIDs but promises nothing, and what is paid must not get lost."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_ID_CHARS or not value.isprintable():
        return None
    return None if value in {".", ".."} else value


def in_path(request_id: str) -> str:
    """The id as one segment of an address, whatever is in it. Raises RequestLost for one that cannot be fal's."""
    if usable_id(request_id) is None:
        raise RequestLost
    return quote(request_id, safe="")


def request_path(model: ModelSpec, request_id: str) -> str:
    """Where the queue keeps a request: below the app, without the endpoint's own path (docs: queue, inference API).

    Raises RequestLost for an id that fal cannot have given out.
    """
    return f"/{model.app}/requests/{in_path(request_id)}"


def webhook_token(key: str, job_id: str) -> str:
    """Proof in our webhook's address that we made it: another fal customer can get fal to sign, but not know this."""
    return hmac.new(key.strip().encode(), f"webhook:{job_id}".encode(), hashlib.sha256).hexdigest()[:32]


class Submitter:
    def __init__(self, transport: Transport, breaker: CircuitBreaker) -> None:
        self._transport = transport
        self._config = transport.config
        self._breaker = breaker

    async def submit(self, inputs: ModelInputs, *, job_id: str, on_sending: Callable[[], Awaitable[None]]) -> str:
        self._breaker.check()
        sending = Sending(on_sending)
        answer = await self._post(inputs, job_id, sending)
        request_id = await self._judge(answer, inputs.model, job_id)
        self._breaker.clear(proven=True)
        return request_id

    async def _post(self, inputs: ModelInputs, job_id: str, sending: Sending) -> Answer:
        query = {}
        if self._config.public_url:
            base, token = self._config.public_url.rstrip("/"), webhook_token(self._config.key, job_id)
            query["fal_webhook"] = f"{base}/fal/webhook/{job_id}?t={token}"
        url = self._transport.url("queue", f"/{inputs.model.endpoint}", query)
        backup = backup_of(url)
        try:
            return await self._post_to(url, inputs, sending)
        except SubmitNotSent:
            if backup is None:
                raise
        return await self._post_to(backup, inputs, sending)

    async def _post_to(self, url: URL, inputs: ModelInputs, sending: Sending) -> Answer:
        headers = {
            START_TIMEOUT_HEADER: str(self._config.start_timeout_s),
            "X-Fal-Object-Lifecycle-Preference": lifecycle_json(self._config.retention_s),
            # Without it the account's own setting counts (fal's platform headers), and a lost submit may be lost.
            "X-Fal-Store-IO": "1",
        }
        try:
            return await self._transport.once("POST", url, body=dict(inputs.values), headers=headers, sending=sending)
        except NETWORK_ERRORS as error:
            if sending.failure is not None:
                # The caller's own step failed (aiohttp may have wrapped it): nothing left, and it is not fal's doing.
                raise sending.failure from None
            log.warning("fal_submit_unanswered", kind=type(error).__name__, started=sending.started)
            raise (SubmitUnknown() if sending.started else SubmitNotSent()) from error

    async def _judge(self, answer: Answer, model: ModelSpec, job_id: str) -> str:
        data = answer.data()
        status = answer.status
        if answer.ok:
            return usable_id(answer.at("request_id")) or await self._adopt(answer, model, job_id)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ProviderBusy(retry_after_s=answer.retry_after_s(self._transport.clock.now()))
        if (halted := halt_in(status, data)) is not None:
            await self._breaker.trip(halted)
            raise halted
        if status in _SAYS_NOTHING or status < HTTPStatus.BAD_REQUEST:
            raise SubmitUnknown
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("fal_submit_unclear", job=job_id, status=status)
            return await self._adopt(answer, model, job_id)
        raise model_error(status, answer.headers, data)

    async def _adopt(self, answer: Answer, model: ModelSpec, job_id: str) -> str:
        """The id from the reply's header, if fal's queue knows it under our key; else SubmitUnknown.

        fal names the request in x-fal-request-id too, which outlives a body that a proxy broke.
        """
        named = usable_id(answer.headers.get("x-fal-request-id"))
        if named is None:
            raise SubmitUnknown
        url = self._transport.url("queue", f"{request_path(model, named)}/status")
        try:
            check = await self._transport.once("GET", url)
        except NETWORK_ERRORS as error:
            raise SubmitUnknown from error
        if check.status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
            raise SubmitUnknown
        log.info("fal_submit_adopted", job=job_id)
        return named
