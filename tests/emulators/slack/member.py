"""Act as a member: type commands, press buttons, fill in modals, post files, and read what a member sees."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.emulators.slack.api_files import file_json, measured
from tests.emulators.slack.api_views import new_view, replace, view_json
from tests.emulators.slack.delivery import Ack
from tests.emulators.slack.forms import fill
from tests.emulators.slack.world import Channel, Message, SlackFile, Trigger, User, View, Workspace

if TYPE_CHECKING:
    from tests.emulators.slack.server import SlackEmulator


@dataclass(frozen=True)
class Outcome:
    """What became of one action."""

    ack: Ack
    response_url: str | None = None
    errors: dict[str, str] = field(default_factory=dict)
    post: Message | None = None

    @property
    def acked(self) -> bool:
        return self.ack.ok


class MemberControl:
    """`team`, `user` and `channel` are names or ids; left out, they are the first workspace, anna and #general."""

    def __init__(self, emulator: SlackEmulator) -> None:
        self._slack = emulator

    # ------------------------------------------------------------------ who and where

    def space(self, team: str | None = None) -> Workspace:
        spaces = self._slack.world.workspaces
        if team is None:
            return next(iter(spaces.values()))
        return spaces.get(team) or next(s for s in spaces.values() if s.name == team)

    def user(self, user: str = "anna", team: str | None = None) -> User:
        space = self.space(team)
        return space.users.get(user) or self._slack.world.person(space, user)

    def channel(self, channel: str = "general", team: str | None = None) -> Channel:
        space = self.space(team)
        return space.channels.get(channel) or self._slack.world.channel(space, channel)

    def im(self, user: str = "anna", team: str | None = None) -> Channel:
        return self._slack.world.open_im(self.space(team), self.user(user, team).id)

    def kick_bot(self, channel: str = "general", team: str | None = None) -> None:
        self.channel(channel, team).members.discard(self.space(team).bot_user_id)

    # ----------------------------------------------------------------------- reading

    def messages(
        self, channel: str = "general", user: str = "anna", team: str | None = None, thread: str | None = None
    ) -> list[Message]:
        """What `user` sees in `channel` (or in one thread of it), oldest first."""
        place, viewer = self.channel(channel, team), self.user(user, team)
        shown = [
            m
            for m in self._slack.world.channel_messages(place.id).values()
            if not m.deleted and m.ephemeral_for in (None, viewer.id)
        ]
        if thread:
            shown = [m for m in shown if thread in (m.ts, m.thread_ts)]
        return sorted(shown, key=lambda m: float(m.ts))

    def dms(self, user: str = "anna", team: str | None = None) -> list[Message]:
        return self.messages(self.im(user, team).id, user, team)

    def open_view(self, user: str = "anna", team: str | None = None) -> View | None:
        person = self.user(user, team)
        mine = [v for v in self._slack.world.views.values() if v.user == person.id and v.open]
        modals = [v for v in mine if v.body.get("type") == "modal"]
        return modals[-1] if modals else None

    def home(self, user: str = "anna", team: str | None = None) -> View | None:
        person = self.user(user, team)
        return self._slack.world.home.get((person.team_id, person.id))

    # ------------------------------------------------------------------------- files

    def file(
        self, data: bytes, name: str = "photo.png", user: str = "anna", team: str | None = None, **how: Any
    ) -> SlackFile:
        """A file that `user` has; not yet shared anywhere. `how` sets fields of SlackFile."""
        person, now_s = self.user(user, team), self._slack.clock.now()
        file = SlackFile(self._slack.world.new_id("F"), person.team_id, name, data, person.id, created_s=now_s)
        file.processed_at_s = now_s
        measured(file)
        for key, value in how.items():
            setattr(file, key, value)
        self._slack.world.files[file.id] = file
        return file

    def post(
        self, text: str = "", files: list[SlackFile] | None = None, channel: str = "general", user: str = "anna",
        team: str | None = None, thread_ts: str | None = None,
    ) -> Message:  # fmt: skip
        """A member's message; nothing is delivered to the app by this alone."""
        place, person, now_s = self.channel(channel, team), self.user(user, team), self._slack.clock.now()
        message = Message(
            self._slack.world.new_ts(now_s), place.id, person.id, text, files=[f.id for f in files or []],
            thread_ts=thread_ts, subtype="file_share" if files else None, posted_at_s=now_s,
        )  # fmt: skip
        for file in files or []:
            file.shared_in.add(place.id)
        self._slack.world.channel_messages(place.id)[message.ts] = message
        return message

    # ------------------------------------------------------------ commands, shortcuts

    def _trigger(self, person: User) -> str:
        now_s = self._slack.clock.now()
        trigger = Trigger(f"{int(now_s)}.{secrets.token_hex(8)}", person.team_id, person.id, now_s)
        self._slack.world.triggers[trigger.id] = trigger
        return trigger.id

    def _base(self, person: User) -> dict[str, Any]:
        space = self.space(person.team_id)
        team = {"id": space.id, "domain": space.name.lower()}
        if space.enterprise_id:
            team |= {"enterprise_id": space.enterprise_id, "enterprise_name": "Org"}
        return {
            "api_app_id": self._slack.world.app_id,
            "token": "deprecated",
            "team": team,
            "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team_id},
            "is_enterprise_install": self._org(space),
            "enterprise": {"id": space.enterprise_id, "name": "Org"} if space.enterprise_id else None,
        }

    def _org(self, space: Workspace) -> bool:
        tokens = self._slack.world.tokens.values()
        return any(t.is_enterprise_install and t.enterprise_id == space.enterprise_id for t in tokens)

    async def command(
        self, command: str = "/upscale", text: str = "", user: str = "anna", channel: str = "general",
        team: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Type a slash command. What the app answers in its ack is shown as Slack would show it."""
        person, place, space = self.user(user, team), self.channel(channel, team), self.space(team)
        url = self._slack.delivery.new_response_url(space.id, place.id, person.id)
        payload = {
            "token": "deprecated",
            "team_id": space.id,
            "team_domain": space.name.lower(),
            "channel_id": place.id,
            "channel_name": {"im": "directmessage", "group": "privategroup"}.get(place.kind, place.name),
            "user_id": person.id,
            "user_name": person.name,
            "command": command,
            "text": text,
            "api_app_id": self._slack.world.app_id,
            "is_enterprise_install": "true" if self._org(space) else "false",
            "response_url": url,
            "trigger_id": self._trigger(person),
        }
        if space.enterprise_id:
            payload |= {"enterprise_id": space.enterprise_id, "enterprise_name": "Org"}
        ack = await self._slack.delivery.send("slash_commands", payload)
        if ack.ok and ack.payload:
            hook = self._slack.world.response_urls[url.removeprefix(self._slack.base_url)]
            self._slack.delivery.show(hook, ack.payload)
        return Outcome(ack, url)

    async def message_shortcut(
        self, message: Message, callback_id: str = "upscale_message", user: str = "anna", team: str | None = None
    ) -> Outcome:
        person, place = self.user(user, team), self.channel(message.channel, team)
        url = self._slack.delivery.new_response_url(person.team_id, place.id, person.id)
        payload = self._base(person) | {
            "type": "message_action",
            "action_ts": f"{self._slack.clock.now():.6f}",
            "callback_id": callback_id,
            "trigger_id": self._trigger(person),
            "message_ts": message.ts,
            "channel": {"id": place.id, "name": place.name},
            "message": self._slack.message_json(message, event=True),
            "response_url": url,
        }
        return Outcome(await self._slack.delivery.send("interactive", payload, accepts=False), url)

    async def global_shortcut(
        self, callback_id: str = "upscale_open", user: str = "anna", team: str | None = None
    ) -> Outcome:
        person = self.user(user, team)
        payload = self._base(person) | {
            "type": "shortcut",
            "action_ts": f"{self._slack.clock.now():.6f}",
            "callback_id": callback_id,
            "trigger_id": self._trigger(person),
        }
        return Outcome(await self._slack.delivery.send("interactive", payload, accepts=False))

    # ------------------------------------------------------------------------ modals

    async def submit_view(
        self,
        values: dict[str, Any] | None = None,
        user: str = "anna",
        team: str | None = None,
        view: View | None = None,
    ) -> Outcome:
        """Fill in the open modal by block_id and press its button. A list of SlackFile ids goes into a file field."""
        person = self.user(user, team)
        view = view or self.open_view(user, team)
        if view is None:
            raise AssertionError(f"{person.name} has no modal open")
        state = fill(view.body, values or {}, self._slack.world.files)
        for element in (e for block in state.values() for e in block.values() if e["type"] == "file_input"):
            files = [self._slack.world.files[f] for f in element["files"]]
            element["files"] = [file_json(self._slack, f, event=True) for f in files]
        payload = self._base(person) | {
            "type": "view_submission",
            "trigger_id": self._trigger(person),
            "view": view_json(self._slack, view, state),
            "response_urls": [],
        }
        ack = await self._slack.delivery.send("interactive", payload)
        return Outcome(ack, errors=self._after_submit(view, ack))

    def _after_submit(self, view: View, ack: Ack) -> dict[str, str]:
        if not ack.ok:
            return {"": "We had some trouble connecting. Try again?"}
        action = ack.payload.get("response_action")
        if action == "errors":
            unknown = set(ack.payload["errors"]) - {b.get("block_id") for b in view.body["blocks"]}
            if unknown:
                self._slack.violations.append(f"view errors for unknown blocks {sorted(unknown)}")
            return dict(ack.payload["errors"])
        if action == "update":
            replace(view, ack.payload["view"])
        elif action == "push":
            pushed = new_view(self._slack, view.team_id, view.user, ack.payload["view"])
            pushed.root_id, pushed.previous_id = view.root_id, view.id
        elif action == "clear":
            for other in self._slack.world.views.values():
                other.open = other.open and other.root_id != view.root_id
        else:
            view.open = False
        return {}

    # ----------------------------------------------------------------------- buttons

    async def click(
        self, message: Message | View, action_id: str, user: str = "anna", team: str | None = None,
        *, option: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Press the element whose action_id is, or starts with, `action_id`; `option` picks in a menu."""
        person = self.user(user, team)
        blocks = message.body["blocks"] if isinstance(message, View) else self._all_blocks(message)
        block_id, element = find_element(blocks, action_id)
        action: dict[str, Any] = {
            "action_id": element["action_id"],
            "block_id": block_id,
            "type": element["type"],
            "action_ts": f"{self._slack.clock.now():.6f}",
        }
        action |= {k: element[k] for k in ("text", "value", "style") if k in element}
        if option is not None:
            action["selected_option"] = next(o for o in element["options"] if o["value"] == option)
        payload = self._base(person) | {
            "type": "block_actions",
            "trigger_id": self._trigger(person),
            "actions": [action],
        }
        url = None
        if isinstance(message, View):
            payload |= {"view": view_json(self._slack, message), "container": {"type": "view", "view_id": message.id}}
        else:
            url = self._slack.delivery.new_response_url(person.team_id, message.channel, person.id)
            hook = self._slack.world.response_urls[url.removeprefix(self._slack.base_url)]
            hook.message_ts = message.ts
            place = self.channel(message.channel, team)
            container: dict[str, Any] = {"type": "message", "message_ts": message.ts, "channel_id": place.id}
            container["is_ephemeral"] = message.ephemeral_for is not None
            payload |= {
                "channel": {"id": place.id, "name": place.name},
                "message": self._slack.message_json(message),
                "container": container,
                "response_url": url,
                "state": {"values": {}},
            }
        return Outcome(await self._slack.delivery.send("interactive", payload, accepts=False), url)

    @staticmethod
    def _all_blocks(message: Message) -> list[dict[str, Any]]:
        return message.blocks + (message.stream.blocks if message.stream else [])

    # ------------------------------------------------------------------------ events

    def _event(self, space: Workspace, event: dict[str, Any]) -> dict[str, Any]:
        now_s = self._slack.clock.now()
        org = self._org(space)
        authorization = {
            "enterprise_id": space.enterprise_id,
            "team_id": None if org else space.id,
            "user_id": space.bot_user_id,
            "is_bot": True,
            "is_enterprise_install": org,
        }
        return {
            "token": "deprecated",
            "team_id": space.id,
            "api_app_id": self._slack.world.app_id,
            "event": event | {"event_ts": event.get("ts") or f"{now_s:.6f}"},
            "type": "event_callback",
            "event_id": f"Ev{secrets.token_hex(5).upper()}",
            "event_time": int(now_s),
            "authorizations": [authorization],
            "is_ext_shared_channel": False,
            "event_context": secrets.token_hex(8),
        } | ({"enterprise_id": space.enterprise_id} if space.enterprise_id else {})

    async def mention(
        self, text: str = "", files: list[SlackFile] | None = None, user: str = "anna", channel: str = "general",
        team: str | None = None, thread_ts: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Post `@bot text` with files. Arrives as app_mention, as message/file_share, or as both (`mention_mode`)."""
        space = self.space(team)
        post = self.post(f"<@{space.bot_user_id}> {text}".strip(), files, channel, user, team, thread_ts)
        base = self._slack.message_json(post, event=True)
        kind = self.channel(channel, team).kind
        acks: list[Ack] = []
        if self._slack.mention_mode in ("mention", "both"):
            acks.append(
                await self._slack.delivery.event(
                    self._event(space, base | {"type": "app_mention", "channel": post.channel})
                )
            )
        if self._slack.mention_mode in ("file_share", "both"):
            event = base | {"type": "message", "subtype": "file_share", "channel": post.channel, "channel_type": kind}
            event.pop("team", None)
            acks.append(await self._slack.delivery.event(self._event(space, event)))
        return Outcome(acks[-1], post=post)

    async def dm(
        self, text: str = "", files: list[SlackFile] | None = None, user: str = "anna", team: str | None = None,
        thread_ts: str | None = None,
    ) -> Outcome:  # fmt: skip
        place = self.im(user, team)
        post = self.post(text, files, place.id, user, team, thread_ts)
        event = self._slack.message_json(post, event=True) | {"channel": place.id, "channel_type": "im"}
        if files:
            event |= {"subtype": "file_share"}
        ack = await self._slack.delivery.event(self._event(self.space(team), event))
        return Outcome(ack, post=post)

    async def edit(self, post: Message, text: str, team: str | None = None) -> Outcome:
        """Change the words of a message: comes as `message_changed` in direct messages, else as a mention once more."""
        space, place, before = self.space(team), self.channel(post.channel, team), post.text
        post.text = text if place.kind == "im" else f"<@{space.bot_user_id}> {text}"
        post.edited_ts = f"{self._slack.clock.now():.6f}"
        event = self._slack.message_json(post, event=True)
        if place.kind == "im":
            changed = {"message": event, "previous_message": event | {"text": before}, "channel_type": "im"}
            event = {"type": "message", "subtype": "message_changed", "ts": post.edited_ts, **changed}
        else:
            event |= {"type": "app_mention"}
        return Outcome(await self._slack.delivery.event(self._event(space, event | {"channel": place.id})), post=post)

    async def open_home(self, user: str = "anna", team: str | None = None) -> Outcome:
        person, known = self.user(user, team), self.home(user, team)
        event: dict[str, Any] = {"type": "app_home_opened", "user": person.id, "tab": "home"}
        event["channel"] = self.im(user, team).id
        if known:
            event["view"] = view_json(self._slack, known)
        ack = await self._slack.delivery.event(self._event(self.space(team), event))
        return Outcome(ack)

    async def uninstall(self, team: str | None = None) -> None:
        """Remove the app: tokens die first, then both events come, in either order."""
        space = self.space(team)
        self.revoke(team)
        tokens = {"oauth": [], "bot": [space.bot_user_id]}
        await asyncio.gather(
            self._slack.delivery.event(self._event(space, {"type": "tokens_revoked", "tokens": tokens})),
            self._slack.delivery.event(self._event(space, {"type": "app_uninstalled"})),
        )

    def revoke(self, team: str | None = None, state: str = "account_inactive") -> None:
        space = self.space(team)
        for token in self._slack.world.tokens.values():
            if token.team_id == space.id and token.kind == "bot":
                token.state = state

    def press_stop(self, message: Message) -> None:
        """The member presses Stop on a streaming message."""
        if message.stream:
            message.stream.state = "stopped_by_user"


def find_element(blocks: list[dict[str, Any]], action_id: str) -> tuple[str, dict[str, Any]]:
    """(block_id, element) of the interactive element whose action_id is or starts with `action_id`."""
    seen: list[str] = []
    for number, block in enumerate(blocks):
        candidates = list(block.get("elements") or [])
        candidates += [block[k] for k in ("accessory", "element") if isinstance(block.get(k), dict)]
        for element in candidates:
            name = element.get("action_id") if isinstance(element, dict) else None
            if name and (name == action_id or name.startswith(action_id)):
                return str(block.get("block_id") or f"b{number}"), element
            if name:
                seen.append(name)
    raise AssertionError(f"no element {action_id!r}; there are {seen}")


def text_of(message: Message | View) -> str:
    """All words a member reads in a message or view, one line per text, in order."""
    lines: list[str] = []
    blocks: list[dict[str, Any]]
    if isinstance(message, View):
        blocks = message.body.get("blocks", [])
    else:
        blocks = message.blocks
        if not blocks:
            lines.append(message.text)
        if message.stream:
            lines.append(message.markdown_text)
            for task_id in message.stream.order:
                task = message.stream.tasks[task_id]
                lines.append(" | ".join(str(task[k]) for k in ("title", "status", "details", "output") if task.get(k)))
    _walk(blocks, lines)
    return "\n".join(line for line in lines if line)


def _walk(node: Any, lines: list[str]) -> None:
    if isinstance(node, list):
        if node and all(
            isinstance(n, dict) and "text" in n and n.get("type") in ("text", "link", "emoji") for n in node
        ):
            lines.append("".join(str(n.get("text", "")) for n in node))
            return
        for item in node:
            _walk(item, lines)
    elif isinstance(node, dict):
        if isinstance(node.get("text"), str):
            lines.append(node["text"])
        for key, value in node.items():
            if key not in ("text",) or not isinstance(value, str):
                _walk(value, lines)
