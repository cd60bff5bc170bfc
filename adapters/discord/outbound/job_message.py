"""A job's one message: question, progress, result, failure. REST only, from the stored address.

A result is uploaded as the largest of: original, lossless WebP, WebP/JPEG, preview with link, link alone. The upload
limit is read from the interaction; what Discord refuses all the same is tried again in a smaller form.
"""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from adapters.discord.outbound.api_client import ApiClient
from adapters.discord.outbound.delivery import Messenger
from adapters.discord.outbound.delivery_state import Address, DeliveryState, JobMessageStore
from adapters.discord.outbound.payload import Payload, Placement, UploadTooLarge, payload_of
from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.domain.job import Delivery, DeliveryKind, Job, Progress
from core.domain.limits import LimitStatus
from core.domain.media_types import suffix_for
from core.images.renditions import JobMedia
from core.ports import Clock, MediaFile
from core.presentation import Card, Notice, PictureRole
from core.presentation.cards import job as cards
from core.presentation.texts.result_texts import reached_factor

KIB, MIB = 1024, 1024 * 1024
REQUEST_MAX_BYTES = 25 * MIB - 64 * KIB
"""Discord takes 25 MiB per request ("maximum request size when sending a message", message page, read 2026-11-22),
also in boosted servers; 64 KiB are left for the other parts of the request."""

LAST_EDIT_BEFORE_EXPIRY_S = 30.0
"""Leaves room for an edit that is tried again."""

PREVIEW_CEILING_PX = 9500 * 9500
PREVIEW_CEILING_BYTES = 73 * MIB
"""Clients show no picture above these (observed, discord-api-docs thread 6392, read 2026-11-22)."""

PREVIEW_SIDE_PX = 4096
PREVIEW_BYTES = 4 * MIB
MIN_UPLOAD_BYTES = 16 * KIB
"""No smaller copy is made below this limit; an original that fits is sent whatever the limit."""

MAX_ATTEMPTS = 4
NAME_MAX_CHARS = 60
_REWRITTEN = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class UploadSet:
    """The files of one attempt; `file` is the full picture when `picture` is only its preview."""

    shape: DeliveryKind
    picture: MediaFile | None = None
    file: MediaFile | None = None

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in (self.picture, self.file) if part is not None)


def file_name(job: Job, media: MediaFile, mark: str = "") -> str:
    """`harbour-2x.png`: the image's name in ASCII that Discord does not rewrite, as `attachment://` must match it.

    `mark` replaces the factor for files other than the result.
    """
    stem = _REWRITTEN.sub("-", job.source.name.rsplit(".", 1)[0]).strip("-._")[:NAME_MAX_CHARS] or "image"
    return f"{stem}-{mark or f'{reached_factor(job):g}x'}{suffix_for(media.mime)}"


async def upload_sets(job: Job, media: JobMedia, *, limit_bytes: int) -> AsyncIterator[UploadSet]:
    """Yield upload sets in descending size; take the next one when Discord refuses the last as too large.

    Ends with the link alone. Raises ResultExpired when the picture is gone, DeliveryRefused when there is no link.
    """
    budget = min(limit_bytes, REQUEST_MAX_BYTES)
    for _ in range(MAX_ATTEMPTS):
        if budget < MIN_UPLOAD_BYTES and (job.result is None or job.result.bytes > budget):
            break
        upload_set = await _largest_within(job, media, budget)
        if upload_set.bytes <= budget:
            yield upload_set
        budget = min(budget, upload_set.bytes) // 2
    if job.result is None or not job.result.link:
        raise DeliveryRefused(reason="refused")
    yield UploadSet("link")


async def _largest_within(job: Job, media: JobMedia, budget: int) -> UploadSet:
    if _shown_by_clients(job) or budget < 2 * PREVIEW_BYTES:
        fitting = await media.fit(job, max_bytes=budget)
        return UploadSet(fitting.shape, picture=fitting)
    full = await media.fit(job, max_bytes=budget - PREVIEW_BYTES)
    if full.shape == "preview" or full.width_px * full.height_px <= PREVIEW_CEILING_PX:
        return UploadSet(full.shape, picture=full)
    preview = await media.preview(job, max_side_px=PREVIEW_SIDE_PX, max_bytes=PREVIEW_BYTES)
    return UploadSet(full.shape, picture=preview, file=full)


def _shown_by_clients(job: Job) -> bool:
    result = job.result
    return result is None or (
        result.width_px * result.height_px <= PREVIEW_CEILING_PX and result.bytes <= PREVIEW_CEILING_BYTES
    )


@dataclass(frozen=True, slots=True)
class DiscordReply:
    """`core.ports.Reply` for Discord. `progress` makes one attempt; everything else is retried."""

    _address: Address
    _state: DeliveryState
    _rest: ApiClient
    _media: JobMedia
    _job_messages: JobMessageStore
    _clock: Clock
    _can_share: bool
    _restates: bool = False

    def final_edit_only(self) -> Self:
        return replace(self, _restates=True)

    def _messenger(self, job: Job) -> Messenger:
        parts = (self._address, self._state, self._rest, self._job_messages, self._clock)
        return Messenger(*parts, job.id, job.private, edit_only=self._restates)

    async def ask(self, job: Job) -> None:
        await self._put(job, lambda where: cards.price_question(job, self._address.locale, **self._reader(job, where)))

    async def progress(self, job: Job, progress: Progress) -> None:
        """Edit the message once. The card says so when nothing can be shown here after 15 minutes."""
        last, reader = await self.last_edit_at(job), self._reader(job, "")
        if last is not None and self._clock.now() >= last:
            card = cards.no_longer_updated(job, self._address.locale, **reader)
        else:
            card = cards.working(job, progress, self._address.locale, ends_at=last, **reader)
        await self._messenger(job).edit(payload_of(card))

    async def last_edit_at(self, job: Job) -> float | None:
        """Shortly before the token expires, where nothing else can edit the message."""
        if self._address.bot_inside and not self._address.ephemeral:
            return None
        renewed_until = await self._job_messages.token_expires_at(job.id)
        return max(self._address.expires_at, renewed_until) - LAST_EDIT_BEFORE_EXPIRY_S

    async def _put(self, job: Job, card: Callable[[Placement], Card]) -> None:
        await self._messenger(job).put(Payload(card))

    def _reader(self, job: Job, where: Placement) -> dict[str, bool]:
        """Whether others read the message, and whether it must name the requester.

        Discord itself names the requester above the response to a command, but not above that to a button, such as of
        a choice of images that only they see.
        """
        address = self._address
        alone = address.ephemeral or where == "direct_message" or (address.guild_id is None and address.bot_inside)
        return {"shared": not alone, "named": not job.parent_id and not where and address.slot != "followup"}

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        messenger = self._messenger(job)
        await messenger.leave_if_request_deleted()
        async for upload_set in upload_sets(job, self._media, limit_bytes=self._address.limit_bytes):
            try:
                where = await messenger.put(self._result(job, left, upload_set))
            except UploadTooLarge:
                continue
            if not where:
                # Elsewhere the token is still needed to close the message where the job was requested.
                await self._job_messages.forget_token(job.id)
            return Delivery(upload_set.shape, where)
        raise DeliveryRefused(reason="refused")

    def _result(self, job: Job, left: tuple[LimitStatus, ...], upload_set: UploadSet) -> Payload:
        files: dict[PictureRole, tuple[Path, str]] = {}
        if upload_set.picture is not None:
            mark = "preview" if upload_set.file is not None else ""
            files["result"] = (upload_set.picture.path, file_name(job, upload_set.picture, mark))
        if upload_set.file is not None:
            files["file"] = (upload_set.file.path, file_name(job, upload_set.file))

        def card(where: Placement) -> Card:
            delivery = Delivery(upload_set.shape, where)
            reader = self._reader(job, where)
            return cards.result(job, left, delivery, self._address.locale, can_share=self._can_share, **reader)

        return Payload(card, files)

    async def failed(self, job: Job, notice: Notice) -> None:
        messenger = self._messenger(job)
        await messenger.leave_if_request_deleted()

        def card(where: Placement) -> Card:
            return cards.failed(job, notice, self._address.locale, shared=self._reader(job, where)["shared"])

        if await messenger.put_text(Payload(card)):
            # The message where the job was requested still shows progress and Cancel.
            await messenger.close(Payload(card))
        await self._job_messages.forget_token(job.id)

    async def closed(self, job: Job, notice: Notice) -> None:
        messenger = self._messenger(job)
        show = messenger.close if job.delivery is not None and job.delivery.elsewhere else messenger.put
        await show(payload_of(cards.closed(job, notice, self._address.locale)))
        await self._job_messages.forget_token(job.id)

    async def reachable(self, job: Job) -> bool:
        """Whether any route accepts a message without files."""
        try:
            await self._put(job, lambda _: cards.working(job, Progress("waiting"), self._address.locale))
        except DeliveryRefused:
            return False
        except DeliveryUnavailable:
            return await self._messenger(job).is_awaited()
        return True
