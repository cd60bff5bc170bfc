"""Fixture: the fal emulator and a backend that uses it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.upscalers.fal import FalUpscaler
from tests.core.upscalers.fal_kit import Rig, backend
from tests.emulators.fal import FalEmulator


@pytest.fixture
async def fal() -> AsyncIterator[FalEmulator]:
    async with FalEmulator(job_s=0.01, steps_logged=1) as emulator:
        yield emulator


@pytest.fixture
async def upscaler(fal: FalEmulator) -> AsyncIterator[FalUpscaler]:
    async with backend(fal) as made:
        yield made


@pytest.fixture
def rig(fal: FalEmulator, upscaler: FalUpscaler, tmp_path: Path) -> Rig:
    return Rig(fal, upscaler, tmp_path)
