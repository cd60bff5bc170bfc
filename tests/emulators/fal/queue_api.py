"""The queue's HTTP API: submit, status, status stream, result, cancel."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.emulators.fal.faults import FAULT, CutStream, GarbageStream, exhausted
from tests.emulators.fal.outcomes import Ok, Outcome
from tests.emulators.fal.state import FalJob

if TYPE_CHECKING:
    from tests.emulators.fal.server import FalEmulator, Handler

BASE = "/{owner}/{app}"
SUBMIT_HEADERS_KNOWN = {
    "x-fal-request-start-timeout",
    "x-fal-request-timeout",
    "x-fal-queue-priority",
    "x-fal-runner-hint",
    "x-fal-no-retry",
    "x-fal-retry-config",
    "x-app-fal-disable-fallback",
    "x-fal-store-io",
    "x-fal-object-lifecycle-preference",
}


def routes(fal: FalEmulator) -> list[tuple[str, str, str, str, Handler]]:
    api = QueueApi(fal)
    one = BASE + "/requests/{id}"
    return [
        ("queue", "submit", "POST", BASE, api.submit),
        ("queue", "submit", "POST", BASE + "/{path:.+}", api.submit),
        ("queue", "status", "GET", one + "/status", api.status),
        ("queue", "stream", "GET", one + "/status/stream", api.stream),
        ("queue", "result", "GET", one, api.result),
        ("queue", "result", "GET", one + "/response", api.result),
        ("queue", "cancel", "PUT", one + "/cancel", api.cancel),
    ]


def _endpoint(request: web.Request) -> str:
    """The whole path below the host."""
    return request.path.strip("/")


def _not_found() -> web.Response:
    return web.json_response({"status": "NOT_FOUND"}, status=404)


class QueueApi:
    def __init__(self, fal: FalEmulator) -> None:
        self._fal = fal

    async def submit(self, request: web.Request) -> web.StreamResponse:
        fal = self._fal
        if fal.credit_exhausted:
            return web.json_response(exhausted().json, status=403)
        schema = fal.schemas.get(_endpoint(request))
        if schema is None:
            return web.json_response({"detail": f"Application '{_endpoint(request)}' not found"}, status=404)
        try:
            body = json.loads(await request.read())
        except ValueError:
            body = None
        if request.content_type != "application/json" or not isinstance(body, dict):
            detail = [{"loc": ["body"], "msg": "JSON decode error", "type": "json_invalid", "input": {}}]
            return web.json_response({"detail": detail}, status=422)
        if fal.validate_at_submit and (wrong := schema.mistakes(body)):
            return web.json_response({"detail": wrong}, status=422, headers={"X-Fal-Billable-Units": "0"})
        limit = request.query.get("fal_max_queue_length")
        if limit is not None and len(fal.runner.waiting) >= int(limit):
            return web.json_response({"detail": "Queue is full"}, status=429)
        self._judge(request, body)
        job = self._new_job(request, body)
        fal.runner.accept(job)
        return web.json_response(
            self._urls(job) | {"status": "IN_QUEUE", "queue_position": fal.runner.position(job)},
            headers={"x-fal-request-id": job.request_id},
        )

    def _judge(self, request: web.Request, body: dict[str, Any]) -> None:
        """Things that fal would swallow and that cost somebody money or privacy."""
        fal = self._fal
        url = str(body.get("image_url", ""))
        if url in fal.seen_image_urls:
            fal.violations.append("the same image_url was submitted twice")
        fal.seen_image_urls.add(url)
        for name in request.headers:
            known = name.lower() in SUBMIT_HEADERS_KNOWN
            if not known and name.lower().startswith(("x-fal-", "x-app-fal-")):
                fal.violations.append(f"unknown header {name} on submit")
        lifecycle = request.headers.get("X-Fal-Object-Lifecycle-Preference")
        if lifecycle is None:
            fal.violations.append("the output has no lifecycle")
        elif not isinstance(json.loads(lifecycle).get("expiration_duration_seconds"), int):
            fal.violations.append("the output's lifecycle has no seconds")
        for name in request.query:
            if name not in {"fal_webhook", "fal_max_queue_length"}:
                fal.violations.append(f"unknown query field {name} on submit")

    def _new_job(self, request: web.Request, body: dict[str, Any]) -> FalJob:
        return FalJob(
            request_id=self._fal.request_ids.popleft() if self._fal.request_ids else str(uuid.uuid4()),
            endpoint=_endpoint(request),
            model_input=body,
            webhook=request.query.get("fal_webhook"),
            headers={name.lower(): value for name, value in request.headers.items()},
            outcome=self._outcome(body.get("seed")),
        )

    def _outcome(self, seed: Any) -> Outcome:
        planned = self._fal.outcome_by_seed.get(seed)
        return planned or (self._fal.outcomes.popleft() if self._fal.outcomes else Ok())

    def _urls(self, job: FalJob) -> dict[str, Any]:
        one = f"{self._fal.queue_url}/{job.app}/requests/{job.request_id}"
        return {
            "request_id": job.request_id,
            "response_url": one,
            "status_url": one + "/status",
            "cancel_url": one + "/cancel",
        }

    def _find(self, request: web.Request) -> FalJob | None:
        job = self._fal.jobs.get(request.match_info["id"])
        if job is None or job.removed or job.erased:
            return None
        if f"{request.match_info['owner']}/{request.match_info['app']}" != job.app:
            return None
        return job

    def _expired(self, job: FalJob) -> bool:
        done_s = job.completed_at_s
        return done_s is not None and time.monotonic() - done_s > self._fal.result_ttl_s

    def _status_of(self, job: FalJob, with_logs: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"status": job.status, **self._urls(job)}
        if job.status == "IN_QUEUE":
            return found | {"queue_position": self._fal.runner.position(job)}
        found["logs"] = list(job.logs) if with_logs else None
        if job.status == "COMPLETED":
            found["metrics"] = {"inference_time": job.inference_s}
            if job.error is not None:
                found |= {"error": job.error, "error_type": job.error_type}
        return found

    async def status(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        if job is None or self._expired(job):
            return _not_found()
        body = self._status_of(job, _wants_logs(request))
        return web.json_response(body, status=200 if job.status == "COMPLETED" else 202)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        if not self._fal.stream_available:
            return web.json_response({"detail": "Not Found"}, status=404)
        if job is None or self._expired(job):
            return _not_found()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            await self._send_events(request, response, job)
        return response

    async def _send_events(self, request: web.Request, response: web.StreamResponse, job: FalJob) -> None:
        fault, sent, last = request[FAULT], 0, None
        with_logs = _wants_logs(request)
        while True:
            changed = job.changed
            body = self._status_of(job, with_logs)
            if body != last:
                last = body
                if isinstance(fault, GarbageStream):
                    await response.write(b'data: {"status": 12\n\nevent: what\nid: \xff\n\ndata: [1, 2]\n\n')
                await response.write(b"data: " + json.dumps(body).encode() + b"\n\n")
                sent += 1
                if isinstance(fault, CutStream) and sent >= fault.after_events:
                    if request.transport is not None:
                        request.transport.abort()
                    return
            if job.status == "COMPLETED":
                await response.write_eof()
                return
            try:
                await asyncio.wait_for(changed.wait(), self._fal.heartbeat_s)
            except TimeoutError:
                await response.write(b": ping\n\n")

    async def result(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        if job is None or self._expired(job):
            return _not_found()
        if job.status != "COMPLETED":
            return web.json_response({"detail": "Request is still in progress"}, status=400)
        headers = {"x-fal-request-id": job.request_id, **job.result_headers}
        return web.json_response(job.result_body, status=job.result_status, headers=headers)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        job = self._find(request)
        if job is None:
            return _not_found()
        if job.status == "COMPLETED":
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)
        was_queued = job.status == "IN_QUEUE"
        self._fal.runner.cancel(job)
        if was_queued and self._fal.cancel_removes:
            return web.json_response({"status": "OK"})
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)


def _wants_logs(request: web.Request) -> bool:
    return request.query.get("logs", "0").lower() in {"1", "true"}
