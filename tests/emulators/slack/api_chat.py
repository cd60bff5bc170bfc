"""chat.* and the state machine of streamed messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.emulators.slack.blocks import IMAGE_TYPES, check_blocks
from tests.emulators.slack.world import ApiError, Channel, Message, SlackFile, Stream

if TYPE_CHECKING:
    from tests.emulators.slack.admission import Context

STREAM_LIFE_S = 300.0
TASK_STATES = ("pending", "in_progress", "complete", "error")


def _where(ctx: Context, *, write: bool = True, archived: str = "is_archived") -> Channel:
    """The channel of the call, as far as the bot can see and write to it."""
    channel_id, space = str(ctx.args["channel"]), ctx.space
    if channel_id[:1] in "UW":
        user = space.users.get(channel_id)
        if user is None:
            raise ApiError("channel_not_found")
        return ctx.world.open_im(space, user.id)
    channel = space.channels.get(channel_id)
    if channel is None or (channel.kind == "group" and space.bot_user_id not in channel.members):
        raise ApiError("channel_not_found")
    if channel.archived:
        raise ApiError(archived)
    public = "chat:write.public" in ctx.token.scopes and channel.kind == "channel"
    if write and space.bot_user_id not in channel.members and not public:
        raise ApiError("not_in_channel")
    return channel


def file_check(ctx: Context, channel: Channel | None) -> Any:
    """A slack_file must exist, be processed, be seen by the poster and be a picture that blocks can show."""

    def check(reference: dict[str, Any]) -> str | None:
        file = _referenced(ctx, reference)
        if file is None or file.deleted or not ctx.world.visible_to_bot(file, ctx.space):
            return "invalid slack file"
        if not file.completed or ctx.now_s < file.processed_at_s:
            return "invalid slack file"
        if file.extension not in IMAGE_TYPES:
            return "invalid slack file type"
        return None

    return check


def _referenced(ctx: Context, reference: dict[str, Any]) -> SlackFile | None:
    if reference.get("id"):
        return ctx.world.files.get(str(reference["id"]))
    url = str(reference.get("url", ""))
    return next((f for f in ctx.world.files.values() if f.id in url), None)


def _content(ctx: Context, channel: Channel | None, surface: str) -> tuple[str, list[dict[str, Any]]]:
    blocks = ctx.args.get("blocks") or []
    found = check_blocks(blocks, surface, file_check(ctx, channel))
    if found:
        raise ApiError("invalid_blocks", messages=[f"[ERROR] {line}" for line in found])
    text = str(ctx.args.get("text") or "")
    if not text and not blocks and not ctx.args.get("markdown_text"):
        raise ApiError("no_text")
    if blocks and not text:
        ctx.emulator.violations.append(f"{ctx.method}: blocks without top-level text")
    if len(text) > 4000:
        if ctx.method != "chat.postMessage":
            raise ApiError("msg_too_long")
        text = text[:4000]
    return text, blocks


def slack_files(blocks: list[dict[str, Any]]) -> set[str]:
    return {b["slack_file"].get("id", "") for b in blocks if b.get("type") == "image" and "slack_file" in b}


def _metadata(ctx: Context) -> dict[str, Any] | None:
    given = ctx.args.get("metadata")
    if given is None:
        return None
    flat = isinstance(given.get("event_payload"), dict)
    if not flat or not given.get("event_type") or any(isinstance(v, dict) for v in given["event_payload"].values()):
        raise ApiError("metadata_must_be_sent_from_app" if not flat else "invalid_metadata_format")
    return dict(given)


async def post_message(ctx: Context) -> dict[str, Any]:
    channel = _where(ctx)
    text, blocks = _content(ctx, channel, "message")
    thread_ts = ctx.args.get("thread_ts")
    if thread_ts:
        parent = ctx.world.channel_messages(channel.id).get(str(thread_ts))
        if parent is None or parent.deleted:
            thread_ts = None  # posted at the channel's root, without an error (NousResearch/hermes-agent #96384)
    message = Message(
        ctx.world.new_ts(ctx.now_s), channel.id, ctx.space.bot_user_id, text, blocks, thread_ts=thread_ts,
        bot=True, app_id=ctx.world.app_id, metadata=_metadata(ctx),
    )  # fmt: skip
    ctx.world.channel_messages(channel.id)[message.ts] = message
    for file_id in slack_files(blocks):
        ctx.world.files[file_id].shared_in.add(channel.id)
    return {"channel": channel.id, "ts": message.ts, "message": ctx.emulator.message_json(message)}


def _own(ctx: Context, channel: Channel, error: str) -> Message:
    message = ctx.world.channel_messages(channel.id).get(str(ctx.args["ts"]))
    if message is None or message.deleted or message.ephemeral_for:
        raise ApiError("message_not_found")
    if message.user != ctx.space.bot_user_id:
        raise ApiError(error)
    return message


async def update(ctx: Context) -> dict[str, Any]:
    channel = _where(ctx, write=False, archived="is_inactive")
    if str(ctx.args["channel"])[:1] in "UW":
        raise ApiError("channel_not_found")
    message = _own(ctx, channel, "cant_update_message")
    expire(ctx, message)
    if message.stream and message.stream.state == "streaming":
        raise ApiError("streaming_state_conflict")
    text, blocks = _content(ctx, channel, "message")
    for file_id in slack_files(blocks) - slack_files(message.blocks):
        file = ctx.world.files[file_id]
        if channel.id not in file.shared_in:
            # The update is accepted and everybody sees a broken picture (java-slack-sdk #1441).
            message.broken_files.add(file_id)
    message.text, message.blocks = text, blocks
    message.edits += 1
    message.edit_times_s.append(ctx.now_s)
    return {"channel": channel.id, "ts": message.ts, "text": text, "message": ctx.emulator.message_json(message)}


async def delete(ctx: Context) -> dict[str, Any]:
    channel = _where(ctx, write=False, archived="cant_delete_message")
    message = _own(ctx, channel, "cant_delete_message")
    message.deleted = True
    return {"channel": channel.id, "ts": message.ts}


async def post_ephemeral(ctx: Context) -> dict[str, Any]:
    channel = _where(ctx)
    user = str(ctx.args["user"])
    if user not in channel.members:
        raise ApiError("user_not_in_channel")
    text, blocks = _content(ctx, channel, "ephemeral")
    message = Message(
        ctx.world.new_ts(ctx.now_s), channel.id, ctx.space.bot_user_id, text, blocks,
        thread_ts=ctx.args.get("thread_ts"), bot=True, ephemeral_for=user,
    )  # fmt: skip
    ctx.world.channel_messages(channel.id)[message.ts] = message
    return {"message_ts": message.ts}


async def permalink(ctx: Context) -> dict[str, Any]:
    channel_id, ts = str(ctx.args["channel"]), str(ctx.args["message_ts"])
    found = ctx.world.channel_messages(channel_id).get(ts)
    if found is None or found.deleted:
        raise ApiError("message_not_found")
    link = f"https://{ctx.space.name.lower()}.slack.com/archives/{channel_id}/p{ts.replace('.', '')}"
    return {"channel": channel_id, "permalink": link}


# ------------------------------------------------------------------ streams


def expire(ctx: Context, message: Message) -> None:
    """A stream dies about 5 minutes after its start."""
    stream = message.stream
    if stream is None or stream.state != "streaming":
        return
    if ctx.now_s - stream.started_s >= ctx.emulator.stream_life_s:
        stream.state = "expired"


async def start_stream(ctx: Context) -> dict[str, Any]:
    channel = _where(ctx)
    kind = "im" if channel.kind == "im" else channel.kind
    if kind not in ctx.emulator.stream_kinds:
        raise ApiError("channel_type_not_supported")
    thread_ts = ctx.args.get("thread_ts")
    parent = ctx.world.channel_messages(channel.id).get(str(thread_ts))
    if not thread_ts or parent is None or parent.deleted:
        raise ApiError("invalid_arguments", messages=["[ERROR] invalid thread_ts"])
    if kind != "im":
        for name in ("recipient_user_id", "recipient_team_id"):
            if not ctx.args.get(name):
                raise ApiError(f"missing_{name}")
        if str(ctx.args["recipient_user_id"]) not in ctx.space.users:
            raise ApiError("user_not_found")
    message = Message(
        ctx.world.new_ts(ctx.now_s), channel.id, ctx.space.bot_user_id, thread_ts=str(thread_ts), bot=True,
        stream=Stream(ctx.now_s),
    )  # fmt: skip
    assert message.stream
    display = ctx.args.get("task_display_mode") or "timeline"
    if display not in ("timeline", "plan", "dense"):
        raise ApiError("invalid_arguments")
    message.stream.display = str(display)
    _apply(ctx, message)
    ctx.world.channel_messages(channel.id)[message.ts] = message
    return {"channel": channel.id, "ts": message.ts}


def _apply(ctx: Context, message: Message) -> None:
    """Take in markdown_text and chunks; a task with a known id is updated."""
    stream = message.stream
    assert stream
    markdown = str(ctx.args.get("markdown_text") or "")
    if len(markdown) > 12_000:
        raise ApiError("invalid_arguments")
    chunks = ctx.args.get("chunks") or []
    for chunk in chunks:
        _check_chunk(ctx, chunk)
    message.markdown_text += markdown
    for chunk in chunks:
        kind = chunk["type"]
        if kind == "markdown_text":
            message.markdown_text += chunk["text"]
        elif kind == "plan_update":
            continue
        elif kind == "blocks":
            stream.blocks += chunk["blocks"]
        else:
            task = stream.tasks.setdefault(chunk["id"], {})
            if chunk["id"] not in stream.order:
                stream.order.append(chunk["id"])
            for key in ("details", "output"):
                if chunk.get(key) and task.get(key):
                    ctx.emulator.violations.append(f"{ctx.method}: task {key} sent twice")
            task.update({k: v for k, v in chunk.items() if v is not None})


def _check_chunk(ctx: Context, chunk: Any) -> None:
    kind = chunk.get("type") if isinstance(chunk, dict) else None
    keys = {
        "markdown_text": {"text"},
        "plan_update": {"title"},
        "blocks": {"blocks"},
        "task_update": {"id", "title", "status"},
    }.get(str(kind))
    if keys is None or not keys <= set(chunk):
        raise ApiError("invalid_chunks")
    if kind == "task_update":
        if chunk["status"] not in TASK_STATES:
            raise ApiError("invalid_chunks")
        for key in ("details", "output"):
            if len(chunk.get(key) or "") > 256:
                raise ApiError("invalid_chunks", messages=[f"[ERROR] {key} over 256 characters"])
    if kind == "blocks" and (found := check_blocks(chunk["blocks"], "message", file_check(ctx, None))):
        raise ApiError("invalid_blocks", messages=found)


def _streaming(ctx: Context) -> Message:
    message = _own(ctx, _where(ctx), "message_not_owned_by_app")
    expire(ctx, message)
    if message.stream is None:
        raise ApiError("message_not_in_streaming_state")
    if message.stream.state == "stopped_by_user":
        raise ApiError("stopped_by_user")
    if message.stream.state != "streaming":
        raise ApiError("message_not_in_streaming_state")
    return message


async def append_stream(ctx: Context) -> dict[str, Any]:
    message = _streaming(ctx)
    if not ctx.args.get("markdown_text") and not ctx.args.get("chunks"):
        raise ApiError("no_text")
    _apply(ctx, message)
    return {"channel": message.channel, "ts": message.ts}


async def stop_stream(ctx: Context) -> dict[str, Any]:
    message = _streaming(ctx)
    blocks = ctx.args.get("blocks") or []
    if found := check_blocks(blocks, "message", file_check(ctx, None)):
        raise ApiError("invalid_blocks", messages=found)
    _apply(ctx, message)
    assert message.stream
    message.stream.state = "stopped"
    message.blocks = blocks
    for file_id in slack_files(blocks):
        ctx.world.files[file_id].shared_in.add(message.channel)
    return {"channel": message.channel, "ts": message.ts, "message": ctx.emulator.message_json(message)}


HANDLERS = {
    "chat.postMessage": post_message,
    "chat.update": update,
    "chat.delete": delete,
    "chat.postEphemeral": post_ephemeral,
    "chat.getPermalink": permalink,
    "chat.startStream": start_stream,
    "chat.appendStream": append_stream,
    "chat.stopStream": stop_stream,
}
