"""Several images in one request: ask which of them to upscale, and start the chosen ones once.

A question is stored by its key, so that a press starts its images in any process, also after a restart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from core.budgets.fit import too_many_for
from core.domain.errors import JobNotFound, NotAllowed, SelectionClosed, TargetUnreachable
from core.domain.identity import is_same_person
from core.domain.job import Quote, Requester, UpscaleRequest, job_id_for
from core.domain.limits import LimitStatus
from core.jobs.service import JobService
from core.ports import AppState, TypedState
from core.presentation import Card
from core.presentation.cards import batch

LIFE_S = 24 * 3600.0
"""Also how long Discord serves the signed URLs of ephemeral attachments."""
TAKEN_S = 10.0

Size: TypeAlias = tuple[int, int]
SMALL: Size = (16, 16)
NO_IMAGE: Size = (0, 0)
"""The size of a file that is not an image: its job will report that, uncharged."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The images of one question, with their sizes and prices, None if not known yet. Stored as JSON.

    `total` also counts images of the message that cannot be chosen. `shown` is where the adapter has shown the
    question, None before. Without requests it is answered. `too_many_for`: the limits that the known prices together
    do not fit.
    """

    requests: tuple[UpscaleRequest, ...]
    sizes_px: tuple[Size | None, ...]
    prices_nanousd: tuple[int | None, ...] = ()
    total: int = 0
    shown: Mapping[str, str] | None = None
    too_many_for: tuple[LimitStatus, ...] = ()

    def only(self, numbers: Sequence[int]) -> "Selection":
        """Without the other images; numbers that there are not are ignored."""
        known = [n for n in numbers if 0 <= n < len(self.requests)]
        prices = tuple(self.prices_nanousd[n] for n in known) if self.prices_nanousd else ()
        requests, sizes = tuple(self.requests[n] for n in known), tuple(self.sizes_px[n] for n in known)
        return replace(self, requests=requests, sizes_px=sizes, prices_nanousd=prices)

    def question(self, key: str, locale: str, *, most: int | None = None) -> Card:
        """`most`: how many may be chosen."""
        most = most or len(self.requests)
        return batch.image_choice(key, self._candidates(), locale, most=most, too_many_for=self.too_many_for)

    def started(self, locale: str) -> Card:
        return batch.batch_started(self._candidates(), locale)

    def _candidates(self) -> list[batch.Candidate]:
        together = zip(self.requests, self.sizes_px, self.prices_nanousd, strict=True)
        return [batch.Candidate(one.source.name, px and px[0], px and px[1], price) for one, px, price in together]


class Selections:
    def __init__(self, service: JobService, state: AppState, platform: str) -> None:
        self._service = service
        self._state = state
        self.stored = TypedState(state, f"{platform}.batch", Selection, ttl_s=LIFE_S)

    async def priced(self, selection: Selection) -> Selection:
        """The selection with every price that is known before the image is read. Raises InvalidParameters."""
        together = zip(selection.requests, selection.sizes_px, strict=True)
        priced = [await self._price(*each) for each in together]
        prices = tuple(price for price, _ in priced)
        return replace(selection, prices_nanousd=prices, too_many_for=too_many_for([q for _, q in priced if q]))

    async def may_start(self, selection: Selection, agreed_nanousd: int | None = 0) -> bool:
        """Whether the priced images may start without a question, or have started already (a redelivered event).

        Their total must be known, since they may exceed the threshold together though none does alone; and be small,
        or not above the total that the member has seen, `agreed_nanousd` (None: always ask).
        """
        prices = selection.prices_nanousd
        total, most = sum(price or 0 for price in prices), max(agreed_nanousd or 0, self._service.confirm_above_nanousd)
        unasked = agreed_nanousd is not None and None not in prices and total <= most
        return unasked or await self._has_started(selection.requests[0])

    async def _has_started(self, request: UpscaleRequest) -> bool:
        try:
            await self._service.job(job_id_for(request.key), request.requester)
        except JobNotFound:
            return False
        return True

    async def load(self, key: str, actor: Requester) -> Selection:
        """The open question of this member. Raises SelectionClosed or NotAllowed."""
        stored = await self.stored.get(key)
        if stored is None or not stored.requests:
            raise SelectionClosed
        if not is_same_person(stored.requests[0].requester, actor):
            raise NotAllowed(needs="requester")
        return stored

    async def take(self, key: str, actor: Requester, picked: Sequence[int] | None) -> Selection | None:
        """The picked images (None: all), to be started by `actor` at the agreed prices, then `close` follows.

        None for a second press at once, or if there is nothing to start. Raises SelectionClosed or NotAllowed.
        """
        try:
            chosen = await self.load(key, actor)
        except SelectionClosed:
            if await self._claim(key):
                raise
            return None
        if picked is not None:
            chosen = chosen.only(sorted(set(picked)))
        if not chosen.requests or not await self._claim(key):
            return None
        # The channel of a direct message may be another than that of the request.
        first = chosen.requests[0].requester
        asked_in = replace(actor, channel_id=first.channel_id, parent_channel_id=first.parent_channel_id)
        requests = [
            replace(one, requester=asked_in, confirmed_nanousd=price or 0)
            for one, price in zip(chosen.requests, chosen.prices_nanousd, strict=True)
        ]
        return replace(chosen, requests=tuple(requests))

    async def close(self, key: str) -> None:
        """Remember that the question is answered, so that a redelivered event does not ask again."""
        await self.stored.put(key, Selection((), ()))

    async def _claim(self, key: str) -> bool:
        return await self._state.claim(self.stored.area, f"{key}:taken", ttl_s=TAKEN_S)

    async def _price(self, request: UpscaleRequest, size: Size | None) -> tuple[int | None, Quote | None]:
        if size == NO_IMAGE:
            return 0, None
        words, fields = request.text, dict(request.fields)
        try:
            quote = await self._service.estimate(*(size or SMALL), request.requester, text=words, fields=fields)
        except TargetUnreachable:  # its own job will report that, uncharged
            return 0 if size else None, None
        return quote.estimate_nanousd if size or not quote.estimate_nanousd else None, quote
