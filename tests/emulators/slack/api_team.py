"""auth.*, apps.*, conversations.*, users.*, oauth.v2.access and its consent page."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web

from tests.emulators.slack.keys import EMULATOR
from tests.emulators.slack.world import ApiError, Channel, Message, Token, User

if TYPE_CHECKING:
    from tests.emulators.slack.admission import Context

ROTATION_LIFE_S = 43_200.0


async def auth_test(ctx: Context) -> dict[str, Any]:
    space = ctx.space
    return {
        "url": f"https://{space.name.lower()}.slack.com/",
        "team": space.name,
        "user": "upscale",
        "team_id": space.id,
        "user_id": space.bot_user_id,
        "bot_id": space.bot_id,
        "enterprise_id": space.enterprise_id,
        "is_enterprise_install": ctx.token.is_enterprise_install,
    }


async def auth_teams_list(ctx: Context) -> dict[str, Any]:
    org = [space for space in ctx.world.workspaces.values() if space.enterprise_id == ctx.token.enterprise_id]
    return {"teams": [{"id": space.id, "name": space.name} for space in org]}


async def connections_open(ctx: Context) -> dict[str, Any]:
    return {"url": ctx.emulator.socket.new_url()}


def channel_json(ctx: Context, channel: Channel) -> dict[str, Any]:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_im": channel.kind == "im",
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "channel",
        "is_archived": channel.archived,
        "is_member": ctx.space.bot_user_id in channel.members,
    }


async def conversations_open(ctx: Context) -> dict[str, Any]:
    users = str(ctx.args.get("users") or "")
    if not users and ctx.args.get("channel"):
        return {"channel": {"id": ctx.args["channel"]}}
    if not users:
        raise ApiError("users_list_not_supplied")
    user = ctx.space.users.get(users.split(",")[0])
    if user is None:
        raise ApiError("user_not_found")
    if user.deleted:
        raise ApiError("user_disabled")
    channel = ctx.world.open_im(ctx.space, user.id)
    return {"channel": {"id": channel.id}, "no_op": True, "already_open": True}


async def conversations_info(ctx: Context) -> dict[str, Any]:
    channel = ctx.space.channels.get(str(ctx.args["channel"]))
    hidden = channel and channel.kind in ("group", "im") and ctx.space.bot_user_id not in channel.members
    if channel is None or hidden:
        raise ApiError("channel_not_found")
    return {"channel": channel_json(ctx, channel)}


HISTORY_SCOPE = {"channel": "channels:history", "group": "groups:history", "im": "im:history", "mpim": "mpim:history"}


def _readable(ctx: Context) -> list[Message]:
    """The channel's messages, oldest first, within `oldest` and `latest`. Raises as Slack does."""
    channel = ctx.space.channels.get(str(ctx.args["channel"]))
    if channel is None:
        raise ApiError("channel_not_found")
    if (needed := HISTORY_SCOPE[channel.kind]) not in ctx.token.scopes:
        raise ApiError("missing_scope", needed=needed, provided=",".join(sorted(ctx.token.scopes)))
    if ctx.space.bot_user_id not in channel.members:
        raise ApiError("not_in_channel")
    oldest, latest = float(ctx.args.get("oldest") or 0), float(ctx.args.get("latest") or "inf")
    inclusive = bool(ctx.args.get("inclusive"))
    found = sorted(ctx.world.channel_messages(channel.id).values(), key=lambda m: float(m.ts))
    seen = [m for m in found if not m.deleted and not m.ephemeral_for and oldest <= float(m.ts) <= latest]
    return [m for m in seen if inclusive or float(m.ts) not in (oldest, latest)]


def _page(ctx: Context, found: list[Message]) -> dict[str, Any]:
    start, limit = int(ctx.args.get("cursor") or 0), int(ctx.args.get("limit") or 100)
    every = bool(ctx.args.get("include_all_metadata"))
    shown = [ctx.emulator.message_json(m, all_metadata=every) for m in found[start : start + limit]]
    more = start + limit < len(found)
    answer = {"messages": shown, "has_more": more}
    return answer | ({"response_metadata": {"next_cursor": str(start + limit)}} if more else {})


async def conversations_replies(ctx: Context) -> dict[str, Any]:
    ts = str(ctx.args["ts"])
    return _page(ctx, [m for m in _readable(ctx) if ts in (m.ts, m.thread_ts)])


async def conversations_history(ctx: Context) -> dict[str, Any]:
    return _page(ctx, [m for m in reversed(_readable(ctx)) if m.thread_ts in (None, m.ts)])


def user_json(user: User, *, locale: bool) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "deleted": user.deleted,
        "real_name": user.name.title(),
        "tz": user.tz,
        "is_admin": user.is_admin,
        "is_owner": user.is_owner,
        "is_primary_owner": False,
        "is_bot": user.is_bot,
        "profile": {"display_name": user.name, "real_name": user.name.title()},
    }
    return out | ({"locale": user.locale} if locale else {})


async def users_info(ctx: Context) -> dict[str, Any]:
    user = ctx.space.users.get(str(ctx.args["user"]))
    if user is None:
        raise ApiError("user_not_found")
    return {"user": user_json(user, locale=ctx.args.get("include_locale") is True)}


async def usergroups_list(ctx: Context) -> dict[str, Any]:
    users = ctx.args.get("include_users") is True
    groups = ctx.space.usergroups.items()
    return {"usergroups": [{"id": id_} | ({"users": sorted(members)} if users else {}) for id_, members in groups]}


@dataclass
class Grant:
    """A code that the consent page gave out."""

    team_id: str
    user: str
    redirect_uri: str
    scopes: tuple[str, ...]
    org: bool = False
    enterprise_id: str | None = None


async def authorize(request: web.Request) -> web.StreamResponse:
    """The consent page, already agreed to; `team`, `user` and `org` in the query choose who installs."""
    slack, query = request.app[EMULATOR], request.query
    if query.get("client_id") != slack.client_id:
        return web.Response(status=400, text="invalid client_id")
    scopes = tuple(s for s in query.get("scope", "").split(",") if s)
    team = query.get("team") or next(iter(slack.world.workspaces))
    space = slack.world.workspaces[team]
    org = query.get("org") == "1"
    code = secrets.token_hex(8)
    redirect = query.get("redirect_uri") or slack.redirect_uri
    user = slack.world.person(space, "ada").id
    slack.codes[code] = Grant(team, user, redirect, scopes, org, space.enterprise_id)
    joiner = "&" if "?" in redirect else "?"
    state = query.get("state", "")
    raise web.HTTPFound(f"{redirect}{joiner}{urlencode({'code': code, 'state': state})}")


async def oauth_access(ctx: Context) -> dict[str, Any]:
    """Exchange a code, or a refresh token that is good for one use."""
    emulator = ctx.emulator
    client = ctx.basic or (str(ctx.args.get("client_id", "")), str(ctx.args.get("client_secret", "")))
    if client[0] != emulator.client_id:
        raise ApiError("invalid_client_id")
    if client[1] != emulator.client_secret:
        raise ApiError("bad_client_secret")
    if ctx.args.get("grant_type") == "refresh_token":
        return _refresh(ctx, str(ctx.args.get("refresh_token")))
    grant = emulator.codes.pop(str(ctx.args.get("code")), None)
    if grant is None:
        raise ApiError("invalid_code")
    if ctx.args.get("redirect_uri") and ctx.args["redirect_uri"] != grant.redirect_uri:
        raise ApiError("bad_redirect_uri")
    token = Token(
        f"xoxb-{secrets.token_hex(8)}",
        None if grant.org else grant.team_id,
        set(grant.scopes),
        enterprise_id=grant.enterprise_id,
        is_enterprise_install=grant.org,
    )
    return _issued(ctx, token, grant.team_id, grant.user)


def _refresh(ctx: Context, refresh_token: str) -> dict[str, Any]:
    old = next((t for t in ctx.world.tokens.values() if t.refresh_token == refresh_token), None)
    if old is None or old.state in ("token_revoked", "account_inactive"):
        raise ApiError("invalid_refresh_token")
    old.refresh_token = None
    fresh = Token(
        f"xoxe.xoxb-1-{secrets.token_hex(8)}", old.team_id, set(old.scopes), enterprise_id=old.enterprise_id,
        is_enterprise_install=old.is_enterprise_install,
    )  # fmt: skip
    return _issued(ctx, fresh, old.team_id, None)


def _issued(ctx: Context, token: Token, team_id: str | None, user: str | None) -> dict[str, Any]:
    emulator, world = ctx.emulator, ctx.world
    world.tokens[token.value] = token
    space = world.workspaces.get(team_id or "") or next(iter(world.workspaces.values()))
    out: dict[str, Any] = {
        "access_token": token.value,
        "token_type": "bot",
        "scope": ",".join(sorted(token.scopes)),
        "bot_user_id": space.bot_user_id,
        "app_id": world.app_id,
        "team": None if token.is_enterprise_install else {"id": space.id, "name": space.name},
        "enterprise": {"id": token.enterprise_id, "name": "Org"} if token.enterprise_id else None,
        "is_enterprise_install": token.is_enterprise_install,
        "authed_user": {"id": user or f"U0ADMI{space.id[-4:]}"},
    }
    if emulator.token_rotation:
        token.expires_at_s = ctx.now_s + ROTATION_LIFE_S
        token.refresh_token = f"xoxe-1-{secrets.token_hex(8)}"
        out |= {"refresh_token": token.refresh_token, "expires_in": int(ROTATION_LIFE_S)}
    return out


HANDLERS = {
    "auth.test": auth_test,
    "auth.teams.list": auth_teams_list,
    "apps.connections.open": connections_open,
    "conversations.open": conversations_open,
    "conversations.info": conversations_info,
    "conversations.history": conversations_history,
    "conversations.replies": conversations_replies,
    "users.info": users_info,
    "usergroups.list": usergroups_list,
    "oauth.v2.access": oauth_access,
}
