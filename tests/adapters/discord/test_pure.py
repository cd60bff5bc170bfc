"""Pure functions: escaping, error mapping, upload sets, texts, links."""

import asyncio
import inspect
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.discord.connection.ack_priority import MAX_UNANSWERED, AckPriority
from adapters.discord.inbound.commands import TEXT_MAX, CommandTranslator, localized
from adapters.discord.inbound.message_images import ImageSelection, expiry_of
from adapters.discord.inbound.upscale_commands import parse_modal
from adapters.discord.outbound import errors, job_message
from adapters.discord.outbound.delivery_state import Address
from adapters.discord.setup import invite
from adapters.discord.views import markup
from core.domain.errors import DeliveryError, DeliveryRefused, DeliveryUnavailable
from core.domain.job import ReplyAddress
from core.domain.parameters.spec import PRESETS, SPECS
from core.ports import MediaFile
from core.presentation import LANGUAGES
from core.presentation.texts.command_texts import _COMMANDS, command_text
from tests.fakes.loop_turns import counted_turns

HOSTILE = [
    ("@everyone", "everyone"),
    ("<@123> <@&5> <#7> <t:1:R> </cmd:1> <:x:1>", "<"),
    ("[click](https://evil.example)", "["),
    ("# big\n- list\n> quote\n1. one\n-# small\n>>> more", "#"),
    ("**b** _i_ ~~s~~ ||spoiler|| `code` ```block```", "*"),
    ("https://evil.example discord://x", "://"),
]


def _unescaped(text: str, sign: str) -> bool:
    """Whether `sign` occurs without a backslash before it."""
    return re.search(rf"(?<!\\)(?:\\\\)*{re.escape(sign)}", text) is not None


@pytest.mark.parametrize(("text", "sign"), HOSTILE)
def test_no_markup_of_a_stranger_takes_effect(text: str, sign: str) -> None:
    escaped = markup.escape(text)
    if sign == "everyone":
        assert "@everyone" not in escaped
    elif sign == "://":
        assert "https://" not in escaped
    else:
        assert not _unescaped(escaped, sign)


@given(st.text(alphabet=st.sampled_from("ab \n*_~`|<>@#-[]()\\:/1.+t"), max_size=60))
def test_escaping_leaves_no_sign_of_markup_in_force(text: str) -> None:
    escaped = markup.escape(text)
    for sign in "*_~`|[]<":
        assert not _unescaped(escaped, sign)
    assert not re.search(r"@(everyone|here|\d)", escaped)
    assert not re.search(r"(?m)^\s*(#{1,3}|-#|-|\+|>|\d+\.)\s", escaped)
    assert re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", escaped).replace("\u200b", "") == text


def _exceptions(*modules: Any) -> list[type[Exception]]:
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, discord.DiscordException)
    }
    return sorted(found, key=lambda kind: kind.__name__)


def _made(kind: type[Exception]) -> Exception:
    response: Any = SimpleNamespace(status=503 if kind is discord.DiscordServerError else 400, reason="r")
    if issubclass(kind, discord.HTTPException) and kind is not discord.app_commands.CommandSyncFailure:
        return kind(response, {"code": 0, "message": "m"})
    error = kind.__new__(kind)
    error.args, error.status, error.code = ("m",), 400, 0  # type: ignore[attr-defined]
    if kind is discord.RateLimited:
        error.retry_after = 3.0  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize("kind", _exceptions(discord, discord.app_commands), ids=lambda k: k.__name__)
def test_every_public_exception_of_the_library_has_a_meaning_for_delivery(kind: type[Exception]) -> None:
    assert isinstance(errors.to_delivery_error(_made(kind)), DeliveryError)


@pytest.mark.parametrize(
    "error", [aiohttp.ServerDisconnectedError(), ConnectionResetError(104, "reset"), TimeoutError(), OSError()]
)
def test_trouble_of_the_network_may_pass(error: Exception) -> None:
    assert isinstance(errors.to_delivery_error(error), DeliveryUnavailable)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [(404, 10008, "gone"), (401, 50027, "too_old"), (404, 10015, "too_old"), (403, 50001, "forbidden")],
)
def test_what_never_works_again_is_told_apart(status: int, code: int, reason: str) -> None:
    kind: Any = {404: discord.NotFound, 403: discord.Forbidden}.get(status, discord.HTTPException)
    error = kind(SimpleNamespace(status=status, reason=""), {"code": code, "message": ""})
    mapped = errors.to_delivery_error(error)
    assert isinstance(mapped, DeliveryRefused)
    assert mapped.reason == reason


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_on_a_command_exists_and_is_short_enough(language: str) -> None:
    for key in (*_COMMANDS, *SPECS, *(f"preset_{name}" for name in PRESETS)):
        text = command_text(key, language)
        assert 1 <= len(text) <= TEXT_MAX, (language, key)


async def test_discord_gets_every_language_that_we_speak() -> None:
    translator = CommandTranslator()
    given_ = localized("upscale")
    spoken = {
        locale.value
        for locale in discord.Locale
        if await translator.translate(given_, locale, SimpleNamespace()) is not None  # type: ignore[arg-type]
    }
    assert spoken == {"en-US", "en-GB", "de", "fr", "es-ES", "es-419", "pt-BR", "ja"}


class _Sizes:
    """Media by size only: a result of the given bytes, and WebP at half of it."""

    def __init__(self, full: int, px: tuple[int, int]) -> None:
        self.full, self.px = full, px

    async def fit(self, job: Any, *, max_bytes: int) -> MediaFile:
        for shape, size in (("original", self.full), ("lossless_webp", self.full // 2), ("jpeg", self.full // 8)):
            if size <= max_bytes:
                return MediaFile(Path("x"), "image/png", shape, *self.px, size)  # type: ignore[arg-type]
        return MediaFile(Path("x"), "image/jpeg", "preview", 1024, 768, 50_000)

    async def preview(self, job: Any, *, max_side_px: int, max_bytes: int) -> MediaFile:
        return MediaFile(Path("p"), "image/jpeg", "preview", max_side_px, max_side_px, max_bytes)


def _job(full: int, px: tuple[int, int], link: str | None) -> Any:
    return SimpleNamespace(result=SimpleNamespace(width_px=px[0], height_px=px[1], bytes=full, link=link))


@pytest.mark.parametrize("full", [1_000, 8 * 2**20, 24 * 2**20, 70 * 2**20, 900 * 2**20])
@pytest.mark.parametrize("px", [(4000, 3000), (14_000, 7_000)])
async def test_parcels_shrink_until_the_link_and_never_pass_a_limit(full: int, px: tuple[int, int]) -> None:
    job = _job(full, px, "https://x.example/f")
    limit = 20 * 2**20
    made = [p async for p in job_message.upload_sets(job, _Sizes(full, px), limit_bytes=limit)]  # type: ignore[arg-type]

    assert made[-1].shape == "link"
    sizes = [upload_set.bytes for upload_set in made[:-1]]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size <= min(limit, job_message.REQUEST_MAX_BYTES) for size in sizes)
    if px[0] * px[1] > job_message.PREVIEW_CEILING_PX and made[0].shape != "preview":
        assert made[0].file is not None


async def test_without_a_link_the_core_learns_that_nothing_fits() -> None:
    upload_sets = job_message.upload_sets(_job(11, (1, 1), None), _Sizes(11, (1, 1)), limit_bytes=10)  # type: ignore[arg-type]
    with pytest.raises(DeliveryRefused):
        await anext(upload_sets)


async def test_a_picture_that_fits_goes_through_the_smallest_limit() -> None:
    upload_sets = job_message.upload_sets(_job(10, (1, 1), None), _Sizes(10, (1, 1)), limit_bytes=10)  # type: ignore[arg-type]
    assert (await anext(upload_sets)).shape == "original"


def test_an_address_survives_the_database_and_a_newer_version() -> None:
    address = Address(1, "t", 2.0, 3, 4, None, 5, "de", 6, True, False, "followup", 7, "1")
    stored = address.to_reply()
    newer = ReplyAddress(stored.platform, {**stored.data, "unknown": 1})
    assert Address.from_reply(newer) == address


def test_a_signed_address_says_when_it_ends() -> None:
    assert expiry_of("https://cdn.discordapp.com/a/b?ex=65a1&is=1&hm=2") == 0x65A1
    assert expiry_of("https://cdn.discordapp.com/a/b") is None
    assert expiry_of("https://x.example/?ex=nonsense") is None


def test_invites_ask_for_the_least() -> None:
    server, own = invite.invites(42)
    assert "permissions=274878008320" in server.url
    assert "scope=bot+applications.commands" in server.url
    assert "integration_type=1" in own.url
    assert "permissions" not in own.url
    assert all(permission.reason for permission in server.permissions)


def test_the_application_is_in_the_token() -> None:
    assert invite.id_in_token("MTIzNDU2Nzg5MDEyMzQ1Njc4.x.y") == 123456789012345678
    assert invite.id_in_token("nonsense") is None


def test_an_empty_form_says_nothing() -> None:
    assert parse_modal({"components": []}) == parse_modal({}) == (ImageSelection(), [])


def test_numbers_that_no_form_offers_choose_nothing() -> None:
    chosen = {"custom_id": "pictures", "values": ["²", "2", "-1", "0", "99", "9" * 5000]}
    assert parse_modal({"components": [{"component": chosen}]})[1] == [0, 2]


async def test_in_a_rush_first_answers_go_before_all_other_work() -> None:
    priority, order = AckPriority(), []
    for number in range(20):
        priority.arrived(number)

    async def handle(number: int) -> None:
        order.append(f"answer {number}")
        priority.answered(number)
        await priority.wait_until_calm()
        order.append(f"work {number}")

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(handle(number))
    first_work = next(n for n, entry in enumerate(order) if entry.startswith("work"))
    assert first_work >= 20 - MAX_UNANSWERED
    assert len(order) == 40


async def test_ordinary_traffic_is_not_held_back() -> None:
    priority = AckPriority()
    priority.arrived(1)
    async with counted_turns() as turn:
        await priority.wait_until_calm()
        assert turn() <= 1
