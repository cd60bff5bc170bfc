"""The app manifest: valid against Slack's schema, with the fewest scopes, in every mode."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from adapters.slack import Settings, manifest
from adapters.slack.setup.manifest import BOT_EVENTS, BOT_SCOPES, OPTIONAL_SCOPES
from tests.emulators.slack.wire import METHODS

SCHEMA = json.loads(Path(__file__).with_name("manifest.schema.json").read_text())
SOCKET = {"slack_bot_token": "xoxb-1", "slack_app_token": "xapp-1"}
HTTP = {"slack_bot_token": "xoxb-1", "slack_signing_secret": "s" * 32}
MANY = {"slack_client_id": "1.2", "slack_client_secret": "x", "slack_signing_secret": "s" * 32}


def made(values: dict[str, Any], public_url: str | None = "https://bot.example") -> dict[str, Any]:
    return json.loads(manifest(Settings.model_validate(values), public_url))  # type: ignore[no-any-return]


@pytest.mark.parametrize("values", [{}, SOCKET, HTTP, MANY, SOCKET | {"slack_command": "/enlarge"}])
def test_it_is_valid_against_slacks_schema(values: dict[str, Any]) -> None:
    jsonschema.validate(made(values), SCHEMA)


def test_socket_mode_names_no_address_and_http_mode_names_ours() -> None:
    socket, http = made(SOCKET), made(HTTP)
    assert socket["settings"]["socket_mode_enabled"] is True
    assert "url" not in socket["features"]["slash_commands"][0]
    assert http["settings"]["socket_mode_enabled"] is False
    assert http["features"]["slash_commands"][0]["url"] == "https://bot.example/slack/events"
    assert http["settings"]["event_subscriptions"]["request_url"] == "https://bot.example/slack/events"


def test_many_workspaces_get_redirects_rotation_and_org_installs() -> None:
    many = made(MANY)
    assert many["oauth_config"]["redirect_urls"] == ["https://bot.example/slack/oauth_redirect"]
    assert many["settings"]["token_rotation_enabled"] is True
    assert many["settings"]["org_deploy_enabled"] is True


@pytest.mark.parametrize("values", [HTTP, MANY])
def test_no_address_is_made_up_where_slack_needs_ours(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="PUBLIC_URL"):
        made(values, None)


def test_the_commands_name_comes_from_the_settings() -> None:
    assert made(SOCKET | {"slack_command": "enlarge"})["features"]["slash_commands"][0]["command"] == "/enlarge"


def test_the_shortcuts_are_those_that_members_know() -> None:
    found = {(s["type"], s["callback_id"]): s["name"] for s in made({})["features"]["shortcuts"]}
    assert found[("message", "upscale_message")] == "Upscale this image"
    assert ("global", "upscale_open") in found


def test_every_scope_is_needed_and_every_needed_scope_is_asked_for() -> None:
    """The scopes are those of the methods that the adapter calls and of the events that it subscribes to."""
    sources = "\n".join(p.read_text() for p in Path("adapters/slack").rglob("*.py"))
    called = [name for name in METHODS["methods"] if f'"{name}"' in sources]
    needed = {"commands", "app_mentions:read", "im:history"}
    for name in called:
        scopes = METHODS["methods"][name]["scopes"]
        if scopes and not set(scopes) & {*BOT_SCOPES, *OPTIONAL_SCOPES}:
            raise AssertionError(f"{name} needs one of {scopes}")
        needed |= set(scopes) & set(BOT_SCOPES)
    assert needed == set(BOT_SCOPES)
    assert set(BOT_EVENTS) <= set(made({})["settings"]["event_subscriptions"]["bot_events"])
