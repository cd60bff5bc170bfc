"""The people and places of the emulated Slack: found by name, what they see, their files and posts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.emulators.slack.api_files import measured
from tests.emulators.slack.world import Channel, Message, SlackFile, User, View, Workspace

if TYPE_CHECKING:
    from tests.emulators.slack.server import SlackEmulator


class Members:
    """`team`, `user` and `channel` are names or ids; left out, they are the first workspace, anna and #general."""

    def __init__(self, emulator: SlackEmulator) -> None:
        self.slack = emulator

    # ------------------------------------------------------------------ who and where

    def space(self, team: str | None = None) -> Workspace:
        spaces = self.slack.world.workspaces
        if team is None:
            return next(iter(spaces.values()))
        return spaces.get(team) or next(s for s in spaces.values() if s.name == team)

    def user(self, user: str = "anna", team: str | None = None) -> User:
        space = self.space(team)
        return space.users.get(user) or self.slack.world.person(space, user)

    def channel(self, channel: str = "general", team: str | None = None) -> Channel:
        space = self.space(team)
        return space.channels.get(channel) or self.slack.world.channel(space, channel)

    def im(self, user: str = "anna", team: str | None = None) -> Channel:
        return self.slack.world.open_im(self.space(team), self.user(user, team).id)

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
            for m in self.slack.world.channel_messages(place.id).values()
            if not m.deleted and m.ephemeral_for in (None, viewer.id)
        ]
        if thread:
            shown = [m for m in shown if thread in (m.ts, m.thread_ts)]
        return sorted(shown, key=lambda m: float(m.ts))

    def dms(self, user: str = "anna", team: str | None = None) -> list[Message]:
        return self.messages(self.im(user, team).id, user, team)

    def open_view(self, user: str = "anna", team: str | None = None) -> View | None:
        person = self.user(user, team)
        mine = [v for v in self.slack.world.views.values() if v.user == person.id and v.open]
        modals = [v for v in mine if v.body.get("type") == "modal"]
        return modals[-1] if modals else None

    def home(self, user: str = "anna", team: str | None = None) -> View | None:
        person = self.user(user, team)
        return self.slack.world.home.get((person.team_id, person.id))

    # ------------------------------------------------------------------------- files

    def file(
        self, data: bytes, name: str = "photo.png", user: str = "anna", team: str | None = None, **how: Any
    ) -> SlackFile:
        """A file that `user` has; not yet shared anywhere. `how` sets fields of SlackFile."""
        person, now_s = self.user(user, team), self.slack.clock.now()
        file = SlackFile(self.slack.world.new_id("F"), person.team_id, name, data, person.id, created_s=now_s)
        file.processed_at_s = now_s
        measured(file)
        for key, value in how.items():
            setattr(file, key, value)
        self.slack.world.files[file.id] = file
        return file

    def post(
        self, text: str = "", files: list[SlackFile] | None = None, channel: str = "general", user: str = "anna",
        team: str | None = None, thread_ts: str | None = None,
    ) -> Message:  # fmt: skip
        """A member's message; nothing is delivered to the app by this alone."""
        place, person, now_s = self.channel(channel, team), self.user(user, team), self.slack.clock.now()
        message = Message(
            self.slack.world.new_ts(now_s), place.id, person.id, text, files=[f.id for f in files or []],
            thread_ts=thread_ts,
        )  # fmt: skip
        for file in files or []:
            file.shared_in.add(place.id)
        self.slack.world.channel_messages(place.id)[message.ts] = message
        return message

    def org_wide(self, space: Workspace) -> bool:
        tokens = self.slack.world.tokens.values()
        return any(t.is_enterprise_install and t.enterprise_id == space.enterprise_id for t in tokens)
