"""Tells the operator what only the operator can mend or judge: in the log, and in the channels that asked for the
whole bot's alerts."""

import asyncio
from collections.abc import Callable
from typing import assert_never

import structlog

from core.budgets.billing_differences import Difference
from core.budgets.service import Budgets
from core.domain.errors import DeliveryError, ProviderHalted, UpscaleError
from core.domain.money import usd
from core.jobs.steps import Tools
from core.ports import AppState, BooksDiffer, OperatorNews, PlaceAsks, StuckJobs, UnclearBill, UnclearPrice
from core.ports.operator import FewConnectsLeft
from core.presentation import Notice, tr
from core.presentation.formats import moment
from core.presentation.place_texts import question

log = structlog.get_logger(__name__)

_SELDOM_S = 3600.0
"""How often one kind of news is passed on: a provider gone mad has one for every job."""

_PLACES_AN_HOUR = 10
_MOST_PENDING = 20
_MOST_NAMED = 10
_WITHIN_S = 60.0


class AlertSender:
    """`core.ports.OperatorAlerts`: each kind of news at most once an hour, whichever process has it."""

    def __init__(self, state: AppState, budget: Callable[[], Budgets], tools: Callable[[], Tools]) -> None:
        self._state = state
        self._budget = budget
        self._tools = tools
        self._pending: set[asyncio.Task[None]] = set()

    def tell(self, news: OperatorNews) -> None:
        log.warning("operator_news", news=repr(news))
        if len(self._pending) >= _MOST_PENDING:
            return
        task = asyncio.create_task(self._send(news), name="operator-alert")
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def halted(self, halted: ProviderHalted) -> None:
        """fal takes nothing more from us. New jobs are refused until it does again; running ones go on."""
        log.error("provider_halted", kind=halted.kind)
        await self._everywhere(lambda locale: _halted_notice(halted, locale))

    async def close(self) -> None:
        for task in self._pending:
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)

    async def _send(self, news: OperatorNews) -> None:
        try:
            async with asyncio.timeout(_WITHIN_S):
                if await self._is_due(news):
                    await self._everywhere(lambda locale: _news_notice(news, locale))
        except (UpscaleError, TimeoutError, OSError) as error:
            log.warning("operator_not_told", error=type(error).__name__)
        except Exception:  # nobody waits for this task
            log.exception("operator_not_told")

    async def _is_due(self, news: OperatorNews) -> bool:
        """Each kind seldom; questions about places, which come once each, a few an hour."""
        turns = range(_PLACES_AN_HOUR) if isinstance(news, PlaceAsks) else (0,)
        for turn in turns:
            if await self._state.claim("operator_told", f"{_about(news)}{turn or ''}", ttl_s=_SELDOM_S):
                return True
        return False

    async def _everywhere(self, notice: Callable[[str], Notice]) -> None:
        for place in await self._budget().limits.rules.alert_places():
            if not place.everything:
                continue
            adapter = self._tools().adapter(place.platform)
            try:
                await adapter.notify(place.workspace_id, place.channel_id, notice(place.locale))
            except DeliveryError as error:
                log.warning("operator_not_told", platform=place.platform, error=error.code)


def _about(news: OperatorNews) -> str:
    """News of the same kind are told together."""
    match news:
        case UnclearBill():
            return "bill"
        case UnclearPrice():
            return "price"
        case PlaceAsks():
            return "place"
        case BooksDiffer(differences):
            return f"books:{differences[0].request_id}"
        case StuckJobs():
            return "stuck"
        case FewConnectsLeft(platform):
            return f"connects:{platform}"
    assert_never(news)


def _news_notice(news: OperatorNews, locale: str) -> Notice:
    match news:
        case UnclearBill(job_id, charged_nanousd):
            return Notice(
                tr(
                    "fal's bill for job {reference} cannot be right. The estimate of {amount} was charged instead.",
                    locale,
                    reference=job_id,
                    amount=usd(charged_nanousd, locale),
                ),
                advice=tr("With FAL_ADMIN_KEY it is checked and corrected by itself; else look at fal's bill.", locale),
            )
        case UnclearPrice(kept_nanousd):
            return Notice(
                tr(
                    "The price that fal names cannot be right. {amount} per megapixel still counts.",
                    locale,
                    amount=usd(kept_nanousd, locale),
                ),
                advice=tr("Look at the model's page, and set UPSCALE_PRICE_PER_MP_USD if the price changed.", locale),
            )
        case BooksDiffer(differences):
            lines = [tr("New differences between fal's bill and our books: {count}.", locale, count=len(differences))]
            lines += [_difference(one, locale) for one in differences[:_MOST_NAMED]]
            return Notice("\n".join(lines), advice=tr("See them all with “python -m bot reconcile”.", locale))
        case StuckJobs(count, oldest_id):
            return Notice(
                tr("Jobs under way for longer than a job can take: {count}.", locale, count=count),
                advice=tr("Look at the oldest with “python -m bot job {reference}”.", locale, reference=oldest_id),
            )
        case FewConnectsLeft(platform, left, total, until_at):
            return Notice(
                tr(
                    "{platform} lets this bot connect {n} of {total} more times until {time}.",
                    locale,
                    platform=platform.capitalize(),
                    n=left,
                    total=total,
                    time=moment(until_at, locale),
                ),
                advice=tr("Something makes it connect again and again: look at its log and restart it seldom.", locale),
            )
        case PlaceAsks(place, name, by):
            return question(place, name, by, locale)
    assert_never(news)


def _difference(one: Difference, locale: str) -> str:
    job, ours, theirs = one.job_id, usd(one.ours_nanousd or 0, locale), usd(one.theirs_nanousd or 0, locale)
    if not job:
        return tr(
            "fal billed {amount} for {request}, which no job here asked for.",
            locale,
            amount=theirs,
            request=one.request_id,
        )
    if one.theirs_nanousd is None:
        return tr("Job {reference}: {ours} charged, nothing billed.", locale, reference=job, ours=ours)
    return tr("Job {reference}: {ours} charged, {theirs} billed.", locale, reference=job, ours=ours, theirs=theirs)


def _halted_notice(halted: ProviderHalted, locale: str) -> Notice:
    if halted.kind == "credit":
        return Notice(
            tr("fal is out of credit; new upscales are refused until it is topped up.", locale),
            advice=tr("Top up the balance in fal's dashboard. The bot goes on by itself.", locale),
        )
    return Notice(
        tr("fal refuses this bot's key; new upscales are refused until it is accepted again.", locale),
        advice=tr("Check FAL_KEY, and that the key has not been deleted.", locale),
    )
