"""Whatever fails: the job ends, the member is told, the money is right, and nothing stays held."""

import dataclasses
import errno
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from core.domain import errors
from core.domain.errors import (
    BudgetError,
    InputError,
    InternalError,
    LedgerUnavailable,
    LimitReached,
    ModelError,
    ModelFailed,
    ProviderBusy,
    ProviderError,
    ProviderHalted,
    ProviderUnavailable,
    UpscaleError,
    leaves,
)
from core.domain.job import Job, JobState
from core.domain.limits import Limit, LimitStatus, Measure, Scope, ScopeKind, Window
from tests.core.jobs.pipeline_kit import PRICE, USD, World, world
from tests.core.storage.ledger_kit import day_usd
from tests.fakes.chat import away
from tests.fakes.process import Crash
from tests.typed import unwrap

STATUS = LimitStatus(Limit(Scope(ScopeKind.USER), Measure.USD, Window.DAY, 5 * USD), 4 * USD, 0, 1_795_600_000.0)


def made(leaf: type[UpscaleError]) -> UpscaleError:
    """An instance with a value for every required field."""
    hints = get_type_hints(leaf)
    fields: Any = dataclasses.fields(leaf) if dataclasses.is_dataclass(leaf) else ()
    needed = [f for f in fields if f.default is dataclasses.MISSING]
    return leaf(**{f.name: _some(hints[f.name]) for f in needed})


def _some(hint: Any) -> Any:
    if hint is LimitStatus:
        return STATUS
    if get_origin(hint) is tuple:
        return ()
    for option in get_args(hint) or (hint,):
        if isinstance(option, str):
            return option
        if option in (int, float, str):
            return option(3)
    raise AssertionError(f"no value for {hint}")


def below(*roots: type[UpscaleError]) -> list[UpscaleError]:
    return [made(leaf) for root in roots for leaf in leaves(root)]


async def ended(w: World, error: BaseException, *, charged: int | None = 0) -> Job:
    """Run a job into the error and check its end; `charged` None: as its receipt says."""
    job = await w.done()
    assert job.state in {JobState.FAILED, JobState.REFUSED}, f"{error!r}: {job.state}"
    assert job.receipt is not None
    expected = job.receipt.charged_nanousd if charged is None else charged
    await w.check_end(job, job.state, charged=expected)
    notice = w.adapter.message(job).notice
    assert notice.what, repr(error)
    assert notice.charged, f"{error!r} does not say what it cost"
    assert notice.reference == job.id
    return job


async def all_end(w: World, faults: Iterable[BaseException], place: Any, *, charged: int | None = 0) -> None:
    for fault in faults:
        place.append(fault)
        job = await ended(w, fault, charged=charged)
        expected = type(fault) if isinstance(fault, UpscaleError) else InternalError
        assert isinstance(job.error, expected | ModelFailed), f"{fault!r} became {job.error!r}"


async def test_every_error_of_a_download_ends_the_job_uncharged(w: World) -> None:
    from core.domain.job import Source

    w.upload = lambda *_: Source("link", url="https://example.org/a.png")  # type: ignore[method-assign]
    await all_end(w, [*below(InputError), errors.Draining(), OSError("disk full")], w.sources.errors)


async def test_every_error_of_reading_a_picture_ends_the_job_uncharged(w: World) -> None:
    await all_end(w, [*below(InputError), errors.Draining(), ZeroDivisionError()], w.images.errors["prepare"])


async def test_every_refusal_of_the_ledger_ends_the_job_uncharged(w: World) -> None:
    holds: list[BaseException] = []
    raising(w.ledger, "hold", holds)
    await all_end(w, below(BudgetError), holds)
    assert sum(w.upscaler.accepted.values()) == 0


async def test_every_error_of_the_upload_to_fal_ends_the_job_uncharged(w: World) -> None:
    waited_for = (ProviderBusy, ProviderUnavailable)
    errors_now = [error for error in below(ProviderError) if not isinstance(error, waited_for)]
    await all_end(w, [*errors_now, ZeroDivisionError()], w.upscaler.faults["stage"])


async def test_every_refusal_of_the_submit_ends_the_job_uncharged(w: World) -> None:
    for error in [*below(ModelError), made(ProviderHalted), made(ProviderUnavailable), InternalError()]:
        w.upscaler.script.append(error)
        await ended(w, error)


async def test_every_way_in_which_the_model_fails_is_charged_as_fal_says(w: World) -> None:
    for leaf in leaves(ModelError):
        for billed, units, charged in ((None, None, 0), (False, Decimal(0), 0), (True, Decimal(2), 2 * PRICE)):
            error = dataclasses.replace(made(leaf), billed=billed, billed_units=units)
            w.upscaler.outcomes.append(error)
            job = await ended(w, error, charged=charged)
            assert isinstance(job.error, leaf)


async def test_a_lost_request_or_an_expired_result_counts_at_the_estimate_until_reconciled(w: World) -> None:
    for place, error in (
        ("watch", errors.RequestLost()),
        ("result", errors.ResultExpired()),
        ("result", errors.RequestLost()),
        ("result", ZeroDivisionError()),  # what nobody has foreseen: tried three times
    ):
        w.upscaler.faults[place].extend([error] * (3 if isinstance(error, ZeroDivisionError) else 1))
        job = await ended(w, error, charged=PRICE)
        assert unwrap(job.receipt).basis == "unknown"


async def test_a_paid_picture_is_fetched_for_as_long_as_fal_keeps_it(w: World) -> None:
    for place in ("watch", "result", "fetch"):
        for error in (ProviderBusy(retry_after_s=90), ProviderUnavailable(), ProviderHalted(kind="key")):
            if place == "watch" and not isinstance(error, ProviderUnavailable):
                continue
            w.upscaler.faults[place].extend([error] * (1 if place == "watch" else 60))
            await w.paid()


async def test_waiting_for_a_paid_picture_is_told_with_its_end_in_time(w: World) -> None:
    gone, full = ProviderUnavailable(), OSError(errno.ENOSPC, "no space left")
    for place, error, awaited in (("result", gone, "answer"), ("fetch", gone, "file"), ("fetch", full, "room")):
        w.upscaler.faults[place].extend([error] * 12)
        job = await w.done()
        told = [p for p in w.adapter.message(job).progress if p.awaits is not None]
        assert {p.awaits for p in told} == {awaited}
        assert {p.until_at for p in told} == {unwrap(job.remote).intent_at + w.settings.collect_retry_s}
        await w.check_end(job, JobState.SUCCEEDED, charged=PRICE)


async def test_a_chat_that_takes_no_picture_yet_is_told_once_with_its_end_in_time(w: World) -> None:
    w.adapter.faults["finished"].extend(away(20))
    job = await w.done()
    [told] = [p for p in w.adapter.message(job).progress if p.awaits == "chat"]
    assert told.until_at is not None
    assert told.until_at - job.created_at > w.settings.deliver_retry_s
    await w.check_end(job, JobState.SUCCEEDED, charged=PRICE)


async def test_a_provider_that_stays_away_for_days_ends_the_job_at_the_estimate(w: World) -> None:
    w.upscaler.faults["result"].extend([ProviderUnavailable()] * 2000)
    began_at = w.clock.now()
    job = await ended(w, errors.ResultExpired(), charged=PRICE)
    assert unwrap(job.receipt).basis == "unknown"
    assert w.clock.now() - began_at > 6.9 * 86_400


async def test_a_restart_fetches_the_file_although_fal_has_forgotten_the_request(w: World) -> None:
    w.upscaler.faults["fetch"].append(Crash())
    job = await w.ask()
    with pytest.raises(Crash):
        await w.drive()
    await w.crash()
    w.upscaler.faults["result"].extend([errors.RequestLost()] * 9)
    w.upscaler.faults["watch"].extend([errors.RequestLost()] * 9)
    job = await w.paid(job)
    assert unwrap(job.result).caption == "A fake picture."
    assert unwrap(job.remote).made is None


async def test_an_unreadable_file_is_fetched_again_before_it_is_believed(w: World) -> None:
    w.images.errors["strip_result"].extend([errors.DamagedImage(), errors.NotAnImage(detected="html")] * 2)
    await w.paid()
    assert w.upscaler.calls["fetch"] == 5


@pytest.mark.parametrize("told_bytes", [1, 10**9])
async def test_a_whole_picture_is_not_fetched_again_for_a_size_that_the_provider_tells_wrongly(
    w: World, told_bytes: int
) -> None:
    w.upscaler.told_bytes = told_bytes
    await w.paid()
    assert w.upscaler.calls["fetch"] == 1


async def test_a_result_that_cannot_be_read_fails_charged_and_says_so(w: World) -> None:
    for units, basis in ((Decimal(1), "units"), (None, "unknown")):
        w.upscaler.units = units
        w.images.errors["strip_result"].extend([errors.DamagedImage()] * 6)
        job = await ended(w, errors.DamagedImage(), charged=PRICE)
        assert isinstance(job.error, ModelFailed)
        assert unwrap(job.receipt).basis == basis


async def test_the_unforeseen_becomes_a_reference_that_the_operator_can_look_up(w: World) -> None:
    w.upscaler.faults["stage"].append(ZeroDivisionError("a secret link"))
    job = await ended(w, ZeroDivisionError())
    assert isinstance(job.error, InternalError)
    incident = unwrap(await w.store.incident(job.id))
    assert (incident["kind"], incident["area"]) == ("ZeroDivisionError", "step:submit")
    assert "secret" not in w.adapter.message(job).notice.text


async def test_a_limit_that_is_full_refuses_before_anything_is_sent(tmp_path: Path) -> None:
    async with world(tmp_path, None, day_usd(ScopeKind.USER, 0.25)) as w:
        first, second, third = [await w.done() for _ in range(3)]
        for job in (first, second):
            await w.check_end(job, JobState.SUCCEEDED, charged=PRICE)
        await w.check_end(third, JobState.REFUSED, charged=0)
        assert isinstance(third.error, LimitReached)
        assert third.input is not None
        assert third.quote is not None  # so that the operator reads what was refused
        assert w.upscaler.accepted[third.id] == 0


# --- the database and the ledger go away ------------------------------------------------------------------------


def raising(port: Any, call: str, errors: list[Any]) -> None:
    """Let calls of this name raise these errors first, the last one first."""
    real = getattr(port, call)

    async def first_raise(*args: Any, **values: Any) -> Any:
        if errors:
            raise errors.pop()
        return await real(*args, **values)

    setattr(port, call, first_raise)


@pytest.mark.parametrize(("call", "refusal"), [("settle", None), ("release", errors.ContentRejected())])
async def test_a_ledger_that_is_away_when_money_moves_is_asked_again_and_nothing_is_lost(
    w: World, call: str, refusal: UpscaleError | None
) -> None:
    raising(w.ledger, call, failures := [LedgerUnavailable() for _ in range(5)])
    if refusal is None:
        await w.check_end(await w.done(), JobState.SUCCEEDED, charged=PRICE)
    else:
        w.upscaler.script.append(refusal)
        await ended(w, refusal)
    assert not failures


async def test_a_value_that_the_database_refuses_ends_the_job_in_words_at_once(w: World) -> None:
    w.upscaler.faults["stage"].append(IntegrityError("UPDATE jobs", None, Exception("a value too long")))
    job = await ended(w, IntegrityError("", None, Exception()))
    assert isinstance(job.error, InternalError)


async def test_a_database_that_is_away_for_a_while_stops_no_job(w: World) -> None:
    """Every third write of the jobs table fails, as a database does that is being restarted."""
    real, count = w.store.update, [0]

    async def update(job_id: str, **changes: Any) -> Job:
        count[0] += 1
        if count[0] % 3 == 0:
            raise OperationalError("UPDATE jobs", None, Exception("the database is shutting down"))
        return await real(job_id, **changes)

    w.store.update = update  # type: ignore[method-assign]
    for _ in range(3):
        await w.check_end(await w.done(), JobState.SUCCEEDED, charged=PRICE)
