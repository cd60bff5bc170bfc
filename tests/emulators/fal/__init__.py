# ruff: noqa: F401 - names for tests to import
"""An emulator of fal's queue, storage, CDN and platform API on loopback, as strict as fal is documented to be.

It takes the place of fal in tests, benchmarks and demonstrations. It speaks the documented wire protocol only
(facts of 2026-11-22) and knows nothing of the bot. Where fal's behaviour is not documented there is a switch,
so that a test can try both readings. What it tolerates but a careful client would not do is collected in
`FalEmulator.violations`.
"""

from tests.emulators.fal.faults import (
    CutStream,
    Drip,
    DropAfter,
    DropBefore,
    GarbageStream,
    Held,
    Respond,
    Slow,
    Truncate,
    exhausted,
    json_5xx,
    nginx,
    too_many,
    unauthorised,
)
from tests.emulators.fal.outcomes import BlackImage, InfraError, ModelErrorOutcome, OddImage, Ok
from tests.emulators.fal.server import ADMIN_KEY, API_KEY, ENDPOINT, FalEmulator
from tests.emulators.fal.state import Recorded
