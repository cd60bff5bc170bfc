"""The app manifest for `python -m bot slack-manifest` and `setup`, with the fewest possible scopes. Pure."""

import json
from typing import Any
from urllib.parse import quote

from adapters.slack.settings import Settings
from core.ports import Credential

BOT_SCOPES = (
    "app_mentions:read",
    "chat:write",
    "commands",
    "files:read",
    "files:write",
    "im:history",
    "im:write",
    "users:read",
)
"""For mentions, answers, commands and shortcuts, images in and out, direct messages, language and admin rights."""

GROUPS_SCOPE = "usergroups:read"
OPTIONAL_SCOPES = ("channels:history", "groups:history", GROUPS_SCOPE)
"""For the image above a mention in a thread, to find a message whose post was not answered, and for groups' limits."""

BOT_EVENTS = ("app_home_opened", "app_mention", "app_uninstalled", "message.im", "tokens_revoked")


def as_dict(*, command: str, socket_mode: bool, public_url: str | None = None, many: bool = False) -> dict[str, Any]:
    """The manifest. `many`: distributed by OAuth, with token rotation and org installs; needs `public_url`.

    `should_escape` is on, so that members and channels named in `/upscale quota …` arrive as ids; links then come in
    angle brackets, which the core's parser reads.
    """
    url = (public_url or "").rstrip("/")
    events: dict[str, Any] = {"bot_events": sorted(BOT_EVENTS + (("team_access_revoked",) if many else ()))}
    interactivity: dict[str, Any] = {"is_enabled": True}
    slash: dict[str, Any] = {
        "command": command,
        "description": "Upscale an image with AI",
        "usage_hint": "[link] factor=3 creativity=0.5 | help | usage | history",
        "should_escape": True,
    }
    if not socket_mode:
        events["request_url"] = interactivity["request_url"] = slash["url"] = f"{url}/slack/events"
    oauth: dict[str, Any] = {"scopes": {"bot": list(BOT_SCOPES), "bot_optional": list(OPTIONAL_SCOPES)}}
    if many:
        oauth["redirect_urls"] = [f"{url}/slack/oauth_redirect"]
    return {
        "_metadata": {"major_version": 2, "minor_version": 1},
        "display_information": {
            "name": "Upscale",
            "description": "Enlarges images inside Slack and invents the missing detail.",
            "long_description": (
                "Hand in an image with the command, a message shortcut, a mention or a direct message, and get it "
                "back larger, with detail added by a vision-guided model. The price is shown before anything "
                "expensive starts, budgets are kept, and images are deleted after a few days."
            ),
            "background_color": "#1d1c1d",
        },
        "features": _features(slash),
        "oauth_config": oauth,
        "settings": {
            "event_subscriptions": events,
            "interactivity": interactivity,
            "org_deploy_enabled": many,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": many,
        },
    }


def _features(slash: dict[str, Any]) -> dict[str, Any]:
    return {
        "app_home": {
            "home_tab_enabled": True,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": False,
        },
        "bot_user": {"display_name": "upscale", "always_online": True},
        "slash_commands": [slash],
        "shortcuts": [
            {
                "name": "Upscale this image",
                "type": "message",
                "callback_id": "upscale_message",
                "description": "Enlarge the image in this message",
            },
            {
                "name": "Upscale an image",
                "type": "global",
                "callback_id": "upscale_open",
                "description": "Choose an image and how to enlarge it",
            },
        ],
    }


def manifest(settings: Settings, public_url: str | None) -> str:
    """The text to paste: Socket Mode unless only HTTP is configured; for many workspaces if OAuth is configured.

    Raises ValueError with one sentence where Slack needs our public address and there is none.
    """
    http_only = settings.slack_app_token is None and settings.slack_signing_secret is not None
    if public_url is None and (http_only or settings.slack_client_id is not None):
        raise ValueError("Slack needs this bot's public address: set PUBLIC_URL=https://… first.")
    built = as_dict(
        command=settings.slack_command,
        socket_mode=not http_only,
        public_url=public_url,
        many=settings.slack_client_id is not None,
    )
    return json.dumps(built, indent=2)


_CREATE_URL = "https://api.slack.com/apps?new_app=1&manifest_json="


def create_link(settings: Settings) -> str:
    """A link to Slack's form for a new app, filled with the manifest (Socket Mode needs no public address)."""
    manifest = as_dict(command=settings.slack_command, socket_mode=True)
    return _CREATE_URL + quote(json.dumps(manifest, separators=(",", ":")), safe="")


def credentials(settings: Settings, public_url: str | None) -> tuple[Credential, ...]:
    create = (
        f"Open this link and press Create: {create_link(settings)}",
        "Install App: press Install to Workspace and allow it.",
        "Copy the Bot User OAuth Token; it starts with xoxb-.",
    )
    connect = (
        "Basic Information, App-Level Tokens: press Generate Token and Scopes.",
        "Add the scope connections:write, press Generate, and copy the token; it starts with xapp-.",
    )
    return (
        Credential("SLACK_BOT_TOKEN", "the bot token", create),
        Credential("SLACK_APP_TOKEN", "the app-level token", connect),
    )
