"""Several images in one action: ask which of them to upscale if their total price needs to be confirmed.

The requests are stored by the question's key, so that a press still starts them after a restart.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.slack.inbound.translate import PLATFORM, Size, declared_size
from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.outbound.errors import SlackError
from core.domain.errors import JobNotFound, NotAllowed, SelectionClosed, TargetUnreachable
from core.domain.job import ReplyAddress, Requester, UpscaleRequest, job_id_for
from core.jobs.service import JobService
from core.ports import AppState, TypedState
from core.presentation import Card
from core.presentation.cards import batch

AREA = "slack.batch"
LIFE_S = 24 * 3600.0
TAKEN_S = 10.0
SIZE_WAIT_S = 0.8
"""Slack processes a new file in about this time; an event must be stored within three seconds."""
SMALL: Size = (16, 16)
NOTHING: Size = (0, 0)
"""The size of a file that is not an image: its job will report that, uncharged."""


async def size_of(api: SlackApi, team: Team, picture: Mapping[str, Any]) -> Size | None:
    """An image's size as Slack knows it, asked again if the event was sent before Slack had processed the file."""
    known, kind = declared_size(picture), str(picture.get("mimetype") or "")
    if known is None and not kind and picture.get("id"):
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(SIZE_WAIT_S):
                file = await api.wait_processed(team, str(picture["id"]), timeout_s=SIZE_WAIT_S)
            known, kind = declared_size(file), str(file.get("mimetype") or "")
    return NOTHING if known is None and kind and not kind.startswith("image/") else known


@dataclass(frozen=True, slots=True)
class Batch:
    """The images of one question, with their sizes and prices (None if not known yet)."""

    requests: tuple[UpscaleRequest, ...]
    sizes_px: tuple[Size | None, ...]
    prices_nanousd: tuple[int | None, ...]

    def candidates(self) -> list[batch.Candidate]:
        together = zip(self.requests, self.sizes_px, self.prices_nanousd, strict=True)
        return [batch.Candidate(one.source.name, *(size or NOTHING), price) for one, size, price in together]

    def only(self, numbers: Sequence[int]) -> "Batch":
        parts = (self.requests, self.sizes_px, self.prices_nanousd)
        return Batch(*(tuple(part[n] for n in numbers) for part in parts))  # type: ignore[arg-type]


class Batches:
    def __init__(self, service: JobService, state: AppState) -> None:
        self._service = service
        self._state = state
        self._asked = TypedState(state, AREA, Batch, ttl_s=LIFE_S)

    async def question(
        self, key: str, requests: Sequence[UpscaleRequest], sizes: Sequence[Size | None], *, agreed_nanousd: int | None
    ) -> Card | None:
        """The question to ask before these requests start; None if they may start at once.

        `agreed_nanousd` is a total that the member has already seen; None always asks. An unknown price is asked about,
        too, since several images may exceed the threshold together though none does alone.
        """
        prices = [await self._price(one, size) for one, size in zip(requests, sizes, strict=True)]
        if agreed_nanousd is not None and self._service.may_start_unasked(prices, agreed_nanousd):
            return None
        if await self._started(requests[0]):  # a redelivered event, or an edited message
            return None
        stored = Batch(tuple(requests), tuple(sizes), tuple(prices))
        name = hashlib.sha256(key.encode()).hexdigest()[:24]
        await self._asked.put(name, stored)
        return batch.image_choice(name, stored.candidates(), requests[0].requester.locale, most=len(requests))

    async def choose(
        self, key: str, actor: Requester, picked: Sequence[int] | None, reply: ReplyAddress
    ) -> Card | None:
        """Start the picked images (None: all of them) once, and return a card of them; None for a second press at once.

        `reply` is the press's own address, whose response_url is valid longer. Raises SelectionClosed or NotAllowed.
        """
        stored = await self._asked.get(key)
        if stored is None:
            if await self._state.claim(AREA, f"{key}:taken", ttl_s=TAKEN_S):
                raise SelectionClosed
            return None
        owner = stored.requests[0].requester
        if (owner.workspace_id, owner.user_id) != (actor.workspace_id, actor.user_id):
            raise NotAllowed(needs="requester")
        chosen = stored if picked is None else stored.only([n for n in picked if 0 <= n < len(stored.requests)])
        if not chosen.requests or not await self._state.claim(AREA, f"{key}:taken", ttl_s=TAKEN_S):
            return None
        if all([await self._started(request) for request in chosen.requests]):  # as asked for in edited words
            chosen = replace(chosen, prices_nanousd=(None,) * len(chosen.requests))
        for request in chosen.requests:
            answer = {
                name: reply.data[name] for name in ("response_url", "response_until") if name in request.reply.data
            }
            address = ReplyAddress(PLATFORM, {**request.reply.data, **answer})
            await self._service.request(
                replace(request, requester=replace(actor, channel_id=owner.channel_id), reply=address)
            )
        await self._asked.delete(key)
        return batch.batch_started(chosen.candidates(), actor.locale)

    async def _price(self, request: UpscaleRequest, size: Size | None) -> int | None:
        """None if it is known only after the image has been read. Raises InvalidParameters."""
        if size == NOTHING:
            return 0
        words, fields = request.text, dict(request.fields)
        try:
            quote = await self._service.estimate(*(size or SMALL), request.requester, text=words, fields=fields)
        except TargetUnreachable:  # its own job will report that, uncharged
            return 0 if size else None
        return quote.estimate_nanousd if size or not quote.estimate_nanousd else None

    async def _started(self, request: UpscaleRequest) -> bool:
        try:
            await self._service.job(job_id_for(request.key), request.requester)
        except JobNotFound:
            return False
        return True
