"""fal's webhook: POST /fal/webhook/{job_id}. Ends a wait early, and finds a request whose submit had no answer."""

import dataclasses
from collections.abc import Mapping

import structlog

from core.domain.errors import ProviderUnavailable
from core.ports import Upscaler
from core.storage.jobs import SqlJobStore
from core.upscalers.fal import FalUpscaler, WebhookAccepted

log = structlog.get_logger(__name__)


async def receive(
    upscaler: Upscaler, store: SqlJobStore, job_id: str, headers: Mapping[str, str], body: bytes, token: str | None
) -> int:
    """Return the HTTP status: 401 for an invalid webhook, 404 if this backend has none, else 200.

    503 if fal's public keys cannot be fetched; fal then sends it again.
    """
    if not isinstance(upscaler, FalUpscaler):
        return 404
    try:
        outcome = await upscaler.receive_webhook(headers, body, job_id=job_id, token=token)
    except ProviderUnavailable:
        return 503
    if not isinstance(outcome, WebhookAccepted):
        return 401
    if outcome.ours:
        await _bind(store, job_id, outcome.request_id)
    return 200


async def _bind(store: SqlJobStore, job_id: str, request_id: str) -> None:
    """Store the request id of an unclear submit: the webhook has the job's own token, so the submit did arrive."""
    job = await store.get(job_id)
    if job is None or job.remote is None or job.remote.request_id or job.remote.submit != "sending":
        return
    await store.update(job_id, remote=dataclasses.replace(job.remote, submit="sent", request_id=request_id))
    log.info("submit_found", job=job_id, request=request_id, by="webhook")
