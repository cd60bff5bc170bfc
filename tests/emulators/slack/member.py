"""Act as a member: type commands, press buttons, fill in modals; with posting and reading in its bases."""

import secrets
from collections.abc import Sequence
from typing import Any

from tests.emulators.slack.api_files import file_json
from tests.emulators.slack.api_views import replace, view_json
from tests.emulators.slack.delivery import Ack
from tests.emulators.slack.forms import fill, ticked_values
from tests.emulators.slack.member_events import MemberEvents, Outcome
from tests.emulators.slack.reading import find_element
from tests.emulators.slack.world import Message, Trigger, User, View


class MemberControl(MemberEvents):
    """Everything that a member can do; who and where as in `Members`."""

    # ------------------------------------------------------------ commands, shortcuts

    def _trigger(self, person: User) -> str:
        now_s = self.slack.clock.now()
        trigger = Trigger(f"{int(now_s)}.{secrets.token_hex(8)}", person.team_id, person.id, now_s)
        self.slack.world.triggers[trigger.id] = trigger
        return trigger.id

    def _base(self, person: User) -> dict[str, Any]:
        space = self.space(person.team_id)
        team = {"id": space.id, "domain": space.name.lower()}
        if space.enterprise_id:
            team |= {"enterprise_id": space.enterprise_id, "enterprise_name": "Org"}
        return {
            "api_app_id": self.slack.world.app_id,
            "token": "deprecated",
            "team": team,
            "user": {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team_id},
            "is_enterprise_install": self.org_wide(space),
            "enterprise": {"id": space.enterprise_id, "name": "Org"} if space.enterprise_id else None,
        }

    async def command(
        self, command: str = "/upscale", text: str = "", user: str = "anna", channel: str = "general",
        team: str | None = None,
    ) -> Outcome:  # fmt: skip
        """Type a slash command. What the app answers in its ack is shown as Slack would show it."""
        person, place, space = self.user(user, team), self.channel(channel, team), self.space(team)
        url = self.slack.delivery.new_response_url(space.id, place.id, person.id)
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
            "api_app_id": self.slack.world.app_id,
            "is_enterprise_install": "true" if self.org_wide(space) else "false",
            "response_url": url,
            "trigger_id": self._trigger(person),
        }
        if space.enterprise_id:
            payload |= {"enterprise_id": space.enterprise_id, "enterprise_name": "Org"}
        ack = await self.slack.delivery.send("slash_commands", payload)
        if ack.ok and ack.payload:
            hook = self.slack.world.response_urls[url.removeprefix(self.slack.base_url)]
            self.slack.delivery.show(hook, ack.payload)
        return Outcome(ack)

    async def message_shortcut(
        self, message: Message, callback_id: str = "upscale_message", user: str = "anna", team: str | None = None
    ) -> Outcome:
        person, place = self.user(user, team), self.channel(message.channel, team)
        url = self.slack.delivery.new_response_url(person.team_id, place.id, person.id)
        payload = self._base(person) | {
            "type": "message_action",
            "action_ts": f"{self.slack.clock.now():.6f}",
            "callback_id": callback_id,
            "trigger_id": self._trigger(person),
            "message_ts": message.ts,
            "channel": {"id": place.id, "name": place.name},
            "message": self.slack.message_json(message, event=True),
            "response_url": url,
        }
        return Outcome(await self.slack.delivery.send("interactive", payload, accepts=False))

    async def global_shortcut(
        self, callback_id: str = "upscale_open", user: str = "anna", team: str | None = None
    ) -> Outcome:
        person = self.user(user, team)
        payload = self._base(person) | {
            "type": "shortcut",
            "action_ts": f"{self.slack.clock.now():.6f}",
            "callback_id": callback_id,
            "trigger_id": self._trigger(person),
        }
        return Outcome(await self.slack.delivery.send("interactive", payload, accepts=False))

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
        state = fill(view.body, values or {}, self.slack.world.files)
        for element in (e for block in state.values() for e in block.values() if e["type"] == "file_input"):
            files = [self.slack.world.files[f] for f in element["files"]]
            element["files"] = [file_json(self.slack, f, event=True) for f in files]
        payload = self._base(person) | {
            "type": "view_submission",
            "trigger_id": self._trigger(person),
            "view": view_json(self.slack, view, state),
            "response_urls": [],
        }
        ack = await self.slack.delivery.send("interactive", payload)
        return Outcome(ack, errors=self._after_submit(view, ack))

    def _after_submit(self, view: View, ack: Ack) -> dict[str, str]:
        if not ack.ok:
            return {"": "We had some trouble connecting. Try again?"}
        action = ack.payload.get("response_action")
        if action == "errors":
            unknown = set(ack.payload["errors"]) - {b.get("block_id") for b in view.body["blocks"]}
            if unknown:
                self.slack.violations.append(f"view errors for unknown blocks {sorted(unknown)}")
            return dict(ack.payload["errors"])
        if action == "update":
            replace(view, ack.payload["view"])
        else:
            view.open = False
        return {}

    # ----------------------------------------------------------------------- buttons

    async def click(
        self, message: Message | View, action_id: str, user: str = "anna", team: str | None = None,
        *, option: str | None = None, ticked: Sequence[str] = (),
    ) -> Outcome:  # fmt: skip
        """Press the element whose action_id is, or starts with, `action_id`; `option` picks in a menu.

        `ticked` are the values of a message's checkboxes that were chosen before.
        """
        person = self.user(user, team)
        blocks = message.body["blocks"] if isinstance(message, View) else self._all_blocks(message)
        block_id, element = find_element(blocks, action_id)
        action: dict[str, Any] = {
            "action_id": element["action_id"],
            "block_id": block_id,
            "type": element["type"],
            "action_ts": f"{self.slack.clock.now():.6f}",
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
            payload |= {"view": view_json(self.slack, message), "container": {"type": "view", "view_id": message.id}}
        else:
            url = self.slack.delivery.new_response_url(person.team_id, message.channel, person.id)
            hook = self.slack.world.response_urls[url.removeprefix(self.slack.base_url)]
            hook.message_ts = message.ts
            place = self.channel(message.channel, team)
            container: dict[str, Any] = {"type": "message", "message_ts": message.ts, "channel_id": place.id}
            container["is_ephemeral"] = message.ephemeral_for is not None
            payload |= {
                "channel": {"id": place.id, "name": place.name},
                "message": self.slack.message_json(message),
                "container": container,
                "response_url": url,
                "state": {"values": ticked_values(blocks, ticked)},
            }
        return Outcome(await self.slack.delivery.send("interactive", payload, accepts=False))

    @staticmethod
    def _all_blocks(message: Message) -> list[dict[str, Any]]:
        return message.blocks + (message.stream.blocks if message.stream else [])
