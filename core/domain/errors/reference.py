"""References for what goes wrong outside any job."""

from __future__ import annotations

import secrets

from core.domain.job import job_id_for


def new_reference() -> str:
    """A fresh reference of the same form as a job's."""
    return job_id_for(secrets.token_hex(16))
