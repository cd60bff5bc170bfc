"""Measurements of strangers' text: the readers and the pieces are those of the property test."""

from typing import Any

from tests.core.domain.test_untrusted_text import CHARS, PIECES, READERS, cpu_s


def longest() -> dict[str, Any]:
    """Milliseconds of processor time of the slowest reader, over every repeated piece."""
    slowest_s = max(
        min(cpu_s(read, (piece * CHARS)[:CHARS]) for _ in range(3)) for read in READERS.values() for piece in PIECES
    )
    return {"ms": 1000 * slowest_s}
