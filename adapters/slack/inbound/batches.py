"""Several images in one action: ask which of them to upscale if their total price needs to be confirmed."""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from adapters.slack.context import HandlerContext
from adapters.slack.inbound.translate import ImageRequest, declared_size
from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import SlackError
from adapters.slack.outbound.posting import Mark, Place, find_message
from adapters.slack.views.blocks import Content
from adapters.slack.views.card import draw
from core.domain.job import UpscaleRequest
from core.jobs.selections import NO_IMAGE, Selection, Size

log = structlog.get_logger(__name__)

SIZE_WAIT_S = 0.8
"""Slack processes a new file in about this time; an event must be stored within three seconds."""
SHOWING_AREA = "slack.showing"
SHOWING_S = 20.0
"""How long a delivery of an event has to show its question before another delivery shows it."""
RECHECK_S = 0.2
REDELIVERED_WITHIN_S = 3600.0
"""Slack redelivers an event within six minutes."""


async def size_of(api: SlackApi, team: Team, picture: Mapping[str, Any]) -> Size | None:
    """An image's size as Slack knows it, asked again if the event was sent before Slack had processed the file."""
    known, kind = declared_size(picture), str(picture.get("mimetype") or "")
    if known is None and not kind and picture.get("id"):
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(SIZE_WAIT_S):
                file = await api.wait_processed(team, str(picture["id"]), timeout_s=SIZE_WAIT_S)
            known, kind = declared_size(file), str(file.get("mimetype") or "")
    return NO_IMAGE if known is None and kind and not kind.startswith("image/") else known


class NotShown(Exception):
    """Slack refuses every way to show a question, so its event must be delivered again."""


async def start_or_ask(ctx: HandlerContext, request: ImageRequest, requests: Sequence[UpscaleRequest]) -> bool:
    """Start several images, or, if the member must choose first, show the question, once; True if they must.

    An edited message has another question, which replaces the first; once its images have started, there is none.
    Raises NotShown.
    """
    name = hashlib.sha256(f"{request.origin.team_id}:{request.event}:".encode()).hexdigest()[:24]
    known = await ctx.selections.stored.get(name)
    if _is_settled(known, requests):
        return True
    files = request.files[: len(requests)]
    sizes = await asyncio.gather(*(size_of(ctx.api, request.origin.team, file) for file in files))
    sizes += [None] * (len(requests) - len(sizes))
    selection = await ctx.selections.priced(Selection(tuple(requests), tuple(sizes)))
    if await ctx.selections.may_start(selection, request.agreed_nanousd):
        for each in requests:
            await ctx.service.request(each)
        if known is not None:
            await ctx.selections.close(name)
            await _edit(ctx, request, known.shown, draw(selection.started(requests[0].requester.locale)))
        return False
    await _show_once(ctx, request, name, selection)
    return True


def _is_settled(known: Selection | None, requests: Sequence[UpscaleRequest]) -> bool:
    """Whether the question is answered, or shown for the same words."""
    if known is None:
        return False
    return not known.requests or (known.shown is not None and known.requests[0].text == requests[0].text)


async def _show_once(ctx: HandlerContext, request: ImageRequest, name: str, selection: Selection) -> None:
    """Show the question, unless another delivery of the event does, which is waited for: its process may die."""
    stored = ctx.selections.stored
    lock = f"{name}:{request.edited_ts}"
    while request.redeliverable and not await ctx.state.claim(SHOWING_AREA, lock, ttl_s=SHOWING_S):
        await ctx.clock.sleep(RECHECK_S)
        if _is_settled(await stored.get(name), selection.requests):
            return
    known = await stored.get(name)
    selection = replace(selection, shown=known.shown if known is not None else None)
    if known is None:
        await stored.put(name, selection)
    shown = await _show(ctx, request, name, selection, retried=known is not None)
    if shown is None and request.redeliverable:
        raise NotShown
    selection = replace(selection, shown=shown)
    await stored.change(name, lambda now: selection if now is None or now.requests else now)  # answered meanwhile


async def _show(
    ctx: HandlerContext, request: ImageRequest, name: str, selection: Selection, *, retried: bool
) -> dict[str, str] | None:
    """Ask in the conversation, as a job does; privately if the request is private or Slack refuses the post.

    Returns where the question is shown, {} if to the member alone, None if nowhere. `retried`: an earlier post may
    have succeeded.
    """
    first, origin = selection.requests[0], request.place
    content = draw(selection.question(name, first.requester.locale))
    if selection.shown is not None and await _edit(ctx, request, selection.shown, content):
        return dict(selection.shown)
    if origin.channel_id and not first.private and not origin.response_url:
        mark, place = Mark(name, "question"), Place(origin.channel_id, origin.thread_ts)
        try:
            ts = None
            if retried and ctx.api.may_read(origin.team, origin.kind):
                ts = await find_message(ctx.api, origin.team, mark, origin.at - REDELIVERED_WITHIN_S, place)
            if not ts:
                how: dict[str, Any] = {"thread_ts": origin.thread_ts, "metadata": mark.metadata}
                ts = str((await ctx.api.post(origin.team, origin.channel_id, content, **how))["ts"])
        except SlackError as error:
            log.info("slack_question_refused", error=error.error)
        else:
            return {"channel": origin.channel_id, "ts": ts}
    return {} if await ctx.answer(origin, content) else None


async def _edit(ctx: HandlerContext, request: ImageRequest, shown: Mapping[str, str] | None, content: Content) -> bool:
    if not shown:
        return False
    return not await ctx.api.attempt(request.origin.team, "chat.update", **shown, **content.as_args())
