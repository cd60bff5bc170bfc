import pytest

from core.net.retry import Backoff, retry
from tests.fakes.clock import HandClock


class Flaky:
    def __init__(self, failures: int) -> None:
        self.calls = 0
        self.failures = failures

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError(self.calls)
        return "done"


async def test_it_tries_until_the_call_returns() -> None:
    call = Flaky(3)
    assert await retry(call, clock=HandClock(0.0), pause=lambda error, attempt: 1.0) == "done"
    assert call.calls == 4


async def test_it_stops_at_the_number_of_tries_and_raises_the_last_error() -> None:
    call = Flaky(99)
    with pytest.raises(OSError, match="3"):
        await retry(call, clock=HandClock(0.0), pause=lambda error, attempt: 1.0, attempts=3)


async def test_it_starts_no_try_after_the_time_is_up() -> None:
    clock, call = HandClock(0.0), Flaky(99)
    with pytest.raises(OSError, match="11"):
        await retry(call, clock=clock, pause=lambda error, attempt: 1.0, within_s=10.0)
    assert clock.now() == 10.0


async def test_an_error_that_cannot_pass_is_raised_at_once() -> None:
    call = Flaky(99)
    with pytest.raises(OSError, match="1"):
        await retry(call, clock=HandClock(0.0), pause=lambda error, attempt: None)


def test_pauses_double_up_to_a_cap_and_are_as_long_as_was_asked_for_at_least() -> None:
    backoff = Backoff(first_s=1.0, cap_s=8.0, asked_cap_s=60.0)
    assert 0.75 <= backoff.pause_s(1) <= 1.25
    assert 6.0 <= backoff.pause_s(50) <= 10.0
    assert backoff.pause_s(3, asked_s=7.0) == 7.0
    assert backoff.pause_s(5, asked_s=0.0) >= 6.0, "a server that says 0 for ever is not asked without a pause"
    assert backoff.pause_s(1, asked_s=9999.0) == 60.0
