"""Base of the ledger's stateful tests: one database for each sequence of steps, on SQLite or PostgreSQL."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.core.storage.ledger_kit import HandClock
from tests.pg import fresh_database, open_database

BOTH = pytest.mark.parametrize("on", ["sqlite", "postgresql"])


class LedgerSteps(RuleBasedStateMachine):
    """Uses PostgreSQL if `server` is its address, else SQLite."""

    server: ClassVar[str | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = HandClock()
        self.number = 0
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.fresh = fresh_database(self.server) if self.server else None
        self.url = self.run(self.fresh.__aenter__()) if self.fresh else f"sqlite:///{self.root / 'l.db'}"
        self.database = self.run(open_database(self.url))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 30))

    def teardown(self) -> None:
        self.run(self.database.close())
        if self.fresh:
            self.run(self.fresh.__aexit__(None, None, None))
        self.folder.cleanup()
        self.loop.close()


def try_steps(machine: type[LedgerSteps], request: pytest.FixtureRequest, on: str, examples: tuple[int, int]) -> None:
    """Run many sequences on SQLite, fewer on PostgreSQL."""
    if on == "postgresql":
        machine = type("OnPostgresql", (machine,), {"server": request.getfixturevalue("postgres_server")})
    bounds: Any = {
        "max_examples": examples[on == "postgresql"], "stateful_step_count": 20 if on == "postgresql" else 25,
        "deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True,
        "phases": (Phase.reuse, Phase.generate),
    }  # fmt: skip
    run_state_machine_as_test(machine, settings=settings(**bounds))
