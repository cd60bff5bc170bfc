"""The emulator's switchboard: ports, recording, faults, authorisation, and the control API for tests."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, web

from tests.emulators.fal import platform_api, queue_api, storage_api
from tests.emulators.fal.faults import FAULT, DropAfter, DropBefore, FaultPlan, Held, Respond, Slow
from tests.emulators.fal.outcomes import Outcome
from tests.emulators.fal.runner import Runner
from tests.emulators.fal.schemas import SCHEMAS
from tests.emulators.fal.signing import Signer
from tests.emulators.fal.state import FalJob, Recorded, StoredFile
from tests.served import served

ENDPOINT = "fal-ai/flux-vision-upscaler"
API_KEY = "emulated-id:emulated-secret"
ADMIN_KEY = "emulated-admin:emulated-admin-secret"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FalEmulator:
    """fal on loopback. Use as `async with FalEmulator(...) as fal`; every knob may be changed while it runs.

    job_s: seconds a job takes. slots: jobs IN_PROGRESS at once. steps_logged: progress lines per job.
    heartbeat_s: a comment line on an idle status stream. result_ttl_s: a result's life after completion.
    """

    def __init__(
        self,
        *,
        job_s: float = 0.05,
        slots: int = 2,
        steps_logged: int = 5,
        heartbeat_s: float = 15.0,
        result_ttl_s: float = 3600.0,
        single_port: int | None = None,
    ) -> None:
        self.job_s, self.slots, self.steps_logged = job_s, slots, steps_logged
        self.heartbeat_s, self.result_ttl_s = heartbeat_s, result_ttl_s
        self._single_port = single_port
        self.api_keys, self.admin_keys = {API_KEY}, {ADMIN_KEY}
        self.stream_available = True
        self.bare_image = False
        self.data_uris = False
        self.units_header = True
        self.exact_units = False
        self.validate_at_submit = False
        self.cancel_removes = False
        self.credit_exhausted = False
        self.credit_usd = 50.0
        self.unit_price_usd = 0.1
        self.schemas = dict(SCHEMAS)
        self.billing_delay_s = 0.0
        self.page_limit = 100
        self.webhook_repeats = 1
        self.requests: list[Recorded] = []
        self.violations: list[str] = []
        self.jobs: dict[str, FalJob] = {}
        self.files: dict[str, StoredFile] = {}
        self.tokens: set[str] = set()
        self.faults = FaultPlan()
        self.outcomes: deque[Outcome] = deque()
        self.outcome_by_seed: dict[int, Outcome] = {}
        self.request_ids: deque[str] = deque()
        self.signer = Signer()
        self.seen_image_urls: set[str] = set()
        self.runner = Runner(self)
        self._life = AsyncExitStack()

    # -- life ------------------------------------------------------------------------------------------------

    def price_of(self, endpoint: str) -> float:
        """Per megapixel; that of flux may be set."""
        return self.unit_price_usd if endpoint == ENDPOINT else self.schemas[endpoint].unit_price_usd

    async def __aenter__(self) -> FalEmulator:
        self.folder = Path(tempfile.mkdtemp(prefix="fal-emulator-"))
        self.http = ClientSession(timeout=ClientTimeout(total=60))
        services = {
            "queue": queue_api.routes(self),
            "rest": storage_api.rest_routes(self),
            "cdn": storage_api.cdn_routes(self),
            "api": platform_api.routes(self),
        }
        if self._single_port is not None:
            base = await self._serve([r for table in services.values() for r in table], self._single_port)
            bases = dict.fromkeys(services, base)
        else:
            bases = {name: await self._serve(table, 0) for name, table in services.items()}
        self.queue_url, self.rest_url, self.cdn_url = bases["queue"], bases["rest"], bases["cdn"]
        self.api_url = bases["api"] + "/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.close()
        await self._life.aclose()
        await self.http.close()
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    async def _serve(self, table: list[tuple[str, str, str, str, Handler]], port: int) -> str:
        app = web.Application(client_max_size=200 * 1024**2)
        for service, route, method, path, handler in table:
            app.router.add_route(method, path, self._guard(service, route, handler))
        return await self._life.enter_async_context(served(app, port, shutdown_timeout=0.1))

    # -- every request ---------------------------------------------------------------------------------------

    def _guard(self, service: str, route: str, handle: Handler) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            keyed = service == "queue" or (service == "rest" and route != "jwks")
            return (self._refuse_key(request) if keyed else None) or await handle(request)

        async def guarded(request: web.Request) -> web.StreamResponse:
            body = await self._record(service, route, request)
            fault = self.faults.take(route, lambda: self._seed(request, body))
            request[FAULT] = fault
            if isinstance(fault, DropBefore):
                return _drop(request)
            if isinstance(fault, Respond):
                if fault.accept:
                    await handler(request)
                return _answer(fault)
            if isinstance(fault, Slow) and fault.before:
                await asyncio.sleep(fault.seconds)
            response = await handler(request)
            if isinstance(fault, DropAfter):
                return _drop(request)
            if isinstance(fault, Slow) and not fault.before:
                await asyncio.sleep(fault.seconds)
            if isinstance(fault, Held):
                await fault.released.wait()
            return response

        return guarded

    async def _record(self, service: str, route: str, request: web.Request) -> Any:
        """The request's body, where it is JSON."""
        body: Any = None
        if request.content_type == "application/json" and request.can_read_body:
            try:
                body = await request.json()
            except ValueError:
                body = None
        headers = {name.lower(): value for name, value in request.headers.items()}
        at_s, query = time.monotonic(), dict(request.query)
        self.requests.append(Recorded(service, route, request.method, request.path, query, headers, body, at_s))
        if service in {"cdn", "storage"} and headers.get("authorization", "").lower().startswith("key "):
            self.violations.append(f"the API key was sent to {service} ({route})")
        return body

    def _seed(self, request: web.Request, body: Any) -> int | None:
        """Of the job that a request is about."""
        job = self.jobs.get(request.match_info.get("id", "")) or next(
            (job for job in self.jobs.values() if request.path in str(job.result_body)), None
        )
        return job.model_input.get("seed") if job else body.get("seed") if isinstance(body, dict) else None

    def _refuse_key(self, request: web.Request) -> web.Response | None:
        """The queue's and storage's 401, or None for a good key."""
        header = request.headers.get("Authorization", "")
        kind, _, key = header.partition(" ")
        if kind != "Key" or ":" not in key:
            words = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."
            return web.json_response({"detail": words}, status=401)
        if key not in self.api_keys | self.admin_keys:
            return web.json_response({"detail": "No user found for Key ID and Secret"}, status=401)
        return None

    # -- control API -----------------------------------------------------------------------------------------

    def env(self) -> dict[str, str]:
        """The settings that point the bot at this emulator."""
        return {
            "FAL_KEY": API_KEY,
            "FAL_ADMIN_KEY": ADMIN_KEY,
            "FAL_QUEUE_URL": self.queue_url,
            "FAL_REST_URL": self.rest_url,
            "FAL_CDN_URL": self.cdn_url,
            "FAL_API_URL": self.api_url,
        }

    def seen(self, *routes: str) -> list[Recorded]:
        """The recorded requests of these routes (all without an argument), oldest first."""
        return [r for r in self.requests if not routes or r.route in routes]

    @property
    def submits(self) -> list[Recorded]:
        return self.seen("submit")


def _drop(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _answer(fault: Respond) -> web.Response:
    if fault.text is not None:
        return web.Response(status=fault.status, text=fault.text, headers=fault.headers)
    return web.json_response(fault.json, status=fault.status, headers=fault.headers)
