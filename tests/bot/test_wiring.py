"""What only the composition root can get wrong: a part that is made without another one that it asks."""

from pathlib import Path

import pytest

from bot.app import build
from bot.settings import load
from core.domain.identity import Place
from core.domain.job import Requester
from core.ports import PlaceFacts
from core.storage.migrate import migrate


class OwnersPlatform:
    """Knows whose bot it is."""

    async def place_facts(self, place: Place) -> PlaceFacts:
        return PlaceFacts(is_own=place == Place("discord", "user", "owner"))


@pytest.mark.parametrize(("user_id", "everything"), [("owner", True), ("somebody", False)])
async def test_alerts_of_the_whole_bot_go_where_its_owner_asks_for_them_in_a_chat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_id: str, everything: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    app = build(load(None, fal_key="id:secret", data_dir=str(tmp_path)), serve=False)
    app.adapters["discord"] = OwnersPlatform()  # type: ignore[assignment]
    try:
        await migrate(app.database)
        who = Requester("discord", user_id, workspace_id="1", is_moderator=True)
        await app.service.limits.set_alert_channel(who, "2")
        assert [place.everything for place in await app.budget.limits.rules.alert_places()] == [everything]
    finally:
        await app.database.close()
