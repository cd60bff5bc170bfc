"""The one message of one job: asks, shows progress, delivers, says what failed. REST only, from the stored address."""

from __future__ import annotations

from discord import ui

from adapters.discord.outbound.api_client import Rest
from adapters.discord.outbound.delivery import Elsewhere, Messenger, Payload, TooLargeHere
from adapters.discord.outbound.delivery_state import NoteBook
from adapters.discord.outbound.interaction_tokens import FreshTokens
from adapters.discord.outbound.reply_address import Address
from adapters.discord.outbound.upload import Parcel, file_name, parcels
from adapters.discord.views import job as render
from adapters.discord.views import result as render_result
from core.domain.errors import DeliveryRefused
from core.domain.job import Delivery, Job, Progress
from core.domain.limits import LimitStatus
from core.ports import Clock, Media, ReplyMemo
from core.presentation import Notice


class DiscordReply:
    """`core.ports.Reply` for Discord. `progress` makes one edit; everything else is tried until it is seen."""

    def __init__(
        self, address: Address, memo: ReplyMemo, rest: Rest, media: Media, tokens: FreshTokens, clock: Clock
    ) -> None:
        self._address = address
        self._notes = NoteBook(memo, address)
        self._rest = rest
        self._media = media
        self._tokens = tokens
        self._clock = clock

    def _messenger(self, job: Job) -> Messenger:
        return Messenger(self._address, self._notes, self._rest, self._tokens, self._clock, job_id=job.id)

    async def ask(self, job: Job) -> None:
        """The price on a button."""
        await self._messenger(job).put(Payload(lambda _: render.ask(job, self._address.locale)))

    async def progress(self, job: Job, progress: Progress) -> None:
        """One edit of the message, in place. Says early when nothing can be shown here after 15 minutes."""
        one_window = self._address.ephemeral or not self._address.bot_inside
        expires_at = self._address.expires_at if one_window else None
        view = Payload(lambda _: render.progress(job, progress, self._address.locale, expires_at=expires_at))
        await self._messenger(job).edit(view)

    async def finished(self, job: Job, left: tuple[LimitStatus, ...]) -> Delivery:
        """Deliver the picture in the best shape that this place takes, and say which and where."""
        messenger = self._messenger(job)
        async for parcel in parcels(job, self._media, limit_bytes=self._address.limit_bytes):
            try:
                where = await messenger.put(self._result(job, left, parcel))
            except TooLargeHere:
                continue
            await self._tokens.forget(job.id)
            return Delivery(parcel.shape, where)
        raise DeliveryRefused(reason="refused")

    def _result(self, job: Job, left: tuple[LimitStatus, ...], parcel: Parcel) -> Payload:
        names = {}
        if parcel.picture is not None:
            role = "preview" if parcel.file is not None else "upscaled"
            names["picture"] = file_name(job, parcel.picture, role)
        if parcel.file is not None:
            names["file"] = file_name(job, parcel.file)

        def view(where: Elsewhere) -> ui.LayoutView:
            delivery = Delivery(parcel.shape, where)
            shown = render_result.Shown(names.get("picture", ""), names.get("file", ""), delivery)
            return render_result.result(job, left, shown, self._address.locale, self._address.user_id)

        parts = (("picture", parcel.picture), ("file", parcel.file))
        return Payload(view, tuple((part.path, names[role]) for role, part in parts if part is not None))

    async def failed(self, job: Job, notice: Notice) -> None:
        """What happened, whether it was charged, what to do."""
        locale = self._address.locale
        await self._messenger(job).put(Payload(lambda _: render.failed(job, notice, locale)))
        await self._tokens.forget(job.id)
