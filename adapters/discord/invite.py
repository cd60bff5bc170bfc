"""The two links that bring the bot to people, with the least permissions and why each is needed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from core.messages import tr

AUTHORIZE_URL = "https://discord.com/oauth2/authorize"
GUILD, USER = 0, 1


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of a server install: its bit, Discord's name for it, what we do with it."""

    bit: int
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Invite:
    """One link, and what it asks for."""

    title: str
    url: str
    permissions: tuple[Permission, ...] = ()


def permissions(locale: str = "en") -> tuple[Permission, ...]:
    """All of them serve one purpose: delivering a picture that took longer than the 15 minutes of an interaction."""
    late = tr("to deliver a picture that took longer than 15 minutes", locale)
    return (
        Permission(1 << 10, "View Channel", tr("to find the place of an answer again after 15 minutes", locale)),
        Permission(1 << 11, "Send Messages", late),
        Permission(1 << 38, "Send Messages in Threads", tr("the same, in threads", locale)),
        Permission(1 << 15, "Attach Files", tr("to attach the picture to such a message", locale)),
    )


def invites(application_id: int, locale: str = "en") -> tuple[Invite, Invite]:
    """The link for servers and the link for one's own account."""
    needed = permissions(locale)
    bits = sum(permission.bit for permission in needed)
    server = {
        "client_id": str(application_id),
        "scope": "bot applications.commands",
        "permissions": str(bits),
        "integration_type": str(GUILD),
    }
    own = {"client_id": str(application_id), "scope": "applications.commands", "integration_type": str(USER)}
    return (
        Invite(tr("For a server", locale), f"{AUTHORIZE_URL}?{urlencode(server)}", needed),
        Invite(tr("For your own account, usable everywhere", locale), f"{AUTHORIZE_URL}?{urlencode(own)}"),
    )
