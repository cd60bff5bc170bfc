"""Finds every image in a Discord message: attachments, component media, embeds, forwards, stickers. Pure.

What Discord says about a file (type, size) is only used to choose; the bytes decide later, in the core.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import discord

from adapters.discord.outbound.links import host_of, name_of, original_of
from core.domain.job import Source

CDN_HOSTS = ("cdn.discordapp.com", "media.discordapp.net")
_IMAGE_NAME = re.compile(r"\.(png|jpe?g|jfif|webp|gif|bmp|tiff?|avif|hei[cf])$", re.IGNORECASE)
MAX_IMAGES = 25
"""As many as one select can offer."""


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One image to choose. `id` is unique within its message; sizes are Discord's word and may be missing."""

    id: str
    name: str
    url: str
    hosted: bool
    width_px: int | None = None
    height_px: int | None = None
    spoiler: bool = False

    def to_json(self) -> dict[str, Any]:
        """For the application's store."""
        return asdict(self)

    def source(self) -> Source:
        """Discord's own files are fetched as attachments, everything else through the guard for links."""
        kind = "attachment" if self.hosted else "link"
        return Source(kind, url=original_of(self.url), name=self.name)  # type: ignore[arg-type]


def from_attachment(attachment: discord.Attachment) -> FoundImage:
    """An attachment option, or an attachment of a message."""
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
    """A link that somebody typed, of a size that nobody knows yet. Discord's own files are taken whole and renewed."""
    return FoundImage("link", name_of(url), original_of(url), _is_hosted(url))


@dataclass(frozen=True, slots=True)
class Found:
    """What a message holds: the pictures that are taken, how many there are, and the names of what is none."""

    images: tuple[FoundImage, ...] = ()
    total: int = 0
    others: tuple[str, ...] = ()


def images_of(message: discord.Message) -> Found:
    """Every image of a message, each once, in reading order; at most 25 are taken, the rest is counted.

    Files that say nothing of themselves are tried where no other says that it is an image: their bytes decide.
    """
    found: dict[str, FoundImage] = {}
    for image in _walk(message):
        found.setdefault(_without_query(image.url), image)
    rest = [one for one in _files(message) if not _says_image(one)]
    images = list(found.values())
    if not images:
        images = [from_attachment(one) for one in rest if _says_nothing(one)]
        rest = [one for one in rest if not _says_nothing(one)]
    names = [one.filename for one in rest]
    names += [one.name for one in message.stickers if one.format is discord.StickerFormatType.lottie]
    return Found(tuple(images[:MAX_IMAGES]), len(images), tuple(names))


def _files(message: discord.Message) -> Iterator[discord.Attachment]:
    yield from message.attachments
    for snapshot in message.message_snapshots:
        yield from snapshot.attachments


def _says_image(one: discord.Attachment) -> bool:
    return (one.content_type or "").startswith("image/") or bool(_IMAGE_NAME.search(one.filename))


def _says_nothing(one: discord.Attachment) -> bool:
    return (one.content_type or "").split(";")[0].strip() in ("", "application/octet-stream")


def _walk(message: discord.Message) -> Iterator[FoundImage]:
    yield from _attachments(message.attachments)
    yield from _components(message.components)
    yield from _embeds(message.embeds)
    for snapshot in message.message_snapshots:
        yield from _attachments(snapshot.attachments)
        yield from _components(snapshot.components)
        yield from _embeds(snapshot.embeds)
    for sticker in message.stickers:
        if sticker.format is not discord.StickerFormatType.lottie:
            suffix = "gif" if sticker.format is discord.StickerFormatType.gif else "png"
            yield FoundImage(str(sticker.id), f"{sticker.name}.{suffix}", sticker.url, True, 320, 320)


def _attachments(attachments: Iterable[discord.Attachment]) -> Iterator[FoundImage]:
    for attachment in attachments:
        if _says_image(attachment):
            yield from_attachment(attachment)


def _components(components: Iterable[Any]) -> Iterator[FoundImage]:
    """Media inside Components V2: such a message has an empty list of attachments (intended, read 2026-11-22)."""
    for component in components:
        if isinstance(component, discord.MediaGalleryComponent):
            for item in component.items:
                yield from _media(item.media, item.spoiler)
        elif isinstance(component, (discord.ThumbnailComponent, discord.FileComponent)):
            yield from _media(component.media, component.spoiler)
        yield from _components(getattr(component, "children", None) or [])
        accessory = getattr(component, "accessory", None)
        if accessory is not None:
            yield from _components([accessory])


def _media(media: discord.UnfurledMediaItem, spoiler: bool) -> Iterator[FoundImage]:
    name = name_of(media.url)
    kind = media.content_type or ""
    if kind.startswith("image/") or (not kind and _IMAGE_NAME.search(name)):
        hosted = media.attachment_id is not None or _is_hosted(media.url)
        number = str(media.attachment_id or _without_query(media.url))
        yield FoundImage(number, name, media.url, hosted, media.width or None, media.height or None, spoiler)


def _embeds(embeds: Iterable[discord.Embed]) -> Iterator[FoundImage]:
    for embed in embeds:
        for media in (embed.image, embed.thumbnail):
            if media.url:
                hosted = _is_hosted(media.url)
                yield FoundImage(
                    _without_query(media.url), name_of(media.url), media.url, hosted, media.width, media.height
                )
                break  # The thumbnail of an embed with an image is a part of its decoration.


def _is_hosted(url: str) -> bool:
    return host_of(url) in CDN_HOSTS


def _without_query(url: str) -> str:
    return url.split("?", 1)[0]
