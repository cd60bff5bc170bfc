"""Every fuzz target runs, and a few inputs of a fixed seed find nothing; `make fuzz` takes more."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.targets import TARGETS, Feed, Forged, mutated


@pytest.mark.parametrize("name", sorted(TARGETS))
async def test_a_few_inputs_find_nothing(name: str) -> None:
    count, finding = await fuzz(TARGETS[name], seed=1, seconds=60, most=40)
    assert (count, finding) == (40, "")


async def test_a_finding_is_told_with_the_number_of_its_input() -> None:
    @asynccontextmanager
    async def broken(_: Path) -> AsyncIterator[Feed]:
        async def feed(_: random.Random) -> None:
            raise Forged("x")

        yield feed

    assert await fuzz(broken, seed=1, seconds=60, most=5) == (1, "input 1: Forged: x")


def test_the_same_seed_makes_the_same_input() -> None:
    assert mutated(random.Random("1/1"), b"abcdef" * 9) == mutated(random.Random("1/1"), b"abcdef" * 9)
