"""Whether this Python's SQLite can be used."""

import sqlite3

_NEEDED = (3, 35, 0)
"""RETURNING came with 3.35 (sqlite.org/releaselog)."""


def too_old() -> str | None:
    """One sentence when this Python's SQLite cannot be used at all, else None."""
    if sqlite3.sqlite_version_info >= _NEEDED:
        return None
    return (
        f"This Python comes with SQLite {sqlite3.sqlite_version}, but 3.35 or newer is needed: "
        "use a newer Python, or set DATABASE_URL to a PostgreSQL."
    )
