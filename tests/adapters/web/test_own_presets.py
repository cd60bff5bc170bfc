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
    def away(*_: object, **__: object) -> None:
        raise DatabaseAway

    for name in ("settings", "request", "_find"):
        monkeypatch.setattr(page_site.service, name, away)
    said = {"": await start(http, page_site), "settings": await ask(http, page_site, "GET", "defaults")}
    for word in ("repeat", "confirm", "cancel"):
        said[word] = await ask(http, page_site, "POST", f"jobs/x/{word}", json={"action": "again"})
    said["delete"] = await ask(http, page_site, "DELETE", "jobs/x")
    assert {status for status, _ in said.values()} == {503}
    told_so = [word for word, (_, told) in said.items() if "nothing was started" in told["error"]["message"]]
    assert told_so == ["", "repeat", "confirm"]


@pytest.mark.parametrize(("second", "status"), [("20", 400), ("10", 202)])
async def test_two_values_of_one_field_are_a_mistake(page_site: Site, http: Http, second: str, status: int) -> None:
    body = form(steps="10")
    body.add_field("steps", second)
    answered, answer = await start(http, page_site, body)
    assert answered == status
    assert list((answer["error"] or {}).get("fields", {})) == (["steps"] if status == 400 else [])
    assert len(list((page_site.data_dir / "uploads").iterdir())) == (status == 202)
