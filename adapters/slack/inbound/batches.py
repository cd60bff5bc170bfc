"""Several images in one action: ask which of them to upscale if their total price needs to be confirmed."""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from adapters.slack.context import HandlerContext
from adapters.slack.inbound.translate import ImageRequest, Origin, declared_size
from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import SlackError
from adapters.slack.views.card import draw
from core.domain.job import UpscaleRequest
from core.jobs.selections import NO_IMAGE, Selection, Size
from core.presentation import Card

log = structlog.get_logger(__name__)

SIZE_WAIT_S = 0.8
"""Slack processes a new file in about this time; an event must be stored within three seconds."""


async def size_of(api: SlackApi, team: Team, picture: Mapping[str, Any]) -> Size | None:
    """An image's size as Slack knows it, asked again if the event was sent before Slack had processed the file."""
    known, kind = declared_size(picture), str(picture.get("mimetype") or "")
    if known is None and not kind and picture.get("id"):
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(SIZE_WAIT_S):
                file = await api.wait_processed(team, str(picture["id"]), timeout_s=SIZE_WAIT_S)
            known, kind = declared_size(file), str(file.get("mimetype") or "")
    return NO_IMAGE if known is None and kind and not kind.startswith("image/") else known


async def is_asked(ctx: HandlerContext, request: ImageRequest, requests: Sequence[UpscaleRequest]) -> bool:
    """Whether the member must choose among several images first; if so, ask once."""
    files = request.files[: len(requests)]
    sizes = await asyncio.gather(*(size_of(ctx.api, request.origin.team, file) for file in files))
    sizes += [None] * (len(requests) - len(sizes))
    selection = await ctx.selections.priced(Selection(tuple(requests), tuple(sizes)))
    if await ctx.selections.may_start(selection, request.agreed_nanousd):
        return False
    key = f"{request.origin.team_id}:{request.event}:{request.edited_ts}"
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    await ctx.selections.stored.put(name, selection)
    if not request.redeliverable or await ctx.claim_answer(key):
        card = selection.question(name, requests[0].requester.locale)
        await _ask(ctx, request.place, card, private=requests[0].private)
    return True


async def _ask(ctx: HandlerContext, origin: Origin, card: Card, *, private: bool) -> None:
    """Ask in the conversation, as a job does; privately if the request is private or Slack refuses the post."""
    if origin.channel_id and not private and not origin.response_url:
        try:
            await ctx.api.post(origin.team, origin.channel_id, draw(card), thread_ts=origin.thread_ts)
        except SlackError as error:
            log.info("slack_question_refused", error=error.error)
        else:
            return
    await ctx.answer(origin, card)
