"""What `python -m bot setup` asks for, and where in Slack's app settings it stands."""

import json
from urllib.parse import quote

from adapters.slack.settings import Settings
from adapters.slack.setup.manifest import as_dict
from core.ports import Credential

TITLE = "Slack"
_CREATE_URL = "https://api.slack.com/apps?new_app=1&manifest_json="


def create_link(settings: Settings) -> str:
    """Opens Slack's form for a new app, filled with our manifest (Socket Mode: no public address is needed)."""
    manifest = as_dict(command=settings.slack_command, socket_mode=True)
    return _CREATE_URL + quote(json.dumps(manifest, separators=(",", ":")), safe="")


def credentials(settings: Settings, public_url: str | None) -> tuple[Credential, ...]:
    """The two tokens of Socket Mode, for one workspace."""
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
