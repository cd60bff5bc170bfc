"""What happens when a button under one of our messages is pressed. Everything needed is in its action_id.

The core judges who may press; a refusal is told only to whoever pressed. Runs after the acknowledgement.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Where
from adapters.slack.outbound import send_file as sendfile
from adapters.slack.outbound.api_client import Team
from adapters.slack.outbound.errors import SlackError
from adapters.slack.views.job import file_name, passing
from core.domain.errors import JobNotFound, TooLate
from core.domain.job import Job, JobState, Requester
from core.domain.media_types import suffix_for
from core.domain.variations import CHANGES
from core.ports import Change, Verdict
from core.presentation import job_texts as words
from core.presentation import tr
from core.presentation.place_texts import decided

log = structlog.get_logger(__name__)

CLICK_AREA = "slack.click"
CLICK_ONCE_S = 3.0
COMPARE_ONCE_S = 20.0
BESIDE_AREA = "slack.beside"
"""Messages and files of a job beside its result, by job id."""

STORED = frozenset({"confirm", "cancel", *CHANGES})
"""Presses that change or make a job: stored before they are acknowledged."""


@dataclass(frozen=True, slots=True)
class Press:
    """One press: what, on which job, by whom, and on which message."""

    verb: str
    job_id: str
    argument: str
    where: Where
    trigger_id: str
    message_ts: str = ""
    value: str = ""

    @property
    def thread_ts(self) -> str:
        """The thread under the pressed message."""
        return self.where.thread_ts or self.message_ts


def press_of(body: dict[str, Any], where: Where) -> Press | None:
    """From a `block_actions` payload; None where it is not one of a job's buttons."""
    action = (body.get("actions") or [{}])[0]
    parts = str(action.get("action_id") or "").split(":", 3)
    if len(parts) < 3 or parts[0] != "job":
        return None
    message_ts = str((body.get("message") or {}).get("ts") or (body.get("container") or {}).get("message_ts") or "")
    argument = parts[3] if len(parts) == 4 else ""
    return Press(
        parts[1],
        parts[2],
        argument,
        where,
        str(body.get("trigger_id") or ""),
        message_ts,
        str(action.get("value") or ""),
    )


async def handle(ctx: HandlerContext, press: Press) -> None:
    """Do it, and tell whoever pressed when it is refused."""
    actor = await ctx.intake.actor(press.where)
    handler = _HANDLERS.get(press.verb)
    if handler is None:
        return
    try:
        await handler(ctx, press, actor)
    except Exception as error:
        await ctx.answers.error(press.where, error, actor.locale)


async def _confirm(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    await ctx.service.confirm(press.job_id, actor)


async def _cancel(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    try:
        job = await ctx.service.cancel(press.job_id, actor)
    except TooLate as late:
        if JobState(late.state).terminal:  # a message that outlived its job: its post was never answered
            team = Team(press.where.team_id, press.where.enterprise_id)
            await _tried(ctx, press, team, "chat.delete", channel=press.where.channel_id, ts=press.message_ts)
        raise
    if not job.state.terminal and job.remote is not None and job.remote.request_id:
        await ctx.answers.tell(press.where, passing(words.cancel_pending_text(actor.locale)))


async def _change(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    """A new job from an earlier one. A second press within three seconds is the same press."""
    key = f"{press.where.team_id}:{actor.user_id}:{press.job_id}:{press.verb}:{press.argument}"
    if not await ctx.state.claim(CLICK_AREA, key, ttl_s=CLICK_ONCE_S):
        return
    change = Change.of(press.verb, press.argument)
    await ctx.service.repeat(
        press.job_id,
        actor,
        change,
        key=t.job_key(press.where.team_id, f"press-{press.trigger_id}", press.job_id),
        reply=t.address(press.where),
    )


async def _admit(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    await _decide(ctx, press, actor, "admit")


async def _refuse(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    await _decide(ctx, press, actor, "refuse")


async def _decide(ctx: HandlerContext, press: Press, actor: Requester, verdict: Verdict) -> None:
    """The operator's answer to the question whose guests they pay for; the question becomes the answer."""
    if ctx.guests is None:
        raise JobNotFound
    known = await ctx.guests.decide(actor, press.job_id, verdict)
    said = passing(decided(known.place, known.name, actor.locale, admitted=known.state == "admitted"))
    team = Team(press.where.team_id, press.where.enterprise_id)
    await ctx.api.call(team, "chat.update", channel=press.where.channel_id, ts=press.message_ts, **said.as_args())


async def _compare(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    """Before and after side by side, in the thread under the result."""
    key = f"compare:{press.where.channel_id}:{press.message_ts}:{press.job_id}"
    if not await ctx.state.claim(CLICK_AREA, key, ttl_s=COMPARE_ONCE_S):
        return
    job = await ctx.service.job(press.job_id, actor)
    file = await ctx.media.compare(job)
    said = words.comparison_text(job, file.rows, actor.locale)
    name = f"compare-{job.id}{suffix_for(file.mime)}"
    picture = sendfile.Picture(file.path, name, said, file.bytes, file_name(job))
    team = Team(press.where.team_id, press.where.enterprise_id)
    ts, file_id = await sendfile.send_picture(
        ctx.api, ctx.uploader, team, press.where.channel_id, press.thread_ts, picture, passing(said)
    )
    # To be deleted with the job: it shows a part of both pictures.
    beside = await ctx.state.get(BESIDE_AREA, job.id) or {}
    messages = [*beside.get("messages", ()), [press.where.channel_id, ts]]
    await ctx.state.put(BESIDE_AREA, job.id, {"messages": messages, "files": [*beside.get("files", ()), file_id]})


async def _delete(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    """The images go, here, at fal and at Slack; then every message that showed them."""
    await ctx.service.delete(press.job_id, actor)
    team = Team(press.where.team_id, press.where.enterprise_id)
    shown = [(press.where.channel_id, press.message_ts)] if press.message_ts and press.where.channel_id else []
    beside = await ctx.state.get(BESIDE_AREA, press.job_id) or {}
    shown += [(str(channel), str(ts)) for channel, ts in beside.get("messages", ())]
    carried = [name for name in press.value.split(",") if name]
    shown += [(press.where.channel_id, ts.removeprefix("m")) for ts in carried if ts.startswith("m")]
    files = [name for name in carried if not name.startswith("m")]
    for file_id in dict.fromkeys([*files, *beside.get("files", ())]):
        shown += await _shares(ctx, team, file_id)
        await _tried(ctx, press, team, "files.delete", file=file_id)
    said = passing(tr("Deleted: the image and its original.", actor.locale))
    for channel, ts in dict.fromkeys(shown):
        if await _tried(ctx, press, team, "chat.delete", channel=channel, ts=ts):
            continue
        await _tried(ctx, press, team, "chat.update", channel=channel, ts=ts, **said.as_args())
        left = tr("Deleted, but this message could not be removed.", actor.locale)
        await ctx.answers.tell(press.where, passing(left))
    await ctx.state.delete(BESIDE_AREA, press.job_id)


async def _shares(ctx: HandlerContext, team: Team, file_id: str) -> list[tuple[str, str]]:
    """(channel, ts) of the messages that a file of ours hangs on by itself."""
    try:
        answer = await ctx.api.call(team, "files.info", file=file_id)
    except SlackError:
        return []
    shares = ((answer.get("file") or {}).get("shares") or {}).values()
    posts = [(channel, post) for side in shares for channel, found in side.items() for post in found]
    return [(channel, str(post.get("ts"))) for channel, post in posts if post.get("ts")]


async def _tried(ctx: HandlerContext, press: Press, team: Team, method: str, **args: Any) -> bool:
    """Whether it is gone now."""
    try:
        await ctx.api.call(team, method, **args)
    except SlackError as error:
        log.info("slack_not_deleted", job=press.job_id, method=method, error=error.error)
        return error.error in ("message_not_found", "file_not_found", "file_deleted")
    return True


async def _redeliver(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    """A kept result again, to the member directly (or here, in a direct message)."""
    key = f"redeliver:{actor.user_id}:{press.job_id}"
    if not await ctx.state.claim(CLICK_AREA, key, ttl_s=CLICK_ONCE_S):
        return
    where = press.where if press.where.kind == "im" else replace(press.where, channel_id="", thread_ts="")
    await ctx.service.redeliver(press.job_id, actor, reply=t.address(where))
    if where is not press.where:
        await ctx.answers.tell(press.where, passing(tr("I am sending it to you as a direct message.", actor.locale)))


def details(job: Job, locale: str) -> dict[str, str]:
    """Everything known about a job, as labelled lines."""
    rows: dict[str, str] = {}
    caption = job.result.caption.strip() if job.result is not None else ""
    rows[tr("What the model sees", locale)] = caption
    rows[tr("Size", locale)] = words.size_line(job, locale)
    rows[tr("Parameters", locale)] = words.parameters_line(job, locale)
    rows[tr("Cost", locale)] = words.receipt_line(job, (), locale)
    rows[tr("Notes", locale)] = words.notes_text(job, locale)
    if job.input is not None:
        rows[tr("Handed in", locale)] = f"{job.input.format.upper()}, {job.source.name or '–'}"
    rows[tr("State", locale)] = tr("cancelled", locale) if job.state is JobState.CANCELLED else ""
    rows[tr("Reference", locale)] = job.reference
    return {label: value for label, value in rows.items() if value}


_HANDLERS: dict[str, Callable[[HandlerContext, Press, Requester], Awaitable[None]]] = {
    "admit": _admit,
    "refuse": _refuse,
    "confirm": _confirm,
    "cancel": _cancel,
    **dict.fromkeys(CHANGES, _change),
    "compare": _compare,
    "delete": _delete,
    "redeliver": _redeliver,
}
