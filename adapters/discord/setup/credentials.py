"""What `python -m bot setup` asks for, and where in Discord's developer portal it stands."""

from adapters.discord.settings import Settings
from core.ports import Credential

TITLE = "Discord"


def credentials(settings: Settings, public_url: str | None) -> tuple[Credential, ...]:
    """The bot token. No privileged intent is needed."""
    steps = (
        "Open https://discord.com/developers/applications and press New Application.",
        "Installation: tick User Install and Guild Install.",
        "Bot: press Reset Token and copy the token; Discord shows it only once.",
        "Leave all three privileged intents off; they are not needed.",
    )
    return (Credential("DISCORD_TOKEN", "the bot token", steps),)
