"""Changes of the machine's clock while the bot runs neither prolong nor cut short a wait."""

import time

import pytest

from core.ports import SystemClock
from core.ports import clock as module

NOON = 1_000_000.0


class Machine:
    """The machine's wall clock, which can be set, and its monotonic seconds."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.wall, self.awake_s = NOON, 50.0
        patch.setattr(time, "time", lambda: self.wall)
        patch.setattr(module, "awake_clock_s", lambda: self.awake_s)
        self.clock = SystemClock()

    def passes(self, seconds: float) -> float:
        """Return by how much the bot's clock advances in this time."""
        before = self.clock.now()
        self.wall, self.awake_s = self.wall + seconds, self.awake_s + seconds
        return self.clock.now() - before


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_it_is_the_machine_s_own_time(machine: Machine) -> None:
    assert machine.passes(7) == pytest.approx(7)
    assert machine.clock.now() == machine.wall


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
def test_a_jump_makes_no_wait_longer_than_double_or_shorter_than_half_and_is_caught_up_with(
    machine: Machine, jump_s: float
) -> None:
    before = machine.clock.now()
    machine.wall += jump_s
    assert machine.clock.now() == before
    assert 5 <= machine.passes(10) <= 20
    for _ in range(800):
        assert machine.passes(10) >= 0
    assert machine.clock.now() == pytest.approx(machine.wall)
