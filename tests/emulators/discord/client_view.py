"""What a member's client shows of the messages."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tests.emulators.discord import components
from tests.emulators.discord.cdn import previewable
from tests.emulators.discord.seen import SeenButton, SeenImage, SeenMessage
from tests.emulators.discord.world import LOADING, Attachment, Channel, Message, User

if TYPE_CHECKING:
    from tests.emulators.discord.server import DiscordEmulator


class ClientView:
    """Mixed into the emulator: what each member sees in each place."""

    user: User
    channel: Channel

    @property
    def _emulator(self) -> DiscordEmulator:
        return self  # type: ignore[return-value]

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
