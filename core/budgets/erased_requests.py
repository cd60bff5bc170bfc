"""Which requests at the provider belonged to jobs that their owners have erased: by job id, nothing else.

The ledger's row stays, without the person; with this it still meets its bill, until no bill can come any more.
"""

from dataclasses import dataclass

from core.ports import AppState, TypedState

_KEPT_S = 100 * 86_400
"""fal lists billing events of the last 90 days."""


@dataclass(frozen=True, slots=True)
class ErasedRequest:
    """A request whose job is gone. `at` is when it was sent (unix seconds)."""

    request_id: str
    at: float


def erased_requests(state: AppState) -> TypedState[ErasedRequest]:
    return TypedState(state, "erased_requests", ErasedRequest, ttl_s=_KEPT_S)
