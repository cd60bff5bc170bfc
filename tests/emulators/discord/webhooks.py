"""The state machine of interactions: first answer within 3 s, then edits and follow-ups for 15 minutes."""

from typing import Any

from tests.emulators.discord import components, errors, schema
from tests.emulators.discord.posts import Body, Posts
from tests.emulators.discord.world import EPHEMERAL, IS_V2, LOADING, Interaction, Message, World

ACK_WITHIN_S = 3.0
TOKEN_LIFE_S = 15 * 60.0
FOLLOW_UPS_OF_USER_INSTALLS = 5
COMMAND, COMPONENT, AUTOCOMPLETE, MODAL = 2, 3, 4, 5
SEND, DEFER, DEFER_UPDATE, UPDATE, CHOICES, OPEN_MODAL = 4, 5, 6, 7, 8, 9


class Webhooks:
    def __init__(self, world: World, posts: Posts) -> None:
        self.world = world
        self.posts = posts

    def callback(self, interaction_id: int, token: str, body: Body) -> dict[str, Any]:
        """The first answer. Raises 10062 (late or unknown), 40060 (second answer), 50035."""
        interaction = self.world.interactions.get(interaction_id)
        now = self.world.clock.now()
        if interaction is None or interaction.token != token:
            raise errors.unknown_interaction()
        if interaction.acked_s is not None:
            raise errors.already_acknowledged()
        if now - interaction.created_s > ACK_WITHIN_S:
            raise errors.unknown_interaction()
        faults = schema.check("callback", body.json)
        if faults:
            raise errors.invalid_form(faults)
        kind = body.json["type"]
        self._check_kind(interaction, kind)
        self._answer(interaction, kind, Body(body.json.get("data") or {}, body.files))
        interaction.acked_s = now
        interaction.callback_type = kind
        return self._result(interaction, kind)

    @staticmethod
    def _check_kind(interaction: Interaction, kind: int) -> None:
        has_message = interaction.source_message is not None
        allowed = {
            COMMAND: {SEND, DEFER, OPEN_MODAL},
            COMPONENT: {SEND, DEFER, DEFER_UPDATE, UPDATE, OPEN_MODAL},
            AUTOCOMPLETE: {CHOICES},
            MODAL: {SEND, DEFER} | ({DEFER_UPDATE, UPDATE} if has_message else set()),
        }[interaction.type]
        if kind not in allowed:
            code = "INTERACTION_APPLICATION_COMMAND_INVALID_CALLBACK"
            raise errors.invalid_form([("type", code, f"callback {kind} cannot answer this interaction")])

    def _answer(self, interaction: Interaction, kind: int, data: Body) -> None:
        if kind == CHOICES:
            interaction.choices = data.json.get("choices") or []
        elif kind == OPEN_MODAL:
            components.check_modal(data.json)
            interaction.modal = data.json
        elif kind in (DEFER_UPDATE, UPDATE):
            interaction.original = interaction.source_message
            if kind == UPDATE and interaction.source_message is not None:
                self.posts.edit(interaction.source_message, data, interaction.size_limit_bytes, callback=True)
        elif kind == DEFER:
            flags = data.json.get("flags") or 0
            if flags & ~EPHEMERAL:
                raise errors.invalid_form([("data.flags", "MESSAGE_FLAGS_INVALID", "only EPHEMERAL may be deferred")])
            flags |= EPHEMERAL if interaction.forced_ephemeral else 0
            interaction.original = self.posts.placeholder(
                interaction.channel,
                self.world.bot,
                flags,
                owner=interaction.user,
                interaction_id=interaction.id,
            )
        else:
            interaction.original = self._post(interaction, data)

    def _post(self, interaction: Interaction, data: Body) -> Message:
        flags = EPHEMERAL if interaction.forced_ephemeral else 0
        if data.json.get("flags", 0) & LOADING:
            raise errors.invalid_form([("flags", "MESSAGE_FLAGS_INVALID", "LOADING cannot be set")])
        return self.posts.create(
            data,
            interaction.channel,
            self.world.bot,
            interaction.size_limit_bytes,
            flags=flags,
            owner=interaction.user,
            interaction_id=interaction.id,
        )

    def _result(self, interaction: Interaction, kind: int) -> dict[str, Any]:
        head: dict[str, Any] = {"id": str(interaction.id), "type": interaction.type}
        message = interaction.original
        body: dict[str, Any] = {"interaction": head, "resource": {"type": kind}}
        if message is not None:
            head |= {
                "response_message_id": str(message.id),
                "response_message_loading": bool(message.flags & LOADING),
                "response_message_ephemeral": message.ephemeral,
            }
        if kind in (SEND, DEFER, UPDATE) and message is not None:
            body["resource"]["message"] = self.posts.data(message)
        return body

    def live(self, application_id: int, token: str) -> Interaction:
        """The interaction of a token that still works. Raises 10015 (unknown or unanswered), 50027 (expired)."""
        interaction = self.world.by_token(token)
        if interaction is None or application_id != self.world.application_id:
            raise errors.unknown_webhook()
        if self.world.clock.now() - interaction.created_s > TOKEN_LIFE_S:
            raise errors.invalid_webhook_token()
        if interaction.acked_s is None:
            raise errors.unknown_webhook()
        return interaction

    def find(self, interaction: Interaction, which: str) -> Message:
        """`@original`, or a message that this token made. Raises 10008."""
        if which == "@original":
            message = interaction.original
        else:
            mine = [m for m in (interaction.original, interaction.source_message, *interaction.followups) if m]
            message = next((m for m in mine if str(m.id) == which), None)
        if message is None or message.deleted:
            raise errors.unknown_message()
        return message

    def edit(self, interaction: Interaction, which: str, body: Body) -> Message:
        message = self.find(interaction, which)
        _check("webhook_edit", body)
        self.posts.edit(message, body, interaction.size_limit_bytes)
        return message

    def follow_up(self, interaction: Interaction, body: Body, with_components: bool) -> Message:
        """Raises 40094 for the sixth of a user install. The first after a defer edits the placeholder (deprecated)."""
        _check("webhook_execute", body)
        if body.json.get("components") and not with_components and not body.json.get("flags", 0) & IS_V2:
            self.posts.warnings.append("components sent to a webhook without with_components=1")
        original = interaction.original
        if interaction.callback_type == DEFER and original and original.flags & LOADING and not original.deleted:
            self.posts.edit(original, body, interaction.size_limit_bytes)
            return original
        if interaction.user_install_only and len(interaction.followups) >= FOLLOW_UPS_OF_USER_INSTALLS:
            raise errors.follow_up_cap()
        message = self._post(interaction, body)
        interaction.followups.append(message)
        return message

    def delete(self, interaction: Interaction, which: str) -> None:
        self.find(interaction, which).deleted = True


def _check(operation: str, body: Body) -> None:
    faults = schema.check(operation, body.json)
    if faults:
        raise errors.invalid_form(faults)
