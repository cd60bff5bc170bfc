"""Acting as a member: call commands, use menus, click, fill in modals, and look at what the client shows.

The client's own refusals (an option out of range, a disabled button, someone else's ephemeral message) raise
`ClientRefused`: such a thing never reaches a bot.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from tests.emulators.discord import commands, components
from tests.emulators.discord.interactions import Interactions, Invocation
from tests.emulators.discord.seen import ClientRefused, SeenMessage, Upload
from tests.emulators.discord.webhooks import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL
from tests.emulators.discord.world import FORUM, Channel, Message, User

if TYPE_CHECKING:
    pass

T = TypeVar("T")


GUILD_MESSAGES, DIRECT_MESSAGES = 1 << 9, 1 << 12


class Members(Interactions):
    """Mixed into the emulator. `user`, `guild` and `channel` are there from the start."""

    def __init__(self) -> None:
        emulator = self._emulator
        self.user = emulator.world.add_user("alice")
        self.guild = emulator.world.add_guild("Makers")
        self.channel = emulator.world.add_channel(self.guild)
        self.endpoint_answers: list[tuple[int, str]] = []
        self._http: aiohttp.ClientSession | None = None

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
    ) -> Message:
        """A member writes a message."""
        emulator, author = self._emulator, user or self.user
        place = channel or self.channel
        if place.type == FORUM:
            raise ClientRefused("a forum holds posts, and no messages of its own")
        message = Message(emulator.world.snowflake(), place, author, emulator.clock.now(), content)
        message.attachments = [emulator.cdn.store(f.filename, f.data, place.id, spoiler=f.spoiler) for f in files]
        message.embeds = embeds or []
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
