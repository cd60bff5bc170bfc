"""What goes over the wire: reading arguments in every style of the SDK, answers, the record, injected faults."""

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

METHODS: dict[str, Any] = json.loads(Path(__file__).with_name("methods.json").read_text())

# Methods that a record here names but the reference list lacks: none. Unknown ones answer `unknown_method`.
JSON_ARGS = {"blocks", "view", "chunks", "files", "metadata", "attachments", "loading_messages", "file_ids"}
BOOLEAN_ARGS = {
    "return_im", "include_locale", "include_users", "unfurl_links", "unfurl_media", "prevent_creation", "link_names",
    "inclusive", "include_all_metadata",
}  # fmt: skip


@dataclass(frozen=True)
class Recorded:
    """One request as it arrived."""

    at_s: float
    host: str  # api | upload | files | edge | external | hooks | oauth
    method: str
    args: dict[str, Any]
    token: str | None
    team_id: str | None = None
    error: str | None = None
    status: int = 200


@dataclass
class Fault:
    """The next `times` calls of `method` go wrong in this way; `after` lets the request be done first."""

    method: str
    times: int = 1
    status: int | None = None
    body: str = ""
    error: str | None = None
    retry_after_s: int | None = None
    delay_s: float = 0.0
    drop: bool = False
    after: bool = False
    match: dict[str, Any] = field(default_factory=dict)


class BadRequest(Exception):
    """The request could not be read at all."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass
class Call:
    """A Web API request, read."""

    method: str
    args: dict[str, Any]
    token: str | None
    basic: tuple[str, str] | None = None
    style: str = "query"


async def read_call(request: web.Request) -> Call:
    """Query string, form, multipart or JSON; token from the header, or from a form field, never from JSON."""
    args: dict[str, Any] = dict(request.query)
    style = "query"
    if request.method == "POST":
        kind = request.content_type
        if kind == "application/json":
            style = "json"
            args.update(await _json_body(request))
        elif kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            form = {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
            style = "form" if form else "query"
            args.update(form)
        elif request.can_read_body and await request.read():
            raise BadRequest("invalid_post_type")
    token = args.pop("token", None) if style != "json" else None
    header = request.headers.get("Authorization", "")
    basic = None
    if header.startswith("Bearer "):
        token = header.removeprefix("Bearer ")
    elif header.startswith("Basic "):
        user, _, secret = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        basic = (user, secret)
    return Call(request.match_info["method"], _coerce(args, style), token, basic, style)


async def _json_body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())
    except ValueError:
        raise BadRequest("invalid_json") from None
    if not isinstance(body, dict):
        raise BadRequest("json_not_object")
    return body


def _coerce(args: dict[str, Any], style: str) -> dict[str, Any]:
    """Complex arguments come as JSON text in forms and queries; booleans as words."""
    out = dict(args)
    for name, value in args.items():
        if name in JSON_ARGS and isinstance(value, str):
            try:
                out[name] = json.loads(value)
            except ValueError:
                raise BadRequest("invalid_blocks_format" if name == "blocks" else "invalid_arguments") from None
        elif name in BOOLEAN_ARGS and isinstance(value, str):
            out[name] = value.lower() in ("1", "true")
    return out


def known_errors(method: str) -> set[str]:
    return set(METHODS["common_errors"]) | set(METHODS["methods"][method]["errors"])
