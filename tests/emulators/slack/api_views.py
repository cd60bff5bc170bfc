"""views.*: modals opened with a trigger, updated by hash, stacked three high; the Home tab."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from tests.emulators.slack.blocks import check_view
from tests.emulators.slack.world import ApiError, Trigger, View

if TYPE_CHECKING:
    from tests.emulators.slack.admission import Context, SlackEmulator

TRIGGER_LIFE_S = 3.0
MAX_VIEW_BYTES = 250_000


def _trigger(ctx: Context) -> Trigger:
    trigger = ctx.world.triggers.get(str(ctx.args.get("trigger_id")))
    if trigger is None or trigger.team_id != ctx.space.id:
        raise ApiError("invalid_trigger_id")
    if trigger.used:
        raise ApiError("exchanged_trigger_id")
    if ctx.now_s - trigger.created_s > TRIGGER_LIFE_S:
        raise ApiError("expired_trigger_id")
    trigger.used = True
    return trigger


def _checked(ctx: Context, *, home: bool = False) -> dict[str, Any]:
    view = ctx.args["view"]
    if len(json.dumps(view)) > MAX_VIEW_BYTES:
        raise ApiError("view_too_large")
    if found := check_view(view, home=home):
        raise ApiError("invalid_arguments", messages=[f"[ERROR] {line}" for line in found])
    return dict(view)


async def open_view(ctx: Context) -> dict[str, Any]:
    trigger = _trigger(ctx)
    view = new_view(ctx.emulator, ctx.space.id, trigger.user, _checked(ctx))
    return {"view": view_json(ctx.emulator, view)}


async def update_view(ctx: Context) -> dict[str, Any]:
    view = ctx.world.views.get(str(ctx.args.get("view_id")))
    if view is None or not view.open or view.team_id != ctx.space.id:
        raise ApiError("not_found")
    if ctx.args.get("hash") and ctx.args["hash"] != view.hash:
        raise ApiError("hash_conflict")
    replace(view, _checked(ctx))
    return {"view": view_json(ctx.emulator, view)}


async def publish(ctx: Context) -> dict[str, Any]:
    user = str(ctx.args["user_id"])
    if user not in ctx.space.users:
        raise ApiError("invalid_arguments")
    body = _checked(ctx, home=True)
    known = ctx.world.home.get((ctx.space.id, user))
    if known and ctx.args.get("hash") and ctx.args["hash"] != known.hash:
        raise ApiError("hash_conflict")
    view = new_view(ctx.emulator, ctx.space.id, user, body)
    ctx.world.home[(ctx.space.id, user)] = view
    return {"view": view_json(ctx.emulator, view)}


def new_view(emulator: SlackEmulator, team_id: str, user: str, body: dict[str, Any]) -> View:
    view_id = emulator.world.new_id("V")
    view = View(view_id, team_id, user, body, _hash(emulator), view_id)
    emulator.world.views[view_id] = view
    return view


def replace(view: View, body: dict[str, Any]) -> None:
    view.body = body
    view.hash = f"{view.hash.split('.')[0]}.{secrets.token_hex(4)}"


def _hash(emulator: SlackEmulator) -> str:
    return f"{int(emulator.clock.now())}.{secrets.token_hex(4)}"


def view_json(emulator: SlackEmulator, view: View, state: dict[str, Any] | None = None) -> dict[str, Any]:
    space = emulator.world.workspaces[view.team_id]
    return view.body | {
        "id": view.id,
        "team_id": view.team_id,
        "app_id": emulator.world.app_id,
        "app_installed_team_id": view.team_id,
        "bot_id": space.bot_id,
        "hash": view.hash,
        "root_view_id": view.root_id,
        "previous_view_id": view.previous_id,
        "state": {"values": state or {}},
        "private_metadata": view.body.get("private_metadata", ""),
        "callback_id": view.body.get("callback_id", ""),
        "external_id": view.body.get("external_id", ""),
    }


HANDLERS = {
    "views.open": open_view,
    "views.update": update_view,
    "views.publish": publish,
}
