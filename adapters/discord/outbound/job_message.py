"""The one message of one job: asks, shows progress, delivers, says what failed. REST only, from the stored address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.discord.outbound.api_client import ApiClient
from adapters.discord.outbound.delivery import Messenger
from adapters.discord.outbound.delivery_state import DeliveryState
from adapters.discord.outbound.interaction_tokens import KeptByJob
from adapters.discord.outbound.payload import Elsewhere, Payload, TooLargeHere, fixed
from adapters.discord.outbound.reply_address import Address
from adapters.discord.outbound.upload import UploadSet, file_name, parcels
from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.domain.job import Delivery, Job, Progress
from core.domain.limits import LimitStatus
from core.images.renditions import JobMedia
from core.ports import Clock
from core.presentation import Notice
from core.presentation.card import Card, PictureRole
from core.presentation.cards import job as cards


@dataclass(frozen=True, slots=True)
class DiscordReply:
    """`core.ports.Reply` for Discord. `progress` makes one edit; everything else is tried until it is seen."""

    _address: Address
    _notes: DeliveryState
    _rest: ApiClient
    _media: JobMedia
    _kept: KeptByJob
    _clock: Clock
    _can_share: bool
    _restates: bool = False

    def restating(self) -> DiscordReply:
        return replace(self, _restates=True)

    def _messenger(self, job: Job) -> Messenger:
        parts = (self._address, self._notes, self._rest, self._kept, self._clock)
        return Messenger(*parts, job.id, job.private, in_place=self._restates)

    async def ask(self, job: Job) -> None:
        await self._put(job, lambda where: cards.asking(job, self._address.locale, **self._reader(job, where)))

    async def progress(self, job: Job, progress: Progress) -> None:
        """One edit of the message, in place. Says early when nothing can be shown here after 15 minutes."""
        one_window = self._address.ephemeral or not self._address.bot_inside
        expires_at = self._address.expires_at if one_window else None
        card = cards.working(job, progress, self._address.locale, ends_at=expires_at, **self._reader(job, ""))
        await self._messenger(job).edit(fixed(card))

    async def _put(self, job: Job, card: Callable[[Elsewhere], Card]) -> None:
        await self._messenger(job).put(Payload(card))

    def _reader(self, job: Job, where: Elsewhere) -> dict[str, bool]:
        """Who reads the message. Above the answer to a command Discord itself says who asked, above a button's not."""
        address = self._address
        alone = address.ephemeral or where == "direct_message" or (address.guild_id is None and address.bot_inside)
        return {"shared": not alone, "named": not job.parent_id and not where}

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """Deliver the picture in the best shape that this place takes, and say which and where."""
        messenger = self._messenger(job)
        await messenger.withdraw()
        async for parcel in parcels(job, self._media, limit_bytes=self._address.limit_bytes):
            try:
                where = await messenger.put(self._result(job, left, parcel))
            except TooLargeHere:
                continue
            if not where:
                await self._kept.forget_token(job.id)  # else it still closes the message where the job was asked
            return Delivery(parcel.shape, where)
        raise DeliveryRefused(reason="refused")

    def _result(self, job: Job, left: tuple[LimitStatus, ...], parcel: UploadSet) -> Payload:
        files: dict[PictureRole, tuple[Path, str]] = {}
        if parcel.picture is not None:
            mark = "preview" if parcel.file is not None else ""
            files["result"] = (parcel.picture.path, file_name(job, parcel.picture, mark))
        if parcel.file is not None:
            files["file"] = (parcel.file.path, file_name(job, parcel.file))

        def card(where: Elsewhere) -> Card:
            delivery = Delivery(parcel.shape, where)
            reader = self._reader(job, where)
            return cards.result(job, left, delivery, self._address.locale, can_share=self._can_share, **reader)

        return Payload(card, files)

    async def failed(self, job: Job, notice: Notice) -> None:
        messenger = self._messenger(job)
        await messenger.withdraw()

        def card(where: Elsewhere) -> Card:
            return cards.failed(job, notice, self._address.locale, shared=self._reader(job, where)["shared"])

        await messenger.say(Payload(card))
        await self._kept.forget_token(job.id)

    async def closed(self, job: Job, notice: Notice) -> None:
        payload = fixed(cards.closed(job, notice, self._address.locale))
        if job.delivery is not None and job.delivery.elsewhere:
            await self._messenger(job).close(payload)
        else:
            await self._messenger(job).put(payload)
        await self._kept.forget_token(job.id)

    async def reachable(self, job: Job) -> bool:
        """Whether any way takes the message, with words alone; the job goes on there."""
        try:
            await self._put(job, lambda _: cards.working(job, Progress("waiting"), self._address.locale))
        except DeliveryRefused:
            return False
        except DeliveryUnavailable:
            return True
        return True
