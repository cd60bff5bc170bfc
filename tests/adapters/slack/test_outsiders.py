"""People of other organisations, met in shared channels, have no rights here."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.slack.inbound.user_cache import _person

ADMIN = {"name": "eve", "is_admin": True, "is_owner": True}


@pytest.mark.parametrize(
    ("user", "moderates"),
    [
        (ADMIN | {"team_id": "T1"}, True),
        (ADMIN, True),
        (ADMIN | {"team_id": "T2"}, False),
        (ADMIN | {"team_id": "T1", "is_stranger": True}, False),
        (ADMIN | {"team_id": "E1", "enterprise_user": {"id": "W1", "teams": ["T1", "T3"]}}, True),
        (ADMIN | {"team_id": "E1", "enterprise_user": {"id": "W1", "teams": ["T3"]}}, False),
        ({"name": "ann", "team_id": "T1"}, False),
    ],
)
def test_only_an_admin_of_this_workspace_moderates_it(user: dict[str, Any], moderates: bool) -> None:
    assert _person(user, "T1").is_admin is moderates
