"""What members do that comes to the app as an event: mentions, direct messages, edits, the Home tab, removal."""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.slack.api_views import view_json
from tests.emulators.slack.delivery import Ack
from tests.emulators.slack.members import Members
from tests.emulators.slack.world import Message, SlackFile, Workspace


@dataclass(frozen=True)
class Outcome:
    """What became of one action."""

    ack: Ack
    errors: dict[str, str] = field(default_factory=dict)
    post: Message | None = None

    @property
    def acked(self) -> bool:
        return self.ack.ok


class MemberEvents(Members):
    """Each answers once the app has acknowledged, or has not."""

    def _event(self, space: Workspace, event: dict[str, Any]) -> dict[str, Any]:
        now_s = self.slack.clock.now()
        org = self.org_wide(space)
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
            "api_app_id": self.slack.world.app_id,
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
        base = self.slack.message_json(post, event=True)
        kind = self.channel(channel, team).kind
        acks: list[Ack] = []
        if self.slack.mention_mode in ("mention", "both", "bare"):
            if self.slack.mention_mode == "bare":
                base.pop("files", None)
            acks.append(
                await self.slack.delivery.event(
                    self._event(space, base | {"type": "app_mention", "channel": post.channel})
                )
            )
        if self.slack.mention_mode in ("file_share", "both"):
            event = base | {"type": "message", "subtype": "file_share", "channel": post.channel, "channel_type": kind}
            event.pop("team", None)
            acks.append(await self.slack.delivery.event(self._event(space, event)))
        return Outcome(acks[-1], post=post)

    async def dm(
        self, text: str = "", files: list[SlackFile] | None = None, user: str = "anna", team: str | None = None,
        thread_ts: str | None = None,
    ) -> Outcome:  # fmt: skip
        place = self.im(user, team)
        post = self.post(text, files, place.id, user, team, thread_ts)
        event = self.slack.message_json(post, event=True) | {"channel": place.id, "channel_type": "im"}
        if files:
            event |= {"subtype": "file_share"}
        ack = await self.slack.delivery.event(self._event(self.space(team), event))
        return Outcome(ack, post=post)

    async def edit(self, post: Message, text: str, team: str | None = None) -> Outcome:
        """Change the words of a message: comes as `message_changed` in direct messages, else as a mention once more."""
        space, place, before = self.space(team), self.channel(post.channel, team), post.text
        post.text = text if place.kind == "im" else f"<@{space.bot_user_id}> {text}"
        post.edited_ts = f"{self.slack.clock.now():.6f}"
        event = self.slack.message_json(post, event=True)
        if place.kind == "im":
            changed = {"message": event, "previous_message": event | {"text": before}, "channel_type": "im"}
            event = {"type": "message", "subtype": "message_changed", "ts": post.edited_ts, **changed}
        else:
            event |= {"type": "app_mention"}
        return Outcome(await self.slack.delivery.event(self._event(space, event | {"channel": place.id})), post=post)

    async def open_home(self, user: str = "anna", team: str | None = None) -> Outcome:
        person, known = self.user(user, team), self.home(user, team)
        event: dict[str, Any] = {"type": "app_home_opened", "user": person.id, "tab": "home"}
        event["channel"] = self.im(user, team).id
        if known:
            event["view"] = view_json(self.slack, known)
        ack = await self.slack.delivery.event(self._event(self.space(team), event))
        return Outcome(ack)

    async def uninstall(self, team: str | None = None) -> None:
        """Remove the app: tokens die first, then both events come, in either order."""
        space = self.space(team)
        self.revoke(team)
        tokens = {"oauth": [], "bot": [space.bot_user_id]}
        await asyncio.gather(
            self.slack.delivery.event(self._event(space, {"type": "tokens_revoked", "tokens": tokens})),
            self.slack.delivery.event(self._event(space, {"type": "app_uninstalled"})),
        )

    def revoke(self, team: str | None = None, state: str = "account_inactive") -> None:
        space = self.space(team)
        for token in self.slack.world.tokens.values():
            if token.team_id == space.id and token.kind == "bot":
                token.state = state

    def press_stop(self, message: Message) -> None:
        """The member presses Stop on a streaming message."""
        if message.stream:
            message.stream.state = "stopped_by_user"
