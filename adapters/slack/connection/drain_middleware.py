"""The first thing every payload meets, before any token is looked up: is this process still taking work?

While draining, events stay unacknowledged, so that Slack brings them again to another process; whatever Slack does not
repeat is answered with a kind word. Knows no job.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from adapters.slack.context import HandlerContext
from core.domain.errors import Draining
from core.presentation import explain


@dataclass
class DrainMiddleware:
    """bolt's `before_authorize`."""

    ctx: HandlerContext
    closed: bool = False

    async def __call__(self, req: AsyncBoltRequest, next: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
        body = req.body
        if not (self.closed or self.ctx.service.draining) or body.get("type") == "url_verification":
            return await next()
        if body.get("type") == "event_callback":
            return BoltResponse(status=503, body="")
        where = self.ctx.where(body, req.context)
        told = explain(Draining(), self.ctx.locale(where)).text
        if "command" in body:
            return _json({"response_type": "ephemeral", "text": told})
        if body.get("type") == "view_submission":
            blocks = (body.get("view") or {}).get("blocks") or []
            fields = [str(block["block_id"]) for block in blocks if block.get("type") == "input"]
            return _json({"response_action": "errors", "errors": {fields[0]: told}} if fields else {})
        if where.user_id:  # a button or shortcut: the word comes beside it
            self.ctx.tasks.spawn("draining", self.ctx.answers.tell(where, told))
        return BoltResponse(status=200, body="")


def _json(body: dict[str, Any]) -> BoltResponse:
    return BoltResponse(status=200, body=json.dumps(body), headers={"content-type": ["application/json"]})
