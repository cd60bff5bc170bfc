"""What the tests of several rooms of the core share: a clock moved by hand."""

from __future__ import annotations

import pytest

from tests.fakes.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()
