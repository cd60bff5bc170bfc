import sqlite3
import time

import pytest
from sqlalchemy import create_engine, text

from core.storage.sqlite import compat as sqlite_compat


def test_rows_get_the_time_also_where_sqlite_is_older_than_its_own_function() -> None:
    sqlite_compat.install()
    sqlite_compat.install()
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER, at BIGINT NOT NULL DEFAULT (unixepoch('subsec') * 1000))"))
        connection.execute(text("INSERT INTO t (id) VALUES (1)"))
        at_ms = connection.execute(text("SELECT at FROM t")).scalar_one()
    engine.dispose()
    assert abs(at_ms / 1000 - time.time()) < 60


def test_a_sqlite_that_cannot_work_is_named_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    sentence = sqlite_compat.too_old()
    assert sentence is not None
    assert "3.34.1" in sentence
    assert "DATABASE_URL" in sentence


def test_this_machines_sqlite_can_be_used() -> None:
    assert sqlite_compat.too_old() is None
