"""What a member's client checks before it sends a command or a form, and how it fills in values."""

from pathlib import Path
from typing import Any

from tests.emulators.discord import commands, components
from tests.emulators.discord.client_view import ClientView
from tests.emulators.discord.seen import ClientRefused, Upload
from tests.emulators.discord.world import ADMINISTRATOR, Attachment, Channel, Guild, User


class ClientForms(ClientView):
    """Mixed into the emulator: only what the client lets pass reaches the bot."""

    def registered(self, name: str, kind: int) -> dict[str, Any]:
        found = [c for c in self._emulator.world.commands if c["name"] == name and c["type"] == kind]
        if not found:
            raise ClientRefused(f"no command {name!r} of type {kind} is registered")
        return found[0]

    def _check_allowed(self, command: dict[str, Any], place: dict[str, Any]) -> None:
        user, channel = place.get("user") or self.user, place.get("channel") or self.channel
        context = context_of(channel)
        contexts, installs = command.get("contexts"), command.get("integration_types")
        if contexts is not None and context not in contexts:
            raise ClientRefused(f"not offered in context {context}")
        wanted = 1 if place.get("install") == "user" else 0
        if installs is not None and wanted not in installs:
            raise ClientRefused(f"not offered to install type {wanted}")
        needed = command.get("default_member_permissions")
        if needed is not None and channel.guild is not None:
            has = channel.guild.permissions_of(user)
            if not has & ADMINISTRATOR and int(needed) & ~has:
                raise ClientRefused("the member lacks the permission")

    def _fill(
        self,
        declared: list[dict[str, Any]],
        options: dict[str, Any],
        user: User,
        channel: Channel,
        resolved: dict[str, Any],
    ) -> list[dict[str, Any]]:
        given = []
        for spec in declared:
            if spec["name"] not in options:
                if spec.get("required"):
                    raise ClientRefused(f"{spec['name']} is required")
                continue
            value = self._resolve_value(spec, options[spec["name"]], user, channel, resolved)
            problem = commands.client_problem(spec, value)
            if problem:
                raise ClientRefused(f"{spec['name']}: {problem}")
            given.append({"name": spec["name"], "type": spec["type"], "value": value})
        unknown = set(options) - {s["name"] for s in declared}
        if unknown:
            raise ClientRefused(f"no such options: {sorted(unknown)}")
        return given

    def _resolve_value(
        self, spec: dict[str, Any], value: Any, user: User, channel: Channel, resolved: dict[str, Any]
    ) -> Any:
        if isinstance(value, Upload):
            return str(self._upload(value, spec, user, channel, resolved).id)
        if isinstance(value, User):
            resolved.setdefault("users", {})[str(value.id)] = value.data()
            if channel.guild is not None:
                member = member_data(value, channel.guild)
                resolved.setdefault("members", {})[str(value.id)] = {
                    k: v for k, v in member.items() if k not in ("user", "deaf", "mute")
                }
            return str(value.id)
        if isinstance(value, Channel):
            if value.type not in (spec.get("channel_types") or [value.type]):
                raise ClientRefused(f"{spec['name']}: no channel of type {value.type}")
            resolved.setdefault("channels", {})[str(value.id)] = value.data()
            return str(value.id)
        return value

    def _upload(
        self, upload: Upload, spec: dict[str, Any], user: User, channel: Channel, resolved: dict[str, Any]
    ) -> Attachment:
        kinds = spec.get("file_types")
        suffix = Path(upload.filename).suffix.lower()
        images = {".png", ".gif", ".jpg", ".jpeg", ".jfif", ".webp", ".avif"}
        if kinds and suffix not in kinds and not ("image" in kinds and suffix in images):
            raise ClientRefused(f"{upload.filename} is not one of {kinds}")
        limit = max(user.file_limit_bytes, channel.guild.file_limit_bytes if channel.guild else 0)
        if len(upload.data) > limit:
            raise ClientRefused("the file is above the member's own upload limit")
        attachment = self._emulator.cdn.store(
            upload.filename, upload.data, channel.id, ephemeral=True, spoiler=upload.spoiler
        )
        resolved.setdefault("attachments", {})[str(attachment.id)] = self._emulator.cdn.data(attachment)
        return attachment

    def _fill_modal(
        self,
        component: dict[str, Any],
        values: dict[str, Any],
        user: User,
        channel: Channel,
        resolved: dict[str, Any],
    ) -> dict[str, Any]:
        if component["type"] == components.TEXT:
            return {"type": component["type"], "id": component.get("id", 0)}
        inner = component.get("component") or component["components"][0]
        label = component.get("label") or inner.get("label")
        value = values.pop(label, values.pop(inner["custom_id"], None))
        answer: dict[str, Any] = {"type": inner["type"], "id": inner.get("id") or 1, "custom_id": inner["custom_id"]}
        kind, required = inner["type"], inner.get("required", True)
        if kind == 4:
            answer["value"] = self._modal_text(inner, value, label, required)
        elif kind == 19:
            uploads = [value] if isinstance(value, Upload) else list(value or [])
            if (required and not uploads) or len(uploads) > (inner.get("max_values") or 1):
                raise ClientRefused(f"{label}: wrong number of files")
            answer["values"] = [str(self._upload(u, inner, user, channel, resolved).id) for u in uploads]
        elif kind == 23:
            answer["value"] = bool(inner.get("default") if value is None else value)
        else:
            answer |= self._modal_choice(inner, value, label, required)
        return {"type": component["type"], "id": component.get("id") or 1, "component": answer}

    @staticmethod
    def _modal_text(inner: dict[str, Any], value: Any, label: str, required: bool) -> str:
        text = str(inner.get("value") or "" if value is None else value)
        low, high = inner.get("min_length") or 0, inner.get("max_length") or 4000
        if (required and not text) or (text and not low <= len(text) <= high):
            raise ClientRefused(f"{label}: length outside {low}–{high}")
        return text

    @staticmethod
    def _modal_choice(inner: dict[str, Any], value: Any, label: str, required: bool) -> dict[str, Any]:
        options = inner.get("options") or []
        if value is None:
            chosen = [o["value"] for o in options if o.get("default")]
        else:
            chosen = [value] if isinstance(value, str) else list(value)
        if not set(chosen) <= {o["value"] for o in options} or (required and not chosen):
            raise ClientRefused(f"{label}: {chosen} not offered")
        if inner["type"] == 21:
            return {"value": chosen[0] if chosen else None}
        return {"values": chosen}


def context_of(channel: Channel) -> int:
    if channel.guild is not None:
        return 0
    return 1 if any(u.bot for u in channel.recipients) else 2


def member_data(user: User, guild: Guild) -> dict[str, Any]:
    return {
        "user": user.data(),
        "nick": None,
        "avatar": None,
        "roles": [str(r) for r in guild.roles.get(user.id, [])],
        "joined_at": "2024-01-01T00:00:00+00:00",
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
        "permissions": str(guild.permissions_of(user)),
        "communication_disabled_until": None,
    }
