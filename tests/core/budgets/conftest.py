"""Budgets on the database and the clock of a test."""

from functools import partial

import pytest

from core.storage.database import Database
from core.storage.encryption import Vault
from core.storage.state import SqlAppState
from tests.core.budgets.kit import Make, budgets
from tests.core.storage.ledger_kit import HandClock


@pytest.fixture
def make(database: Database, clock: HandClock) -> Make:
    """Make the budgets of one more process on the same database."""
    return partial(budgets, database, clock)


@pytest.fixture
def state(database: Database, clock: HandClock) -> SqlAppState:
    return SqlAppState(database, Vault("a key"), clock)
