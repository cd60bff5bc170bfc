"""Discord's own URLs: original files, refreshed when expired; odd hosts are no internal errors. The IDENTIFY limit."""

import re

import pytest

from adapters.discord.connection.identify_limiter import IdentifyLimiter, SessionLimits
from adapters.discord.inbound.message_images import expiry_of, from_link, original_of
from core.domain.errors import DownloadFailed
from core.domain.job import Source
from core.presentation.texts.operator_texts import few_connects_left
from tests.adapters.discord.fake_service import png
from tests.adapters.discord.kit import Bot, serving
from tests.emulators.discord import Upload
from tests.fakes.core import NOON, FakeClock
from tests.fakes.operator import Told
from tests.typed import unwrap

SIGNED = "ex=1&is=2&hm=3"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (
            f"https://media.discordapp.net/attachments/1/2/a.png?{SIGNED}&format=webp&quality=lossless&width=550&height=9",
            f"https://cdn.discordapp.com/attachments/1/2/a.png?{SIGNED}",
        ),
        (f"https://cdn.discordapp.com/attachments/1/2/a.png?{SIGNED}", None),
        ("https://example.org/a.png?width=5&height=6", None),
        ("https://media.discordapp.net/stickers/5.gif?size=160", "https://media.discordapp.net/stickers/5.gif"),
    ],
)
def test_a_link_of_the_viewer_means_the_original(given: str, wanted: str | None) -> None:
    assert original_of(given) == (wanted or given)


@pytest.mark.parametrize(
    "link", ["http://[abc/a.png", "https://[::1/x", "https://exa mple..org/", "//", "https://" + "a" * 300]
)
def test_an_odd_host_is_no_internal_error(link: str) -> None:
    assert from_link(link).hosted is False
    assert original_of(link) == link
    assert expiry_of(link) is None


def test_names_from_links_are_shown_decoded() -> None:
    assert from_link("https://example.org/my%20pic%20%C3%A9.png").name == "my pic é.png"


async def test_an_expired_address_of_discord_is_renewed(bot: Bot) -> None:
    post = bot.discord.post("", (Upload("a.png", png()),))
    url = bot.discord.cdn.url(bot.discord.world.attachments[post.attachments[0].id])
    old = re.sub(r"ex=[0-9a-f]+", "ex=1", url)
    download = await bot.adapter.download(Source("attachment", url=old))
    assert (expiry_of(download.url) or 0) > bot.core.clock.now()
    with pytest.raises(DownloadFailed):
        await bot.adapter.download(Source("attachment", url=re.sub(r"/\d+/a.png", "/77/a.png", old)))


async def test_commands_that_another_process_took_away_are_put_back_at_the_next_start(bot: Bot) -> None:
    names = {command["name"] for command in bot.discord.world.commands}
    bot.discord.world.commands = []
    bot.discord.gateway.identifies.clear()
    bot.core.state.claims.clear()
    fresh = type(bot.adapter)(bot.adapter._settings, bot.adapter._context)
    async with serving(fresh):
        assert {command["name"] for command in bot.discord.world.commands} == names


class Gateway:
    """Session limits as in GET /gateway/bot."""

    def __init__(self, remaining: int = 1000, reset_after_s: float = 3600.0) -> None:
        self.limits = SessionLimits(1000, remaining, reset_after_s)
        self.fetches = 0

    async def fetch(self) -> SessionLimits:
        self.fetches += 1
        return self.limits

    def limiter(self, bot: Bot, clock: FakeClock, alerts: Told) -> IdentifyLimiter:
        bot.core.state.claims.clear()
        return IdentifyLimiter(bot.core.state, clock, 1, self.limits, self.fetch, alerts)


async def test_sessions_refused_again_and_again_are_asked_for_ever_more_slowly(bot: Bot) -> None:
    clock = FakeClock()
    limiter = Gateway().limiter(bot, clock, Told())
    for _ in range(9):
        bot.core.state.claims.clear()
        await limiter.wait(0)
    assert [pause for pause in clock.slept if pause >= 5] == [5, 10, 20, 40, 80, 120, 120]


async def test_sessions_are_counted_over_all_processes_and_the_operator_hears_of_the_last_quarter(bot: Bot) -> None:
    clock, alerts, gateway = FakeClock(), Told(), Gateway(remaining=252)
    for shard in range(3):
        await gateway.limiter(bot, clock, alerts).wait(shard)
    assert [about for about, _ in alerts] == ["connects:discord"] * 2
    assert ["connect 250 of 1000" in alerts[0][1].what, "connect 249 of 1000" in alerts[1][1].what] == [True, True]


async def test_without_a_session_left_nobody_identifies_before_the_reset(bot: Bot) -> None:
    clock, alerts, gateway = FakeClock(), Told(), Gateway(remaining=0, reset_after_s=5.0)
    limiter = gateway.limiter(bot, clock, alerts)
    gateway.limits = SessionLimits(1000, 1000, 86_400.0)
    await limiter.wait(0)
    assert 60.0 in clock.slept
    assert alerts == [("connects:discord", few_connects_left("discord", 0, 1000, NOON + 60.0, "en"))]


async def test_each_identify_of_a_storm_of_invalid_sessions_is_counted(bot: Bot) -> None:
    clock, alerts, gateway = FakeClock(), Told(), Gateway(remaining=1000)
    limiter = gateway.limiter(bot, clock, alerts)
    for _ in range(3):
        bot.core.state.claims.clear()
        await limiter.wait(0)
    kept = unwrap(await bot.core.state.get("discord-identify", "1:left"))
    assert kept["remaining"] == 997
    assert gateway.fetches == 0
