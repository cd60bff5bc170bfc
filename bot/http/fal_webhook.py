"""fal's webhook: POST /fal/webhook/{job_id}. Ends a wait early, and names a request whose submit answer was lost."""

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
    """The HTTP status to answer: 401 to what is not to be believed, 404 where no webhook is awaited, else 200.

    503 where fal's keys cannot be had; fal sends it again.
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
    """The delivery carries this job's own token, so an unclear submit did arrive, under this id."""
    job = await store.get(job_id)
    if job is None or job.remote is None or job.remote.request_id or job.remote.submit != "sending":
        return
    await store.update(job_id, remote=dataclasses.replace(job.remote, submit="sent", request_id=request_id))
    log.info("submit_found", job=job_id, request=request_id, by="webhook")
