"""The operator's page: jobs of all platforms, spending against budgets, servers that wait for admission."""

import asyncio
import dataclasses

from aiohttp import web

from adapters.web.inbound import request_body, translate
from adapters.web.inbound.job_routes import actor_of
from adapters.web.views.card import Json, card_json
from adapters.web.views.operator import job_row, place_json, spend_json
from adapters.web.views.template import Template
from core.domain.errors import InvalidParameters
from core.domain.job import Job
from core.domain.limits import ScopeKind
from core.ports import AdapterContext, Verdict
from core.presentation.cards import budget

RECENT_JOBS = 30
SHARED_SCOPES = (ScopeKind.EVERYTHING, ScopeKind.PLATFORM, ScopeKind.WORKSPACE)


class OperatorHandlers:
    """`/operator` and its API. Every signed-in user is the operator."""

    def __init__(self, context: AdapterContext) -> None:
        self._service = context.service
        self._allowlist = context.allowlist
        self._clock = context.clock
        self._page = Template("operator.html")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/operator", self.page),
            web.get("/api/operator", self.overview),
            web.post("/api/operator/places/{reference}", self.decide),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        return self._page.respond(actor_of(request).locale)

    async def overview(self, request: web.Request) -> web.StreamResponse:
        """`GET /api/operator`"""
        actor = actor_of(request)
        queue, recent, today, month, limits, paused = await asyncio.gather(
            self._service.queue(actor),
            self._service.recent(actor, limit=RECENT_JOBS),
            self._service.budgets.usage(actor, period="day"),
            self._service.budgets.usage(actor, period="month"),
            self._service.limits.workspace_limits(actor),
            self._service.limits.paused(actor),
        )
        month = dataclasses.replace(month, members=translate.with_page_label(month.members, actor.locale))
        places = await self._allowlist.places(actor) if self._allowlist else ()
        shared = [one for one in limits if one.limit.scope.kind in SHARED_SCOPES]
        answer = {
            "now": self._clock.now(),
            "paused": paused,
            "play_money": self._service.play_money,
            "today": spend_json(today, actor.locale),
            "month": spend_json(month, actor.locale),
            "budgets": card_json(budget.limits(shared, actor.locale, of_all=True)),
            "open": {"total": queue.total, "jobs": [self._row(job, actor.locale) for job in queue.jobs]},
            "recent": [self._row(job, actor.locale) for job in recent if job.state.terminal],
            "places": [place_json(known, actor.locale) for known in places],
        }
        return web.json_response(answer)

    def _row(self, job: Job, locale: str) -> Json:
        return job_row(job, locale, self._service.notice(job.error, locale, job) if job.error else None)

    async def decide(self, request: web.Request) -> web.StreamResponse:
        """`POST /api/operator/places/{reference}`: `{"verdict": "admit" | "refuse" | "revoke"}`."""
        wanted = str((await request_body.json_body(request)).get("verdict", ""))[:20]
        verdicts: dict[str, Verdict] = {"admit": "admit", "refuse": "refuse", "revoke": "revoke"}
        verdict = verdicts.get(wanted)
        if verdict is None or self._allowlist is None:
            raise InvalidParameters.of("verdict", wanted, "range", ", ".join(verdicts))
        actor = actor_of(request)
        known = await self._allowlist.decide(actor, request.match_info["reference"][:40], verdict)
        return web.json_response({"place": place_json(known, actor.locale)})
