"""Discord takes away the token, or refuses the connection for good, while the bot runs."""

from pathlib import Path

import pytest

from tests.adapters.discord.fake_service import FakeCore
from tests.adapters.discord.kit import PICTURE, Bot, make, serving
from tests.emulators.discord import DiscordEmulator


@pytest.mark.parametrize(
    ("code", "refused"),
    [(4004, "DISCORD_TOKEN"), (4011, "DISCORD_SHARD_COUNT"), (4013, "intents"), (4014, "intents")],
)
async def test_the_operator_hears_what_discord_refuses_and_the_bot_comes_back(
    tmp_path: Path, code: int, refused: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with DiscordEmulator() as discord:
        discord.gateway.identify_spacing_s = 0.0
        core = FakeCore(tmp_path)
        core.state.identify_ttl_s = 0.0
        async with serving(adapter := make(discord, core)) as served:
            token = discord.token
            if code == 4004:
                discord.token = "reset"
            else:
                discord.gateway.refuse_with = code
            await discord.gateway.drop(code)
            await discord.until(lambda: len(core.operator) >= 2)
            assert {(about, notice.what) for about, notice in core.operator} == {
                (
                    "refused:discord",
                    f"Discord refuses to connect this bot ({refused}); nobody can use it there.",
                )
            }
            assert await adapter.problem() == f"Discord refuses {refused}"
            assert (core.caught, served.done()) == ([], False)
            assert [record for record in caplog.records if record.exc_info] == []

            discord.token, discord.gateway.refuse_with = token, None
            await discord.until(lambda: discord.gateway.connected)
            await Bot(discord, core, adapter).ask("/upscale", {"image": PICTURE}, lambda m: m.images)
            assert await adapter.problem() is None
