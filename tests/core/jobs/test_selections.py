"""Several images in one request: what may start unasked, who may choose, and how often."""

from pathlib import Path
from typing import Any

import pytest

from core.domain.errors import NotAllowed, SelectionClosed
from core.domain.limits import ScopeKind
from core.jobs.selections import NO_IMAGE, Selection, Selections
from tests.core.jobs.pipeline_kit import ANN, BOB, MOD, PRICE, USD, World, world
from tests.core.storage.ledger_kit import day_usd

DEAR, CHEAP = (1500, 1500), (500, 400)


@pytest.fixture
def selections(w: World) -> Selections:
    return Selections(w.service, w.state, "fake")


async def _asked(w: World, selections: Selections, *sizes: Any, **how: Any) -> Selection:
    requests = tuple(w.request(key=f"fake:1:{n}", **how) for n in range(len(sizes)))
    return await selections.priced(Selection(requests, sizes))


async def test_images_start_unasked_only_for_a_small_or_agreed_total(w: World, selections: Selections) -> None:
    cheap = await _asked(w, selections, CHEAP, CHEAP, NO_IMAGE)
    dear = await _asked(w, selections, DEAR, DEAR)
    unknown = await _asked(w, selections, CHEAP, None)
    unreachable = await _asked(w, selections, CHEAP, CHEAP, text="to=8k")
    assert cheap.prices_nanousd == (USD // 10, USD // 10, 0)
    assert dear.prices_nanousd == (USD * 9 // 10,) * 2
    assert unknown.prices_nanousd == (USD // 10, None)
    assert unreachable.prices_nanousd == (0, 0)
    assert [await selections.may_start(one) for one in (cheap, dear, unknown)] == [True, False, False]
    assert await selections.may_start(dear, USD * 18 // 10)
    assert not await selections.may_start(dear, USD * 17 // 10)
    assert not await selections.may_start(cheap, None)


async def test_no_button_takes_more_images_than_what_is_left_pays(tmp_path: Path) -> None:
    """A press would start the first ones and refuse the rest."""
    async with world(tmp_path, None, day_usd(ScopeKind.USER, 2)) as w:
        selections = Selections(w.service, w.state, "fake")
        fitting = await _asked(w, selections, DEAR, DEAR)
        assert fitting.question("q", "en").rows[0][0].label == "Both for $1.80"
        too_many = await _asked(w, selections, DEAR, DEAR, CHEAP, CHEAP, CHEAP)
        card = too_many.question("q", "en")
        assert card.paragraphs[1:] == (("All 5 for $2.10",), ("You have $2.00 left today.",))
        assert (card.rows, card.choices[0].most) == ((), 5)
        await selections.stored.put("q", too_many)
        assert await selections.stored.get("q") == too_many


async def test_what_a_sponsor_does_not_pay_for_all_images_the_members_own_budget_does(tmp_path: Path) -> None:
    async with world(tmp_path, None, day_usd(ScopeKind.WORKSPACE, 9)) as w:
        await w.service.limits.sponsor(MOD, "c1", USD, 7)
        both = await _asked(w, Selections(w.service, w.state, "fake"), DEAR, DEAR)
        assert both.question("q", "en").rows[0][0].label == "Both for $1.80"


async def test_what_has_started_is_not_asked_about_again(w: World, selections: Selections) -> None:
    dear = await _asked(w, selections, DEAR, DEAR)
    await w.service.request(dear.requests[0])
    assert await selections.may_start(dear, None)


async def test_only_the_member_chooses_and_once(w: World, selections: Selections) -> None:
    await selections.stored.put("q", await _asked(w, selections, DEAR, CHEAP))
    with pytest.raises(NotAllowed):
        await selections.take("q", BOB, None)
    assert await selections.take("q", ANN, [7]) is None
    taken = await selections.take("q", ANN, [1, 1, 7])
    assert taken is not None
    assert [(one.key, one.confirmed_nanousd) for one in taken.requests] == [("fake:1:1", PRICE)]
    assert await selections.take("q", ANN, None) is None
    await selections.close("q")
    assert await selections.take("q", ANN, None) is None
    await w.clock.advance(60)
    with pytest.raises(SelectionClosed):
        await selections.take("q", ANN, None)


async def test_a_choice_that_could_not_be_stored_as_jobs_can_be_made_again(w: World, selections: Selections) -> None:
    await selections.stored.put("q", await _asked(w, selections, DEAR, CHEAP))
    assert await selections.take("q", ANN, None)
    await w.clock.advance(11)
    assert await selections.take("q", ANN, None)


async def test_a_question_that_slack_stored_in_an_older_release_is_read(w: World, selections: Selections) -> None:
    request = {
        "key": "slack:T1:post-C1-1.1:F1",
        "requester": {"platform": ANN.platform, "user_id": ANN.user_id, "workspace_id": ANN.workspace_id},
        "source": {"kind": "attachment", "name": "a.png", "data": {"file": "F1", "team": "T1"}},
        "reply": {"platform": "slack", "data": {"team": "T1", "channel": "C1"}},
        "text": "3x",
        "fields": {},
    }
    stored = {"requests": [request], "sizes_px": [[1500, 1500]], "prices_nanousd": [2_100_000_000]}
    await w.state.put("fake.batch", "q", stored)
    taken = await selections.take("q", ANN, None)
    assert taken is not None
    assert (taken.requests[0].text, taken.sizes_px) == ("3x", ((1500, 1500),))
