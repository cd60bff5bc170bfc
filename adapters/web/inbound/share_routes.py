"""`/share/…`: one result, shown to whoever has its address. No sign-in, nothing else to see, no search engine."""

from aiohttp import web

from adapters.web.connection.security import Handler
from adapters.web.inbound.job_routes import actor_of
from adapters.web.outbound.image_routes import JobFiles
from adapters.web.views.card import shared_json
from adapters.web.views.template import Template
from core.domain.errors import JobNotFound, ResultExpired
from core.domain.job import Job
from core.ports import AdapterContext
from core.presentation import job_texts as sentences
from core.presentation.labels.page import page_labels

FILES = ("image", "preview", "source", "source-preview")
ROBOTS = {"X-Robots-Tag": "noindex, nofollow", "Cache-Control": "private, max-age=60"}


class ShareHandlers:
    """The page of a shared result and its pictures; every request proves itself by the signature in its address."""

    def __init__(self, context: AdapterContext) -> None:
        self._service = context.service
        self._public_url = (context.public_url or "").rstrip("/")
        self._files = JobFiles(context.media)
        self._page = Template("share.html")

    def routes(self) -> list[web.RouteDef]:
        base = "/share/{job_id}/{signature}"
        return [
            web.get(base, self.page),
            *(web.get(f"{base}/{name}", self._file_handler(name)) for name in FILES),
            web.get(f"{base}/tile", self.tile),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The viewer with the result's size and caption, and what chats show of a link to it."""
        locale = actor_of(request).locale
        try:
            job = await self._job(request)
        except (JobNotFound, ResultExpired) as error:
            gone, status = page_labels(locale)["share_gone"], 404 if isinstance(error, JobNotFound) else 410
            response = self._page.respond(locale, {"job": None}, status=status, about=gone, caption="", image="")
        else:
            assert job.result is not None
            base = request.path.rstrip("/")
            response = self._page.respond(
                locale,
                {"job": shared_json(job, locale, base)},
                about=sentences.size_line(job, locale),
                caption=job.result.caption,
                image=f"{self._public_url}{base}/preview",
            )
        response.headers["X-Robots-Tag"] = ROBOTS["X-Robots-Tag"]
        return response

    async def tile(self, request: web.Request) -> web.StreamResponse:
        return _unlisted(await self._files.tile(request, await self._job(request)))

    def _file_handler(self, name: str) -> Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            job = await self._job(request)
            return _unlisted(await self._files.respond(request, job, name, stem="upscaled"))

        return handler

    async def _job(self, request: web.Request) -> Job:
        return await self._service.shared(request.match_info["job_id"][:64], request.match_info["signature"][:80])


def _unlisted(response: web.StreamResponse) -> web.StreamResponse:
    response.headers.update(ROBOTS)
    return response
