"""Discord's objects into the core's: who asks, where, for what, and where the answer goes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import discord

from adapters.discord.inbound.message_images import FoundImage
from adapters.discord.outbound.reply_address import PLATFORM, TOKEN_LIFE_S, Address
from core.domain.job import Requester, Source, UpscaleRequest
from core.domain.untrusted_text import clean_line

Interaction = discord.Interaction[discord.Client]
Fields = Mapping[str, str | int | float | bool]


def requester(interaction: Interaction) -> Requester:
    """Who acts, with the rights that Discord vouches for in this very payload."""
    user = interaction.user
    guild_id = interaction.guild_id
    # The member's roles as ids: in a server without the bot there is no cache that could resolve them.
    roles = tuple(str(role_id) for role_id in getattr(user, "_roles", ()))
    permissions = interaction.permissions
    return Requester(
        platform=PLATFORM,
        user_id=str(user.id),
        user_name=clean_line(user.display_name),
        workspace_id=str(guild_id) if guild_id is not None else "",
        channel_id=str(interaction.channel_id or ""),
        role_ids=roles,
        is_moderator=guild_id is not None and (permissions.manage_guild or permissions.administrator),
        locale=locale_of(interaction),
        brought_by_user=is_user_install_only(interaction),
    )


def locale_of(interaction: Interaction) -> str:
    """The member's own language as Discord's tag, e.g. `pt-BR`."""
    return str(interaction.locale.value)


def is_age_restricted(interaction: Interaction) -> bool:
    """Whether the place is an age-restricted channel by the payload, which says nothing about a thread's channel."""
    channel = interaction.channel
    is_nsfw = getattr(channel, "is_nsfw", None)
    return bool(is_nsfw is not None and interaction.guild_id is not None and is_nsfw())


def address(
    interaction: Interaction, *, ephemeral: bool, message_id: int | None = None, slot: str = "original"
) -> Address:
    """Where the answer to this interaction is, with all that a successor of this process needs."""
    bot_inside = _is_bot_inside(interaction)
    return Address(
        app_id=interaction.application_id,
        token=interaction.token,
        expires_at=_created_s(interaction.created_at) + TOKEN_LIFE_S,
        interaction_id=interaction.id,
        channel_id=interaction.channel_id or 0,
        guild_id=interaction.guild_id,
        user_id=interaction.user.id,
        locale=locale_of(interaction),
        limit_bytes=interaction.filesize_limit,
        ephemeral=ephemeral,
        bot_inside=bot_inside,
        slot="followup" if slot == "followup" else "original",
        message_id=message_id,
    )


def _is_bot_inside(interaction: Interaction) -> bool:
    """Whether the bot user can probably act there by itself; where Discord does not say who installed it, yes."""
    if not interaction.is_guild_integration() and not interaction.is_user_integration():
        return True
    if interaction.guild_id is None:
        return bool(interaction.context.dm_channel)
    return interaction.is_guild_integration()


def _created_s(created_at: datetime) -> float:
    return created_at.timestamp()


def is_user_install_only(interaction: Interaction) -> bool:
    """Only the member brought the app here: five follow-ups, and none of the bot's own messages."""
    return interaction.is_user_integration() and not interaction.is_guild_integration()


def requests(
    interaction: Interaction,
    images: Sequence[FoundImage | str],
    where: Address,
    *,
    text: str = "",
    fields: Fields | None = None,
    private: bool = False,
    first_in_original: bool = True,
    unsafe_place: bool = False,
    confirmed_nanousd: Sequence[int] = (),
) -> list[UpscaleRequest]:
    """One request per picture (a `str` is a typed link), each with its own message and its own key.

    The key is made of what a redelivered event repeats: the interaction's id and the picture's.
    """
    made: list[UpscaleRequest] = []
    for index, image in enumerate(images):
        own = where if index == 0 and first_in_original else where.followup(str(index))
        key = f"{PLATFORM}:{interaction.id}"
        if len(images) > 1:
            key += f":{index}:{image.id if isinstance(image, FoundImage) else 'link'}"
        source = image.source() if isinstance(image, FoundImage) else Source("link", url=image)
        agreed = confirmed_nanousd[index] if index < len(confirmed_nanousd) else 0
        made.append(
            UpscaleRequest(
                key=key,
                requester=requester(interaction),
                source=source,
                reply=own.to_reply(),
                text=text,
                fields=dict(fields or {}),
                private=private,
                spoiler=isinstance(image, FoundImage) and image.spoiler,
                unsafe_place=unsafe_place,
                confirmed_nanousd=agreed,
            )
        )
    return made
