"""Requests that buttons make from earlier jobs."""

import pytest

from core.domain.job import ReplyAddress
from core.domain.variations import CHANGES, Change, repeated_request
from tests.fakes.cards import job


@pytest.mark.parametrize("kind", CHANGES)
def test_the_image_keeps_its_name_through_every_button(kind: str) -> None:
    change = Change.of(kind, {"factor": "3", "model": "seedvr2"}.get(kind, ""))
    made = repeated_request(job(), job().requester, change, key="k", reply=ReplyAddress("web", {}), private=None)
    assert made.source.name == job().source.name != ""
