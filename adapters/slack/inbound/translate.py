"""Translate Slack's payloads into the core's types: requester, reply address, and every visible image. Pure.

Reads raw dicts, since slack_sdk's models lack the files of a `file_input` (read in 3.47's source). No file is left out
for its name or declared type: its bytes decide later, so that the answer names a PDF, too.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.slack.outbound.api_client import Team
from adapters.slack.outbound.files import address_in_event
from core.domain.job import ReplyAddress, Requester, Source
from core.domain.limits import ScopeKind
from core.domain.parameters.spec import Fields
from core.domain.untrusted_text import clean, clean_line
from core.jobs.selections import Size

PLATFORM = "slack"
MAX_MESSAGE_CHARS = 40_000
"""Slack truncates longer messages (docs: chat.postMessage, read 2026-11-22)."""
RESPONSE_URL_LIFE_S = 1700.0
"""A little less than Slack's 30 minutes (docs: handling user interaction, read 2026-11-22)."""

_FILE_PATH = re.compile(r"/(?:files/[UW][A-Z0-9]+/|files-(?:pri|tmb)/[A-Z0-9]+-)(F[A-Z0-9]+)(?:/|$)", re.IGNORECASE)
_USER = re.compile(r"<@([UW][A-Z0-9]{1,30})(?:\|[^<>]{0,200})?>")
_CHANNEL = re.compile(r"<#([CG][A-Z0-9]{1,30})(?:\|[^<>]{0,200})?>")
_GROUP = re.compile(r"<!subteam\^(S[A-Z0-9]{1,30})(?:\|[^<>]{0,200})?>")


@dataclass(frozen=True, slots=True)
class SlackUser:
    name: str = ""
    locale: str = "en"
    is_admin: bool = False
    is_owner: bool = False
    is_outsider: bool | None = None
    """Of another organisation; None if Slack did not answer."""
    groups: tuple[str, ...] = ()
    """Ids of the user groups that the person is in."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The user and place of one action, from any payload. `thread_ts` is the thread that answers belong in."""

    team_id: str
    enterprise_id: str
    user_id: str = ""
    user_name: str = ""
    channel_id: str = ""
    channel_name: str = ""
    thread_ts: str = ""
    response_url: str = ""
    at: float = 0.0
    user_team: str = ""
    """The user's own team, if the payload names it."""

    @property
    def team(self) -> Team:
        return Team(self.team_id, self.enterprise_id, self.user_id)

    @property
    def kind(self) -> str:
        """im, group (private channel) or channel."""
        if self.channel_id.startswith("D") or self.channel_name == "directmessage":
            return "im"
        return "group" if self.channel_id.startswith("G") or self.channel_name == "privategroup" else "channel"


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A member's action that may become jobs. `event` is the same for every redelivery."""

    origin: Origin
    event: str
    text: str = ""
    files: Sequence[Mapping[str, Any]] = ()
    links: Sequence[str] = ()
    fields: Fields = field(default_factory=dict)
    private: bool | None = None
    thread_ts: str | None = None
    has_prose: bool = False
    """The text may contain ordinary words around the parameters."""
    redeliverable: bool = False
    edited_ts: str = ""
    """When the message was last edited; each version's mistakes are reported once."""
    agreed_nanousd: int | None = 0
    """The total price of several images that the member has already seen; None always asks which to take."""

    @property
    def place(self) -> Origin:
        """The origin in the thread in which the request is answered."""
        return replace(self.origin, thread_ts=self.thread_ts) if self.thread_ts else self.origin


def origin_of(body: Mapping[str, Any], team_id: str, enterprise_id: str, now: float) -> Origin:
    event = body.get("event")
    if isinstance(event, dict):
        found = {"user_id": event.get("user"), "channel_id": event.get("channel"), "thread_ts": event.get("thread_ts"),
                 "channel_name": "directmessage" if event.get("channel_type") == "im" else "",
                 "user_team": event.get("user_team")}  # fmt: skip
    elif "command" in body:
        names = ("user_id", "user_name", "channel_id", "channel_name", "response_url")
        found = {name: body.get(name) for name in names}
    else:
        user, channel, message = (body.get(name) or {} for name in ("user", "channel", "message"))
        found = {"user_id": user.get("id"), "user_name": user.get("username") or user.get("name"),
                 "channel_id": channel.get("id"), "channel_name": channel.get("name"),
                 "thread_ts": message.get("thread_ts"), "response_url": body.get("response_url"),
                 "user_team": user.get("team_id")}  # fmt: skip
    return Origin(team_id, enterprise_id, at=now, **{name: str(value or "") for name, value in found.items()})


def requester(origin: Origin, person: SlackUser) -> Requester:
    return Requester(
        platform=PLATFORM,
        user_id=origin.user_id,
        user_name=clean_line(person.name or origin.user_name),
        workspace_id=origin.team_id,
        channel_id=origin.channel_id,
        is_moderator=person.is_admin,
        locale=person.locale,
        is_outsider=(origin.user_team not in ("", origin.team_id))
        if person.is_outsider is None
        else person.is_outsider,
        org_id=origin.enterprise_id,
        role_ids=person.groups,
    )


def address(origin: Origin, *, private: bool = False, thread_ts: str | None = None) -> ReplyAddress:
    """Where the job's message goes: without a channel, or if private, to a direct message with the member."""
    data: dict[str, Any] = {
        "team": origin.team_id,
        "enterprise": origin.enterprise_id,
        "user": origin.user_id,
        "channel": origin.channel_id,
        "kind": origin.kind,
        "thread_ts": origin.thread_ts if thread_ts is None else thread_ts,
        "private": private,
    }
    if origin.response_url:
        data |= {"response_url": origin.response_url, "response_until": origin.at + RESPONSE_URL_LIFE_S}
    return ReplyAddress(PLATFORM, data)


def file_source(file: Mapping[str, Any], origin: Origin) -> Source:
    """A file at Slack; without its address in the event, Slack is asked when it is fetched."""
    name = clean_line(str(file.get("name") or file.get("title") or ""))
    data = {"file": str(file.get("id") or ""), "team": origin.team_id, "enterprise": origin.enterprise_id,
            "member": origin.user_id}  # fmt: skip
    return Source("attachment", address_in_event(file), name=name, data=data)


def link_source(link: str, origin: Origin, own_hosts: Collection[str] = ()) -> Source:
    """A typed link: to a file at Slack, or to the web. `own_hosts` (host[:port]) serve Slack's files."""
    name = link.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    if file_id := _file_id(link, own_hosts):
        source = file_source({"id": file_id, "name": name}, origin)
        # Knowing a file's id does not prove the right to see it: `files.download_of` checks that.
        return Source("attachment", name=name, data={**source.data, "by": origin.user_id, "in": origin.channel_id})
    return Source("link", url=link, name=name[:80])


def _file_id(link: str, own_hosts: Collection[str]) -> str:
    """The id of the file that a Slack link names, or "". Slack is asked for the file's address.

    `own_hosts` are configured as Slack's own (a proxy, a regional instance).
    """
    scheme, _, rest = link.partition("://")
    host, slash, path = rest.partition("/")
    slacks = scheme.lower() == "https" and host.lower().endswith(".slack.com")
    if not slacks and not (scheme.lower() in ("https", "http") and host.lower() in own_hosts):
        return ""
    found = _FILE_PATH.search(f"{slash}{path.split('?')[0]}")
    return str(found[1]).upper() if found else ""


def without_mentions(text: Any) -> str:
    """A message's cleaned text without mentions of users."""
    return _USER.sub(" ", clean(str(text or ""), MAX_MESSAGE_CHARS)).strip()


def mentioned_user(text: str) -> str | None:
    found = _USER.search(text)
    return found[1] if found else None


def mentioned_channel(text: str) -> str | None:
    found = _CHANNEL.search(text)
    return found[1] if found else None


def without_channels(text: str) -> str:
    return _CHANNEL.sub(" ", text)


def mentioned_scope(word: str) -> tuple[ScopeKind, str] | None:
    if user := mentioned_user(word):
        return ScopeKind.USER, user
    if channel := mentioned_channel(word):
        return ScopeKind.CHANNEL, channel
    group = _GROUP.search(word)
    return (ScopeKind.ROLE, group[1]) if group else None


def job_key(team_id: str, event: str, item: str) -> str:
    """The idempotency key: the same event and file are the same job, however often they are delivered."""
    return f"{PLATFORM}:{team_id}:{event}:{item}"


def declared_size(file: Mapping[str, Any]) -> Size | None:
    """Width and height in Slack's file object; None if they are missing or implausible."""
    width, height = (str(file.get(side)) for side in ("original_w", "original_h"))
    if not all(text.isascii() and text.isdigit() and len(text) <= 6 and int(text) for text in (width, height)):
        return None
    return int(width), int(height)


MAX_IMAGES = 100
MAX_DEPTH = 4
"""Slack nests forwarded messages at most twice."""

DELETED_MODES = frozenset({"tombstone"})


def images_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Files (`id`) and links (`link`) in the order in which the message shows them, each once."""
    found: dict[str, dict[str, Any]] = {}
    for picture in _visible_images(message, 0):
        found.setdefault(str(picture.get("id") or picture.get("link")), picture)
        if len(found) >= MAX_IMAGES:
            break
    return list(found.values())


def _visible_images(part: Mapping[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    if depth > MAX_DEPTH:
        return
    for file in _items(part.get("files")):
        if file.get("id") and str(file.get("mode")) not in DELETED_MODES:
            yield dict(file)
    for block in _items(part.get("blocks")):
        yield from _images_in_block(block, 0)
    for attachment in _items(part.get("attachments")):
        yield from _visible_images(attachment, depth + 1)
        for quoted in _items(attachment.get("message_blocks")):
            inner = quoted.get("message")
            if isinstance(inner, Mapping):
                yield from _visible_images(inner, depth + 1)
        if link := attachment.get("image_url") or attachment.get("thumb_url"):
            yield _link_image(link, str(attachment.get("title") or attachment.get("fallback") or ""))


def _images_in_block(block: Mapping[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    """Image blocks, image accessories, and images of cards, also inside carousels and containers."""
    if depth > MAX_DEPTH:
        return
    shown = [block] if block.get("type") == "image" else _items([block.get("accessory"), block.get("hero_image")])
    for picture in shown:
        title = picture.get("title")
        name = str((title.get("text") if isinstance(title, Mapping) else "") or picture.get("alt_text") or "")
        file = picture.get("slack_file")
        if isinstance(file, Mapping) and file.get("id"):
            yield {"id": str(file["id"]), "name": name}
        elif link := (file.get("url") if isinstance(file, Mapping) else picture.get("image_url")):
            yield _link_image(link, name)
    if block.get("type") in ("carousel", "container"):
        for inner in _items(block.get("elements")) + _items(block.get("child_blocks")):
            yield from _images_in_block(inner, depth + 1)


def _link_image(link: Any, name: str) -> dict[str, Any]:
    return {"link": str(link), "name": name[:80]}


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
