"""Every way in from Slack but events: translate, hand over, acknowledge. Nothing here waits for a job.

The acknowledgement leaves when a listener returns (`process_before_response`), so what is stored is stored before it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext

from adapters.slack.context import HandlerContext, Order, Told
from adapters.slack.inbound import actions as buttons
from adapters.slack.inbound import modals, subcommands
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.translate import Where, pictures_of
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
        """All of them. Everything interactive has a listener, so that nobody meets Slack's own warning."""
        app.command(re.compile(".*"))(self.command)
        app.shortcut("upscale_open")(self.open_shortcut)
        app.shortcut("upscale_message")(self.message_shortcut)
        app.shortcut(re.compile(".*"))(self.only_ack)
        app.view(form.CALLBACK)(self.submitted)
        app.view(form.DEFAULTS_CALLBACK)(self.defaults_submitted)
        app.action(re.compile(r"^job:"))(self.pressed)
        app.action(re.compile(r"^ui:"))(self.pressed_other)
        app.action(re.compile(".*"))(self.only_ack)
        app.view_closed(re.compile(".*"))(self.only_ack)

    async def command(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """Nothing typed: the form. Else a subcommand, or a link with parameters."""
        await ack()
        where = self.ctx.where(body, context)
        text = clean(str(body.get("text") or ""), t.MAX_MESSAGE_CHARS).strip()
        name, rest = subcommands.subcommand(text)
        if not text:
            await self._open_form(where, body)
        elif name:
            self.ctx.tasks.spawn(name, subcommands.answer(self.ctx, where, name, rest))
        else:
            await self.ctx.stored(self.ctx.take(Order(where, f"command-{body.get('trigger_id')}", text)))

    async def _open_form(self, where: Where, body: Body, pick: Sequence[Body] = ()) -> None:
        if len(pick) > form.MOST_PICKED:
            self.ctx.tasks.spawn("more", self.ctx.tell_limit(where, form.MOST_PICKED, len(pick)))
        view_id = await modals.open_now(self.ctx, where, body, modals.form_of(self.ctx, where, pick=pick))
        if view_id is not None:
            self.ctx.tasks.spawn("form", modals.complete_form(self.ctx, where, view_id, pick))

    async def open_shortcut(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """The form, from anywhere; the result comes directly."""
        await ack()
        await self._open_form(self.ctx.where(body, context), body)

    async def message_shortcut(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """The picture of a message at once, with the member's defaults; of several, a choice with the total."""
        await ack()
        where = self.ctx.where(body, context)
        message = body.get("message") or {}
        files = pictures_of(message)
        thread_ts = str(message.get("thread_ts") or message.get("ts") or "")
        if len(files) > 1 and all(file.get("id") for file in files[: form.MOST_PICKED]):
            await self._open_form(replace(where, thread_ts=thread_ts), body, files)
            return
        words = t.spoken(message.get("text"))
        own = message.get("user") == where.user_id and re.search(r"[=:]\s{0,20}\S|--\w|\b\d+([.,]\d+)?x\b", words)
        text = words if own or self.ctx.text_is_parameters(words) else ""
        event = f"message-{where.channel_id}-{message.get('ts')}-{body.get('trigger_id')}"
        order = Order(where, event, text, files, thread_ts=thread_ts, spoken=True, agreed_nanousd=None)
        await self.ctx.stored(self.ctx.take(order))

    # ------------------------------------------------------------------------ forms

    async def submitted(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """Errors stand at their fields; otherwise the form closes and the jobs begin."""
        view = body.get("view") or {}
        filled, notes = form.read(view), form.notes_of(view)
        where = replace(self.ctx.where(body, context), **form.noted_place(notes))
        errors = self._form_errors(filled, self.ctx.locale(where), picking="pick" in notes)
        if notes.get("user", where.user_id) != where.user_id:
            errors = {form.NUMBERS[0]: explain(NotAllowed(needs="requester"), self.ctx.locale(where)).text}
        if errors:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        order = Order(
            where,
            f"view-{view.get('id')}",
            files=filled.files,
            links=[filled.link] if filled.link else (),
            fields=filled.fields,
            private=filled.private,
            thread_ts=where.thread_ts or None,
            agreed_nanousd=form.noted_total(notes),
        )
        await self.ctx.stored(self.ctx.take(order))

    def _form_errors(self, filled: form.Filled, locale: str, *, picking: bool) -> dict[str, str]:
        try:
            self.ctx.service.check("", filled.fields)
        except InvalidParameters as error:
            return form.errors_of(error, locale)
        except UpscaleError as error:
            return {form.NUMBERS[0]: explain(error, locale).text}
        if not filled.files and not filled.link:
            return {form.PICKED if picking else "image": explain(NoImage(), locale).text}
        return {}

    async def defaults_submitted(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        where = self.ctx.where(body, context)
        values = ((body.get("view") or {}).get("state") or {}).get("values") or {}
        text = str((values.get("text") or {}).get("text", {}).get("value") or "")
        try:
            own = await self.ctx.service.accounts.set_defaults(t.requester(where, t.Person()), text)
        except Exception as error:
            told = await self.ctx.refusal(error, self.ctx.locale(where))
            await ack(response_action="errors", errors={"text": told.what.replace("\n", " ")})
            return
        await ack()
        self.ctx.tasks.spawn("defaults", self._show_defaults(where, own))

    async def _show_defaults(self, where: Where, own: OwnSettings) -> None:
        async def show(actor: Requester) -> Told | None:
            if await modals.publish_home(self.ctx, where):
                return None  # it shows them
            return settings(own, self.ctx.settings.slack_command, actor.locale, self.ctx.service.models)

        await self.ctx.answering(where, show, starts=False)

    # ---------------------------------------------------------------------- buttons

    async def pressed(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        await ack()
        press = buttons.press_of(body, self.ctx.where(body, context))
        if press is None or press.verb == "download":
            return
        if press.verb == "details":
            waiting = form.details_modal(self.ctx.locale(press.where))
            view_id = await modals.open_now(self.ctx, press.where, body, waiting)
            if view_id is not None:
                self.ctx.tasks.spawn("details", modals.show_details(self.ctx, press, view_id))
        elif press.verb in buttons.STORED:
            await self.ctx.stored(buttons.handle(self.ctx, press))
        else:
            self.ctx.tasks.spawn(f"press_{press.verb}", buttons.handle(self.ctx, press))

    async def pressed_other(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        await ack()
        where = self.ctx.where(body, context)
        verb = str((body.get("actions") or [{}])[0].get("action_id") or "").split(":")[1]
        if verb == "form":
            await self._open_form(where, body)
        elif verb == "defaults":
            await modals.open_defaults(self.ctx, where, body)
        elif verb in ("help", "export", "erase"):
            self.ctx.tasks.spawn(verb, subcommands.answer(self.ctx, where, verb, ""))

    async def only_ack(self, ack: AsyncAck) -> None:
        await ack()
