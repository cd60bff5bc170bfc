"""The paid call: at most one POST, never repeated if it may have arrived.

If it was certainly not accepted, the error is `SubmitNotSent`, `ProviderBusy`, `ProviderHalted` or a `ModelError`;
everything else is `SubmitUnknown`.
"""

import hashlib
import hmac
import re
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
from core.upscalers.fal.failures import account_halt, model_error
from core.upscalers.fal.json_answer import Answer, dig
from core.upscalers.fal.transport import NETWORK_ERRORS, SendTracker, Transport
from core.upscalers.fal.upload import lifecycle_json

log = structlog.get_logger(__name__)

START_TIMEOUT_HEADER = "X-Fal-Request-Start-Timeout"
"""The current name; fal-client 1.0.3 still sends the deprecated X-Fal-Request-Timeout (platform-headers page)."""

_MAX_ID_CHARS = 80
"""The width of its database column."""
_USUAL_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")
_INCONCLUSIVE = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
"""Also responses of intermediaries, which do not say whether fal has read the request; a 429 says that it did not,
unless it names a request that fal has."""


def valid_request_id(value: Any) -> str | None:
    """Return the value if it can be a request id. fal sends UUIDs but does not promise that."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_ID_CHARS or not value.isprintable():
        return None
    return None if value in {".", ".."} else value


def path_segment(request_id: str) -> str:
    """Quote a request id as one path segment. Raises RequestLost for an id that cannot be fal's."""
    if valid_request_id(request_id) is None:
        raise RequestLost
    return quote(request_id, safe="")


def request_path(model: ModelSpec, request_id: str) -> str:
    """Return the queue's path of a request: below the app, without the endpoint's path (docs: queue, inference API).

    Raises RequestLost for an id that fal cannot have given out.
    """
    return f"/{model.app}/requests/{path_segment(request_id)}"


def webhook_token(key: str, job_id: str) -> str:
    """Return the secret in our webhook's URL: other fal customers can make fal sign deliveries, but do not know it."""
    return hmac.new(key.strip().encode(), f"webhook:{job_id}".encode(), hashlib.sha256).hexdigest()[:32]


class Submitter:
    def __init__(self, transport: Transport, breaker: CircuitBreaker) -> None:
        self._transport = transport
        self._config = transport.config
        self._breaker = breaker

    async def submit(self, inputs: ModelInputs, *, job_id: str, on_sending: Callable[[], Awaitable[None]]) -> str:
        self._breaker.check()
        sending = SendTracker(on_sending)
        answer = await self._post(inputs, job_id, sending)
        request_id = await self._judge(answer, inputs.model, job_id)
        self._breaker.clear(proven=True)
        return request_id

    async def _post(self, inputs: ModelInputs, job_id: str, sending: SendTracker) -> Answer:
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

    async def _post_to(self, url: URL, inputs: ModelInputs, sending: SendTracker) -> Answer:
        headers = {
            START_TIMEOUT_HEADER: str(self._config.start_timeout_s),
            "X-Fal-Object-Lifecycle-Preference": lifecycle_json(self._config.retention_s),
            # Without it the account's own setting applies (platform headers), and a lost submit may not be found.
            "X-Fal-Store-IO": "1",
        }
        try:
            return await self._transport.once("POST", url, body=dict(inputs.values), headers=headers, sending=sending)
        except NETWORK_ERRORS as error:
            if sending.failure is not None and not sending.started:
                # The caller's callback failed (aiohttp may have wrapped the error), and nothing was sent.
                raise sending.failure from None
            log.warning("fal_submit_unanswered", kind=type(error).__name__, started=sending.started)
            raise (SubmitUnknown() if sending.started else SubmitNotSent()) from error

    async def _judge(self, answer: Answer, model: ModelSpec, job_id: str) -> str:
        data, status = answer.data(), answer.status
        named = valid_request_id(dig(data, "request_id"))
        if answer.ok and named and _USUAL_ID.fullmatch(named):
            return named
        if (halted := account_halt(status, data)) is not None:
            self._breaker.trip(halted)
            raise halted
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _INCONCLUSIVE:
            raise model_error(status, answer.headers, data)
        log.warning("fal_submit_unclear", job=job_id, status=status)
        # An unusual id in the body may be no id, and the header survives when a proxy breaks the body.
        for candidate in (named, valid_request_id(answer.headers.get("x-fal-request-id"))):
            if candidate is not None and await self._is_known(model, candidate):
                log.info("fal_submit_adopted", job=job_id)
                return candidate
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise ProviderBusy(retry_after_s=answer.retry_after_s(self._transport.clock.now()))
        raise SubmitUnknown

    async def _is_known(self, model: ModelSpec, request_id: str) -> bool:
        """Whether fal's queue knows this id under our key. Raises SubmitUnknown if it does not say."""
        try:
            url = self._transport.url("queue", f"{request_path(model, request_id)}/status")
            check = await self._transport.once("GET", url)
        except NETWORK_ERRORS as error:
            raise SubmitUnknown from error
        return check.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED}
