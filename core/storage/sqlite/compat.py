"""What an old SQLite lacks: `unixepoch('subsec')`, which the job engine's tables use on Python 3.12 and newer.

Debian 12 and Ubuntu 22.04 ship SQLite 3.40 and 3.37; `unixepoch` came with 3.38 and its `subsec` with 3.42. Without
it every row of the engine violates a NOT NULL constraint. A function of the same name, made per connection, stands in.
"""

import sqlite3
import time
from typing import Any

from sqlalchemy import Engine, event

_NEEDED = (3, 35, 0)
"""RETURNING came with 3.35 (sqlite.org/releaselog); our statements and the engine's use it."""

_HAS_SUBSEC = (3, 42, 0)


def too_old() -> str | None:
    """One sentence when this Python's SQLite cannot be used at all, else None."""
    if sqlite3.sqlite_version_info >= _NEEDED:
        return None
    return (
        f"This Python comes with SQLite {sqlite3.sqlite_version}, but 3.35 or newer is needed: "
        "use a newer Python, or set DATABASE_URL to a PostgreSQL."
    )


def unixepoch(*arguments: Any) -> float | None:
    """Seconds since 1970 with fractions for `unixepoch('subsec')`; None for uses that nobody here makes."""
    return time.time() if arguments == ("subsec",) else None


def install() -> None:
    """Give every SQLite connection that SQLAlchemy opens from now on the missing function. Repeatable."""
    if sqlite3.sqlite_version_info < _HAS_SUBSEC and not event.contains(Engine, "connect", _on_connect):
        event.listen(Engine, "connect", _on_connect)


def _on_connect(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.create_function("unixepoch", -1, unixepoch)
