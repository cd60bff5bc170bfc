"""What the core tells the operator, and nobody else. Implemented in `bot`."""

from collections.abc import Callable
from typing import Protocol

import structlog

from core.presentation import Notice

log = structlog.get_logger(__name__)


class OperatorAlerts(Protocol):
    """Takes news for the operator. Never waits and never raises, so that no job depends on it."""

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        """Pass it on soon, in each reader's language (`notice`); of news about the same at most so many an hour."""


class LogOnly:
    """Where there is nobody to tell but the log."""

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        """Write it down."""
        log.warning("operator_news", about=about, news=notice("en").what)
