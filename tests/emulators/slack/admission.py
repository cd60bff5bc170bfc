"""Who calls the Web API: token, scopes, workspace and required arguments, judged in Slack's order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.emulators.slack.wire import METHODS, Call
from tests.emulators.slack.world import ApiError, Token, Workspace, World

if TYPE_CHECKING:
    from tests.emulators.slack.server import SlackEmulator

APP_TOKEN_METHODS = {"apps.connections.open"}
NO_TOKEN_METHODS = {"oauth.v2.access", "api.test"}


@dataclass
class Context:
    """One Web API call, with who is calling."""

    emulator: SlackEmulator
    method: str
    args: dict[str, Any]
    token: Token
    space: Workspace
    basic: tuple[str, str] | None = None

    @property
    def world(self) -> World:
        return self.emulator.world

    @property
    def now_s(self) -> float:
        return self.emulator.clock.now()


def admit(slack: SlackEmulator, call: Call, handled: Collection[str]) -> Context:
    """Token, scopes and required arguments, in Slack's order."""
    spec = METHODS["methods"].get(call.method)
    if spec is None or call.method not in handled:
        raise ApiError("unknown_method", req_method=call.method)
    token, space = _authenticate(slack, call)
    scopes = set(spec["scopes"])
    if scopes and not scopes & token.scopes:
        raise ApiError("missing_scope", needed=",".join(sorted(scopes)), provided=",".join(sorted(token.scopes)))
    missing = [name for name, required in spec["args"].items() if required and call.args.get(name) in (None, "")]
    if call.method == "chat.appendStream":
        # The newer page and the SDK make markdown_text optional beside chunks.
        missing = [name for name in missing if name != "markdown_text"]
    if missing:
        lines = [f"[ERROR] missing required field: {name}" for name in missing]
        raise ApiError("invalid_arguments", messages=lines)
    unknown = set(call.args) - set(spec["args"]) - {"token", "team_id"}
    if unknown:
        slack.violations.append(f"{call.method}: unknown arguments {sorted(unknown)}")
    return Context(slack, call.method, call.args, token, space, call.basic)


def _authenticate(slack: SlackEmulator, call: Call) -> tuple[Token, Workspace]:
    first = next(iter(slack.world.workspaces.values()))
    if call.method in NO_TOKEN_METHODS:
        return Token("", first.id, set(), kind="none"), first
    if not call.token:
        raise ApiError("not_authed")
    token = slack.world.tokens.get(call.token)
    if token is None:
        raise ApiError("invalid_auth")
    if token.expires_at_s is not None and slack.clock.now() >= token.expires_at_s:
        raise ApiError("token_expired")
    if token.state != "valid":
        raise ApiError(token.state)
    if (token.kind == "app") != (call.method in APP_TOKEN_METHODS):
        raise ApiError("not_allowed_token_type")
    return token, _space_of(slack, token, call, first)


def _space_of(slack: SlackEmulator, token: Token, call: Call, first: Workspace) -> Workspace:
    if token.team_id:
        return slack.world.workspaces[token.team_id]
    if token.kind == "app":
        return first
    members = [w for w in slack.world.workspaces.values() if w.enterprise_id == token.enterprise_id]
    wanted = {str(call.args.get(k)) for k in ("team_id", "channel", "channel_id", "user", "users", "user_id")}
    file = slack.world.files.get(str(call.args.get("file", "")))
    trigger = slack.world.triggers.get(str(call.args.get("trigger_id", "")))
    wanted |= {file.team_id} if file else set()
    wanted |= {trigger.team_id} if trigger else set()
    for space in members:
        if wanted & ({space.id} | set(space.channels) | set(space.users)):
            return space
    return members[0]
