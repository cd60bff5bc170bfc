"""files.*, the upload host and the hosts that serve private files."""

from __future__ import annotations

import asyncio
import io
import re
from typing import TYPE_CHECKING, Any

from aiohttp import web
from PIL import Image

from tests.emulators.slack.blocks import check_blocks
from tests.emulators.slack.keys import EMULATOR, HOST
from tests.emulators.slack.wire import Recorded
from tests.emulators.slack.world import ApiError, Message, SlackFile

if TYPE_CHECKING:
    from tests.emulators.slack.admission import Context, SlackEmulator

LOGIN_PAGE = (
    "<!DOCTYPE html><html><head><title>Sign in | Slack</title></head><body>Sign in to your workspace</body></html>"
)
MAX_FILE_BYTES = 1_000_000_000
# The name in an address holds only what needs no quoting.
_UNSAFE = re.compile(r"[^a-z0-9._-]+")


async def get_upload_url(ctx: Context) -> dict[str, Any]:
    if ctx.space.uploads != "allowed":
        raise ApiError(ctx.space.uploads)
    length = int(ctx.args["length"])
    if length <= 0:
        raise ApiError("missing_argument")
    if length > MAX_FILE_BYTES:
        raise ApiError("file_upload_size_restricted")
    alt_txt = str(ctx.args.get("alt_txt") or "")
    if len(alt_txt) > 1000:
        raise ApiError("alt_txt_too_large")
    file = SlackFile(
        ctx.world.new_id("F"), ctx.space.id, str(ctx.args["filename"]), b"", ctx.space.bot_user_id,
        alt_txt=alt_txt, created_s=ctx.now_s, uploaded=False, completed=False, declared_bytes=length,
    )  # fmt: skip
    ctx.world.files[file.id] = file
    return {"upload_url": f"{ctx.emulator.upload_url}/upload/v1/{file.id}", "file_id": file.id}


async def complete_upload(ctx: Context) -> dict[str, Any]:
    wanted = ctx.args["files"]
    if not isinstance(wanted, list) or not 1 <= len(wanted) <= 14:
        raise ApiError("invalid_arguments" if not isinstance(wanted, list) else "internal_error")
    files = []
    for item in wanted:
        file = ctx.world.files.get(str(item.get("id")))
        # A file completed once is finished: asking again is an error, not a second post.
        if file is None or not file.uploaded or file.completed or file.team_id != ctx.space.id:
            raise ApiError("file_not_found")
        files.append((file, str(item.get("title") or file.name)))
    blocks = ctx.args.get("blocks") or []
    if any(b.get("type") == "markdown" for b in blocks):
        raise ApiError("internal_error")
    if check_blocks(blocks, "message"):
        raise ApiError("invalid_blocks")
    channel_id = ctx.args.get("channel_id")
    if channel_id:
        channel = ctx.space.channels.get(str(channel_id))
        if channel is None:
            raise ApiError("channel_not_found")
        if ctx.space.bot_user_id not in channel.members:
            raise ApiError("not_in_channel")
    for file, title in files:
        file.completed, file.title = True, title
        file.processed_at_s = ctx.now_s + ctx.emulator.processing_s
    if channel_id and not ctx.emulator.loses_shares:
        ctx.emulator.spawn(_post_later(ctx, [f for f, _ in files], str(channel_id), blocks))
    return {"files": [{"id": f.id, "title": title, "mimetype": "", "shares": {}} for f, title in files]}


async def _post_later(ctx: Context, files: list[SlackFile], channel: str, blocks: list[dict[str, Any]]) -> None:
    """The message with the file appears only when processing is over."""
    await ctx.emulator.clock.sleep_until(files[0].processed_at_s)
    text = "" if blocks and not ctx.args.get("initial_comment") else str(ctx.args.get("initial_comment") or "")
    message = Message(
        ctx.world.new_ts(ctx.emulator.clock.now()), channel, ctx.space.bot_user_id, text, blocks,
        files=[f.id for f in files], thread_ts=ctx.args.get("thread_ts"), bot=True,
    )  # fmt: skip
    ctx.world.channel_messages(channel)[message.ts] = message
    for file in files:
        file.shared_in.add(channel)


async def info(ctx: Context) -> dict[str, Any]:
    file = ctx.world.files.get(str(ctx.args["file"]))
    if file is None or file.team_id != ctx.space.id or not file.completed:
        raise ApiError("file_not_found")
    if file.deleted:
        raise ApiError("file_deleted")
    if not ctx.world.visible_to_bot(file, ctx.space):
        raise ApiError("not_visible" if file.shared_in else "file_not_found")
    return {"file": file_json(ctx.emulator, file), "comments": []}


async def listed(ctx: Context) -> dict[str, Any]:
    """A member's files in a channel, newest first, as far as the bot may see them."""
    channel, user, since_s = ctx.args.get("channel"), ctx.args.get("user"), float(ctx.args.get("ts_from") or 0)
    found = [
        file
        for file in ctx.world.files.values()
        if not file.deleted
        and ctx.world.visible_to_bot(file, ctx.space)
        and (not channel or channel in file.shared_in)
        and (not user or file.user == user)
        and file.created_s >= since_s
    ]
    found.sort(key=lambda file: -file.created_s)
    return {"files": [file_json(ctx.emulator, file) for file in found[: int(ctx.args.get("count") or 100)]]}


async def delete(ctx: Context) -> dict[str, Any]:
    file = ctx.world.files.get(str(ctx.args["file"]))
    if file is None:
        raise ApiError("file_not_found")
    if file.deleted:
        raise ApiError("file_deleted")
    if file.user != ctx.space.bot_user_id:
        raise ApiError("cant_delete_file")
    file.deleted = True
    return {}


HANDLERS = {
    "files.getUploadURLExternal": get_upload_url,
    "files.completeUploadExternal": complete_upload,
    "files.info": info,
    "files.list": listed,
    "files.delete": delete,
}


def file_json(emulator: SlackEmulator, file: SlackFile, *, event: bool = False) -> dict[str, Any]:
    """The file object; a stub where Slack Connect would send one; bare until processed."""
    if event and file.stub_in_events:
        return {"id": file.id, "mode": "file_access", "file_access": "check_file_info", "created": 0, "user": ""}
    if file.mode in ("hidden_by_limit", "tombstone"):
        return {"id": file.id, "mode": file.mode, "created": int(file.created_s), "user": file.user}
    world, processed = emulator.world, emulator.clock.now() >= file.processed_at_s
    base = f"{emulator.files_url}/files-pri/{file.team_id}-{file.id}"
    slug = _UNSAFE.sub("_", file.name.lower())
    out: dict[str, Any] = {
        "id": file.id,
        "created": int(file.created_s),
        "name": file.name,
        "title": file.title or file.name,
        "mimetype": "",
        "filetype": "",
        "pretty_type": "",
        "user": file.user,
        "user_team": file.team_id,
        "size": len(file.data),
        "mode": file.mode,
        "is_external": False,
        "external_type": "",
        "is_public": any(world.find_channel(c) and world.find_channel(c).kind == "channel" for c in file.shared_in),  # type: ignore[union-attr]
        "url_private": f"{base}/{slug}",
        "url_private_download": f"{base}/download/{slug}",
        "permalink": f"https://acme.slack.com/files/{file.user}/{file.id}/{slug}",
        "file_access": "visible",
        "shares": {},
    }
    if file.alt_txt:
        out["alt_txt"] = file.alt_txt
    if file.external_url:
        out |= {"mode": "external", "is_external": True, "external_type": "gdrive", "size": 0}
        out |= {"url_private": file.external_url, "mimetype": "image/png", "filetype": "png"}
        out.pop("url_private_download")
    elif processed:
        out |= {"mimetype": file.mimetype, "filetype": file.extension, "pretty_type": file.extension.upper()}
        if file.width_px:
            out |= {"original_w": file.width_px, "original_h": file.height_px, "thumb_64": f"{base}/t64.png"}
        shares: dict[str, Any] = {}
        for channel_id in file.shared_in:
            channel = world.find_channel(channel_id)
            side = "public" if channel and channel.kind == "channel" else "private"
            posts = [m for m in world.channel_messages(channel_id).values() if _shows(m, file)]
            shares.setdefault(side, {})[channel_id] = [{"ts": m.ts, "thread_ts": m.thread_ts} for m in posts]
        out["shares"] = shares
    return out | file.lies


# ---------------------------------------------------------------------- hosts


def _shows(message: Message, file: SlackFile) -> bool:
    blocks = (b for b in message.blocks if b.get("type") == "image")
    return file.id in message.files or any(b.get("slack_file", {}).get("id") == file.id for b in blocks)


async def receive_upload(request: web.Request) -> web.StreamResponse:
    """Step 2: the bytes, without a token. The length must be the declared one."""
    emulator: SlackEmulator = request.app[EMULATOR]
    file = emulator.world.files.get(request.match_info["file"])
    if "Authorization" in request.headers:
        emulator.violations.append("upload host: a token was sent with the bytes")
    status, body = 404, "not found"
    fault = emulator.take_fault("upload", {"filename": file.name if file else ""})
    if fault and not fault.after:
        emulator.record(Recorded(emulator.clock.now(), "upload", "upload", {}, None, status=fault.status or 0))
        await request.read()
        return await emulator.fail(request, fault)
    data = await _body(request)
    if file and not file.completed:
        if len(data) == file.declared_bytes:
            emulator.settle_bytes(file, data)
            status, body = 200, f"OK - {len(data)}"
        else:
            status, body = 400, "length mismatch"
    team = file.team_id if file else None
    args = {"file": request.match_info["file"], "bytes": len(data), "chunked": "Content-Length" not in request.headers}
    emulator.record(Recorded(emulator.clock.now(), "upload", "upload", args, None, team, status=status))
    if fault:
        return await emulator.fail(request, fault)
    return web.Response(status=status, text=body)


async def _body(request: web.Request) -> bytes:
    if request.content_type == "multipart/form-data":
        form = await request.post()
        for value in form.values():
            if isinstance(value, web.FileField):
                return value.file.read()
        return b""
    return await request.read()


async def serve_file(request: web.Request) -> web.StreamResponse:
    """A private file: right token or a login page with status 200; may redirect to another of Slack's hosts."""
    emulator: SlackEmulator = request.app[EMULATOR]
    host = request.app[HOST]
    team_id, _, file_id = request.match_info["key"].partition("-")
    file = emulator.world.files.get(file_id)
    value = request.headers.get("Authorization", "").removeprefix("Bearer ") or None
    token = emulator.world.tokens.get(value or "")
    emulator.record(Recorded(emulator.clock.now(), host, "download", {"file": file_id}, value, team_id))
    if fault := emulator.take_fault("download", {}):
        return await emulator.fail(request, fault)
    if file is None or file.serve == "not_found":
        return web.Response(status=404, text="not found")
    if file.serve == "error":
        return web.Response(status=503, text="upstream connect error")
    allowed = token is not None and token.state == "valid" and "files:read" in token.scopes
    allowed = allowed and token is not None and token.team_id in (team_id, None)
    space = emulator.world.workspaces.get(team_id)
    if not allowed or file.serve == "html" or space is None or not emulator.world.visible_to_bot(file, space):
        return web.Response(text=LOGIN_PAGE, content_type="text/html")
    if file.serve == "redirect" and host == "files":
        return web.Response(status=302, headers={"Location": f"{emulator.edge_url}{request.rel_url}"})
    if file.serve == "redirect_away" and host == "files":
        return web.Response(status=302, headers={"Location": f"{emulator.external_url}/elsewhere/{file.name}"})
    if file.delay_s:
        await asyncio.sleep(file.delay_s)
    return web.Response(body=file.data, content_type=file.mimetype or "application/octet-stream")


async def serve_elsewhere(request: web.Request) -> web.StreamResponse:
    """A host that is not Slack's. It must never see a token of ours."""
    emulator: SlackEmulator = request.app[EMULATOR]
    value = request.headers.get("Authorization")
    emulator.record(Recorded(emulator.clock.now(), "external", "download", {"path": request.path}, value))
    if value:
        emulator.violations.append("a Slack token was sent to a host that is not Slack's")
    return web.Response(body=emulator.external_bytes, content_type="image/png")


def measure(data: bytes) -> tuple[str, int, int]:
    """Type, width and height of a picture; the sizes of anything else are 0."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return str(picture.get_format_mimetype()), *picture.size
    except (OSError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return "application/octet-stream", 0, 0


def measured(file: SlackFile) -> None:
    file.mimetype, file.width_px, file.height_px = measure(file.data)
