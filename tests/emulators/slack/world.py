"""The state of the emulated Slack: workspaces, people, channels, files, messages, views, tokens. No HTTP here."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, field
from typing import Any

DEFAULT_SCOPES = (
    "commands", "chat:write", "files:read", "files:write", "app_mentions:read",
    "im:history", "im:write", "reactions:write", "users:read",
)  # fmt: skip


class ApiError(Exception):
    """An `ok: false` answer."""

    def __init__(self, error: str, messages: list[str] | None = None, **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.extra: dict[str, Any] = dict(extra)
        if messages:
            self.extra["response_metadata"] = {"messages": messages}


@dataclass
class User:
    id: str
    team_id: str
    name: str
    locale: str = "en-US"
    is_admin: bool = False
    is_owner: bool = False
    is_bot: bool = False
    tz: str = "Europe/Amsterdam"
    deleted: bool = False


@dataclass
class Channel:
    id: str
    team_id: str
    name: str
    kind: str = "channel"  # channel | group | im | mpim
    members: set[str] = field(default_factory=set)
    archived: bool = False


@dataclass
class Token:
    value: str
    team_id: str | None
    scopes: set[str]
    kind: str = "bot"  # bot | app
    enterprise_id: str | None = None
    is_enterprise_install: bool = False
    state: str = "valid"  # valid | token_revoked | account_inactive | token_expired
    expires_at_s: float | None = None
    refresh_token: str | None = None


@dataclass
class Workspace:
    id: str
    name: str
    bot_user_id: str
    bot_id: str
    enterprise_id: str | None = None
    users: dict[str, User] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    usergroups: dict[str, set[str]] = field(default_factory=dict)
    uploads: str = "allowed"  # allowed | file_uploads_disabled | storage_limit_reached | …


@dataclass
class SlackFile:
    id: str
    team_id: str
    name: str
    data: bytes
    user: str
    mimetype: str = ""
    title: str = ""
    alt_txt: str = ""
    width_px: int = 0
    height_px: int = 0
    created_s: float = 0.0
    processed_at_s: float = 0.0
    uploaded: bool = True
    completed: bool = True
    deleted: bool = False
    declared_bytes: int = 0
    shared_in: set[str] = field(default_factory=set)
    handed_to_app: bool = False
    stub_in_events: bool = False
    lies: dict[str, Any] = field(default_factory=dict)  # said of it instead of the truth
    external_url: str | None = None
    mode: str = "hosted"  # also quip (a canvas), list, hidden_by_limit, tombstone
    # Behaviour of the private host for this file.
    serve: str = "normal"  # normal | redirect | html | not_found | error
    delay_s: float = 0.0

    @property
    def extension(self) -> str:
        return self.name.rsplit(".", 1)[-1].lower() if "." in self.name else "binary"


@dataclass
class Message:
    ts: str
    channel: str
    user: str
    text: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    thread_ts: str | None = None
    bot: bool = False
    app_id: str | None = None
    ephemeral_for: str | None = None
    deleted: bool = False
    edits: int = 0
    edit_times_s: list[float] = field(default_factory=list)
    broken_files: set[str] = field(default_factory=set)
    stream: Stream | None = None
    markdown_text: str = ""
    attachments: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    edited_ts: str = ""


@dataclass
class Stream:
    started_s: float
    state: str = "streaming"  # streaming | stopped | expired | stopped_by_user
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)
    display: str = "timeline"


@dataclass
class View:
    id: str
    team_id: str
    user: str
    body: dict[str, Any]
    hash: str
    root_id: str
    previous_id: str | None = None
    open: bool = True


@dataclass
class Trigger:
    id: str
    team_id: str
    user: str
    created_s: float
    used: bool = False


@dataclass
class ResponseUrl:
    path: str
    team_id: str
    channel: str
    user: str
    created_s: float
    uses: int = 0
    message_ts: str | None = None
    ephemeral: bool = True


class World:
    """Everything Slack would remember, with ids that look like Slack's."""

    def __init__(self, app_id: str = "A0UPSCALE1") -> None:
        self.app_id = app_id
        self.workspaces: dict[str, Workspace] = {}
        self.tokens: dict[str, Token] = {}
        self.files: dict[str, SlackFile] = {}
        self.messages: dict[str, dict[str, Message]] = {}
        self.views: dict[str, View] = {}
        self.home: dict[tuple[str, str], View] = {}
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self._numbers = itertools.count(1)
        self._last_ts = 0.0

    def new_id(self, prefix: str) -> str:
        return f"{prefix}0{next(self._numbers):09d}"[:11] if prefix != "Tr" else secrets.token_hex(6)

    def new_ts(self, now_s: float) -> str:
        self._last_ts = max(now_s, self._last_ts + 0.000_001)
        return f"{self._last_ts:.6f}"

    def add_workspace(
        self,
        team_id: str = "T0ACME00001",
        name: str = "Acme",
        token: str | None = "xoxb-acme-bot-token",
        scopes: tuple[str, ...] = DEFAULT_SCOPES,
        enterprise_id: str | None = None,
    ) -> Workspace:
        """A workspace with the app installed when `token` is given, three people and three channels."""
        tail = team_id[-4:]
        space = Workspace(team_id, name, f"U0BOT0{tail}", f"B0BOT0{tail}", enterprise_id)
        self.workspaces[team_id] = space
        space.users[space.bot_user_id] = User(space.bot_user_id, team_id, "upscale", is_bot=True)
        for user_id, person, admin in (
            (f"U0ANNA{tail}", "anna", False),
            (f"U0BEN0{tail}", "ben", False),
            (f"U0ADMI{tail}", "ada", True),
        ):
            space.users[user_id] = User(user_id, team_id, person, is_admin=admin)
        people = {u for u in space.users if u != space.bot_user_id}
        for channel_id, channel, kind, members in (
            (f"C0GENE{tail}", "general", "channel", people | {space.bot_user_id}),
            (f"C0QUIE{tail}", "quiet", "channel", people),
            (f"C0SECR{tail}", "secret", "group", people),
            (f"C0PRIV{tail}", "studio", "group", people | {space.bot_user_id}),
        ):
            space.channels[channel_id] = Channel(channel_id, team_id, channel, kind, set(members))
        if token:
            self.tokens[token] = Token(token, team_id, set(scopes), enterprise_id=enterprise_id)
        return space

    def person(self, space: Workspace, name: str) -> User:
        return next(u for u in space.users.values() if u.name == name)

    def channel(self, space: Workspace, name: str) -> Channel:
        return next(c for c in space.channels.values() if c.name == name or c.id == name)

    def open_im(self, space: Workspace, user_id: str) -> Channel:
        for channel in space.channels.values():
            if channel.kind == "im" and user_id in channel.members:
                return channel
        channel = Channel(self.new_id("D"), space.id, f"im-{user_id}", "im", {user_id, space.bot_user_id})
        space.channels[channel.id] = channel
        return channel

    def channel_messages(self, channel_id: str) -> dict[str, Message]:
        return self.messages.setdefault(channel_id, {})

    def find_channel(self, channel_id: str) -> Channel | None:
        for space in self.workspaces.values():
            if channel_id in space.channels:
                return space.channels[channel_id]
        return None

    def visible_to_bot(self, file: SlackFile, space: Workspace) -> bool:
        """A bot sees its own files, files handed to its modal, and those shared where it is (public ones always)."""
        if file.deleted or not file.uploaded:
            return False
        if file.user == space.bot_user_id or file.handed_to_app:
            return file.team_id == space.id
        for channel_id in file.shared_in:
            channel = space.channels.get(channel_id)
            if channel and (channel.kind == "channel" or space.bot_user_id in channel.members):
                return True
        return False
