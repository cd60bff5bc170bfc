"""Listeners for commands, shortcuts, forms and buttons: translate, call the service, acknowledge. None waits for a job.

The acknowledgement is sent when a listener returns (`process_before_response`), so what is stored is stored before it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext

from adapters.slack.context import HandlerContext, HandlerResult
from adapters.slack.inbound import actions as buttons
from adapters.slack.inbound import modals, subcommands
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.image_requests import submit
from adapters.slack.inbound.translate import ImageRequest, Origin, images_of
from adapters.slack.views import upscale_form as form
from adapters.slack.views.messages import settings
from core.domain.errors import InvalidParameters, NoImage, NotAllowed, UpscaleError
from core.domain.job import Requester
from core.domain.untrusted_text import clean
from core.presentation import explain
from core.presentation.cards.account import OwnSettings

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Commands:
    ctx: HandlerContext

    def register(self, app: AsyncApp) -> None:
        """Register the listeners. What none of them takes, such as an old form, is only acknowledged."""
        app.command(re.compile(".*"))(self.command)
        app.shortcut("upscale_open")(self.open_shortcut)
        app.shortcut("upscale_message")(self.message_shortcut)
        app.view(form.CALLBACK)(self.submitted)
        app.view(form.DEFAULTS_CALLBACK)(self.defaults_submitted)
        app.action(re.compile(r"^job:"))(self.pressed)
        app.action(re.compile(r"^ui:"))(self.pressed_other)

    async def command(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """Open the form if nothing is typed; else run a subcommand, or submit a link with parameters."""
        await ack()
        origin = self.ctx.origin(body, context)
        text = clean(str(body.get("text") or ""), t.MAX_MESSAGE_CHARS).strip()
        name, rest = subcommands.subcommand(text)
        if not text:
            await self._open_form(origin, body)
        elif name:
            self.ctx.tasks.spawn(name, subcommands.answer(self.ctx, origin, name, rest))
        elif word := subcommands.misspelled(text):
            error = InvalidParameters.of(body["command"], word, "type", ", ".join(sorted(subcommands.SUBCOMMANDS)))
            again = self.ctx.answer_refusal(origin, error, self.ctx.locale(origin), starts=False)
            self.ctx.tasks.spawn("misspelled", again)
        else:
            await self.ctx.finish_before_ack(
                submit(self.ctx, ImageRequest(origin, f"command-{body.get('trigger_id')}", text))
            )

    async def _open_form(self, origin: Origin, body: Body, pick: Sequence[Body] = ()) -> None:
        if len(pick) > form.MAX_PICKED:
            self.ctx.tasks.spawn("more", self.ctx.answer_pick_limit(origin, form.MAX_PICKED, len(pick)))
        view_id = await modals.open_modal(self.ctx, origin, body, modals.build_form(self.ctx, origin, pick=pick))
        if view_id is not None:
            self.ctx.tasks.spawn("form", modals.complete_form(self.ctx, origin, view_id, pick))

    async def open_shortcut(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """Open the form from anywhere; the result is sent as a direct message."""
        await ack()
        await self._open_form(self.ctx.origin(body, context), body)

    async def message_shortcut(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """Submit the image of a message with the member's defaults; open a form to choose among several."""
        await ack()
        origin = self.ctx.origin(body, context)
        message = body.get("message") or {}
        files = images_of(message)
        thread_ts = str(message.get("thread_ts") or message.get("ts") or "")
        if len(files) > 1 and all(file.get("id") for file in files[: form.MAX_PICKED]):
            await self._open_form(replace(origin, thread_ts=thread_ts), body, files)
            return
        words = t.without_mentions(message.get("text"))
        own = message.get("user") == origin.user_id and re.search(r"[=:]\s{0,20}\S|--\w|\b\d+([.,]\d+)?x\b", words)
        text = words if own or self.ctx.text_is_parameters(words) else ""
        event = f"message-{origin.channel_id}-{message.get('ts')}-{body.get('trigger_id')}"
        request = ImageRequest(origin, event, text, files, thread_ts=thread_ts, has_prose=True, agreed_nanousd=None)
        await self.ctx.finish_before_ack(submit(self.ctx, request))

    # ------------------------------------------------------------------------ forms

    async def submitted(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """Show errors at their fields; otherwise close the form and submit."""
        view = body.get("view") or {}
        filled, notes = form.read(view), form.metadata_of(view)
        origin = replace(self.ctx.origin(body, context), **form.origin_fields(notes))
        errors = self._form_errors(filled, self.ctx.locale(origin), picking="pick" in notes)
        if notes.get("user", origin.user_id) != origin.user_id:
            errors = {form.NUMBERS[0]: explain(NotAllowed(needs="requester"), self.ctx.locale(origin)).text}
        if errors:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        request = ImageRequest(
            origin,
            f"view-{view.get('id')}",
            files=filled.files,
            links=[filled.link] if filled.link else (),
            fields=filled.fields,
            private=filled.private,
            thread_ts=origin.thread_ts or None,
            agreed_nanousd=form.noted_total(notes),
        )
        await self.ctx.finish_before_ack(submit(self.ctx, request))

    def _form_errors(self, filled: form.FormInput, locale: str, *, picking: bool) -> dict[str, str]:
        try:
            self.ctx.service.check("", filled.fields)
        except InvalidParameters as error:
            return form.errors_of(error, locale)
        except UpscaleError as error:
            return {form.NUMBERS[0]: explain(error, locale).text}
        if not filled.files and not filled.link:
            return {form.PICK_FIELD if picking else "image": explain(NoImage(), locale).text}
        return {}

    async def defaults_submitted(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        origin = self.ctx.origin(body, context)
        values = ((body.get("view") or {}).get("state") or {}).get("values") or {}
        text = str((values.get("text") or {}).get("text", {}).get("value") or "")
        try:
            own = await self.ctx.service.accounts.set_defaults(t.requester(origin, t.SlackUser()), text)
        except Exception as error:
            notice = await self.ctx.refusal_notice(error, self.ctx.locale(origin))
            await ack(response_action="errors", errors={"text": notice.what.replace("\n", " ")})
            return
        await ack()
        self.ctx.tasks.spawn("defaults", self._show_defaults(origin, own))

    async def _show_defaults(self, origin: Origin, own: OwnSettings) -> None:
        async def show(actor: Requester) -> HandlerResult | None:
            if await modals.publish_home(self.ctx, origin):
                return None  # the Home tab shows them
            return settings(own, self.ctx.settings.slack_command, actor.locale, self.ctx.service.models)

        await self.ctx.run_and_answer(origin, show, starts=False)

    # ---------------------------------------------------------------------- buttons

    async def pressed(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        await ack()
        press = buttons.parse_press(body, self.ctx.origin(body, context))
        if press is None or press.verb == "download":
            return
        if press.verb == "details":
            waiting = form.details_modal(self.ctx.locale(press.origin))
            view_id = await modals.open_modal(self.ctx, press.origin, body, waiting)
            if view_id is not None:
                self.ctx.tasks.spawn("details", modals.show_details(self.ctx, press, view_id))
        elif press.verb in buttons.STORED:
            await self.ctx.finish_before_ack(buttons.handle(self.ctx, press))
        else:
            self.ctx.tasks.spawn(f"press_{press.verb}", buttons.handle(self.ctx, press))

    async def pressed_other(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        await ack()
        origin = self.ctx.origin(body, context)
        verb = str((body.get("actions") or [{}])[0].get("action_id") or "").split(":")[1]
        if verb == "form":
            await self._open_form(origin, body)
        elif verb == "defaults":
            await modals.open_defaults(self.ctx, origin, body)
        elif verb in ("help", "export", "erase"):
            self.ctx.tasks.spawn(verb, subcommands.answer(self.ctx, origin, verb, ""))
