"""The account: prices, lost requests, bills, credit, and the circuit breaker."""

from decimal import Decimal
from pathlib import Path

import pytest

from core.domain.errors import ProviderHalted, ProviderUnavailable
from core.ports import SearchResult
from tests.core.upscalers.fal_kit import Rig, backend, statuses, submitted
from tests.emulators.fal import DropBefore, FalEmulator, Respond, exhausted, nginx, too_many
from tests.fakes.clock import JumpingClock
from tests.fakes.core import until
from tests.typed import unwrap


async def test_the_price_is_what_fal_says_now(rig: Rig) -> None:
    assert await rig.upscaler.unit_price() == 100_000_000
    rig.fal.unit_price_usd = 0.12
    assert await rig.upscaler.unit_price() == 120_000_000


@pytest.mark.parametrize(
    "fault",
    [
        nginx(503),
        DropBefore(),
        too_many(),
        Respond(200, json={"prices": []}),
        Respond(200, json={"prices": [{"endpoint_id": "fal-ai/flux-vision-upscaler", "unit": "seconds"}]}),
        Respond(200, text="<html>"),
    ],
)
async def test_an_unknown_price_is_none(rig: Rig, fault: Respond) -> None:
    rig.fal.faults.add("pricing", fault, times=99)
    assert await rig.upscaler.unit_price() is None
    assert len(rig.fal.seen("pricing")) <= 4  # aiohttp itself repeats a GET on a kept connection once


async def test_a_request_is_found_among_many_pages(fal: FalEmulator, tmp_path: Path) -> None:
    fal.page_limit = 3
    clock = JumpingClock()
    async with backend(fal, clock) as upscaler:
        since = clock.now()
        ids = [await submitted(upscaler, tmp_path) for _ in range(8)]
        wanted = fal.jobs[ids[7]].model_input["image_url"]
        for ahead_s in (0, 3500):  # our clock may have been ahead when the request was sent
            assert await upscaler.find(wanted, since=since + ahead_s) == SearchResult(ids[7], conclusive=True)


async def test_not_finding_is_conclusive_when_the_whole_listing_was_read(fal: FalEmulator, tmp_path: Path) -> None:
    clock = JumpingClock()
    async with backend(fal, clock) as upscaler:
        since = clock.now()
        await submitted(upscaler, tmp_path)
        found = await upscaler.find("http://x/never.png", since=since)
        assert (found.request_id, found.conclusive) == (None, True)
        assert set(found.running) <= set(fal.jobs)


async def test_not_finding_is_inconclusive_without_stored_inputs(rig: Rig) -> None:
    rig.fal.jobs[await rig.submitted()].erased = True
    found = await rig.upscaler.find("http://x/never.png", since=0.0)
    assert (found.request_id, found.conclusive) == (None, False)


@pytest.mark.parametrize("status", [401, 403, 404, 501])
async def test_a_listing_that_is_not_for_us_makes_the_search_pointless_unless_a_webhook_may_tell(
    fal: FalEmulator, status: int
) -> None:
    fal.faults.add("by_endpoint", Respond(status, json={}), times=99)
    async with backend(fal) as upscaler:
        assert not (await upscaler.find("http://x/y.png", since=1_700_000_000)).possible
    async with backend(fal, public_url="https://bot.example") as upscaler:
        assert (await upscaler.find("http://x/y.png", since=1_700_000_000)).possible


@pytest.mark.parametrize("fault", [nginx(503), DropBefore(), Respond(500, json={}), Respond(200, text="no")])
async def test_a_search_that_does_not_work_is_inconclusive(rig: Rig, fault: Respond) -> None:
    rig.fal.faults.add("by_endpoint", fault, times=99)
    assert await rig.upscaler.find("http://x/y.png", since=1_700_000_000) == SearchResult(None, conclusive=False)


async def test_what_was_billed_appears_late(rig: Rig) -> None:
    rig.fal.billing_delay_s = 60
    request_id = await rig.completed()
    assert await rig.upscaler.billing_events(0, 4e9) == []
    rig.fal.billing_delay_s = 0
    (event,) = unwrap(await rig.upscaler.billing_events(0, 4e9))
    assert (event.request_id, event.units, event.cost_nanousd) == (request_id, Decimal(1), 100_000_000)


async def test_a_bill_that_is_listed_on_two_pages_counts_once_unless_it_names_no_request(rig: Rig) -> None:
    """fal lists newest first, so that an event may move to the next page while they are read."""
    bill = {"request_id": "r", "timestamp": "2026-11-30T14:00:00Z", "output_units": 1, "cost_estimate_nano_usd": 5}
    later = {**bill, "timestamp": "2026-11-30T14:00:01Z"}
    unnamed = {**bill, "request_id": None}
    for bills, cursor in (([bill, unnamed, later], "next"), ([later, unnamed], None)):
        page = {"billing_events": bills, "next_cursor": cursor, "has_more": cursor is not None}
        rig.fal.faults.add("billing_events", Respond(200, json=page))
    assert [event.cost_nanousd for event in unwrap(await rig.upscaler.billing_events(0, 4e9))] == [5, 5, 5, 5]


async def test_without_an_admin_key_there_are_no_bills_and_nothing_is_asked(fal: FalEmulator) -> None:
    async with backend(fal, admin_key=None) as upscaler:
        assert await upscaler.billing_events(0, 4e9) is None
        assert await upscaler.credit() is None
        await upscaler.erase("some-request")
    assert fal.requests == []


async def test_credit_and_erasure_use_the_admin_key(rig: Rig) -> None:
    request_id = await rig.completed()
    url = (await rig.upscaler.result(request_id)).image_url
    assert await rig.upscaler.credit() == 49_900_000_000
    await rig.upscaler.erase(request_id)
    await rig.upscaler.erase("never-heard-of")
    assert url.removeprefix(rig.fal.cdn_url) not in rig.fal.files
    assert all("emulated-admin" in r.headers["authorization"] for r in rig.fal.seen("billing", "erase"))


async def test_a_failed_erasure_raises(rig: Rig) -> None:
    rig.fal.faults.add("erase", nginx(500), times=99)
    with pytest.raises(ProviderUnavailable):
        await rig.upscaler.erase("some-request")


async def test_the_key_can_be_checked_without_cost(fal: FalEmulator) -> None:
    async with backend(fal) as upscaler:
        assert await upscaler.check_key() == "ok"
    async with backend(fal, key="wrong:key") as upscaler:
        assert await upscaler.check_key() == "refused"
    async with backend(fal, api_url="http://127.0.0.1:9/v1") as upscaler:
        assert await upscaler.check_key() == "unreachable"


async def test_exhausted_credit_opens_the_breaker_alerts_once_and_closes_on_the_next_success(
    fal: FalEmulator, tmp_path: Path
) -> None:
    told: list[str] = []

    def tell(halted: ProviderHalted | None) -> None:
        told.append(halted.kind if halted is not None else "over")

    fal.credit_exhausted = True
    clock = JumpingClock(nap_s=1000)  # the background probe stays out of this
    async with backend(fal, clock, on_halt=tell, admin_key=None, probe_s=30) as upscaler:
        for _ in range(3):
            with pytest.raises(ProviderHalted):
                await submitted(upscaler, tmp_path)
        assert len(fal.submits) == 1
        clock.offset_s += 31
        assert upscaler.halted is None
        with pytest.raises(ProviderHalted):
            await submitted(upscaler, tmp_path)
        assert upscaler.halted is not None
        assert len(fal.submits) == 2
        fal.credit_exhausted = False
        clock.offset_s += 31
        await submitted(upscaler, tmp_path)
        await submitted(upscaler, tmp_path)
        assert told == ["credit", "over"]
        fal.credit_exhausted = True
        with pytest.raises(ProviderHalted):
            await submitted(upscaler, tmp_path)
        fal.credit_exhausted = False
    assert told == ["credit", "over", "credit"]
    async with backend(fal, on_halt=tell) as restarted:
        for _ in range(2):
            await submitted(restarted, tmp_path)
    assert told[3:] == ["over"], "the process before may have told of a halt that is over"


@pytest.mark.parametrize("why", ["a key that is taken again", "credit seen by the admin key"])
async def test_a_successful_probe_closes_the_breaker_without_a_job(fal: FalEmulator, tmp_path: Path, why: str) -> None:
    keys = set(fal.api_keys)
    if "key that" in why:
        fal.api_keys.clear()
    else:
        fal.faults.add("submit", exhausted())
    async with backend(fal, JumpingClock(nap_s=0.02)) as upscaler:
        with pytest.raises(ProviderHalted):
            await submitted(upscaler, tmp_path)
        fal.api_keys.update(keys)
        await until(lambda: upscaler._breaker.state is None, within_s=5)
        await submitted(upscaler, tmp_path)


async def test_running_requests_are_unaffected_by_a_halt(rig: Rig) -> None:
    rig.fal.job_s = 0.2
    request_id = await rig.submitted()
    rig.fal.credit_exhausted = True
    with pytest.raises(ProviderHalted):
        await rig.submitted()
    await statuses(rig.upscaler, request_id)
    assert (await rig.upscaler.result(request_id)).seed == 7
