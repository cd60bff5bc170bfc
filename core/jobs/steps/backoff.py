"""Pauses between tries."""

from __future__ import annotations

import random


def backoff_s(attempt: int, asked_s: float | None) -> float:
    """What the platform asks for, else 1, 2, 4 … 60 s with jitter."""
    return min(120.0, asked_s) if asked_s is not None else min(60.0, 2.0**attempt) * random.uniform(0.75, 1.25)
