"""Verifies fal's webhooks.

It must not change a job: deliveries repeat, and other customers of fal can forge them. An accepted one only ends a wait
early, or names a request id that the caller binds to the job by its own records.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.domain.errors import ProviderUnavailable
from core.upscalers.fal.json_answer import dig, objects, parse_json
from core.upscalers.fal.submit import valid_request_id, webhook_token
from core.upscalers.fal.transport import Transport, timeout_for

log = structlog.get_logger(__name__)

WINDOW_S = 300.0
"""How far a delivery's timestamp may be from the machine's own clock; ours follows it slowly."""
KEYS_LIFE_S = 24 * 3600.0
KEYS_REFRESH_S = 60.0
"""If no cached key matches a signature, the keys are fetched again, at most once a minute."""

KEYS_RETRY_S = 10.0
"""The keys are not fetched again sooner after a failure: fal repeats its deliveries, and none should queue here."""

MAX_WEBHOOK_BYTES = 2 * 1024**2


@dataclass(frozen=True, slots=True)
class WebhookAccepted:
    """fal reports that this request is over. `ours`: the address had our secret for this job."""

    request_id: str
    ours: bool


class WebhookVerifier:
    """Checks Ed25519 signatures against fal's published keys (webhooks page; facts of 2026-11-22).

    `arrived` is called with the request id of each valid delivery, and ends the wait for it.
    """

    def __init__(self, transport: Transport, arrived: Callable[[str], None]) -> None:
        self._transport, self._arrived = transport, arrived
        self._keys: Sequence[Ed25519PublicKey] = ()
        self._fetched_at = self._retry_at = float("-inf")
        self._lock = asyncio.Lock()

    async def receive(
        self, headers: Mapping[str, str], body: bytes, *, job_id: str, token: str | None = None
    ) -> WebhookAccepted | str:
        """Verify a delivery to POST /fal/webhook/{job_id}?t=… and, if it is valid, end the wait for its request.

        The caller answers 401 to a wrong signature and 200 to everything else. It binds the request id to the job only
        by its own record, or, for a job whose submit is unknown, if `ours`. Returns the reason of a refusal, for the
        log. Raises ProviderUnavailable if the keys cannot be fetched.
        """
        outcome = await self._judge(headers, body, job_id, token)
        if isinstance(outcome, WebhookAccepted):
            self._arrived(outcome.request_id)
        else:
            log.warning("fal_webhook_refused", job=job_id, reason=outcome)
        return outcome

    async def _judge(
        self, headers: Mapping[str, str], body: bytes, job_id: str, token: str | None
    ) -> WebhookAccepted | str:
        lower = {name.lower(): value for name, value in headers.items()}
        request_id = lower.get("x-fal-webhook-request-id", "")
        stamp = lower.get("x-fal-webhook-timestamp", "")
        if valid_request_id(request_id) is None or not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
            return "headers"
        if len(body) > MAX_WEBHOOK_BYTES:
            return "size"
        if abs(time.time() - int(stamp)) > WINDOW_S:
            return "stale"
        digest = hashlib.sha256(body).hexdigest()
        message = "\n".join([request_id, lower.get("x-fal-webhook-user-id", ""), stamp, digest])
        if not await self._signed(message.encode(errors="replace"), lower.get("x-fal-webhook-signature", "")):
            return "signature"
        if (data := parse_json(body)) is None:
            return "body"
        if dig(data, "request_id") != request_id:
            return "request_id"
        expected = webhook_token(self._transport.config.key, job_id)
        ours = token is not None and hmac.compare_digest(token.encode(errors="replace"), expected.encode())
        return WebhookAccepted(request_id, ours)

    async def _signed(self, message: bytes, signature_hex: str) -> bool:
        try:
            signature = bytes.fromhex(signature_hex)
        except ValueError:
            return False
        for older_than_s in (KEYS_LIFE_S, KEYS_REFRESH_S):
            await self._refresh(older_than_s)
            for key in self._keys:
                with contextlib.suppress(InvalidSignature):
                    key.verify(signature, message)
                    return True
        return False

    async def _refresh(self, older_than_s: float) -> None:
        async with self._lock:
            now = self._transport.clock.now()
            if now - self._fetched_at <= older_than_s:
                return
            if now < self._retry_at:
                raise ProviderUnavailable
            self._retry_at = now + KEYS_RETRY_S
            url = self._transport.url("rest", "/.well-known/jwks.json")
            limit = timeout_for(self._transport.config, total_s=KEYS_RETRY_S / 2)
            answer = await self._transport.read("GET", url, key="none", attempts=1, timeout=limit)
            if answer.status != HTTPStatus.OK:
                raise ProviderUnavailable
            self._keys = _keys_in(answer.data())
            self._fetched_at = self._transport.clock.now()


def _keys_in(data: Any) -> Sequence[Ed25519PublicKey]:
    keys: list[Ed25519PublicKey] = []
    for entry in objects(dig(data, "keys"))[:20]:
        x = entry.get("x")
        if not isinstance(x, str):
            continue
        try:
            keys.append(Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))))
        except ValueError:
            log.warning("fal_webhook_key_unreadable")
    return keys
