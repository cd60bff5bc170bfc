"""Writing and editing messages: the one place where a body and its files become a message, or an error."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.emulators.discord import components
from tests.emulators.discord.cdn import Cdn
from tests.emulators.discord.errors import invalid_form, too_large
from tests.emulators.discord.world import IS_V2, LOADING, Attachment, Channel, Message, User, World

MESSAGE_CONTENT = 1 << 15
EMPTY: dict[str, Any] = {"content": "", "embeds": [], "attachments": [], "components": [], "message_snapshots": []}


@dataclass
class Upload:
    index: int
    filename: str
    path: Path
    size_bytes: int


@dataclass
class Body:
    """A parsed request: the JSON part and the uploaded files, by the `n` of `files[n]`."""

    json: dict[str, Any]
    files: dict[int, Upload] = field(default_factory=dict)


class Posts:
    def __init__(self, world: World, cdn: Cdn) -> None:
        self.world = world
        self.cdn = cdn
        # A file above this is refused whatever was announced (413 in spite of it); None: as announced.
        self.hard_file_limit_bytes: int | None = None
        self.warnings: list[str] = []

    def create(self, body: Body, channel: Channel, author: User, limit_bytes: int, **more: Any) -> Message:
        flags = (body.json.get("flags") or 0) | more.pop("flags", 0)
        message = Message(self.world.snowflake(), channel, author, self.world.clock.now(), flags=flags, **more)
        if not (body.json.get("content") or body.json.get("components") or body.json.get("embeds") or body.files):
            raise invalid_form([("", "EMPTY", "Cannot send an empty message")])
        self._write(message, body, limit_bytes, keep_by_default=False, media_allowed=True)
        self.world.messages[message.id] = message
        return message

    def placeholder(self, channel: Channel, author: User, flags: int, **more: Any) -> Message:
        """The "thinking…" message of a deferred answer."""
        message = Message(
            self.world.snowflake(), channel, author, self.world.clock.now(), flags=flags | LOADING, **more
        )
        self.world.messages[message.id] = message
        return message

    def edit(self, message: Message, body: Body, limit_bytes: int, callback: bool = False) -> None:
        """PATCH keeps unlisted attachments; an update by callback (type 7) removes them and takes no new media."""
        flags = body.json.get("flags")
        if flags is not None:
            if message.flags & IS_V2 and not flags & IS_V2:
                raise components.cannot_unset_v2()
            if flags & IS_V2 and not message.flags & IS_V2 and not message.flags & LOADING:
                self._check_conversion(message, body.json)
        before = message.flags
        message.flags |= (flags or 0) & IS_V2
        try:
            self._write(message, body, limit_bytes, keep_by_default=not callback, media_allowed=not callback)
        except Exception:
            message.flags = before
            raise
        message.flags &= ~LOADING
        message.edits += 1
        message.edited_s = self.world.clock.now()

    @staticmethod
    def _check_conversion(message: Message, json: dict[str, Any]) -> None:
        missing = [n for n in ("content", "embeds") if getattr(message, n) and n not in json]
        if message.attachments and "attachments" not in json:
            missing.append("attachments")
        if missing:
            code = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
            raise invalid_form([(name, code, "must be cleared in the same edit") for name in missing])

    def _write(
        self, message: Message, body: Body, limit_bytes: int, *, keep_by_default: bool, media_allowed: bool
    ) -> None:
        json = body.json
        if message.flags & IS_V2:
            components.forbid_legacy(json)
        self._check_sizes(body, limit_bytes)
        kept, referable = self._kept(message, json, keep_by_default)
        fresh = self._fresh(body, message)
        given = json.get("components") if "components" in json else None
        if given is not None or "components" in json:
            components.check_message(given or [], message.flags)
            names = referable + (fresh if media_allowed else [])
            written, used = components.resolve(given or [], names, self.cdn.media)
            self._warn_invisible(message, kept + fresh, used)
            message.components = written
        message.attachments = kept + fresh
        message.content = (json.get("content") or "") if "content" in json else message.content
        message.embeds = (json.get("embeds") or []) if "embeds" in json else message.embeds
        message.mentions_allowed = json.get("allowed_mentions")
        message.pinged |= pings(message)

    def _check_sizes(self, body: Body, limit_bytes: int) -> None:
        hard = limit_bytes if self.hard_file_limit_bytes is None else self.hard_file_limit_bytes
        if any(f.size_bytes > min(limit_bytes, hard) for f in body.files.values()):
            raise too_large()
        if len(body.files) > 10:
            raise invalid_form([("attachments", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.")])

    def _kept(
        self, message: Message, json: dict[str, Any], by_default: bool
    ) -> tuple[list[Attachment], list[Attachment]]:
        """(attachments that stay, those of them that `attachment://` may name: listed with id and filename)."""
        listed = json.get("attachments")
        if listed is None:
            return (list(message.attachments) if by_default and "attachments" not in json else []), []
        existing = {a.id: a for a in message.attachments}
        kept, referable = [], []
        for entry in listed:
            attachment = existing.get(int(entry["id"]))
            if attachment is not None:
                kept.append(attachment)
                attachment.description = entry.get("description", attachment.description)
                if entry.get("filename") == attachment.filename:
                    referable.append(attachment)
        return kept, referable

    def _fresh(self, body: Body, message: Message) -> list[Attachment]:
        listed = {int(e["id"]): e for e in body.json.get("attachments") or []}
        existing = {a.id for a in message.attachments}
        unknown = [n for n in listed if n not in existing and n not in body.files]
        if unknown:
            raise invalid_form([("attachments", "ATTACHMENT_NOT_FOUND", f"no file and no attachment {unknown}")])
        fresh = []
        for index, upload in sorted(body.files.items()):
            entry = listed.get(index, {})
            name = re.sub(r"[^A-Za-z0-9._-]", "_", entry.get("filename") or upload.filename)
            if upload.size_bytes == 0:
                raise invalid_form([("attachments", "EMPTY_FILE", "an empty file cannot be sent")])
            spoiler = bool(entry.get("is_spoiler")) or name.startswith("SPOILER_")
            attachment = self.cdn.store(
                name, upload.path, message.channel.id, description=entry.get("description"), spoiler=spoiler
            )
            attachment.ephemeral = message.ephemeral
            fresh.append(attachment)
        return fresh

    def _warn_invisible(self, message: Message, files: list[Attachment], used: set[int]) -> None:
        if message.flags & IS_V2:
            for attachment in files:
                if attachment.id not in used:
                    self.warnings.append(f"{attachment.filename} is in no component: nobody sees it")

    def data(self, message: Message) -> dict[str, Any]:
        """The message object of the API."""
        consumed = {
            m.get("attachment_id") for _, c in components.walk(message.components) for m in components.medias(c)
        }
        body: dict[str, Any] = {
            "id": str(message.id),
            "type": 20 if message.interaction_id else 0,
            "channel_id": str(message.channel.id),
            "content": message.content,
            "author": message.author.data(),
            "timestamp": self.world.clock.iso(message.created_s),
            "edited_timestamp": None if message.edited_s is None else self.world.clock.iso(message.edited_s),
            "tts": False,
            "mention_everyone": False,
            "mentions": [self.world.users[i].data() for i in self._mentioned(message)],
            "mention_roles": [],
            "attachments": [self.cdn.data(a) for a in message.attachments if str(a.id) not in consumed],
            "embeds": message.embeds,
            "pinned": False,
            "flags": message.flags,
            "components": message.components,
        }
        if message.author.bot:
            body["application_id"] = str(self.world.application_id)
        if message.interaction_id is not None:
            body["webhook_id"] = str(self.world.application_id)
        if message.nonce is not None:
            body["nonce"] = message.nonce
        if message.reply_to is not None:
            body["type"] = 19
            body["message_reference"] = {"channel_id": str(message.channel.id), "message_id": str(message.reply_to)}
        return body

    def _mentioned(self, message: Message) -> list[int]:
        """Users named in the text, and the author of the message that is replied to."""
        found = [int(i) for i in re.findall(r"<@!?(\d+)>", message.content) if int(i) in self.world.users]
        answered = self.world.messages.get(message.reply_to or 0)
        if answered is not None:
            found.append(answered.author.id)
        return list(dict.fromkeys(found))

    def event(self, message: Message, intents: int, referenced_visible: bool) -> dict[str, Any]:
        """MESSAGE_CREATE as a session with these intents gets it: without the privileged one, what a message says
        comes only where it mentions the application or was written to it directly."""
        data = self.data(message)
        guild, me = message.channel.guild, self.world.bot.id
        seen = bool(intents & MESSAGE_CONTENT) or guild is None or me in self._mentioned(message)
        if guild is not None:
            data["guild_id"] = str(guild.id)
            roles = [str(role) for role in guild.roles.get(message.author.id, [])]
            data["member"] = {"roles": roles, "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False}
        if not seen and message.author is not self.world.bot:
            data |= EMPTY
        answered = self.world.messages.get(message.reply_to or 0)
        if message.reply_to is not None:
            data["referenced_message"] = None
            if answered is not None and not answered.deleted:
                whole = (seen and referenced_visible) or answered.author is self.world.bot
                data["referenced_message"] = self.data(answered) | ({} if whole else EMPTY)
        return data


def pings(message: Message) -> set[str]:
    """Whom the texts of a message notify under its allowed_mentions."""
    texts = [message.content]
    texts += [c["content"] for _, c in components.walk(message.components) if c["type"] == components.TEXT]
    text = "\n".join(texts)
    allowed = message.mentions_allowed
    if allowed is None:
        allowed = {"parse": ["users"] if message.interaction_id else ["users", "roles", "everyone"]}
    parse = allowed.get("parse") or []
    found = set()
    for user_id in re.findall(r"<@!?(\d+)>", text):
        if "users" in parse or user_id in map(str, allowed.get("users") or []):
            found.add(user_id)
    for role_id in re.findall(r"<@&(\d+)>", text):
        if "roles" in parse or role_id in map(str, allowed.get("roles") or []):
            found.add(f"role {role_id}")
    if "everyone" in parse and re.search(r"@(everyone|here)\b", text):
        found.add("everyone")
    return found
