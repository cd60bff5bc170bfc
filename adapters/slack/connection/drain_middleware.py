"""The first thing every payload meets, before any token is looked up: is this process still taking work?

While draining, events stay unacknowledged, so that Slack brings them again to another process; whatever Slack does not
repeat is answered with a kind word. Knows no job.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from adapters.slack.context import HandlerContext
from adapters.slack.inbound.translate import where_of
from adapters.slack.views.job import passing
from core.domain.errors import Draining
from core.presentation import explain


class DrainMiddleware:
    """bolt's `before_authorize`."""

    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx
        self.closed = False

    async def __call__(self, req: AsyncBoltRequest, next: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
        """Let it pass, or answer in its place."""
        if not (self.closed or self._ctx.service.draining):
            return await next()
        body = req.body
        if body.get("type") in ("event_callback", "url_verification") and body.get("type") != "url_verification":
            return BoltResponse(status=503, body="")
        locale = self._locale(body)
        said = explain(Draining(), locale).text
        if "command" in body:
            return _json({"response_type": "ephemeral", "text": said})
        if body.get("type") == "view_submission":
            blocks = (body.get("view") or {}).get("blocks") or []
            field = next_input(blocks)
            return _json({"response_action": "errors", "errors": {field: said}} if field else {})
        self._tell(body, said)
        return BoltResponse(status=200, body="")

    def _locale(self, body: dict[str, Any]) -> str:
        user = body.get("user_id") or (body.get("user") or {}).get("id") or ""
        team = body.get("team_id") or (body.get("team") or {}).get("id") or ""
        person = self._ctx.people.cached(str(team), str(user))
        return person.locale if person is not None else "en"

    def _tell(self, body: dict[str, Any], said: str) -> None:
        """A button or shortcut: the word comes beside it."""
        team = str((body.get("team") or {}).get("id") or "")
        where = where_of(body, team, str((body.get("enterprise") or {}).get("id") or ""), self._ctx.clock.now())
        if where.user_id:
            self._ctx.tasks.spawn("draining", self._ctx.answers.tell(where, passing(said)))


def next_input(blocks: list[dict[str, Any]]) -> str:
    """The first field of a form, where an error can stand."""
    return next((str(block["block_id"]) for block in blocks if block.get("type") == "input"), "")


def _json(body: dict[str, Any]) -> BoltResponse:
    return BoltResponse(status=200, body=json.dumps(body), headers={"content-type": ["application/json"]})
