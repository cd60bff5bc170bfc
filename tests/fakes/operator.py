"""`core.ports.OperatorAlerts` in memory."""

from collections.abc import Callable

from core.presentation import Notice


class Told(list[tuple[str, Notice]]):
    """What the operator was told: what it is about, and the English words."""

    def tell(self, about: str, notice: Callable[[str], Notice], *, most_an_hour: int = 1) -> None:
        self.append((about, notice("en")))
