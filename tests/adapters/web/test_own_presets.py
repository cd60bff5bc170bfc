"""A user's own presets, and parameters as fields of a form, over the page's API."""

import pytest

from tests.adapters.web.conftest import form
from tests.adapters.web.site import Site
from tests.adapters.web.test_api import Http, ask, start
from tests.fakes.core import DatabaseAway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_preset_of_ones_own_is_saved_as_typed_and_read_from_a_line(page_site: Site, http: Http) -> None:
    _, told = await ask(http, page_site, "PUT", "defaults", json={"words": "save logo 4x creativity=0.2"})
    assert told["presets"]["logo"] == {"factor": 4.0, "creativity": 0.2}
    assert "faithful" in told["presets"]
    _, told = await ask(http, page_site, "POST", "estimate", json={"text": "logo steps=9"})
    assert (told["preset"], told["parameters"]["factor"], told["explicit"]) == ("logo", 4.0, ["steps"])
    assert (await start(http, page_site, form(text="logo")))[0] == 202
    status, told = await ask(http, page_site, "PUT", "defaults", json={"words": "save seed 4x"})
    assert (status, told["error"]["code"]) == (400, "preset_refused")


async def test_where_nothing_was_to_be_started_an_absent_database_is_said_without_it(
    page_site: Site, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise DatabaseAway

    monkeypatch.setattr(page_site.service, "settings", away)
    status, told = await ask(http, page_site, "GET", "defaults")
    assert (status, "started" in str(told)) == (503, False)
    monkeypatch.setattr(page_site.service, "request", away)
    status, told = await start(http, page_site)
    assert (status, "nothing was started" in str(told)) == (503, True)


@pytest.mark.parametrize(("second", "status"), [("20", 400), ("10", 202)])
async def test_two_values_of_one_field_are_a_mistake(page_site: Site, http: Http, second: str, status: int) -> None:
    body = form(steps="10")
    body.add_field("steps", second)
    answered, answer = await start(http, page_site, body)
    assert answered == status
    assert list((answer["error"] or {}).get("fields", {})) == (["steps"] if status == 400 else [])
    assert len(list((page_site.data_dir / "uploads").iterdir())) == (status == 202)
