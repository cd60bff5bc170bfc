"""What exists in the emulated Discord: people, places, messages, files, interactions. Data and ids only."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.emulators.discord.clock import Clock

EPOCH_MS = 1_420_070_400_000
MIB = 1024 * 1024
DEFAULT_FILE_LIMIT_BYTES = 20 * MIB  # since 2026-09; Discord's change log
EPHEMERAL = 1 << 6
LOADING = 1 << 7
IS_V2 = 1 << 15
VIEW_CHANNEL, SEND_MESSAGES, EMBED_LINKS, ATTACH_FILES = 1 << 10, 1 << 11, 1 << 14, 1 << 15
MANAGE_GUILD, ADMINISTRATOR, USE_EXTERNAL_APPS = 1 << 5, 1 << 3, 1 << 50
READ_MESSAGE_HISTORY, USE_APPLICATION_COMMANDS = 1 << 16, 1 << 31
MEMBER_PERMISSIONS = (
    VIEW_CHANNEL
    | SEND_MESSAGES
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | USE_EXTERNAL_APPS
    | USE_APPLICATION_COMMANDS
)

TEXT, ANNOUNCEMENT, FORUM = 0, 5, 15
ANNOUNCEMENT_THREAD, PUBLIC_THREAD, PRIVATE_THREAD = 10, 11, 12
THREADS_IN = {TEXT: (PUBLIC_THREAD, PRIVATE_THREAD), ANNOUNCEMENT: (ANNOUNCEMENT_THREAD,), FORUM: (PUBLIC_THREAD,)}
"""The kinds of threads that a channel may have; a forum holds nothing else (ChannelTypes in the OpenAPI)."""


@dataclass(eq=False)
class User:
    id: int
    username: str
    global_name: str | None = None
    locale: str = "en-US"
    bot: bool = False
    file_limit_bytes: int = DEFAULT_FILE_LIMIT_BYTES
    dms_open: bool = True

    def data(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "username": self.username,
            "global_name": self.global_name,
            "discriminator": "0",
            "avatar": None,
            "bot": self.bot,
            "public_flags": 0,
        }


@dataclass(eq=False)
class Guild:
    id: int
    name: str
    owner_id: int = 0
    bot_inside: bool = True
    locale: str = "en-US"
    file_limit_bytes: int = DEFAULT_FILE_LIMIT_BYTES
    permissions: dict[int, int] = field(default_factory=dict)
    roles: dict[int, list[int]] = field(default_factory=dict)

    def permissions_of(self, user: User) -> int:
        return self.permissions.get(user.id, MEMBER_PERMISSIONS)


@dataclass(eq=False)
class Channel:
    id: int
    type: int
    guild: Guild | None = None
    nsfw: bool = False
    name: str = "general"
    recipients: tuple[User, ...] = ()
    bot_permissions: int = MEMBER_PERMISSIONS
    deleted: bool = False
    parent: Channel | None = None
    category_id: int = 0

    @property
    def bot_can_see(self) -> bool:
        if self.deleted or not self.bot_permissions & VIEW_CHANNEL:
            return False
        if self.guild is None:
            return any(u.bot for u in self.recipients)
        return self.guild.bot_inside

    def data(self) -> dict[str, Any]:
        body: dict[str, Any] = {"id": str(self.id), "type": self.type}
        if self.guild is not None:
            body |= {
                "guild_id": str(self.guild.id),
                "name": self.name,
                "nsfw": self.nsfw,
                "permissions": str(MEMBER_PERMISSIONS),
                "position": 0,
                "parent_id": str(self.category_id) if self.category_id else None,
                "topic": None,
                "rate_limit_per_user": 0,
                "last_message_id": None,
            }
            if self.parent is not None:
                body = self._thread_data(body, self.parent)
            if self.guild.bot_inside:
                body["app_permissions"] = str(self.bot_permissions)
        else:
            body["recipients"] = [u.data() for u in self.recipients]
            body["last_message_id"] = None
        return body

    @staticmethod
    def _thread_data(body: dict[str, Any], parent: Channel) -> dict[str, Any]:
        """A thread does not say whether its channel is age-restricted."""
        stamp = "2026-11-22T00:00:00+00:00"
        meta = {"archived": False, "auto_archive_duration": 1440, "archive_timestamp": stamp, "locked": False}
        if body["type"] == PRIVATE_THREAD:
            meta["invitable"] = True
        thread = {k: v for k, v in body.items() if k not in ("nsfw", "position", "topic")}
        counts = {"message_count": 0, "member_count": 1, "owner_id": str(parent.id)}
        return {**thread, **counts, "parent_id": str(parent.id), "thread_metadata": meta}


@dataclass(eq=False)
class Attachment:
    id: int
    channel_id: int
    filename: str
    path: Path
    size_bytes: int
    content_type: str | None
    width_px: int | None = None
    height_px: int | None = None
    description: str | None = None
    ephemeral: bool = False
    spoiler: bool = False


@dataclass(eq=False)
class Message:
    id: int
    channel: Channel
    author: User
    created_s: float
    content: str = ""
    flags: int = 0
    components: list[dict[str, Any]] = field(default_factory=list)
    embeds: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    mentions_allowed: dict[str, Any] | None = None
    owner: User | None = None
    interaction_id: int | None = None
    edited_s: float | None = None
    edits: int = 0
    deleted: bool = False
    nonce: str | None = None
    reply_to: int | None = None
    pinged: set[str] = field(default_factory=set)

    @property
    def ephemeral(self) -> bool:
        return bool(self.flags & EPHEMERAL)

    def visible_to(self, user: User) -> bool:
        return not self.deleted and (not self.ephemeral or self.owner == user)


@dataclass(eq=False)
class Interaction:
    id: int
    token: str
    type: int
    user: User
    channel: Channel
    created_s: float
    payload: dict[str, Any]
    size_limit_bytes: int
    user_install_only: bool
    forced_ephemeral: bool
    source_message: Message | None = None
    opened_by: Interaction | None = None
    acked_s: float | None = None
    callback_type: int | None = None
    original: Message | None = None
    followups: list[Message] = field(default_factory=list)
    modal: dict[str, Any] | None = None
    choices: list[dict[str, Any]] | None = None

    @property
    def ack_latency_s(self) -> float | None:
        return None if self.acked_s is None else self.acked_s - self.created_s


class World:
    """All entities by id, and the one source of snowflakes."""

    def __init__(self, clock: Clock, directory: Path) -> None:
        self.clock = clock
        self.directory = directory
        self._counter = itertools.count(1)
        self.application_id = self.snowflake()
        self.bot = User(self.snowflake(), "upscale-bot", "Upscale", bot=True)
        self.users: dict[int, User] = {self.bot.id: self.bot}
        self.owner = self.add_user("owner")
        self.team: dict[str, Any] | None = None
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.messages: dict[int, Message] = {}
        self.attachments: dict[int, Attachment] = {}
        self.interactions: dict[int, Interaction] = {}
        self.tokens: dict[str, Interaction] = {}
        self.commands: list[dict[str, Any]] = []

    def snowflake(self) -> int:
        milliseconds = int(self.clock.now() * 1000) - EPOCH_MS
        return (milliseconds << 22) | (next(self._counter) & 0x3FFFFF)

    def add_user(self, name: str, **more: Any) -> User:
        user = User(self.snowflake(), name, name.title(), **more)
        self.users[user.id] = user
        return user

    def add_guild(self, name: str = "Guild", **more: Any) -> Guild:
        guild = Guild(self.snowflake(), name, **{"owner_id": self.owner.id, **more})
        self.guilds[guild.id] = guild
        return guild

    def add_channel(self, guild: Guild, **more: Any) -> Channel:
        channel = Channel(self.snowflake(), **{"type": 0, "guild": guild, **more})
        self.channels[channel.id] = channel
        return channel

    def add_thread(self, parent: Channel, kind: int = PUBLIC_THREAD) -> Channel:
        assert kind in THREADS_IN[parent.type], "such a channel has no such threads"
        thread = Channel(self.snowflake(), kind, parent.guild, name="thread", parent=parent)
        self.channels[thread.id] = thread
        return thread

    def dm_with(self, user: User) -> Channel:
        """The direct channel between the bot and `user`; made when there is none."""
        for channel in self.channels.values():
            if channel.type == 1 and set(channel.recipients) == {self.bot, user}:
                return channel
        channel = Channel(self.snowflake(), 1, recipients=(self.bot, user))
        self.channels[channel.id] = channel
        return channel

    def add_private_channel(self, *users: User) -> Channel:
        """A direct or group channel between members, where the bot is not."""
        channel = Channel(self.snowflake(), 1 if len(users) == 2 else 3, recipients=users, bot_permissions=0)
        self.channels[channel.id] = channel
        return channel

    def in_channel(self, channel: Channel) -> list[Message]:
        return [m for m in self.messages.values() if m.channel is channel]

    def by_token(self, token: str) -> Interaction | None:
        return self.tokens.get(token)


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
