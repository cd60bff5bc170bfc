"""The HTTP API for estimates, usage, limits, history, defaults and privacy."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from aiohttp import web

from adapters.web.inbound import request_body, translate
from adapters.web.inbound.job_routes import actor_of
from adapters.web.outbound.image_routes import disposition
from adapters.web.views.card import card_json, dollars, error_json, fields_of, job_json, limit_json, quote_json
from core.budgets.reports import UsageReport, UsageRow
from core.domain.errors import InvalidParameters, UpscaleError
from core.domain.job import Requester
from core.domain.limits import LimitStatus, Measure, WantedLimit, Window
from core.domain.models import Models
from core.domain.parameters.grammar import parse
from core.domain.parameters.spec import PRESETS
from core.net.file_response import FileResponse
from core.ports import AdapterContext
from core.presentation import Code, cents, fill, tr
from core.presentation.cards import account, budget
from core.presentation.cards.moderation import queue

HISTORY_LIMIT = 50
SAVE_PRESET = "save logo 4x creativity=0.2"
LIMIT_EXAMPLES = (
    "/quota set everything day $20",
    "/quota set workspace discord:1234 month $50",
    "/quota pause channel slack:T1:C1",
)


class AccountHandlers:
    def __init__(self, context: AdapterContext) -> None:
        self._service = context.service

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/estimate", self.estimate),
            web.post("/api/estimate", self.estimate),
            web.get("/api/usage", self.usage),
            web.get("/api/history", self.history),
            web.get("/api/queue", self.queue),
            web.get("/api/limits", self.limits),
            web.post("/api/limits", self.set_limit),
            web.post("/api/pause", self.pause),
            web.get("/api/defaults", self.defaults),
            web.put("/api/defaults", self.set_defaults),
            web.get("/api/privacy/export", self.export),
            web.post("/api/privacy/delete", self.erase),
        ]

    async def estimate(self, request: web.Request) -> web.StreamResponse:
        """Parse a text and, if a size is given, estimate the price. Starts nothing.

        With `?draft=1` (a line that is being typed) an error has status 200 and an `error` field.
        """
        actor = actor_of(request)
        try:
            return web.json_response(await self._estimate(request, actor))
        except UpscaleError as error:
            if request.query.get("draft") != "1":
                raise
            notice = self._service.notice(error, actor.locale, who=actor)
            return web.json_response({"error": error_json(error, notice, actor.locale)})

    async def _estimate(self, request: web.Request, actor: Requester) -> dict[str, Any]:
        values = await request_body.json_body(request) if request.method == "POST" else dict(request.query)
        sides = {name: values.pop(name, "") for name in ("width", "height")}
        fields = translate.scalars(values)
        text = str(fields.pop("text", ""))
        models, defaults = self._service.models, await self._service.accounts.defaults(actor)
        presets = await self._service.accounts.presets(actor)
        parsed = parse(text, fields, models, model=defaults.get("model"), presets=presets)
        chosen = models.resolve(parsed, defaults)
        answer: dict[str, Any] = {
            "parameters": chosen.given(),
            "preset": parsed.preset,
            "explicit": sorted(parsed.values),
            "links": len(parsed.links),
            "quote": None,
        }
        if sides["width"]:
            width, height = (int(translate.number_in(side, name, 1, 1e6)) for name, side in sides.items())
            quote = await self._service.estimate(width, height, actor, text=text, fields=fields)
            answer["quote"] = quote_json(quote, actor.locale, play_money=self._service.play_money)
        return answer

    async def usage(self, request: web.Request) -> web.StreamResponse:
        """Totals, days and members of a period; with `?format=csv` every charged job, for a spreadsheet."""
        actor, period = actor_of(request), request.query.get("period", "month")[:60]
        if request.query.get("format") == "csv":
            table = await self._service.budgets.usage_csv(actor, period=period)
            headers = {"Content-Disposition": disposition("attachment", f"usage-{period}.csv")}
            return web.Response(text=table, content_type="text/csv", headers=headers)
        report = await self._service.budgets.usage(actor, period=period)
        report = dataclasses.replace(report, members=translate.with_page_label(report.members, actor.locale))
        card = budget.usage(report, report.left, actor.locale)
        return web.json_response({**usage_json(report, actor.locale), "card": card_json(card)})

    async def history(self, request: web.Request) -> web.StreamResponse:
        """The last started jobs, newest first; `?limit=` and `?before=` (unix seconds)."""
        actor = actor_of(request)
        limit = max(1, min(HISTORY_LIMIT, round(translate.number_in(request.query.get("limit", 12), "limit", 0, 1e12))))
        raw = request.query.get("before")
        before = translate.number_in(raw, "before", 0, 1e12) if raw else None
        jobs = await self._service.history(actor, limit=limit, before=before, refused=False)
        shown = [
            job_json(
                job,
                actor.locale,
                notice=self._service.notice(job.error, actor.locale, job) if job.error else None,
                play_money=self._service.play_money,
            )
            for job in jobs
        ]
        return web.json_response({"jobs": shown, "card": card_json(account.history(jobs, actor.locale))})

    async def queue(self, request: web.Request) -> web.StreamResponse:
        actor = actor_of(request)
        waiting = await self._service.queue(actor)
        return web.json_response({"total": waiting.total, "card": card_json(queue(waiting, actor.locale))})

    async def limits(self, request: web.Request) -> web.StreamResponse:
        actor = actor_of(request)
        return self._limits(await self._service.limits.workspace_limits(actor), actor.locale)

    async def set_limit(self, request: web.Request) -> web.StreamResponse:
        """`{"text": "everything day $100"}`, or `{"clear": "everything day"}`."""
        actor = actor_of(request)
        values = await request_body.json_body(request)
        clearing = "clear" in values
        text = str(values.get("clear" if clearing else "text", ""))[:200]
        words = translate.limit_of(text, needs_amount=not clearing)
        wanted = dataclasses.replace(words, amount=None) if clearing else words
        after = await self._service.limits.set_limit(actor, wanted)
        return self._limits(after, actor.locale, tr("Changed.", actor.locale))

    def _limits(self, statuses: Sequence[LimitStatus], locale: str, note: str = "", **more: bool) -> web.Response:
        """The limits as a card, and as a list in the order of the card's facts."""
        card = budget.limits(statuses, locale, note=(note,) if note else (), of_all=True)
        first, *others = LIMIT_EXAMPLES
        how = (fill(tr("For example: {command}", locale), command=Code(first)), *((Code(one),) for one in others))
        listed = [{**limit_json(one), "words": translate.limit_address(one.limit)} for one in statuses]
        return web.json_response({"limits": listed, "card": card_json(dataclasses.replace(card, small=how)), **more})

    async def pause(self, request: web.Request) -> web.StreamResponse:
        """`{"paused": true}` stops new jobs, false allows them again. Raises InvalidParameters for anything else.

        With `"text": "workspace discord:1234"` only there, by a limit of zero jobs.
        """
        values = await request_body.json_body(request)
        paused = values.get("paused")
        if not isinstance(paused, bool):
            raise InvalidParameters.of("paused", "", "missing_value", "true, false")
        actor = actor_of(request)
        locale = actor.locale
        if text := str(values.get("text", ""))[:200].strip():
            words = translate.limit_of(text, needs_amount=False)
            amount = 0 if paused else None
            wanted = WantedLimit(words.scope, words.scope_id, Measure.JOBS, Window.TOTAL, amount)
            after = await self._service.limits.set_limit(actor, wanted)
            return self._limits(after, locale, tr("Changed.", locale), paused=paused)
        card = await self._service.limits.pause(actor, paused)
        return web.json_response({"paused": paused, "card": card_json(card)})

    async def defaults(self, request: web.Request) -> web.StreamResponse:
        actor = actor_of(request)
        return _settings(await self._service.accounts.settings(actor), self._service.models, actor.locale)

    async def set_defaults(self, request: web.Request) -> web.StreamResponse:
        """`{"text": "3x creativity=0.5"}`; an empty text clears. `{"words": "save logo 4x"}`: as for `/settings`."""
        values = translate.scalars(await request_body.json_body(request))
        text, words = (str(values.pop(name, "")) for name in ("text", "words"))
        actor, accounts = actor_of(request), self._service.accounts
        own = await (accounts.change_settings(actor, words) if words else accounts.set_defaults(actor, text, values))
        return _settings(own, self._service.models, actor.locale)

    async def export(self, request: web.Request) -> web.StreamResponse:
        path = await self._service.accounts.export(actor_of(request))
        return _OneTimeFile(path, headers={"Content-Disposition": disposition("attachment", "upscale-export.zip")})

    async def erase(self, request: web.Request) -> web.StreamResponse:
        """`{"confirm": true}` deletes everything except anonymised ledger rows."""
        if (await request_body.json_body(request)).get("confirm") is not True:
            raise InvalidParameters.of("confirm", "", "missing_value", "true")
        actor = actor_of(request)
        count = await self._service.accounts.erase(actor)
        return web.json_response({"erased": count, "card": card_json(account.erased(count, actor.locale))})


def _settings(own: account.OwnSettings, models: Models, locale: str) -> web.Response:
    words = ("3x creativity=0.5", "reset", SAVE_PRESET, "delete logo")
    card = card_json(account.settings(own, locale, models, *(f"/settings {word}" for word in words)))
    return web.json_response({"defaults": own.defaults, "presets": {**PRESETS, **own.presets}, "card": card})


class _OneTimeFile(FileResponse):
    """A file that is deleted after it was sent, or sending failed."""

    async def prepare(self, request: web.BaseRequest) -> Any:
        try:
            return await super().prepare(request)
        finally:
            await asyncio.to_thread(self._path.unlink, missing_ok=True)


def usage_json(report: UsageReport, locale: str) -> dict[str, Any]:
    plain = "scope period timezone first_day last_day charged_nanousd held_nanousd jobs megapixels play_money"
    rows = {name: [_row_json(row, locale) for row in getattr(report, name)] for name in ("days", "members", "models")}
    csv_url = f"/api/usage?format=csv&period={quote(report.period)}"
    return {**fields_of(report, plain), **rows, "charged_usd": dollars(report.charged_nanousd), "csv_url": csv_url}


def _row_json(row: UsageRow, locale: str) -> dict[str, Any]:
    amounts = {"charged_usd": dollars(row.charged_nanousd), "charged": cents(row.charged_nanousd, locale)}
    return {**dataclasses.asdict(row), **amounts}
