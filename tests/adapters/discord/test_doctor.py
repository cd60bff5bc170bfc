"""What `doctor` reads of the application at Discord."""

from typing import Any

import pytest

from adapters.discord import Settings, examine
from tests.adapters.discord.kit import Bot


async def test_doctor_names_what_the_application_lacks_or_does_not_need(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.model_validate({"discord_token": bot.discord.token, "discord_api_url": bot.discord.api_url})
    application = bot.discord.application()

    async def findings(scopes: list[str], permissions: int, **more: Any) -> list[tuple[str, str]]:
        install = {"oauth2_install_params": {"scopes": scopes, "permissions": str(permissions)}}
        changed = application | {"integration_types_config": {"0": install, "1": {}}} | more
        monkeypatch.setattr(bot.discord, "application", lambda: changed)
        found = await examine(settings, None)
        assert all(one.fix for one in found if one.level != "ok")
        return [(one.level, one.what) for one in found]

    both, all_of_them = ["bot", "applications.commands"], 1 << 10 | 1 << 11 | 1 << 38 | 1 << 15 | 1 << 16
    for enough in (all_of_them, 1 << 3):
        assert {level for level, _ in await findings(both, enough)} == {"ok"}
    [short] = [
        what for level, what in await findings(["applications.commands"], all_of_them - (1 << 15)) if level != "ok"
    ]
    assert "the scope bot, Attach Files" in short
    refused = await findings(both, all_of_them, bot_require_code_grant=True)
    assert [what for level, what in refused if level == "problem"] == [
        "Discord: nobody can add it, since the application requires a code grant."
    ]
    for flag in (1 << 12, 1 << 15, 1 << 18, 1 << 19):
        assert [what for _, what in await findings(both, all_of_them, flags=flag) if "privileged intents" in what]
    assert not [what for _, what in await findings(both, all_of_them, flags=1 << 23 | 1 << 16) if "privileged" in what]
