"""The first middleware for every payload: validate its shape, and refuse new work while draining.

While draining, events are not acknowledged, so that Slack redelivers them to another process. Commands, forms and
buttons, which Slack does not redeliver, are answered with a short text.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from adapters.slack.context import HandlerContext
from core.domain.errors import Draining
from core.domain.untrusted_text import Shape, clean_json, has_shape
from core.presentation import explain

log = structlog.get_logger(__name__)

_BLOCK: Shape = {"block_id": str, "type": str, "elements": [dict], "accessory": dict, "element": dict}
_FIELD: Shape = {"value": str, "selected_option": {"value": str}, "selected_options": [{"value": str}], "files": list}
_STATE: Shape = {"values": {"*": {"*": _FIELD}}}
_USER: Shape = {"id": str, "team_id": str, "name": str, "username": str}
PAYLOAD_SHAPE: Shape = {
    "type": str, "command": str, "text": str, "callback_id": str, "trigger_id": str, "response_url": str,
    "team_id": str, "user_id": str, "channel_id": str, "user": _USER, "team": _USER, "channel": _USER,
    "event_time": int,
    "event": {"type": str, "subtype": str, "ts": str, "text": str, "files": [{"id": str}]},
    "message": {"ts": str, "thread_ts": str, "text": str, "blocks": [_BLOCK], "files": [{"id": str}]},
    "actions": [{"action_id": str, "block_id": str, "type": str, "value": str}], "state": _STATE,
    "view": {"id": str, "callback_id": str, "private_metadata": str, "blocks": [_BLOCK], "state": _STATE},
}  # fmt: skip
"""The fields of Slack's payloads that bolt or this adapter reads."""
CONTEXT_SHAPE: Shape = {"team_id": str, "enterprise_id": str, "user_id": str, "channel_id": str}
"""The fields of bolt's context."""


@dataclass
class DrainMiddleware:
    """bolt's `before_authorize`."""

    ctx: HandlerContext
    draining: bool = False

    async def __call__(self, req: AsyncBoltRequest, next: Callable[[], Awaitable[BoltResponse]]) -> BoltResponse:
        if not _validate(req):
            log.warning("slack_payload_unreadable", type=str(req.body.get("type"))[:40])
            return BoltResponse(status=400, body="")
        body = req.body
        if not (self.draining or self.ctx.service.draining) or body.get("type") == "url_verification":
            return await next()
        if body.get("type") == "event_callback":
            return BoltResponse(status=503, body="")
        origin = self.ctx.origin(body, req.context)
        text = explain(Draining(), self.ctx.locale(origin)).text
        if "command" in body:
            return _json({"response_type": "ephemeral", "text": text})
        if body.get("type") == "view_submission":
            blocks = (body.get("view") or {}).get("blocks") or []
            fields = [str(block["block_id"]) for block in blocks if block.get("type") == "input"]
            return _json({"response_action": "errors", "errors": {fields[0]: text}} if fields else {})
        if origin.user_id:  # a button or shortcut has no answer in its acknowledgement
            self.ctx.tasks.spawn("draining", self.ctx.answer(origin, text))
        return BoltResponse(status=200, body="")


def _validate(req: AsyncBoltRequest) -> bool:
    """Remove what cannot be stored from the payload; False if it has another shape or is nested too deeply."""
    try:
        if not (has_shape(req.body, PAYLOAD_SHAPE) and has_shape(req.context, CONTEXT_SHAPE)):
            return False
        req.body = clean_json(req.body)
    except RecursionError:
        return False
    req.context.update(clean_json({name: one for name, one in req.context.items() if isinstance(one, str)}))
    for action in req.body.get("actions") or ():
        action.setdefault("action_id", "")  # bolt assumes that it exists
    return True


def _json(body: dict[str, Any]) -> BoltResponse:
    return BoltResponse(status=200, body=json.dumps(body), headers={"content-type": ["application/json"]})
