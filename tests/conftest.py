"""Fixtures shared by every test."""

from __future__ import annotations

from tests.pg import any_database_url, postgres_server, postgres_url

__all__ = ["any_database_url", "postgres_server", "postgres_url"]
