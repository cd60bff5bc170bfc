"""Registers the commands with Discord when they have changed, from one process only."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import discord
import structlog

from adapters.discord.connection.client import UpscaleClient
from adapters.discord.inbound.commands import CommandTranslator
from core.ports import AppState

log = structlog.get_logger(__name__)

_AREA = "discord-commands"
_CLAIM_TTL_S = 30.0
ATTACHMENT = 11
FILE_TYPES = ["image", ".bmp", ".tif", ".tiff", ".heic", ".heif"]
"""Filters the client's file picker by name (since 2026-08-05; `image` is png gif jpg jpeg jfif webp avif). The library
does not know the field yet. The core still judges the bytes."""


async def command_payload(client: UpscaleClient) -> list[dict[str, Any]]:
    """The library's payload of all commands in all languages, with the file types added."""
    translator = CommandTranslator()
    commands = client.tree.get_commands() + client.tree.get_commands(type=discord.AppCommandType.message)
    unique = list({id(command): command for command in commands}.values())
    payload = [await command.get_translated_payload(client.tree, translator) for command in unique]
    for option in _options(payload):
        if option.get("type") == ATTACHMENT:
            option["file_types"] = FILE_TYPES
    return payload


def _options(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield item
        yield from _options(item.get("options") or [])


async def _is_registered(client: UpscaleClient, payload: list[dict[str, Any]]) -> bool:
    """Whether Discord still has these commands; another program with the same token may have replaced them."""
    assert client.application_id is not None
    registered = await client.http.get_global_commands(client.application_id)
    names = {(command["name"], command.get("type", 1)) for command in registered}
    if names == {(command["name"], command.get("type", 1)) for command in payload}:
        return True
    log.warning("commands_replaced_elsewhere", count=len(registered))
    return False


async def sync_commands(client: UpscaleClient, state: AppState, api_url: str) -> bool:
    """PUT the commands if their hash differs from the last one that was sent; return whether it did.

    Commands keep working meanwhile. Must not be called from `on_ready`, which fires again after every reconnect.
    """
    payload = await command_payload(client)
    canonical = json.dumps([api_url, payload], sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = str(client.application_id)
    if await state.get(_AREA, key) == digest and await _is_registered(client, payload):
        return False
    if not await state.claim("discord-sync", f"{key}:{digest[:16]}", ttl_s=_CLAIM_TTL_S):
        log.info("commands_synced_elsewhere")
        return False
    assert client.application_id is not None
    await client.http.bulk_upsert_global_commands(client.application_id, payload=payload)
    await state.put(_AREA, key, digest)
    log.info("commands_synced", count=len(payload))
    return True
