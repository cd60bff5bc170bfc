"""Deliver the finished image: which files are uploaded, in which form, and the message that shows them.

The full file is always uploaded. If Slack cannot show it inline (WebP, very large sides), a reduced preview is added.
The image is always posted in a new message: an edit that adds a file shows a broken image (java-slack-sdk #1441, read
2026-11-22). Every step is stored, so that a repeat resumes where it stopped.
"""

import re
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from adapters.slack.outbound import errors
from adapters.slack.outbound.files import ALT_TXT_MAX_CHARS, Upload, Uploader, posts_of
from adapters.slack.outbound.lost_posts import post_once
from adapters.slack.outbound.posting import Mark, Place, Poster, ReplyStateCache
from adapters.slack.views import messages as render
from adapters.slack.views.blocks import Content
from core.domain.job import Delivery, DeliveryKind, Job
from core.domain.limits import LimitStatus
from core.domain.media_types import suffix_for
from core.domain.variations import previewed_job_id
from core.images.renditions import JobMedia
from core.ports import MediaFile
from core.presentation.texts import result_texts

log = structlog.get_logger(__name__)

INLINE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif"})
INLINE_MAX_SIDE_PX = 7000
"""Undocumented: larger images were observed to have no preview (Expensify/App #38180, #44807, read 2026-11-22)."""
INLINE_MAX_BYTES = 50_000_000
PREVIEW_MAX_SIDE_PX = 2048
PREVIEW_MAX_BYTES = 8_000_000
FILE_MAX_BYTES = 1_000_000_000
"""Slack's largest file (a maintainer in python-slack-sdk #739, 2020). Workspaces may allow less."""
SMALLER_TRIES_BYTES = (100_000_000, 20_000_000, 5_000_000, 1_000_000)
_UNSAFE_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class UploadedResult:
    """The uploaded files: `image_id` is shown inline; `full_id` is the full file if that is another one."""

    shape: DeliveryKind
    image_id: str | None
    full_id: str = ""
    full: MediaFile | None = None
    held: bool = False
    """The full file's bytes are uploaded, but no message shows it yet."""


@dataclass(frozen=True, slots=True)
class Deliverer:
    _uploader: Uploader
    _media: JobMedia
    _poster: Poster
    _notes: ReplyStateCache
    _can_share: bool = False

    async def deliver(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """Upload and post the image, and return in which form. Idempotent by the stored notes."""
        noted = await self._notes.get("delivered")
        if isinstance(noted, dict):
            return Delivery(noted["shape"], noted["elsewhere"])
        sent = await self._upload(job)
        place, sent = await self._show(job, left, sent)
        if sent.full_id:
            await self._attach_full(job, place, sent)
        delivery = Delivery(sent.shape, "direct_message" if place.moved else "")
        await self._notes.record(delivered=asdict(delivery))
        return delivery

    # ------------------------------------------------------------------ the message

    async def _show(
        self, job: Job, left: tuple[LimitStatus, ...], sent: UploadedResult
    ) -> tuple[Place, UploadedResult]:
        """Post the message. If an earlier post was not answered, the file's record shows whether it succeeded."""

        async def post(mark: Mark) -> str:
            nonlocal sent
            try:
                return await self._post(job, left, sent, mark)
            except errors.SlackRefused as refusal:
                if refusal.error != errors.BLOCKS_REFUSED or sent.image_id is None:
                    raise
            # Slack cannot show the image inline after all: post everything else, and attach the file.
            sent = replace(sent, image_id=None, full_id=sent.full_id or sent.image_id)
            return await self._post(job, left, sent, mark)

        mark = Mark(job.id, "result")
        await post_once(self._poster, self._notes, mark, post, find_by_file=lambda: self._find_by_file(sent.image_id))
        return await self._poster.place(), sent

    async def _post(self, job: Job, left: tuple[LimitStatus, ...], sent: UploadedResult, mark: Mark) -> str:
        stream = await self._notes.get("stream")
        if job.result is not None and sent.shape == "original" and not sent.full_id:
            job = replace(job, result=replace(job.result, link=None))  # the message shows the full file

        def content(place: Place) -> Content:
            return render.result(
                job,
                left,
                Delivery(sent.shape, "direct_message" if place.moved else ""),
                image_id=sent.image_id,
                can_share=self._can_share,
                file_ids=tuple(file_id for file_id in (sent.image_id, sent.full_id) if file_id),
                stream_ts=stream["ts"] if stream and not place.direct else "",
            )

        return await self._poster.post(content, job.requester.locale, mark)

    async def _find_by_file(self, file_id: str | None) -> str | None:
        if file_id is None:
            return None
        place = await self._poster.place()
        file = await self._uploader.wait_processed(self._poster.team, file_id, timeout_s=5.0) or {}
        return next((ts for channel, ts in posts_of(file) if channel == place.channel), None)

    # ---------------------------------------------------------------------- files

    async def _upload(self, job: Job) -> UploadedResult:
        """Upload the full file, and a preview if it cannot be shown inline."""
        try:
            full, full_id = await self._upload_within_limits(job)
        except errors.SlackRefused as refusal:
            if job.result is None or not job.result.link:
                raise
            log.info("slack_uploads_refused", job=job.id, error=refusal.error)
            return UploadedResult("link", None)
        if self._shows_inline(full):
            return UploadedResult(full.shape, full_id, full=full)
        preview = await self._media.preview(job, max_side_px=PREVIEW_MAX_SIDE_PX, max_bytes=PREVIEW_MAX_BYTES)
        preview_id = await self._send("preview", job, preview)
        return UploadedResult(full.shape, preview_id, full_id, full, held=True)

    async def _upload_within_limits(self, job: Job) -> tuple[MediaFile, str]:
        """Upload the original, or the best smaller rendition that this workspace accepts."""
        noted = await self._notes.get("shape_limit")
        limits = [FILE_MAX_BYTES, *SMALLER_TRIES_BYTES]
        start = limits.index(noted) if noted in limits else 0
        for number, limit in enumerate(limits[start:], start=start):
            if number == 0 and not previewed_job_id(job):
                file = await self._media.original(job)
                if file.bytes > FILE_MAX_BYTES:
                    continue
            else:
                file = await self._media.fit(job, max_bytes=limit)
            try:
                return file, await self._send("full", job, file, complete_later=not self._shows_inline(file))
            except errors.SlackRefused as refusal:
                if refusal.error not in errors.FILES_TOO_LARGE or number == len(limits) - 1:
                    raise
                await self._notes.record(shape_limit=limits[number + 1], upload_full=None)
        raise errors.SlackRefused(errors.FILE_TOO_LARGE)

    @staticmethod
    def _shows_inline(file: MediaFile) -> bool:
        small = max(file.width_px, file.height_px) <= INLINE_MAX_SIDE_PX and file.bytes <= INLINE_MAX_BYTES
        return small and file.mime in INLINE_TYPES

    async def _send(
        self, slot: str, job: Job, file: MediaFile, *, complete_later: bool = False, show_in: Place | None = None
    ) -> str:
        """Upload one file, resumable by its slot; unless `complete_later`, wait until Slack can show it."""
        state = await self._notes.get(f"upload_{slot}") or {}
        upload = self._upload_of(job, file, slot)
        if show_in is not None:
            upload = replace(upload, channel=show_in.channel, thread_ts=show_in.thread_ts)

        async def save_state(new: dict[str, Any]) -> None:
            await self._notes.record(**{f"upload_{slot}": new})

        before_send = self._poster.check_ownership if show_in is not None else None
        file_id = await self._uploader.send(
            self._poster.team, upload, dict(state), save_state, complete_later=complete_later, before_send=before_send
        )
        if not complete_later and show_in is None:
            await self._uploader.wait_processed(self._poster.team, file_id, is_new=True)
        return file_id

    @staticmethod
    def _upload_of(job: Job, file: MediaFile, slot: str) -> Upload:
        stem = _UNSAFE_NAME.sub("-", job.source.name.rsplit(".", 1)[0]).strip("-.")[:60] or "picture"
        mark = "preview" if slot == "preview" else f"{result_texts.reached_factor(job):g}x"
        alt = result_texts.alt_text(job, job.requester.locale, max_chars=ALT_TXT_MAX_CHARS)
        name = f"{stem}-{mark}{suffix_for(file.mime)}"
        return Upload(file.path, name, name, alt, file.bytes)

    async def _attach_full(self, job: Job, place: Place, sent: UploadedResult) -> None:
        posted = await self._notes.get("result") or {}
        under = replace(place, thread_ts=place.thread_ts or str(posted.get("ts") or ""))
        try:
            if sent.held and sent.full is not None:
                file_id = await self._send("full", job, sent.full, show_in=under)
                if await self._uploader.is_complete(self._poster.team, file_id, under.channel):
                    return
                log.info("slack_full_file_not_shown", job=job.id)  # although the call succeeded
        except errors.SlackRefused as refusal:
            log.info("slack_full_file_refused", job=job.id, error=refusal.error)
        try:
            await self._link_full(job, under, sent)
        except errors.SlackRefused as refusal:
            # The image was delivered; only the file beside it was not.
            log.info("slack_full_file_not_linked", job=job.id, error=refusal.error)

    async def _link_full(self, job: Job, under: Place, sent: UploadedResult) -> None:
        """Post a link to the full file: ours if it was refused, else Slack's permalink, which shares the file."""
        link = (job.result.link or "") if job.result is not None and sent.held else ""
        if not link and sent.full is not None:
            await self._send("full", job, sent.full)
            file = await self._uploader.wait_processed(self._poster.team, sent.full_id)
            link = str((file or {}).get("permalink") or "")
            if not link:
                await self._notes.record(upload_full=None)
                await self._send("full", job, sent.full, show_in=under)
                return
        content, mark = render.full_file(job, link), Mark(job.id, "file")
        await post_once(
            self._poster, self._notes, mark, lambda mark: self._poster.post_in(under, content, mark), place=under
        )
