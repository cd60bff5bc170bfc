"""Every way in from Slack: translate, hand over, acknowledge. Nothing here waits for a job.

The acknowledgement leaves when a listener returns (`process_before_response`), so what is stored is stored before it.
"""

from __future__ import annotations

import re
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.context.async_context import AsyncBoltContext
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.context import HandlerContext
from adapters.slack.inbound import account_commands as account
from adapters.slack.inbound import actions as buttons
from adapters.slack.inbound import modals as views
from adapters.slack.inbound import translate as t
from adapters.slack.inbound.message_images import pictures_of
from adapters.slack.inbound.messages import STORED_WITHIN_S
from adapters.slack.inbound.submit_jobs import Order
from adapters.slack.inbound.translate import Where
from adapters.slack.views import home
from adapters.slack.views import upscale_form as modal
from core.domain.errors import InvalidParameters, NoImage, UpscaleError
from core.domain.untrusted_text import clean
from core.presentation import explain

log = structlog.get_logger(__name__)

Body = dict[str, Any]


class Commands:
    """Registers the listeners of commands, shortcuts, forms and buttons."""

    def __init__(self, ctx: HandlerContext) -> None:
        self._ctx = ctx

    def register(self, app: AsyncApp) -> None:
        """All of them. Everything interactive has a listener, so that nobody meets Slack's own warning."""
        app.command(re.compile(".*"))(self.command)
        app.shortcut("upscale_open")(self.open_shortcut)
        app.shortcut("upscale_message")(self.message_shortcut)
        app.shortcut(re.compile(".*"))(self.only_ack)
        app.view(modal.CALLBACK)(self.submitted)
        app.view(home.DEFAULTS_CALLBACK)(self.defaults_submitted)
        app.action(re.compile(r"^job:"))(self.pressed)
        app.action(re.compile(r"^ui:"))(self.pressed_other)
        app.action(re.compile(".*"))(self.only_ack)
        app.view_closed(re.compile(".*"))(self.only_ack)

    def where(self, body: Body, context: AsyncBoltContext) -> Where:
        """The place and person, in the workspace that let us in."""
        team_id = str(context.team_id or (body.get("team") or {}).get("id") or body.get("team_id") or "")
        return t.where_of(body, team_id, str(context.enterprise_id or ""), self._ctx.clock.now())

    def _spawn(self, name: str, work: Any) -> None:
        self._ctx.tasks.spawn(name, work)

    async def _stored(self, work: Any) -> None:
        """Before the acknowledgement: a process that dies in between leaves Slack's own warning, not silence."""
        await self._ctx.tasks.done_within(STORED_WITHIN_S, "stored", work)

    # --------------------------------------------------------------------- command

    async def command(self, ack: AsyncAck, body: Body, context: AsyncBoltContext, client: AsyncWebClient) -> None:
        """Nothing typed: the form. Else a subcommand, or a link with parameters."""
        await ack()
        where = self.where(body, context)
        text = clean(str(body.get("text") or ""), t.MAX_MESSAGE_CHARS).strip()
        if not text:
            await self._open_form(client, where, str(body.get("trigger_id") or ""), ())
            return
        name, rest = account.subcommand(text)
        if name:
            self._spawn(name, account.answer(self._ctx, where, name, rest))
            return
        event = f"command-{body.get('trigger_id')}"
        await self._stored(self._ctx.intake.take(Order(where, event, text)))

    async def _open_form(self, client: AsyncWebClient, where: Where, trigger_id: str, pick: Any) -> None:
        locale = views.known_locale(self._ctx, where)
        service = self._ctx.service
        form = modal.form(where, locale, allow_unsafe=service.allow_unsafe, models=service.models, pick=pick)
        view_id = await views.open_now(self._ctx, client, where, trigger_id, form)
        if len(pick) > modal.MOST_PICKED:
            self._spawn("more", self._ctx.intake.tell_limit(where, modal.MOST_PICKED, len(pick)))
        if view_id is not None:
            self._spawn("form", views.complete_form(self._ctx, where, view_id, pick, locale))

    # ------------------------------------------------------------------- shortcuts

    async def open_shortcut(self, ack: AsyncAck, body: Body, context: AsyncBoltContext, client: AsyncWebClient) -> None:
        """The form, from anywhere; the result comes directly."""
        await ack()
        await self._open_form(client, self.where(body, context), str(body.get("trigger_id") or ""), ())

    async def message_shortcut(
        self, ack: AsyncAck, body: Body, context: AsyncBoltContext, client: AsyncWebClient
    ) -> None:
        """The picture of a message at once, with the member's defaults; of several, a choice with the total."""
        await ack()
        where = self.where(body, context)
        message = body.get("message") or {}
        files = pictures_of(message)
        thread_ts = str(message.get("thread_ts") or message.get("ts") or "")
        if len(files) > 1 and all(file.get("id") for file in files[: modal.MOST_PICKED]):
            in_thread = Where(
                where.team_id, where.enterprise_id, where.user_id, where.user_name, where.channel_id,
                where.channel_name, thread_ts, where.response_url, where.at,
            )  # fmt: skip
            await self._open_form(client, in_thread, str(body.get("trigger_id") or ""), files)
            return
        words = t.spoken(message.get("text"))
        own = message.get("user") == where.user_id and re.search(r"[=:]\s{0,20}\S|--\w|\b\d+([.,]\d+)?x\b", words)
        text = words if own or self._ctx.intake.text_is_parameters(words) else ""
        event = f"message-{where.channel_id}-{message.get('ts')}-{body.get('trigger_id')}"
        order = Order(where, event, text, files, thread_ts=thread_ts)
        await self._stored(self._ctx.intake.take(order))

    # ------------------------------------------------------------------------ forms

    async def submitted(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """Errors stand at their fields; otherwise the form closes and the jobs begin."""
        view = body.get("view") or {}
        filled, notes = modal.read(view), modal.notes_of(view)
        where = self._noted_where(self.where(body, context), notes)
        errors = self._form_errors(filled, views.known_locale(self._ctx, where), picking="pick" in notes)
        if errors:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        links = [filled.link] if filled.link else []
        order = Order(
            where, f"view-{view.get('id')}", "", filled.files, links, filled.fields, filled.private,
            thread_ts=where.thread_ts or None,
        )  # fmt: skip
        await self._stored(self._ctx.intake.take(order))

    def _form_errors(self, filled: modal.Filled, locale: str, *, picking: bool) -> dict[str, str]:
        try:
            self._ctx.service.check("", filled.fields)
        except InvalidParameters as error:
            return modal.errors_of(error, locale)
        except UpscaleError as error:
            return {modal.NUMBERS[0]: explain(error, locale).text}
        if not filled.files and not filled.link:
            return {modal.PICKED if picking else "image": explain(NoImage(), locale).text}
        return {}

    @staticmethod
    def _noted_where(where: Where, notes: Body) -> Where:
        """Where the form was opened: a submitted form does not say."""
        return Where(
            where.team_id,
            where.enterprise_id,
            where.user_id,
            where.user_name,
            str(notes.get("channel") or ""),
            str(notes.get("channel_name") or ""),
            str(notes.get("thread_ts") or ""),
            str(notes.get("response_url") or ""),
            float(notes.get("at") or where.at),
        )

    async def defaults_submitted(self, ack: AsyncAck, body: Body, context: AsyncBoltContext) -> None:
        """Save the member's defaults; a mistake stands at the field."""
        where = self.where(body, context)
        values = ((body.get("view") or {}).get("state") or {}).get("values") or {}
        text = str((values.get("text") or {}).get("text", {}).get("value") or "")
        try:
            self._ctx.service.check(text, {})
        except InvalidParameters as error:
            locale = views.known_locale(self._ctx, where)
            await ack(response_action="errors", errors={"text": home.problem_text(error, locale)})
            return
        await ack()
        self._spawn("defaults", self._save_defaults(where, text))

    async def _save_defaults(self, where: Where, text: str) -> None:
        actor = await self._ctx.intake.actor(where)
        try:
            await self._ctx.service.accounts.set_defaults(actor, text)
        except Exception as error:
            await self._ctx.answers.error(where, error, actor.locale)
        await home.publish(self._ctx, where)

    # ---------------------------------------------------------------------- buttons

    async def pressed(self, ack: AsyncAck, body: Body, context: AsyncBoltContext, client: AsyncWebClient) -> None:
        """A button of a job."""
        await ack()
        press = buttons.press_of(body, self.where(body, context))
        if press is None or press.verb == "download":
            return
        if press.verb == "details":
            locale = views.known_locale(self._ctx, press.where)
            loading = views.loading(locale)
            view_id = await views.open_now(self._ctx, client, press.where, press.trigger_id, loading)
            if view_id is not None:
                self._spawn("details", views.show_details(self._ctx, press, view_id))
            return
        work = buttons.handle(self._ctx, press)
        if press.verb in buttons.STORED:
            await self._stored(work)
        else:
            self._spawn(f"press_{press.verb}", work)

    async def pressed_other(self, ack: AsyncAck, body: Body, context: AsyncBoltContext, client: AsyncWebClient) -> None:
        """A button of help, Home or privacy."""
        await ack()
        where = self.where(body, context)
        verb = str((body.get("actions") or [{}])[0].get("action_id") or "").split(":")[1]
        trigger_id = str(body.get("trigger_id") or "")
        if verb == "form":
            await self._open_form(client, where, trigger_id, ())
        elif verb == "defaults":
            await views.open_defaults(self._ctx, client, where, trigger_id)
        elif verb == "help":
            self._spawn("help", account.answer(self._ctx, where, "help", ""))
        elif verb in ("export", "erase"):
            self._spawn(verb, self._privacy(where, verb))

    async def _privacy(self, where: Where, verb: str) -> None:
        actor = await self._ctx.intake.actor(where)
        try:
            await (account.export if verb == "export" else account.erase)(self._ctx, where, actor)
        except Exception as error:
            await self._ctx.answers.error(where, error, actor.locale)

    async def only_ack(self, ack: AsyncAck) -> None:
        """Somebody pressed something that needs no answer."""
        await ack()
