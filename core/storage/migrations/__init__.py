"""Alembic's revisions. Applied at start by `core.storage.migrate`."""
