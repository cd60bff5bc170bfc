"""Acting as a member: call commands, use menus, click, fill in modals, and look at what the client shows.

The client's own refusals (an option out of range, a disabled button, someone else's ephemeral message) raise
`ClientRefused`: such a thing never reaches a bot.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from tests.emulators.discord import commands, components
from tests.emulators.discord.cdn import previewable
from tests.emulators.discord.posts import Body
from tests.emulators.discord.seen import ClientRefused, SeenButton, SeenImage, SeenMessage, Upload
from tests.emulators.discord.webhooks import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL
from tests.emulators.discord.world import (
    ADMINISTRATOR,
    ATTACH_FILES,
    EMBED_LINKS,
    EPHEMERAL,
    LOADING,
    SEND_MESSAGES,
    USE_EXTERNAL_APPS,
    Attachment,
    Channel,
    Guild,
    Interaction,
    Message,
    User,
    dumps,
)

if TYPE_CHECKING:
    from tests.emulators.discord.server import DiscordEmulator

T = TypeVar("T")


@dataclass
class Invocation:
    """One interaction that a member started."""

    interaction: Interaction
    emulator: DiscordEmulator
    sent_monotonic_s: float = field(default_factory=time.monotonic)
    reached_sessions: int = 0

    @property
    def user(self) -> User:
        return self.interaction.user

    @property
    def modal(self) -> dict[str, Any] | None:
        return self.interaction.modal

    async def acknowledged(self, timeout_s: float = 5.0) -> float:
        """Seconds until the first answer. Raises TimeoutError: "The application did not respond"."""
        await self.emulator.until(lambda: self.interaction.acked_s, timeout_s, "an acknowledgement")
        latency = self.interaction.ack_latency_s
        assert latency is not None
        return latency

    @property
    def message(self) -> SeenMessage | None:
        """The answer as the member sees it, or None."""
        original = self.interaction.original
        if original is None or not original.visible_to(self.user):
            return None
        return self.emulator.seen(original)

    async def answer(
        self, test: Callable[[SeenMessage], object] = lambda _: True, timeout_s: float = 10.0
    ) -> SeenMessage:
        """The answer (no placeholder any more) once `test` holds for it."""

        def look() -> SeenMessage | None:
            message = self.message
            return message if message and not message.loading and test(message) else None

        return await self.emulator.until(look, timeout_s, "an answer")

    @property
    def followups(self) -> list[SeenMessage]:
        return [self.emulator.seen(m) for m in self.interaction.followups if m.visible_to(self.user)]


GUILD_MESSAGES, DIRECT_MESSAGES = 1 << 9, 1 << 12


class Members:
    """Mixed into the emulator. `user`, `guild` and `channel` are there from the start."""

    def __init__(self) -> None:
        emulator = self._emulator
        self.user = emulator.world.add_user("alice")
        self.guild = emulator.world.add_guild("Makers")
        self.channel = emulator.world.add_channel(self.guild)
        self.endpoint_answers: list[tuple[int, str]] = []
        self._http: aiohttp.ClientSession | None = None

    @property
    def _emulator(self) -> DiscordEmulator:
        return self  # type: ignore[return-value]

    async def close_members(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def until(self, look: Callable[[], T | None], timeout_s: float = 10.0, what: str = "it") -> T:
        """Wait until `look()` gives something; looked at whenever the bot changed anything."""
        deadline = time.monotonic() + timeout_s
        while True:
            change = self._emulator.change
            found = look()
            if found:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                tail = "\n".join(r.line for r in self._emulator.requests[-12:])
                raise TimeoutError(f"waited {timeout_s} s for {what}; the last requests:\n{tail}")
            try:
                await asyncio.wait_for(change.wait(), min(left, 0.25))
            except TimeoutError:
                continue

    # --- acting ---------------------------------------------------------------------------------------------

    async def invoke(self, name: str, options: dict[str, Any] | None = None, **place: Any) -> Invocation:
        """Use a slash command; `name` may be "quota set". Values may be `Upload`, `User` or `Channel` objects."""
        emulator = self._emulator
        root, *path = name.lstrip("/").split()
        command = self.registered(root, commands.CHAT)
        self._check_allowed(command, place)
        declared, wrap = command.get("options") or [], []
        for part in path:
            sub = next((o for o in declared if o["name"] == part and o["type"] in (1, 2)), None)
            if sub is None:
                raise ClientRefused(f"no subcommand {part!r}")
            wrap.append((part, sub["type"]))
            declared = sub.get("options") or []
        user, channel = place.get("user") or self.user, place.get("channel") or self.channel
        resolved: dict[str, Any] = {}
        given = self._fill(declared, options or {}, user, channel, resolved)
        for part, kind in reversed(wrap):
            given = [{"type": kind, "name": part, "options": given}]
        data = {"id": command["id"], "name": root, "type": commands.CHAT, "options": given, "resolved": resolved}
        return await self._send(emulator, COMMAND, data, **place)

    async def message_menu(self, name: str, message: SeenMessage | Message, **place: Any) -> Invocation:
        """Right-click a message → Apps → `name`."""
        target = self._target(message, place.get("user") or self.user)
        command = self.registered(name, commands.MESSAGE)
        place.setdefault("channel", target.channel)
        self._check_allowed(command, place)
        data = {
            "id": command["id"],
            "name": name,
            "type": commands.MESSAGE,
            "target_id": str(target.id),
            "resolved": {"messages": {str(target.id): self._emulator.posts.data(target)}},
        }
        return await self._send(self._emulator, COMMAND, data, **place)

    async def autocomplete(self, name: str, option: str, text: Any = "", **place: Any) -> list[dict[str, Any]]:
        """Type into an option; the choices that the bot offers."""
        root, *path = name.lstrip("/").split()
        command = self.registered(root, commands.CHAT)
        declared, wrap = command.get("options") or [], []
        for part in path:
            sub = next(o for o in declared if o["name"] == part)
            wrap.append((part, sub["type"]))
            declared = sub.get("options") or []
        spec = next((o for o in declared if o["name"] == option), None)
        if spec is None or not spec.get("autocomplete"):
            raise ClientRefused(f"{option!r} has no autocomplete")
        others = place.pop("options", {})
        given = [
            {"name": n, "type": next(o["type"] for o in declared if o["name"] == n), "value": v}
            for n, v in others.items()
        ]
        given.append({"name": option, "type": spec["type"], "value": text, "focused": True})
        for part, kind in reversed(wrap):
            given = [{"type": kind, "name": part, "options": given}]
        data = {"id": command["id"], "name": root, "type": commands.CHAT, "options": given}
        started = await self._send(self._emulator, AUTOCOMPLETE, data, **place)
        await started.acknowledged()
        return started.interaction.choices or []

    async def click(
        self,
        message: SeenMessage | Message,
        label: str | None = None,
        *,
        custom_id: str | None = None,
        values: list[str] | None = None,
        **place: Any,
    ) -> Invocation:
        """Press a button by label (part of it) or custom id, or choose `values` in a select by custom id."""
        user = place.get("user") or self.user
        target = self._target(message, user)
        component = self._find_component(target, label, custom_id)
        if component.get("disabled"):
            raise ClientRefused("disabled")
        if component.get("url"):
            raise ClientRefused(f"a link: {component['url']}")
        data: dict[str, Any] = {
            "component_type": component["type"],
            "custom_id": component["custom_id"],
            "id": component["id"],
        }
        if values is not None:
            offered = [o["value"] for o in component.get("options", [])]
            low, high = component.get("min_values", 1), component.get("max_values", 1)
            if not set(values) <= set(offered) or not low <= len(values) <= high:
                raise ClientRefused(f"{values} not among {offered}, or not {low}–{high} of them")
            data["values"] = values
        place.setdefault("channel", target.channel)
        if target.interaction_id is not None:
            source = self._emulator.world.interactions.get(target.interaction_id)
            if source is not None and source.user_install_only:
                place.setdefault("install", "user")
        return await self._send(self._emulator, COMPONENT, data, source_message=target, **place)

    async def submit_modal(self, opened: Invocation, values: dict[str, Any], **place: Any) -> Invocation:
        """Fill in the modal that `opened` got; keys are labels or custom ids, fields left out keep their value."""
        modal = opened.modal
        if modal is None:
            raise ClientRefused("no modal was opened")
        user = place.setdefault("user", opened.user)
        channel = place.setdefault("channel", opened.interaction.channel)
        resolved: dict[str, Any] = {}
        rest = dict(values)
        filled = [self._fill_modal(c, rest, user, channel, resolved) for c in modal["components"]]
        if rest:
            raise ClientRefused(f"no such fields: {sorted(rest)}")
        data = {"custom_id": modal["custom_id"], "components": filled, "resolved": resolved}
        source = opened.interaction.source_message
        place.setdefault("install", "user" if opened.interaction.user_install_only else "guild")
        place.setdefault("attachment_size_limit", opened.interaction.size_limit_bytes)
        return await self._send(self._emulator, MODAL, data, source_message=source, opened_by=opened, **place)

    def post(
        self,
        content: str = "",
        files: tuple[Upload, ...] = (),
        *,
        user: User | None = None,
        channel: Channel | None = None,
        embeds: list[dict[str, Any]] | None = None,
        forwards: Message | None = None,
        components: list[dict[str, Any]] | None = None,
        stickers: list[dict[str, Any]] | None = None,
    ) -> Message:
        """A member writes a message (with `components`: another bot does)."""
        emulator, author = self._emulator, user or self.user
        place = channel or self.channel
        message = Message(emulator.world.snowflake(), place, author, emulator.clock.now(), content)
        message.attachments = [emulator.cdn.store(f.filename, f.data, place.id, spoiler=f.spoiler) for f in files]
        message.embeds = embeds or []
        message.stickers = stickers or []
        if components is not None:
            by_components = globals()["components"]
            message.components, _ = by_components.resolve(components, message.attachments, emulator.cdn.media)
            message.flags |= 1 << 15
        if forwards is not None:
            data = emulator.posts.data(forwards)
            keep = (
                "type",
                "content",
                "embeds",
                "attachments",
                "timestamp",
                "edited_timestamp",
                "flags",
                "mentions",
                "mention_roles",
                "components",
            )
            message.snapshots = [{"message": {k: data[k] for k in keep}}]
            message.flags |= 1 << 14
        emulator.world.messages[message.id] = message
        return message

    async def write(
        self,
        content: str = "",
        files: tuple[Upload, ...] = (),
        *,
        reply_to: Message | SeenMessage | None = None,
        **more: Any,
    ) -> Message:
        """A member writes a message that the bot hears of, as much as its intents let it."""
        emulator = self._emulator
        message = self.post(content, files, **more)
        if reply_to is not None:
            message.reply_to = reply_to.id
        guild = message.channel.guild
        if guild is None or guild.bot_inside:
            await emulator.gateway.dispatch(
                "MESSAGE_CREATE",
                lambda intents: emulator.posts.event(message, intents, emulator.referenced_visible),
                guild.id if guild else None,
                DIRECT_MESSAGES if guild is None else GUILD_MESSAGES,
            )
        return message

    # --- looking --------------------------------------------------------------------------------------------

    def messages(self, channel: Channel | None = None, user: User | None = None) -> list[SeenMessage]:
        """What `user` sees in `channel`, oldest first."""
        place, viewer = channel or self.channel, user or self.user
        return [self.seen(m) for m in self._emulator.world.in_channel(place) if m.visible_to(viewer)]

    def dms(self, user: User | None = None) -> list[SeenMessage]:
        viewer = user or self.user
        return self.messages(self._emulator.world.dm_with(viewer), viewer)

    def seen(self, message: Message) -> SeenMessage:
        texts, buttons, selects = [message.content], [], []
        for _, c in components.walk(message.components):
            if c["type"] == components.TEXT:
                texts.append(c["content"])
            elif c["type"] == components.BUTTON:
                emoji = (c.get("emoji") or {}).get("name")
                buttons.append(
                    SeenButton(
                        c.get("label") or "",
                        c.get("custom_id"),
                        c["style"],
                        bool(c.get("disabled")),
                        c.get("url"),
                        emoji,
                    )
                )
            elif c["type"] in components.SELECTS:
                selects.append(c)
        images, files = self._media(message)
        return SeenMessage(
            message.id,
            "\n".join(t for t in texts if t),
            tuple(buttons),
            tuple(selects),
            tuple(images),
            tuple(files),
            message.ephemeral,
            bool(message.flags & LOADING),
            message.edits,
            frozenset(message.pinged),
            copy.deepcopy(message.components),
            message.channel,
        )

    def _media(self, message: Message) -> tuple[list[SeenImage], list[SeenImage]]:
        world = self._emulator.world

        def view(media: dict[str, Any], alt: str | None, spoiler: bool) -> SeenImage | None:
            attachment = world.attachments.get(int(media.get("attachment_id") or 0))
            if attachment is None:
                return None
            return self._image(attachment, alt or attachment.description, spoiler or attachment.spoiler)

        images, files = [], []
        for _, c in components.walk(message.components):
            if c["type"] == components.GALLERY:
                images += [view(i["media"], i.get("description"), bool(i.get("spoiler"))) for i in c["items"]]
            elif c["type"] == components.THUMBNAIL:
                images.append(view(c["media"], c.get("description"), bool(c.get("spoiler"))))
            elif c["type"] == components.FILE:
                files.append(view(c["file"], None, bool(c.get("spoiler"))))
        if not message.components:
            images += [self._image(a, a.description, a.spoiler) for a in message.attachments]
        return [i for i in images if i], [f for f in files if f]

    def _image(self, attachment: Attachment, alt: str | None, spoiler: bool) -> SeenImage:
        return SeenImage(
            attachment.filename,
            attachment.path,
            alt,
            spoiler,
            previewable(attachment),
            self._emulator.cdn.url(attachment),
        )

    # --- how the client and Discord build an interaction ----------------------------------------------------

    def registered(self, name: str, kind: int) -> dict[str, Any]:
        found = [c for c in self._emulator.world.commands if c["name"] == name and c["type"] == kind]
        if not found:
            raise ClientRefused(f"no command {name!r} of type {kind} is registered")
        return found[0]

    def _check_allowed(self, command: dict[str, Any], place: dict[str, Any]) -> None:
        user, channel = place.get("user") or self.user, place.get("channel") or self.channel
        context = _context(channel)
        contexts, installs = command.get("contexts"), command.get("integration_types")
        if contexts is not None and context not in contexts:
            raise ClientRefused(f"not offered in context {context}")
        wanted = 1 if place.get("install") == "user" else 0
        if installs is not None and wanted not in installs:
            raise ClientRefused(f"not offered to install type {wanted}")
        needed = command.get("default_member_permissions")
        if needed is not None and channel.guild is not None:
            has = channel.guild.permissions_of(user)
            if not has & ADMINISTRATOR and int(needed) & ~has:
                raise ClientRefused("the member lacks the permission")

    def _fill(
        self,
        declared: list[dict[str, Any]],
        options: dict[str, Any],
        user: User,
        channel: Channel,
        resolved: dict[str, Any],
    ) -> list[dict[str, Any]]:
        given = []
        for spec in declared:
            if spec["name"] not in options:
                if spec.get("required"):
                    raise ClientRefused(f"{spec['name']} is required")
                continue
            value = self._resolve_value(spec, options[spec["name"]], user, channel, resolved)
            problem = commands.client_problem(spec, value)
            if problem:
                raise ClientRefused(f"{spec['name']}: {problem}")
            given.append({"name": spec["name"], "type": spec["type"], "value": value})
        unknown = set(options) - {s["name"] for s in declared}
        if unknown:
            raise ClientRefused(f"no such options: {sorted(unknown)}")
        return given

    def _resolve_value(
        self, spec: dict[str, Any], value: Any, user: User, channel: Channel, resolved: dict[str, Any]
    ) -> Any:
        if isinstance(value, Upload):
            return str(self._upload(value, spec, user, channel, resolved).id)
        if isinstance(value, User):
            resolved.setdefault("users", {})[str(value.id)] = value.data()
            if channel.guild is not None:
                member = _member(value, channel.guild)
                resolved.setdefault("members", {})[str(value.id)] = {
                    k: v for k, v in member.items() if k not in ("user", "deaf", "mute")
                }
            return str(value.id)
        if isinstance(value, Channel):
            resolved.setdefault("channels", {})[str(value.id)] = value.data()
            return str(value.id)
        return value

    def _upload(
        self, upload: Upload, spec: dict[str, Any], user: User, channel: Channel, resolved: dict[str, Any]
    ) -> Attachment:
        kinds = spec.get("file_types")
        suffix = Path(upload.filename).suffix.lower()
        images = {".png", ".gif", ".jpg", ".jpeg", ".jfif", ".webp", ".avif"}
        if kinds and suffix not in kinds and not ("image" in kinds and suffix in images):
            raise ClientRefused(f"{upload.filename} is not one of {kinds}")
        limit = max(user.file_limit_bytes, channel.guild.file_limit_bytes if channel.guild else 0)
        if len(upload.data) > limit:
            raise ClientRefused("the file is above the member's own upload limit")
        attachment = self._emulator.cdn.store(
            upload.filename, upload.data, channel.id, ephemeral=True, spoiler=upload.spoiler
        )
        resolved.setdefault("attachments", {})[str(attachment.id)] = self._emulator.cdn.data(attachment)
        return attachment

    def _fill_modal(
        self,
        component: dict[str, Any],
        values: dict[str, Any],
        user: User,
        channel: Channel,
        resolved: dict[str, Any],
    ) -> dict[str, Any]:
        if component["type"] == components.TEXT:
            return {"type": component["type"], "id": component.get("id", 0)}
        inner = component.get("component") or component["components"][0]
        label = component.get("label") or inner.get("label")
        value = values.pop(label, values.pop(inner["custom_id"], None))
        answer: dict[str, Any] = {"type": inner["type"], "id": inner.get("id") or 1, "custom_id": inner["custom_id"]}
        kind, required = inner["type"], inner.get("required", True)
        if kind == 4:
            answer["value"] = self._modal_text(inner, value, label, required)
        elif kind == 19:
            uploads = [value] if isinstance(value, Upload) else list(value or [])
            if (required and not uploads) or len(uploads) > (inner.get("max_values") or 1):
                raise ClientRefused(f"{label}: wrong number of files")
            answer["values"] = [str(self._upload(u, inner, user, channel, resolved).id) for u in uploads]
        elif kind == 23:
            answer["value"] = bool(inner.get("default") if value is None else value)
        else:
            answer |= self._modal_choice(inner, value, label, required)
        return {"type": component["type"], "id": component.get("id") or 1, "component": answer}

    @staticmethod
    def _modal_text(inner: dict[str, Any], value: Any, label: str, required: bool) -> str:
        text = str(inner.get("value") or "" if value is None else value)
        low, high = inner.get("min_length") or 0, inner.get("max_length") or 4000
        if (required and not text) or (text and not low <= len(text) <= high):
            raise ClientRefused(f"{label}: length outside {low}–{high}")
        return text

    @staticmethod
    def _modal_choice(inner: dict[str, Any], value: Any, label: str, required: bool) -> dict[str, Any]:
        options = inner.get("options") or []
        if value is None:
            chosen = [o["value"] for o in options if o.get("default")]
        else:
            chosen = [value] if isinstance(value, str) else list(value)
        if not set(chosen) <= {o["value"] for o in options} or (required and not chosen):
            raise ClientRefused(f"{label}: {chosen} not offered")
        if inner["type"] == 21:
            return {"value": chosen[0] if chosen else None}
        return {"values": chosen}

    def _target(self, message: SeenMessage | Message, user: User) -> Message:
        target = self._emulator.world.messages[message.id]
        if not target.visible_to(user):
            raise ClientRefused("the member does not see this message")
        return target

    @staticmethod
    def _find_component(target: Message, label: str | None, custom_id: str | None) -> dict[str, Any]:
        found = [
            c
            for _, c in components.walk(target.components)
            if (custom_id is not None and c.get("custom_id") == custom_id)
            or (label is not None and label.lower() in (c.get("label") or "").lower())
        ]
        if not found:
            raise ClientRefused(f"no component {label or custom_id!r}")
        return found[0]

    async def _send(
        self,
        emulator: DiscordEmulator,
        kind: int,
        data: dict[str, Any],
        *,
        user: User | None = None,
        channel: Channel | None = None,
        install: str = "guild",
        attachment_size_limit: int | None = None,
        locale: str | None = None,
        source_message: Message | None = None,
        opened_by: Invocation | None = None,
    ) -> Invocation:
        user, channel = user or self.user, channel or self.channel
        guild = channel.guild
        if install == "guild" and guild is not None and not guild.bot_inside:
            raise ClientRefused("the app is not installed in this guild")
        if install == "guild" and guild is None and emulator.world.bot not in channel.recipients:
            raise ClientRefused("a guild install reaches no private channel")
        limit = attachment_size_limit or max(
            user.file_limit_bytes, guild.file_limit_bytes if guild else 0, emulator.default_file_limit_bytes
        )
        user_only = install == "user"
        permissions = guild.permissions_of(user) if guild else 0
        needed = USE_EXTERNAL_APPS | SEND_MESSAGES
        forced = user_only and guild is not None and permissions & needed != needed
        interaction_id = emulator.world.snowflake()
        token = secrets.token_urlsafe(48)
        owners: dict[str, str] = {}
        if install in ("guild", "both"):
            owners["0"] = str(guild.id) if guild else "0"
        if install in ("user", "both"):
            owners["1"] = str(user.id)
        payload: dict[str, Any] = {
            "id": str(interaction_id),
            "application_id": str(emulator.world.application_id),
            "type": kind,
            "token": token,
            "version": 1,
            "data": data,
            "channel": channel.data(),
            "channel_id": str(channel.id),
            "entitlements": [],
            "entitlement_sku_ids": [],
            "authorizing_integration_owners": owners,
            "context": _context(channel),
            "app_permissions": str(_app_permissions(channel)),
            "locale": locale or user.locale,
            "attachment_size_limit": limit,
        }
        if guild is not None:
            payload |= {
                "guild": {"id": str(guild.id), "locale": guild.locale, "features": []},
                "guild_id": str(guild.id),
                "guild_locale": guild.locale,
                "member": _member(user, guild),
            }
        else:
            payload["user"] = user.data()
        if source_message is not None:
            payload["message"] = emulator.posts.data(source_message)
            if source_message.flags & EPHEMERAL:
                payload["message"]["flags"] = source_message.flags
        interaction = Interaction(
            interaction_id,
            token,
            kind,
            user,
            channel,
            emulator.clock.now(),
            payload,
            limit,
            user_only,
            forced,
            source_message,
            opened_by.interaction if opened_by else None,
        )
        emulator.world.interactions[interaction_id] = interaction
        emulator.world.tokens[token] = interaction
        invocation = Invocation(interaction, emulator)
        if emulator.interactions_endpoint is not None:
            await self._deliver_by_http(interaction)
        else:
            invocation.reached_sessions = await emulator.gateway.interaction(payload, guild.id if guild else None)
        return invocation

    # --- the second ingress ---------------------------------------------------------------------------------

    async def set_endpoint(self, url: str) -> bool:
        """What the developer portal does on saving: a good PING and one with a bad signature. True when taken."""
        ping = {"type": 1, "id": "1", "application_id": str(self._emulator.world.application_id), "version": 1}
        good, body = await self._signed_post(url, ping)
        bad, _ = await self._signed_post(url, ping, break_signature=True)
        if good == 200 and body.get("type") == 1 and bad == 401:
            self._emulator.interactions_endpoint = url
            return True
        return False

    async def _deliver_by_http(self, interaction: Interaction) -> None:
        url = self._emulator.interactions_endpoint
        assert url is not None
        status, body = await self._signed_post(url, interaction.payload)
        self.endpoint_answers.append((status, dumps(body)))
        if status == 200:
            self._emulator.webhooks.callback(interaction.id, interaction.token, Body(body))
            self._emulator.changed()

    async def _signed_post(self, url: str, payload: Any, break_signature: bool = False) -> tuple[int, Any]:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        body, stamp = dumps(payload).encode(), str(int(time.time()))
        signature = self._emulator.signing_key.sign(stamp.encode() + body).hex()
        if break_signature:
            signature = signature[:-2] + ("00" if signature[-2:] != "00" else "11")
        headers = {
            "X-Signature-Ed25519": signature,
            "X-Signature-Timestamp": stamp,
            "Content-Type": "application/json",
            "User-Agent": "Discord-Interactions/1.0 (+https://discord.com)",
        }
        async with self._http.post(url, data=body, headers=headers) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            await response.read()
            return response.status, {}


def _context(channel: Channel) -> int:
    if channel.guild is not None:
        return 0
    return 1 if any(u.bot for u in channel.recipients) else 2


def _app_permissions(channel: Channel) -> int:
    if channel.guild is None:
        return ATTACH_FILES | EMBED_LINKS | (1 << 17)
    return channel.bot_permissions if channel.guild.bot_inside else ATTACH_FILES | EMBED_LINKS


def _member(user: User, guild: Guild) -> dict[str, Any]:
    return {
        "user": user.data(),
        "nick": None,
        "avatar": None,
        "roles": [str(r) for r in guild.roles.get(user.id, [])],
        "joined_at": "2024-01-01T00:00:00+00:00",
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
        "permissions": str(guild.permissions_of(user)),
        "communication_disabled_until": None,
    }
