"""The two install links, with the fewest permissions and the reason for each."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from adapters.discord.settings import Settings
from adapters.discord.setup.doctor import fetch_application
from adapters.discord.setup.permissions import SERVER_SCOPES, Permission, permissions
from core.presentation import tr

AUTHORIZE_URL = "https://discord.com/oauth2/authorize"
GUILD, USER = 0, 1


@dataclass(frozen=True, slots=True)
class Invite:
    title: str
    url: str
    permissions: tuple[Permission, ...] = ()


def invites(application_id: int, locale: str = "en") -> tuple[Invite, Invite]:
    needed = permissions(locale)
    server = {
        "client_id": str(application_id),
        "scope": " ".join(SERVER_SCOPES),
        "permissions": str(sum(permission.bit for permission in needed)),
        "integration_type": str(GUILD),
    }
    own = {"client_id": str(application_id), "scope": "applications.commands", "integration_type": str(USER)}
    return (
        Invite(tr("For a server", locale), f"{AUTHORIZE_URL}?{urlencode(server)}", needed),
        Invite(tr("For your own account, usable everywhere", locale), f"{AUTHORIZE_URL}?{urlencode(own)}"),
    )


async def invite_links(settings: Settings) -> Sequence[Invite]:
    """Both links for the application of the configured token; if Discord is unreachable, by the id in the token."""
    found = await fetch_application(settings)
    application_id = int(found["id"]) if isinstance(found, dict) else id_in_token(settings.token)
    return invites(application_id) if application_id is not None else ()


def id_in_token(token: str) -> int | None:
    """The application id that is the first part of a bot token, in base 64; None if it does not look like a token."""
    head = token.split(".")[0]
    try:
        text = base64.b64decode(head + "=" * (-len(head) % 4), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return int(text) if text.isascii() and text.isdigit() else None
