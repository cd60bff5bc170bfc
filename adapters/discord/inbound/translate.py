"""Translates Discord's objects into the core's requester, request and reply address. Pure."""

import discord

from adapters.discord.inbound.message_images import ImageSelection
from adapters.discord.outbound.delivery_state import PLATFORM, TOKEN_TTL_S, Address
from core.domain.job import ReplyAddress, Requester, UpscaleRequest
from core.domain.untrusted_text import clean_line
from core.jobs.selections import Selection

Interaction = discord.Interaction[discord.Client]
DEFAULT_FILE_LIMIT_BYTES = 20 * 1024 * 1024
"""For messages, which announce no limit: Discord's default since 2026-09. Refused uploads are retried smaller."""


def requester(interaction: Interaction) -> Requester:
    """The acting user, with the permissions that Discord states in this payload."""
    user, channel = interaction.user, interaction.channel
    guild_id = interaction.guild_id
    # Role ids, because in a server without the bot no cache can resolve them.
    roles = tuple(str(role_id) for role_id in getattr(user, "_roles", ()))
    permissions = interaction.permissions
    return Requester(
        platform=PLATFORM,
        user_id=str(user.id),
        user_name=clean_line(user.display_name),
        workspace_id=str(guild_id) if guild_id is not None else "",
        channel_id=str(interaction.channel_id or ""),
        parent_channel_id=str(channel.parent_id) if isinstance(channel, discord.Thread) else "",
        role_ids=roles,
        is_moderator=guild_id is not None and (permissions.manage_guild or permissions.administrator),
        locale=locale_of(interaction),
        brought_by_user=is_user_install_only(interaction),
    )


def locale_of(interaction: Interaction) -> str:
    return str(interaction.locale.value)


def is_age_restricted(interaction: Interaction) -> bool | None:
    """Whether the channel is age-restricted; None for a thread, whose payload says nothing about its parent channel."""
    channel = interaction.channel
    if interaction.guild_id is not None and isinstance(channel, discord.Thread):
        return None
    is_nsfw = getattr(channel, "is_nsfw", None)
    return bool(is_nsfw is not None and interaction.guild_id is not None and is_nsfw())


def interaction_address(
    interaction: Interaction, *, ephemeral: bool, message_id: int | None = None, acknowledged: bool = True
) -> Address:
    """The address of the response to this interaction, with all that another process needs to continue."""
    bot_inside = _is_bot_inside(interaction)
    return Address(
        app_id=interaction.application_id,
        token=interaction.token,
        expires_at=interaction.created_at.timestamp() + TOKEN_TTL_S,
        interaction_id=interaction.id,
        channel_id=interaction.channel_id or 0,
        guild_id=interaction.guild_id,
        user_id=interaction.user.id,
        locale=locale_of(interaction),
        limit_bytes=interaction.filesize_limit,
        ephemeral=ephemeral,
        bot_inside=bot_inside,
        message_id=message_id,
        acknowledged=acknowledged,
    )


def _is_bot_inside(interaction: Interaction) -> bool:
    """Whether the bot user can probably act in the channel by itself; assumed if Discord names no installation."""
    if not interaction.is_guild_integration() and not interaction.is_user_integration():
        return True
    if interaction.guild_id is None:
        return bool(interaction.context.dm_channel)
    return interaction.is_guild_integration()


def is_user_install_only(interaction: Interaction) -> bool:
    """Whether only the member installed the app: five follow-ups at most, and no messages by the bot user."""
    return interaction.is_user_integration() and not interaction.is_guild_integration()


def member(message: discord.Message, locale: str) -> Requester:
    """The author of a message. Messages state neither permissions nor locale, nor a thread's channel."""
    return Requester(
        platform=PLATFORM,
        user_id=str(message.author.id),
        user_name=clean_line(message.author.display_name),
        workspace_id=str(guild_id_of(message) or ""),
        channel_id=str(message.channel.id),
        role_ids=tuple(str(role_id) for role_id in getattr(message.author, "_roles", ())),
        locale=locale,
    )


def guild_id_of(message: discord.Message) -> int | None:
    """The server of a message, also when no cache knows the server."""
    return getattr(message.channel, "guild_id", None)


def message_address(message: discord.Message, app_id: int, locale: str) -> Address:
    """The address of the response to a message: a reply, which the bot user sends and edits."""
    return Address(
        app_id=app_id,
        token="",
        expires_at=0.0,
        interaction_id=message.id,
        channel_id=message.channel.id,
        guild_id=guild_id_of(message),
        user_id=message.author.id,
        locale=locale,
        limit_bytes=DEFAULT_FILE_LIMIT_BYTES,
        ephemeral=False,
        bot_inside=True,
        slot="message",
    )


def is_forced_ephemeral(interaction: Interaction) -> bool:
    """Whether Discord makes our responses ephemeral, whatever we request."""
    if not is_user_install_only(interaction) or interaction.guild_id is None:
        return False
    may = interaction.permissions
    return not (may.use_external_apps and may.send_messages)


def address_of_job(address: Address, index: int, *, first_in_original: bool) -> Address:
    """The address of the job of one picture: the first may use the original response, the others follow-ups."""
    return address if index == 0 and first_in_original else address.followup(str(index))


def selection_of(actor: Requester, key: str, found: ImageSelection) -> Selection:
    """One request per picture, each with its own key; their addresses are filled in when they are started.

    The key consists of ids that a redelivered event repeats: the interaction's or message's, and the picture's.
    """
    requests = [
        UpscaleRequest(
            key=f"{key}:{index}:{image.id}" if len(found.images) > 1 else key,
            requester=actor,
            source=image.source(),
            reply=ReplyAddress(PLATFORM),
            text=found.text,
            fields=dict(found.fields),
            private=found.private,
            spoiler=image.spoiler,
        )
        for index, image in enumerate(found.images)
    ]
    return Selection(tuple(requests), tuple(image.size_px for image in found.images), total=found.total)
