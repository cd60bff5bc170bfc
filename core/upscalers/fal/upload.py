"""Uploads an image to fal's CDN, streamed from disk, with a limited lifetime and under its own address.

fal-client's upload holds the whole file in memory, fails for names that are not ASCII, and sends the API key to the
fallback's storage host (fal-client 1.0.3, measured 2026-11-22). Its `StorageSettings` validates the lifetime for us.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

import structlog
from fal_client import StorageSettings
from yarl import URL

from core.domain.errors import ImageRejected, ProviderUnavailable
from core.domain.media_types import suffix_for
from core.net.file_sink import open_file
from core.net.retry import Backoff, retry
from core.upscalers.fal.circuit_breaker import CircuitBreaker
from core.upscalers.fal.failures import account_halt
from core.upscalers.fal.json_answer import Answer
from core.upscalers.fal.transport import NETWORK_ERRORS, Transport, timeout_for

log = structlog.get_logger(__name__)

UPLOAD_ATTEMPTS = 3
SLOWEST_UPLOAD_BYTES_PER_S = 50_000
TOKEN_MARGIN_S = 60.0
_PAUSES = Backoff(first_s=0.5, cap_s=20.0)


def lifecycle_json(lifetime_s: int) -> str:
    """Return the lifecycle header's value. Raises ValueError for a lifetime that fal-client refuses."""
    expires_in = StorageSettings(expires_in=max(60, lifetime_s)).expires_in
    return json.dumps({"expiration_duration_seconds": expires_in})


class Uploader:
    """Uploads files, and caches one CDN token until shortly before it expires."""

    def __init__(self, transport: Transport, breaker: CircuitBreaker) -> None:
        self._transport = transport
        self._breaker = breaker
        self._token: tuple[str, float] | None = None
        self._token_lock = asyncio.Lock()

    async def stage(self, path: Path, mime: str, *, job_id: str) -> str:
        """Implement `core.ports.Upscaler.stage`: to the CDN, or else to plain storage; the job retries after that."""
        name = f"{job_id}{suffix_for(mime)}"

        def pause(error: Exception, attempt: int) -> float | None:
            return _PAUSES.pause_s(attempt) if isinstance(error, ProviderUnavailable) else None

        clock = self._transport.clock
        try:
            return await retry(
                lambda: self._to_cdn(path, mime, name), clock=clock, pause=pause, attempts=UPLOAD_ATTEMPTS
            )
        except ProviderUnavailable:
            return await self._by_storage(path, mime, name)

    async def _to_cdn(self, path: Path, mime: str, name: str) -> str:
        headers = {
            "Authorization": await self._authorization(),
            "Content-Type": mime,
            "X-Fal-File-Name": name,
            **self._lifetime(),
        }
        answer = await self._send("POST", self._transport.url("cdn", "/files/upload"), path, headers)
        if answer.ok and answer.text_at("access_url").startswith(("https://", "http://")):
            return answer.text_at("access_url")
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._token = None
        log.warning("fal_upload_refused", name=name, status=answer.status)
        raise ProviderUnavailable

    def _lifetime(self) -> dict[str, str]:
        lifecycle = lifecycle_json(self._transport.config.retention_s)
        return {"X-Fal-Object-Lifecycle": lifecycle, "X-Fal-Object-Lifecycle-Preference": lifecycle}

    async def _send(self, method: str, url: URL, path: Path, headers: dict[str, str]) -> Answer:
        size_bytes = (await asyncio.to_thread(path.stat)).st_size
        config = self._transport.config
        timeout = timeout_for(config, total_s=2 * config.reply_timeout_s + size_bytes / SLOWEST_UPLOAD_BYTES_PER_S)
        file = await open_file(path, "rb")
        try:
            return await self._transport.once(method, url, key="none", data=file, headers=headers, timeout=timeout)
        except NETWORK_ERRORS as error:
            log.warning("fal_upload_failed", kind=type(error).__name__)
            raise ProviderUnavailable from error
        finally:
            file.close()

    async def _authorization(self) -> str:
        async with self._token_lock:
            if self._token is None or self._token[1] <= self._transport.clock.now():
                self._token = await self._new_token()
            return self._token[0]

    async def _new_token(self) -> tuple[str, float]:
        url = self._transport.url("rest", "/storage/auth/token", {"storage_type": "fal-cdn-v3"})
        answer = await self._ask(url, {})
        token, kind = answer.text_at("token"), answer.text_at("token_type")
        if not token or not kind:
            raise ProviderUnavailable
        try:
            expires_at = datetime.fromisoformat(answer.text_at("expires_at")).timestamp()
        except ValueError:
            expires_at = self._transport.clock.now() + 2 * TOKEN_MARGIN_S
        return f"{kind} {token}", expires_at - TOKEN_MARGIN_S

    async def _ask(self, url: URL, body: Mapping[str, str], **headers: str) -> Answer:
        answer = await self._transport.read("POST", url, body=body, headers=headers)
        if (halted := account_halt(answer.status, answer.data())) is not None:
            self._breaker.trip(halted)
            raise halted
        if not answer.ok:
            raise ProviderUnavailable
        return answer

    async def _by_storage(self, path: Path, mime: str, name: str) -> str:
        """Upload by the documented alternative. The PUT goes to a storage host, so it carries no key."""
        url = self._transport.url("rest", "/storage/upload/initiate", {"storage_type": "gcs"})
        answer = await self._ask(url, {"file_name": name, "content_type": mime}, **self._lifetime())
        target, address = answer.text_at("upload_url"), answer.text_at("file_url")
        if not target or not address:
            raise ProviderUnavailable
        stored = await self._send("PUT", URL(target, encoded=True), path, {"Content-Type": mime})
        if stored.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise ImageRejected(reason="file_too_large", billed=False)
        if not stored.ok:
            raise ProviderUnavailable
        return address
