"""What the supervisor logs about a broken adapter."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from bot import supervisor
from core.domain.errors import StorageUnavailable

AWAY = OperationalError("SELECT 1", {}, Exception("the connection was cut"))


@pytest.mark.parametrize(("breaks", "said"), [
    (AWAY, ("warning", "adapter_without_database")),
    (StorageUnavailable(), ("warning", "adapter_without_database")),
    (ExceptionGroup("tasks", [ExceptionGroup("inner", [AWAY]), StorageUnavailable()]),
     ("warning", "adapter_without_database")),
    (ExceptionGroup("tasks", [AWAY, KeyError("x")]), ("error", "adapter_broke")),
    (KeyError("x"), ("error", "adapter_broke")),
])  # fmt: skip
async def test_a_database_that_is_away_is_one_plain_warning_and_the_adapter_begins_again(
    breaks: Exception, said: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE_S", 0.01)
    stopping, outcomes = asyncio.Event(), [breaks]

    async def serve(ready: Callable[[], None]) -> None:
        if outcomes:
            raise outcomes.pop()
        ready()
        stopping.set()

    with capture_logs() as logs:
        await supervisor.supervise("chat", serve, stopping, pytest.fail, lambda _: None)
    first, *rest = logs
    assert (first["log_level"], first["event"]) == said
    assert ("exc_info" in first) == (said[0] == "error")
    assert "adapter_ready" in [entry["event"] for entry in rest]
