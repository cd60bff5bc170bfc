"""Reads request bodies: multipart with a picture that is streamed to disk, a form, or JSON. Every part is limited.

Pictures and parameters are not judged here.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from adapters.web.connection.security import Denied
from adapters.web.inbound.translate import Raw, Submission, scalars
from core.domain.errors import FileTooLarge, InvalidParameters
from core.domain.untrusted_text import clean, clean_json, clean_line
from core.net.file_sink import save_stream

MAX_PARTS = 40
MAX_FIELD_BYTES = 20_000
MAX_BODY_BYTES = 200_000
MAX_NAME_CHARS = 200
BODY_TIMEOUT_S = 10.0
PART_IDLE_TIMEOUT_S = 30.0
_FORM_ERRORS = (ValueError, RuntimeError, LookupError, web.RequestPayloadError, HttpProcessingError)
"""What aiohttp raises for an invalid form."""
_CHUNK_BYTES = 256 * 1024
_FORM_OVERHEAD_BYTES = 1_000_000


async def read_submission(request: web.Request, uploads_dir: Path, max_input_bytes: int) -> Submission:
    """Read the input of one job. Raises FileTooLarge, or Denied for an invalid body."""
    if request.content_type == "application/json":
        return _from_values(await json_body(request))
    if request.content_type == "multipart/form-data":
        declared = request.content_length
        if declared is not None and declared > max_input_bytes + _FORM_OVERHEAD_BYTES:
            raise FileTooLarge(bytes=declared, limit_bytes=max_input_bytes)
        return await _multipart(request, uploads_dir, max_input_bytes)
    if request.content_type == "application/x-www-form-urlencoded":
        return _from_values(dict(await form_fields(request)))
    raise Denied(400, "unreadable_body", "Send the image as multipart/form-data, or a link as JSON.")


async def json_body(request: web.Request) -> dict[str, Any]:
    """A JSON object; empty if there is no body. Raises Denied for anything else."""
    body = await _body(request)
    try:
        values = clean_json(json.loads(body or b"{}"))
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise Denied(400, "unreadable_body", "The body of this request is not a JSON object.")
    return values


async def form_fields(request: web.Request) -> dict[str, str]:
    """The fields of a URL-encoded form, the last of each name. Raises Denied for anything else."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise Denied(415, "unreadable_body", "The form of this request cannot be read.")
    try:
        text = (await _body(request)).decode("utf-8", "replace")
        return dict(clean_json(dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARTS))))
    except ValueError as error:
        raise Denied(400, "unreadable_body", "The form of this request cannot be read.") from error


async def _body(request: web.Request) -> bytes:
    """The whole body; the server has read it already unless the handler streams it."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await request.read()
    except TimeoutError:
        raise Denied(408, "body_too_slow", "The body of this request did not arrive in time.") from None
    except web.HTTPRequestEntityTooLarge:
        body = bytes(MAX_BODY_BYTES + 1)
    except web.RequestPayloadError:
        raise Denied(400, "unreadable_body", "The body of this request cannot be read.") from None
    if len(body) > MAX_BODY_BYTES:
        raise Denied(413, "body_too_large", "This request is too large.")
    return body


def _from_values(values: dict[str, Any], upload: Path | None = None, name: str = "") -> Submission:
    rest = scalars(values)
    text = clean(str(rest.pop("text", "")), MAX_FIELD_BYTES)
    return Submission(text=text, fields=rest, upload=upload, upload_name=name)


async def _multipart(request: web.Request, uploads_dir: Path, max_input_bytes: int) -> Submission:
    values: dict[str, Raw] = {}
    upload: Path | None = None
    name = ""
    try:
        async for part in _parts(request):
            if part.filename is not None and part.name in {"image", "file"}:
                if upload is not None:
                    raise Denied(400, "one_image", "Send one image per request.")
                # Browsers send names unencoded; many programs percent-encode non-ASCII characters.
                sent_name = unquote(part.filename[: 9 * MAX_NAME_CHARS]).replace("\\", "/")
                name = clean_line(sent_name.rsplit("/", 1)[-1], MAX_NAME_CHARS)
                upload = uploads_dir / uuid.uuid4().hex
                await asyncio.to_thread(uploads_dir.mkdir, parents=True, exist_ok=True)
                await save_stream(_chunks(part), upload, max_input_bytes)
            elif part.name:
                text = await _text(part)
                if values.setdefault(part.name[:60], text) != text:
                    raise InvalidParameters.of(part.name[:60], text, "duplicate")
    except BaseException as error:
        await discard(upload)
        if isinstance(error, TimeoutError):
            raise Denied(408, "body_too_slow", "The body of this request did not arrive in time.") from None
        if isinstance(error, _FORM_ERRORS):
            raise Denied(400, "unreadable_body", "The form of this request cannot be read.") from error
        raise
    return _from_values(values, upload, name)


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    """The body's parts. Raises Denied for nested parts and for too many."""
    reader = await request.multipart()
    for _ in range(MAX_PARTS):
        async with asyncio.timeout(PART_IDLE_TIMEOUT_S):
            part = await reader.next()
        if part is None:
            return
        if not isinstance(part, BodyPartReader):
            break
        yield part
    raise Denied(400, "unreadable_body", "This form has too many parts.")


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while True:
        async with asyncio.timeout(PART_IDLE_TIMEOUT_S):
            chunk = await part.read_chunk(_CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _text(part: BodyPartReader) -> str:
    body = b""
    async for chunk in _chunks(part):
        body += chunk
        if len(body) > MAX_FIELD_BYTES:
            raise Denied(413, "body_too_large", "A field of this form is too long.")
    return clean(body.decode("utf-8", "replace"), MAX_FIELD_BYTES)


async def discard(path: Path | None) -> None:
    if path is not None:
        await asyncio.to_thread(path.unlink, missing_ok=True)
