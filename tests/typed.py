"""What the type checker cannot know of a test's values."""

from typing import TypeVar

T = TypeVar("T")


def unwrap(value: T | None) -> T:
    """The value, which this test knows to be there."""
    assert value is not None
    return value
