"""Finds the images in a Discord message (attachments, components, embeds, forwards, stickers) and their URLs. Pure.

Discord's type and size of a file are only used to choose; the core judges the bytes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

import discord

from core.domain.job import Source
from core.domain.parameters.grammar import links_in
from core.domain.untrusted_text import clean_line
from core.jobs.selections import Size

RESIZING_PARAMETERS = frozenset({"width", "height", "format", "quality", "size", "animated"})
"""Query parameters by which Discord's viewer requests a reduced or re-encoded picture."""

CDN_HOSTS = ORIGINAL_HOST, RESIZING_HOST = "cdn.discordapp.com", "media.discordapp.net"
ATTACHMENTS = ("/attachments/", "/ephemeral-attachments/")


def expiry_of(url: str) -> float | None:
    """When the URL expires (unix seconds, its `ex` parameter in hexadecimal); None if it does not say.

    0 for an unsigned URL of one of Discord's files, which Discord no longer serves.
    """
    try:
        parts = urlsplit(url)
        values = parse_qs(parts.query).get("ex")
        if values:
            return float(int(values[0], 16))
        return 0.0 if _is_hosted(url) and parts.path.startswith(ATTACHMENTS) else None
    except ValueError:
        return None


def host_of(url: str) -> str:
    """The URL's host in lower case; empty for an invalid URL."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def name_of(url: str) -> str:
    """The last part of the URL's path, unquoted; `image` where there is none."""
    try:
        return clean_line(unquote(urlsplit(url).path.rsplit("/", 1)[-1])) or "image"
    except ValueError:
        return "image"


def original_of(url: str) -> str:
    """The URL of the original file for a URL of Discord's viewer; others unchanged."""
    if not _is_hosted(url):
        return url
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in RESIZING_PARAMETERS]
    host = ORIGINAL_HOST if parts.path.startswith(ATTACHMENTS) else parts.netloc
    return urlunsplit(parts._replace(netloc=host, query=urlencode(kept)))


_IMAGE_NAME = re.compile(r"\.(png|jpe?g|jfif|webp|gif|bmp|tiff?|avif|hei[cf])$", re.IGNORECASE)
_SPOILER = re.compile(r"\|\|(.+?)\|\|", re.DOTALL)
MAX_IMAGES = 25
"""Discord's limit for the options of a select."""

Part: TypeAlias = discord.Message | discord.MessageSnapshot


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One image of a message. `id` is unique within the message; the size is Discord's and may be missing."""

    id: str
    name: str
    url: str
    hosted: bool
    width_px: int | None = None
    height_px: int | None = None
    spoiler: bool = False

    @property
    def size_px(self) -> Size | None:
        return (self.width_px, self.height_px) if self.width_px and self.height_px else None

    def source(self) -> Source:
        """Discord's own files are fetched as attachments, all others with the checks for links."""
        kind = "attachment" if self.hosted else "link"
        return Source(kind, url=original_of(self.url), name=self.name)  # type: ignore[arg-type]


def from_attachment(attachment: discord.Attachment) -> FoundImage:
    return FoundImage(
        str(attachment.id),
        attachment.filename,
        attachment.url,
        True,
        attachment.width,
        attachment.height,
        attachment.is_spoiler(),
    )


def from_link(url: str) -> FoundImage:
    """An image from a typed link, of unknown size."""
    return FoundImage("link", name_of(url), original_of(url), _is_hosted(url))


@dataclass(frozen=True, slots=True)
class ImageSelection:
    """Images to upscale, or to choose from, with the parameters.

    `total` also counts images beyond the limit. `others`: names of files that are no images; `unreadable`: names, or
    "", of files that cannot be fetched because Discord's event is incomplete. Releases up to 0.2 stored this, with the
    `prices_nanousd` that were shown and with `user_id`, who may choose.
    """

    images: tuple[FoundImage, ...] = ()
    prices_nanousd: tuple[int | None, ...] = ()
    text: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    private: bool = False
    user_id: str = ""
    total: int = 0
    others: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def linked_images(message: discord.Message, links: Iterable[str] | None = None) -> tuple[FoundImage, ...]:
    """The links in a message's text, or these of them. Discord draws no image for `<link>`, or from many hosts."""
    given = dict.fromkeys(links_in(message.content) if links is None else links)
    hidden = _hidden_text(message)
    return tuple(replace(from_link(url), id=f"link{n}", spoiler=url in hidden) for n, url in enumerate(given))


def images_of(message: discord.Message) -> ImageSelection:
    """The distinct images of a message in reading order; at most MAX_IMAGES, the rest is only counted.

    Files of unknown type are taken only when there is no known image; the core then judges their bytes.
    """
    found: dict[str, FoundImage] = {}
    untyped: list[FoundImage] = []
    others: list[str] = []
    unreadable: list[str] = []
    for part in _parts(message):
        unreadable += [one.filename for one in part.attachments if not one.url]
        for image, kind in _walk(part):
            if kind.startswith("image/") or _IMAGE_NAME.search(image.name):
                found.setdefault(_without_query(image.url), image)
            elif kind in ("", "application/octet-stream"):
                untyped.append(image)
            else:
                others.append(image.name)
        others += [one.name for one in part.stickers if one.format is discord.StickerFormatType.lottie]
    images = list(found.values())
    if images:
        others += [one.name for one in untyped]
    else:
        images = untyped
    total = len(images) + len(unreadable)
    return ImageSelection(tuple(images[:MAX_IMAGES]), total=total, others=tuple(others), unreadable=tuple(unreadable))


def _parts(message: discord.Message) -> Iterator[Part]:
    """The message itself, the messages that it forwards, and the one that a thread was started from."""
    yield message
    yield from message.message_snapshots
    resolved = message.reference.resolved if message.reference is not None else None
    if message.type is discord.MessageType.thread_starter_message and isinstance(resolved, discord.Message):
        yield from _parts(resolved)


def _hidden_text(part: Part) -> str:
    return " ".join(_SPOILER.findall(part.content))


def _walk(part: Part) -> Iterator[tuple[FoundImage, str]]:
    """Possible images, each with its declared type."""
    for attachment in part.attachments:
        if attachment.url:
            yield from_attachment(attachment), (attachment.content_type or "").split(";")[0].strip()
    yield from _components(part.components)
    hidden = _hidden_text(part)
    for embed in part.embeds:
        media = embed.image if embed.image.url else embed.thumbnail  # beside an image it is decoration
        if media.url:
            spoiler = media.flags.spoiler or bool(embed.url and embed.url in hidden)
            number, name = _without_query(media.url), name_of(media.url)
            size = media.width, media.height
            yield FoundImage(number, name, media.url, _is_hosted(media.url), *size, spoiler), "image/"
    for sticker in part.stickers:
        if sticker.format is not discord.StickerFormatType.lottie:
            suffix = "gif" if sticker.format is discord.StickerFormatType.gif else "png"
            yield FoundImage(str(sticker.id), f"{sticker.name}.{suffix}", sticker.url, True, 320, 320), "image/"


def _components(components: Iterable[Any], *, hidden: bool = False) -> Iterator[tuple[FoundImage, str]]:
    """Media inside Components V2; such a message has an empty list of attachments (documented, read 2026-11-22)."""
    for component in components:
        if isinstance(component, discord.MediaGalleryComponent):
            for item in component.items:
                yield _media(item.media, hidden or item.spoiler)
        elif isinstance(component, (discord.ThumbnailComponent, discord.FileComponent)):
            yield _media(component.media, hidden or component.spoiler)
        inner = [*(getattr(component, "children", None) or ()), getattr(component, "accessory", None)]
        covered = isinstance(component, discord.Container) and component.spoiler
        yield from _components([one for one in inner if one is not None], hidden=hidden or covered)


def _media(media: discord.UnfurledMediaItem, spoiler: bool) -> tuple[FoundImage, str]:
    hosted = media.attachment_id is not None or _is_hosted(media.url)
    number = str(media.attachment_id or _without_query(media.url))
    size = media.width or None, media.height or None
    return FoundImage(number, name_of(media.url), media.url, hosted, *size, spoiler), media.content_type or ""


def _is_hosted(url: str) -> bool:
    return host_of(url) in CDN_HOSTS


def _without_query(url: str) -> str:
    return url.split("?", 1)[0]
