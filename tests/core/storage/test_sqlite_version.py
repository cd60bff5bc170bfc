import sqlite3

import pytest

from core.storage.drivers.sqlite_writer import too_old


def test_a_sqlite_that_cannot_work_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    sentence = too_old()
    assert sentence is not None
    assert "3.34.1" in sentence
    assert "DATABASE_URL" in sentence


def test_this_machines_sqlite_can_be_used() -> None:
    assert too_old() is None
