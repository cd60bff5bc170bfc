"""Choose where a job's messages are posted, and post, edit, find and remove them.

The place is the channel or thread of the request, or a direct message if that is refused. It is stored with the job, so
that every process posts to the same place.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import structlog

from adapters.slack.outbound import errors
from adapters.slack.outbound.api_client import SlackApi, Team
from adapters.slack.views.blocks import Content
from adapters.slack.views.card import draw
from core.domain.errors import DeliveryRefused, DeliveryUnavailable
from core.domain.job import ReplyAddress
from core.ports import Clock, ReplyState
from core.presentation import plain_card
from core.presentation.texts.delivery_texts import moved_text

log = structlog.get_logger(__name__)

FIND_WAIT_S = 10.0
FRESH_S = 0.25
"""After a longer wait, or a pause of the whole process, ownership of the job is checked again."""
CLOCKS_APART_S = 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """A channel, a thread in it, and whether the job was moved there from the place of its request.

    `direct`: the bot's own direct message with the member (a command may come from one between two other people).
    """

    channel: str
    thread_ts: str = ""
    kind: str = "channel"
    moved: bool = False
    direct: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Identifies a message of a job; stored in the message's invisible metadata (docs: message metadata)."""

    job: str
    part: Literal["root", "result", "stream", "failure", "file", "question"]

    @property
    def metadata(self) -> dict[str, Any]:
        return {"event_type": "upscale_job", "event_payload": asdict(self)}

    def on(self, message: Mapping[str, Any]) -> bool:
        """Whether a message from the history carries this mark; a stream has no metadata, but its card ids have it."""
        if self.part == "stream":
            return not message.get("metadata") and f"'{self.job}:" in str(message.get("blocks"))
        return bool((message.get("metadata") or {}).get("event_payload") == asdict(self))


class ReplyStateCache:
    """A write-through cache of one job's delivery state."""

    def __init__(self, state: ReplyState, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.owned_at = 0.0
        """When ownership of the job was last confirmed."""
        self._values: dict[str, Any] | None = None

    async def get(self, name: str) -> Any:
        if self._values is None:
            self._values = dict(await self._state.load())
        return self._values.get(name)

    async def remove_later(self, **message: str) -> None:
        await self._state.remove_later(message)

    async def save(self, **values: Any) -> None:
        """Store durably what is about to be sent. Raises NotOwner."""
        await self._state.save(**values)
        self.owned_at = self._clock.now()
        if self._values is not None:
            self._values.update(values)

    async def record(self, **values: Any) -> None:
        if self._values is not None:
            self._values.update(values)
        await self._state.record(**values)


async def remove_message(api: SlackApi, team: Team, channel: str, ts: str) -> None:
    """Delete a message of ours, if it still exists. Raises DeliveryError."""
    try:
        await api.call(team, "chat.delete", max_wait_s=30.0, channel=channel, ts=ts)
    except errors.SlackError as error:
        if error.error != errors.MESSAGE_GONE:
            raise errors.delivery_error(error) from None


async def find_message(api: SlackApi, team: Team, mark: Mark, since_unix_s: float, place: Place) -> str | None:
    """Search the place for the message with this mark; its ts, or None. Raises SlackError.

    For a post whose answer was lost. Needs the history scope of that kind of channel.
    """
    found = api.messages(
        team,
        "conversations.replies" if place.thread_ts else "conversations.history",
        max_wait_s=FIND_WAIT_S,
        channel=place.channel,
        oldest=f"{since_unix_s - CLOCKS_APART_S:.6f}",
        include_all_metadata=True,
        ts=place.thread_ts or None,
    )
    async for message in found:
        if mark.on(message):
            return str(message["ts"])
    return None


class Poster:
    def __init__(self, api: SlackApi, address: ReplyAddress, notes: ReplyStateCache, clock: Clock) -> None:
        self.api = api
        self.clock = clock
        self._data = dict(address.data)
        self._notes = notes
        self.user_id = str(self._data.get("user", ""))
        self.team = Team(str(self._data.get("team", "")), str(self._data.get("enterprise") or ""), self.user_id)

    async def place(self) -> Place:
        """The stored place; at first the channel of the request, or a direct message for private jobs."""
        noted = await self._notes.get("place")
        if isinstance(noted, dict):
            return Place(**noted)
        channel = str(self._data.get("channel") or "")
        if channel and not (self._data.get("private") and self._data.get("kind") != "im"):
            place = Place(channel, str(self._data.get("thread_ts") or ""), str(self._data.get("kind") or "channel"))
        else:
            place = Place(await self.api.direct_channel(self.team, self.user_id), kind="im", direct=True)
        await self._notes.record(place=asdict(place))
        return place

    def can_find_posts(self, place: Place) -> bool:
        """Whether the bot can find a message there whose post was not answered."""
        return self.api.may_read(self.team, place.kind)

    def now(self) -> float:
        return self.clock.now()

    async def check_ownership(self, owned_at: float = 0.0) -> None:
        """Raise NotOwner if another process has taken the job over while this one waited or was paused."""
        if self.now() - max(owned_at, self._notes.owned_at) > FRESH_S:
            await self._notes.save()

    async def post(self, content: Callable[[Place], Content], locale: str, mark: Mark, **how: Any) -> str:
        """Post at the place, or in a direct message if that is refused, and return the ts. Raises SlackError."""
        place = await self.place()
        try:
            if mark.part == "result" and await self.is_request_gone(place):
                raise errors.SlackRefused(errors.THREAD_GONE)
            return await self.post_in(place, content(place), mark, **how)
        except errors.SlackRefused as refusal:
            if not errors.direct_message_may_work(refusal) or place.direct:
                raise
            because = refusal.error
        log.info("slack_message_moved", job=mark.job, part=mark.part, error=because)
        place = await self.move_to_direct(locale, because)
        return await self.post_in(place, content(place), mark)

    async def move_to_direct(self, locale: str, because: str) -> Place:
        """Use a direct message from now on; the member is told once, at the place of the request, what would help.

        The message that stays behind is noted, to be closed at the end.
        """
        place = Place(await self.api.direct_channel(self.team, self.user_id), kind="im", moved=True, direct=True)
        root, gone = await self._notes.get("root"), because in errors.REQUEST_GONE
        left = {"left": root, "left_gone": gone} if root and root.get("ts") else {}
        await self._notes.record(place=asdict(place), root=None, **left)
        if because in errors.CHANNEL_FORBIDDEN:
            bot_is_missing = because in errors.BOT_MISSING and self._data.get("kind") != "im"
            text = moved_text(locale, bot_is_missing=bot_is_missing)
            await self.send_ephemeral(draw(plain_card(text, tone="done")))
        return place

    async def post_in(self, place: Place, content: Content, mark: Mark, **how: Any) -> str:
        """Post exactly there and return the ts; `how` as for `SlackApi.call`. Raises SlackError."""
        thread_ts = place.thread_ts
        how |= {"thread_ts": thread_ts, "metadata": mark.metadata, "before_send": self.check_ownership}
        answer = await self.api.post(self.team, place.channel, content, **how)
        ts = str(answer["ts"])
        if place.thread_ts and not (answer.get("message") or {}).get("thread_ts"):
            # The thread was deleted, and Slack has silently posted the reply outside of it.
            await self.remove(place, ts)
            raise errors.SlackRefused(errors.THREAD_GONE)
        return ts

    async def is_request_gone(self, place: Place) -> bool:
        """Whether the parent message of the thread was deleted; False if Slack does not answer."""
        parent = {"channel": place.channel, "message_ts": place.thread_ts}
        if not place.thread_ts:
            return False
        return await self.api.attempt(self.team, "chat.getPermalink", **parent) == errors.MESSAGE_GONE

    async def edit(self, place: Place, ts: str, content: Content, *, progress: bool = False) -> None:
        check = partial(self.check_ownership, self.now())
        how: dict[str, Any] = {"progress": progress, "before_send": check, **content.as_args()}
        await self.api.call(self.team, "chat.update", channel=place.channel, ts=ts, **how)

    async def remove(self, place: Place, ts: str) -> bool:
        """Delete a message of ours; False if that fails. After a temporary failure it is deleted later."""
        try:
            await remove_message(self.api, self.team, place.channel, ts)
        except DeliveryUnavailable:
            of = {"team": self.team.team_id, "enterprise": self.team.enterprise_id}
            await self._notes.remove_later(**of, channel=place.channel, ts=ts)
            return False
        except DeliveryRefused:
            return False
        return True

    async def answer(self, content: Content) -> bool:
        """Answer the requester privately through the request's response_url; False if there is none or it expired."""
        url = str(self._data.get("response_url") or "")
        before_send = self.clock.now() <= float(self._data.get("response_until") or 0)
        return bool(url) and before_send and await self.api.respond(url, content)

    async def send_ephemeral(self, content: Content) -> bool:
        """Answer the requester privately at the place of the request, by response_url or an ephemeral message."""
        if await self.answer(content):
            return True
        channel, thread_ts = str(self._data.get("channel") or ""), str(self._data.get("thread_ts") or "")
        if not channel or self._data.get("kind") == "im":
            return False
        return await self.api.send_ephemeral(self.team, channel, self.user_id, content, thread_ts)
