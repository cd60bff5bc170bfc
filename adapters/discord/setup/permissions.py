"""What a server install grants the bot, and why."""

from dataclasses import dataclass

from core.presentation import tr

SERVER_SCOPES = ("bot", "applications.commands")
ADMINISTRATOR = 1 << 3
"""Includes every permission."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of a server install: its bit, Discord's name for it, and why the bot needs it."""

    bit: int
    name: str
    reason: str


def permissions(locale: str = "en") -> tuple[Permission, ...]:
    """For pictures that took longer than the 15 minutes of an interaction, and for messages that mention the bot."""
    return (
        Permission(1 << 10, "View Channel", tr("find the place of an answer again after 15 minutes", locale)),
        Permission(1 << 11, "Send Messages", tr("deliver an image that took longer than 15 minutes", locale)),
        Permission(1 << 38, "Send Messages in Threads", tr("the same, in threads", locale)),
        Permission(1 << 15, "Attach Files", tr("attach the image to such a message", locale)),
        Permission(
            1 << 16, "Read Message History", tr("reply to a message that mentions it, while that still exists", locale)
        ),
    )
