"""Handlers of the buttons under a job's messages. The action_id holds everything that a handler needs.

The core decides who may press; only the member who pressed sees a refusal.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from adapters.slack.context import HandlerContext, HandlerResult
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Origin
from adapters.slack.outbound.errors import GONE, SlackError
from adapters.slack.outbound.files import Upload, posts_of
from adapters.slack.views.card import draw
from core.domain.errors import JobNotFound, TooLate
from core.domain.identity import check_may_stop
from core.domain.job import JobState, ReplyAddress, Requester
from core.domain.media_types import suffix_for
from core.domain.variations import CHANGES
from core.ports import Change, Verdict
from core.presentation import Card, place_decision_card, plain_card, share_link_card
from core.presentation.cards.details import comparison
from core.presentation.texts import progress_texts
from core.presentation.texts.delivery_texts import (
    deleted_copy_text,
    deleted_text,
    not_removed_text,
    sending_directly_text,
)
from core.presentation.texts.request_texts import choose_images_text

CLICK_AREA = "slack.click"
CLICK_LOCK_S = 3.0
COMPARE_LOCK_S = 20.0
EXTRAS_AREA, EXTRAS_TTL_S = "slack.beside", 40 * 86_400.0
"""Messages and files of a job in addition to its result, by job id."""

STARTING = frozenset({"confirm", "pick", "all", *CHANGES})
STORED = frozenset({"cancel", *STARTING})
"""Presses that change or create a job: stored before they are acknowledged."""


@dataclass(frozen=True, slots=True)
class Press:
    verb: str
    job_id: str
    argument: str
    origin: Origin
    trigger_id: str
    message_ts: str = ""
    value: str = ""
    picked: tuple[int, ...] = ()
    """Numbers of the checked entries of the message's list."""

    @property
    def message(self) -> dict[str, Any]:
        return {"channel": self.origin.channel_id, "ts": self.message_ts}


def parse_press(body: dict[str, Any], origin: Origin) -> Press | None:
    """Parse a `block_actions` payload; None if it is not a button of a job.

    The message's ts and the button's value are used only if the message contains the button: the message comes from
    Slack itself. Otherwise a forged press could choose which of our messages are deleted.
    """
    action = (body.get("actions") or [{}])[0]
    action_id, message = str(action.get("action_id") or ""), body.get("message") or {}
    prefix, verb, job_id, argument = (*action_id.split(":", 3), "", "", "")[:4]
    if prefix != "job" or not verb:
        return None
    rows = [block.get("elements") or [block.get("accessory") or {}] for block in message.get("blocks") or []]
    button = next((one for row in rows for one in row if one.get("action_id") == action_id), None)
    shown = (str(message.get("ts") or ""), str(button.get("value") or "")) if button else ("", "")
    return Press(verb, job_id, argument, origin, str(body.get("trigger_id") or ""), *shown, _picked(body))


def _picked(body: dict[str, Any]) -> tuple[int, ...]:
    fields = [field for block in ((body.get("state") or {}).get("values") or {}).values() for field in block.values()]
    values = [str(option.get("value")) for field in fields for option in field.get("selected_options") or []]
    return tuple(int(value) for value in values if value.isascii() and value.isdigit() and len(value) < 3)


async def handle(ctx: HandlerContext, press: Press) -> None:
    """Run the handler, and answer whoever pressed with its result or with the reason why it was refused."""
    if (handler := _HANDLERS.get(press.verb)) is not None:
        await ctx.run_and_answer(press.origin, partial(handler, ctx, press), starts=press.verb in STARTING)


async def _claim_click(ctx: HandlerContext, press: Press, *who: str, for_s: float = CLICK_LOCK_S) -> bool:
    """Whether this press is not a repeat within `for_s`, by the same user or on the same message (`who`)."""
    key = ":".join((press.origin.team_id, *who, press.verb, press.job_id, press.argument))
    return await ctx.state.claim(CLICK_AREA, key, ttl_s=for_s)


async def _confirm(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    await ctx.service.confirm(press.job_id, actor)


async def _choose(ctx: HandlerContext, press: Press, actor: Requester) -> HandlerResult | None:
    """Start some or all of several images, and replace the question by what was started."""
    picked = press.picked if press.verb == "pick" else None
    if picked == ():
        return plain_card(choose_images_text(actor.locale), tone="info")
    chosen = await ctx.selections.take(press.job_id, actor, picked)
    if chosen is None:
        return None
    for request in chosen.requests:
        await ctx.service.request(replace(request, reply=_pressed_reply(request.reply, press.origin)))
    await ctx.selections.close(press.job_id)
    started = chosen.started(actor.locale)
    if await ctx.api.respond(press.origin.response_url, draw(started), replace=True):
        return None
    refused = await ctx.api.attempt(press.origin.team, "chat.update", **press.message, **draw(started).as_args())
    return started if refused not in ("", *GONE) else None


def _pressed_reply(asked: ReplyAddress, origin: Origin) -> ReplyAddress:
    """The address of the request, with the press's response_url, which is valid longer."""
    pressed = t.address(origin).data
    newer = {name: pressed[name] for name in ("response_url", "response_until") if name in asked.data}
    return ReplyAddress(t.PLATFORM, {**asked.data, **newer})


async def _cancel(ctx: HandlerContext, press: Press, actor: Requester) -> HandlerResult | None:
    try:
        job = await ctx.service.cancel(press.job_id, actor)
    except TooLate as late:
        # A message that outlived its job: its post was never answered.
        if press.message_ts and JobState(late.state).terminal:
            await ctx.api.attempt(press.origin.team, "chat.delete", **press.message)
        raise
    if not job.state.terminal and job.remote is not None and job.remote.request_id:
        return progress_texts.cancel_pending_text(actor.locale)
    return None


async def _dismiss(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    """Delete a job's first message, which the bot could not find to delete it with the result."""
    check_may_stop(await ctx.service.job(press.job_id, actor), actor)
    await ctx.api.attempt(press.origin.team, "chat.delete", **press.message)


async def _change(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    if await _claim_click(ctx, press, actor.user_id):
        key = t.job_key(press.origin.team_id, f"press-{press.trigger_id}", press.job_id)
        change, reply = Change.of(press.verb, press.argument), t.address(press.origin)
        await ctx.service.repeat(press.job_id, actor, change, key=key, reply=reply)


async def _decide(verdict: Verdict, ctx: HandlerContext, press: Press, actor: Requester) -> None:
    """Store the operator's decision about a place, and replace the question by it."""
    if ctx.allowlist is None:
        raise JobNotFound
    known = await ctx.allowlist.decide(actor, press.job_id, verdict)
    content = draw(place_decision_card(known, actor.locale))
    await ctx.api.call(press.origin.team, "chat.update", **press.message, **content.as_args())


async def _compare(ctx: HandlerContext, press: Press, actor: Requester) -> None:
    """Post the comparison in the thread under the result."""
    origin = press.origin
    if not await _claim_click(ctx, press, origin.channel_id, press.message_ts, for_s=COMPARE_LOCK_S):
        return
    job = await ctx.service.job(press.job_id, actor)
    file = await ctx.media.compare(job)
    card = comparison(job, actor.locale, rows=file.rows)
    name = f"compare-{job.id}{suffix_for(file.mime)}"
    file_id = await ctx.uploader.send_once(origin.team, Upload(file.path, name, name, card.pictures[0].alt, file.bytes))
    await ctx.uploader.wait_processed(origin.team, file_id, is_new=True)
    thread_ts = origin.thread_ts or press.message_ts
    posted = await ctx.api.post(origin.team, origin.channel_id, draw(card, image_id=file_id), thread_ts=thread_ts)
    # To be deleted with the job, since it shows a part of both images.
    extras = await ctx.state.get(EXTRAS_AREA, job.id) or {}
    messages = [*extras.get("messages", ()), [origin.channel_id, str(posted["ts"])]]
    extras = {"messages": messages, "files": [*extras.get("files", ()), file_id]}
    await ctx.state.put(EXTRAS_AREA, job.id, extras, ttl_s=EXTRAS_TTL_S)


async def _delete(ctx: HandlerContext, press: Press, actor: Requester) -> HandlerResult | None:
    """Delete the images (here, at fal and at Slack), then every message that showed them."""
    job = await ctx.service.delete(press.job_id, actor)
    channel_id, team = press.origin.channel_id, press.origin.team
    shown = [(channel_id, press.message_ts)] if press.message_ts and channel_id else []
    extras = await ctx.state.get(EXTRAS_AREA, job.id) or {}
    shown += [(str(channel), str(ts)) for channel, ts in extras.get("messages", ())]
    carried = [name for name in press.value.split(",") if name]
    shown += [(channel_id, ts.removeprefix("m")) for ts in carried if ts.startswith("m")]
    files = [name for name in carried if not name.startswith("m")]
    for file_id in dict.fromkeys([*files, *extras.get("files", ())]):
        shown += await _shares(ctx, press, file_id)
        await ctx.api.attempt(team, "files.delete", file=file_id)
    left = False
    for channel, ts in dict.fromkeys(shown):
        if await ctx.api.attempt(team, "chat.delete", channel=channel, ts=ts) not in ("", *GONE):
            left = True
            gone = draw(plain_card(deleted_text(actor.locale), tone="done"))
            await ctx.api.attempt(team, "chat.update", channel=channel, ts=ts, **gone.as_args())
    await ctx.state.delete(EXTRAS_AREA, job.id)
    if left:
        return not_removed_text(actor.locale)
    return deleted_copy_text(actor.locale) if job.id != press.job_id else None


async def _shares(ctx: HandlerContext, press: Press, file_id: str) -> list[tuple[str, str]]:
    try:
        return posts_of((await ctx.api.call(press.origin.team, "files.info", file=file_id)).get("file") or {})
    except SlackError:
        return []


async def _share(ctx: HandlerContext, press: Press, actor: Requester) -> Card:
    return share_link_card(await ctx.service.share(press.job_id, actor), actor.locale)


async def _redeliver(ctx: HandlerContext, press: Press, actor: Requester) -> HandlerResult | None:
    """Send a kept result again, in a direct message."""
    if not await _claim_click(ctx, press, actor.user_id):
        return None
    direct = press.origin.kind == "im"
    origin = press.origin if direct else replace(press.origin, channel_id="", thread_ts="")
    await ctx.service.redeliver(press.job_id, actor, reply=t.address(origin))
    return None if direct else sending_directly_text(actor.locale)


_HANDLERS: dict[str, Callable[[HandlerContext, Press, Requester], Awaitable[HandlerResult | None]]] = {
    "admit": partial(_decide, "admit"),
    "refuse": partial(_decide, "refuse"),
    "confirm": _confirm,
    "pick": _choose,
    "all": _choose,
    "cancel": _cancel,
    "dismiss": _dismiss,
    **dict.fromkeys(CHANGES, _change),
    "compare": _compare,
    "delete": _delete,
    "redeliver": _redeliver,
    "share": _share,
}
