"""The same member actions over HTTP (`/_emulator/…`), for a run that is driven from another process."""

import base64
from dataclasses import asdict
from typing import Any

from aiohttp import web

from tests.emulators.slack.keys import EMULATOR
from tests.emulators.slack.reading import text_of
from tests.emulators.slack.world import Message

ACTIONS = {"command", "message_shortcut", "global_shortcut", "submit_view", "click", "mention", "dm", "open_home"}


def add_control_routes(app: web.Application) -> None:
    app.router.add_post("/_emulator/act/{action}", act)
    app.router.add_post("/_emulator/file", add_file)
    app.router.add_get("/_emulator/messages", messages)
    app.router.add_get("/_emulator/requests", requests)
    app.router.add_get("/_emulator/info", info)
    app.router.add_post("/_emulator/clock", move_clock)
    app.router.add_post("/_emulator/fault", add_fault)


async def act(request: web.Request) -> web.Response:
    """Body: the keyword arguments of the MemberControl method; files are ids, a message is {channel, ts}."""
    slack, action = request.app[EMULATOR], request.match_info["action"]
    if action not in ACTIONS:
        return web.json_response({"error": f"one of {sorted(ACTIONS)}"}, status=404)
    args: dict[str, Any] = await request.json()
    if "files" in args:
        args["files"] = [slack.world.files[f] for f in args["files"]]
    if "message" in args:
        where = args["message"]
        args["message"] = slack.world.channel_messages(slack.member.channel(where["channel"]).id)[where["ts"]]
    outcome = await getattr(slack.member, action)(**args)
    view = slack.member.open_view(args.get("user", "anna"), args.get("team"))
    post = outcome.post.ts if outcome.post else None
    body = {"ack": asdict(outcome.ack), "errors": outcome.errors, "view": view.body if view else None, "ts": post}
    return web.json_response(body)


async def add_file(request: web.Request) -> web.Response:
    """Body: {name, base64, user?, team?}; answers the id."""
    slack, body = request.app[EMULATOR], await request.json()
    data = base64.b64decode(body.pop("base64"))
    return web.json_response({"id": slack.member.file(data, **body).id})


def shown(slack: Any, message: Message) -> dict[str, Any]:
    out: dict[str, Any] = slack.message_json(message)
    out |= {"shown": text_of(message), "edits": message.edits, "ephemeral_for": message.ephemeral_for}
    if message.stream:
        out["stream"] = {"state": message.stream.state, "tasks": message.stream.tasks}
    return out


async def messages(request: web.Request) -> web.Response:
    slack, query = request.app[EMULATOR], request.query
    user, team = query.get("user", "anna"), query.get("team")
    if query.get("dm"):
        found = slack.member.dms(user, team)
    else:
        found = slack.member.messages(query.get("channel", "general"), user, team)
    return web.json_response([shown(slack, m) for m in found])


async def requests(request: web.Request) -> web.Response:
    rows = [asdict(r) | {"token": bool(r.token)} for r in request.app[EMULATOR].requests]
    return web.json_response({"requests": rows, "violations": request.app[EMULATOR].violations})


async def info(request: web.Request) -> web.Response:
    slack = request.app[EMULATOR]
    people = {s.id: {u.name: u.id for u in s.users.values()} for s in slack.world.workspaces.values()}
    channels = {s.id: {c.name: c.id for c in s.channels.values()} for s in slack.world.workspaces.values()}
    return web.json_response({"api_url": slack.api_url, "people": people, "channels": channels})


async def move_clock(request: web.Request) -> web.Response:
    request.app[EMULATOR].clock.advance(float((await request.json())["seconds"]))
    return web.json_response({"now_s": request.app[EMULATOR].clock.now()})


async def add_fault(request: web.Request) -> web.Response:
    body = await request.json()
    request.app[EMULATOR].fault(body.pop("method"), **body)
    return web.json_response({"ok": True})
