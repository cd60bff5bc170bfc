"""The HTTP API for jobs (start, read, follow, confirm, cancel, repeat, delete, files) and shared results.

Handlers translate and call the service. Only starting a job waits: its response states the price, which needs the
picture's size. The wait is bounded, and the job continues when the client disconnects.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from aiohttp import web

from adapters.web.connection.event_stream import MAX_JOBS_PER_STREAM, EventStreams, last_event_id
from adapters.web.connection.security import Handler
from adapters.web.inbound import request_body, translate
from adapters.web.outbound.image_routes import JobFiles
from adapters.web.views.card import Json, job_json, shared_json
from adapters.web.views.template import Template
from core.domain.errors import Draining, JobNotFound, ResultExpired, UpscaleError
from core.domain.events import JobEvent
from core.domain.job import Job, JobState, Requester
from core.net.streamed_body import streams_body
from core.ports import AdapterContext
from core.presentation.texts import result_texts
from core.presentation.texts.page_texts import page_texts

QUOTE_WAIT_S = 45.0
"""Reading the size of a 50 MB picture takes well under a second; two hundred at once need the rest."""
LIMIT_CHECK_WAIT_S = 0.4
"""Limits are checked right after the price is known; a refusal within this time is part of the response."""


class JobFailed(Exception):
    """The job failed before the request that started it was answered."""

    def __init__(self, job: Job, error: UpscaleError) -> None:
        super().__init__(job.id)
        self.job = job
        self.error = error


class JobHandlers:
    def __init__(self, context: AdapterContext, max_input_bytes: int) -> None:
        self._service = context.service
        self._clock = context.clock
        self._uploads = context.data_dir / "uploads"
        self._max_input_bytes = max_input_bytes
        self._files = JobFiles(context.media)
        self.streams = EventStreams(lambda job_id, after: self._service.watch(job_id, after=after), self._event_json)

    def routes(self) -> list[web.RouteDef]:
        job = "/api/jobs/{job_id}"
        return [
            web.post("/api/jobs", self.create),
            web.get(job, self._job_action(self._service.job)),
            web.delete(job, self._job_action(self._service.delete)),
            web.get(f"{job}/events", self.follow),
            web.post(f"{job}/confirm", self._job_action(self._service.confirm)),
            web.post(f"{job}/cancel", self._job_action(self._service.cancel)),
            web.post(f"{job}/repeat", self.repeat),
            web.post(f"{job}/share", self.share),
            *self._files.routes(job, self._find),
            web.get("/api/events", self.follow_many),
            web.get("/api/zip", self.zip),
        ]

    @streams_body
    async def create(self, request: web.Request) -> web.StreamResponse:
        """`POST /api/jobs`: 202 with the price, or the error if the job has failed already."""
        if self._service.draining:
            raise Draining
        actor = actor_of(request)
        submission = await request_body.read_submission(request, self._uploads, self._max_input_bytes)
        kept = False
        try:
            wanted = translate.upscale_request(
                submission,
                actor,
                request.headers.get("Idempotency-Key", "")[:200],
                self._service.models,
                await self._service.accounts.presets(actor),
            )
            job = await self._service.request(wanted)
            kept = bool(job.source.path) and job.source.path == wanted.source.path
        finally:
            if not kept:
                await request_body.discard(submission.upload)
        return await self._start_response(job, actor)

    async def repeat(self, request: web.Request) -> web.StreamResponse:
        """`POST /api/jobs/{id}/repeat`: a new job from an earlier one."""
        actor = actor_of(request)
        values = await request_body.json_body(request)
        key = translate.job_key(request.headers.get("Idempotency-Key", "")[:200], scope="repeat")
        change = translate.change_of(values, self._service.models)
        job = await self._service.repeat(_job_id(request), actor, change, key=key, reply=translate.REPLY)
        return await self._start_response(job, actor)

    async def _start_response(self, job: Job, actor: Requester) -> web.StreamResponse:
        job = await self._wait_for_price(job)
        if job.state in {JobState.REFUSED, JobState.FAILED} and job.error is not None:
            raise JobFailed(job, job.error)
        return web.json_response(await self._json(job, actor), status=202)

    async def _wait_for_price(self, job: Job) -> Job:
        """The job once its price is known and the limits are checked, or as it is after the timeout."""
        if job.state.terminal:
            return job
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(QUOTE_WAIT_S) as scope:
                async for event in self._service.watch(job.id):
                    first_price = job.quote is None and event.job.quote is not None
                    job = event.job
                    if _is_start_decided(job):
                        return job
                    if first_price or job.quote is not None:
                        scope.reschedule(min(scope.when() or 0.0, loop.time() + LIMIT_CHECK_WAIT_S))
        except TimeoutError:
            return job
        return job

    def _job_action(self, act: Callable[[str, Requester], Awaitable[Job]]) -> Handler:
        """A handler that calls the service and responds with the job."""

        async def handler(request: web.Request) -> web.StreamResponse:
            actor = actor_of(request)
            return web.json_response(await self._json(await act(_job_id(request), actor), actor))

        return handler

    async def share(self, request: web.Request) -> web.StreamResponse:
        """`POST /api/jobs/{id}/share`: `{"url"}` of a public page; null without `PUBLIC_URL`."""
        return web.json_response({"url": await self._service.share(_job_id(request), actor_of(request))})

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/jobs/{id}/events`: 204 after the last event."""
        job = await self._service.job(_job_id(request), actor_of(request))
        after = last_event_id(request.headers.get("Last-Event-ID"))
        if job.state.terminal and JobEvent.stored(job).id <= after:
            return web.Response(status=204)  # so that browsers do not connect again
        return await self.streams.serve(request, [job.id], after)

    async def follow_many(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/events?jobs=a,b`: one stream for several jobs."""
        return await self.streams.serve(request, [job.id for job in await self._jobs_in_query(request)], 0)

    async def zip(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/zip?jobs=a,b`: the results of these jobs in one file."""
        return await self._files.zip(request, await self._jobs_in_query(request))

    async def _jobs_in_query(self, request: web.Request) -> list[Job]:
        """The existing jobs of `?jobs=a,b`."""
        job_ids = [job_id for job_id in request.query.get("jobs", "").split(",") if job_id][:MAX_JOBS_PER_STREAM]
        actor, known = actor_of(request), []
        for job_id in dict.fromkeys(job_ids):
            with contextlib.suppress(JobNotFound):
                known.append(await self._service.job(job_id, actor))
        return known

    async def _find(self, request: web.Request) -> Job:
        return await self._service.job(_job_id(request), actor_of(request))

    async def _event_json(self, event: JobEvent, request: web.Request) -> Json:
        """The event in the language of the browser that reads it."""
        shown = await self._json(event.job, actor_of(request))
        return {"type": event.kind, "event_id": event.id, **shown}

    async def _json(self, job: Job, actor: Requester) -> Json:
        left = tuple(await self._service.limits.applying(actor)) if job.state is JobState.SUCCEEDED else ()
        notice = self._service.notice(job.error, actor.locale, job) if job.error is not None else None
        shown = job_json(job, actor.locale, left=left, notice=notice, play_money=self._service.play_money)
        return {**shown, "now": self._clock.now()}


def _is_start_decided(job: Job) -> bool:
    """Whether the price is known and the limits are checked, or the job has ended."""
    if job.state.terminal or job.state is JobState.AWAITING_CONFIRMATION:
        return True
    stage = job.progress.stage if job.progress else "preparing"
    return job.quote is not None and stage != "preparing"


def _job_id(request: web.Request) -> str:
    return request.match_info["job_id"][:64]


def actor_of(request: web.Request) -> Requester:
    return translate.requester(request.headers.get("Accept-Language", ""))


FILES = ("image", "preview", "source", "source-preview")
SHARE_HEADERS = {"X-Robots-Tag": "noindex, nofollow", "Cache-Control": "private, max-age=60"}


class ShareHandlers:
    """The page of a shared result and its pictures; the signature in the URL authorizes each request."""

    def __init__(self, context: AdapterContext) -> None:
        self._service = context.service
        self._public_url = (context.public_url or "").rstrip("/")
        self._files = JobFiles(context.media)
        self._page = Template("share.html")

    def routes(self) -> list[web.RouteDef]:
        base = "/share/{job_id}/{signature}"
        return [
            web.get(base, self.page),
            *self._files.routes(base, self._job, FILES, stem="upscaled", headers=SHARE_HEADERS),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The viewer with the result's size and caption, and the metadata for link previews."""
        locale = actor_of(request).locale
        try:
            job = await self._job(request)
        except (JobNotFound, ResultExpired) as error:
            gone, status = page_texts(locale)["share_gone"], 404 if isinstance(error, JobNotFound) else 410
            response = self._page.respond(locale, {"job": None}, status=status, about=gone, caption="", image="")
        else:
            assert job.result is not None
            base = request.path.rstrip("/")
            response = self._page.respond(
                locale,
                {"job": shared_json(job, locale, base)},
                about=result_texts.size_line(job, locale),
                caption=job.result.caption,
                image=f"{self._public_url}{base}/preview",
            )
        response.headers["X-Robots-Tag"] = SHARE_HEADERS["X-Robots-Tag"]
        return response

    async def _job(self, request: web.Request) -> Job:
        return await self._service.shared(request.match_info["job_id"][:64], request.match_info["signature"][:80])
