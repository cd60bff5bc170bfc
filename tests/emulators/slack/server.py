"""The emulated Slack as a whole: five little servers on loopback, one state, one record of everything that arrived."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import web

from tests.emulators.slack import api_chat, api_files, api_team, api_views
from tests.emulators.slack.admission import Context, admit
from tests.emulators.slack.clock import MovableClock
from tests.emulators.slack.delivery import Delivery, handle_hook
from tests.emulators.slack.keys import EMULATOR, HOST
from tests.emulators.slack.limits import RateLimits
from tests.emulators.slack.socketmode import SocketServer, handle_link
from tests.emulators.slack.wire import METHODS, BadRequest, Call, Fault, Recorded, known_errors, read_call
from tests.emulators.slack.world import ApiError, Message, SlackFile, Token, World
from tests.served import served

HANDLERS: dict[str, Callable[[Context], Coroutine[Any, Any, dict[str, Any]]]] = {
    **api_chat.HANDLERS,
    **api_files.HANDLERS,
    **api_team.HANDLERS,
    **api_views.HANDLERS,
}
# Errors that the platform is known to answer although the method's page does not list them (facts: field reports).
EXTRA_ERRORS = {
    "unknown_method",
    "stopped_by_user",
    "push_limit_reached",
    "no_reaction",
    "invalid_arguments",
    "internal_error",
}


class SlackEmulator:
    """Start it with `async with SlackEmulator() as slack:`; act as a member through `slack.member`."""

    def __init__(self, *, tiers: bool = True, processing_s: float = 0.05) -> None:
        from tests.emulators.slack.member import MemberControl

        self.clock = MovableClock()
        self.world = World()
        self.limits = RateLimits(tiers)
        self.socket = SocketServer(self)
        self.delivery = Delivery(self)
        self.member = MemberControl(self)
        self.requests: list[Recorded] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.codes: dict[str, api_team.Grant] = {}
        self.processing_s = processing_s
        self.stream_kinds = {"im", "channel", "group"}
        self.loses_shares = False  # says that a file will be shown, and never shows it
        self.stream_life_s = api_chat.STREAM_LIFE_S
        self.events = {"app_mention", "message.im", "app_home_opened", "app_uninstalled", "tokens_revoked"}
        self.mention_mode = "mention"  # mention | file_share | both | bare (a mention without its files)
        self.http_target: str | None = None
        self.signing_secret = "emulated-signing-secret"
        self.app_token = "xapp-1-emulated"
        self.client_id, self.client_secret = "111.222", "emulated-client-secret"
        self.redirect_uri = ""
        self.token_rotation = False
        self.external_bytes = b""
        self.base_url = self.upload_url = self.files_url = self.edge_url = self.external_url = ""
        self._life = AsyncExitStack()
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---------------------------------------------------------------- lifecycle

    def env(self) -> dict[str, str]:
        """The settings that point the bot at this emulator, in Socket Mode."""
        return {
            "SLACK_API_URL": self.api_url, "SLACK_BOT_TOKEN": "xoxb-acme-bot-token", "SLACK_APP_TOKEN": self.app_token,
            "TRUSTED_FILE_HOSTS": ",".join(self.file_hosts),
        }  # fmt: skip

    async def __aenter__(self) -> SlackEmulator:
        if not self.world.workspaces:
            self.world.add_workspace()
        app_token = Token(self.app_token, None, {"connections:write"}, kind="app")
        self.world.tokens[self.app_token] = app_token
        self.base_url = await self._serve("api", self._api_routes)
        self.upload_url = await self._serve("upload", self._upload_routes)
        self.files_url = await self._serve("files", self._file_routes)
        self.edge_url = await self._serve("edge", self._file_routes)
        self.external_url = await self._serve("external", self._external_routes)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._life.aclose()

    async def _serve(self, host: str, routes: Callable[[web.Application], None]) -> str:
        app = web.Application(client_max_size=2**31)
        app[EMULATOR], app[HOST] = self, host
        routes(app)
        return await self._life.enter_async_context(served(app))

    def _api_routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_get("/link/", handle_link)
        app.router.add_post("/hooks/commands/{team}/{id}/{secret}", handle_hook)
        app.router.add_get("/oauth/v2/authorize", api_team.authorize)

    def _upload_routes(self, app: web.Application) -> None:
        app.router.add_post("/upload/v1/{file}", api_files.receive_upload)

    def _file_routes(self, app: web.Application) -> None:
        app.router.add_get("/files-pri/{key}/{tail:.*}", api_files.serve_file)

    def _external_routes(self, app: web.Application) -> None:
        app.router.add_get("/{tail:.*}", api_files.serve_elsewhere)

    @property
    def api_url(self) -> str:
        return f"{self.base_url}/api/"

    @property
    def file_hosts(self) -> list[str]:
        """host:port of the hosts that are Slack's own and serve private files."""
        return [url.removeprefix("http://") for url in (self.files_url, self.edge_url)]

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------ web api

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        try:
            call = await read_call(request)
        except BadRequest as error:
            call = Call(method, {}, None)
            return self._answer(call, None, {"ok": False, "error": error.error})
        fault = self.take_fault(method, call.args)
        if fault and fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        if fault and not fault.after and (fault.status or fault.drop or fault.error):
            token = self.world.tokens.get(call.token or "")
            self.record(self._recorded(call, token, fault.error or "fault", fault.status or 200))
            return await self.fail(request, fault)
        answer = await self._call(call)
        if fault and fault.after:
            return await self.fail(request, fault)
        return answer

    async def _call(self, call: Call) -> web.Response:
        try:
            ctx = admit(self, call, HANDLERS)
            wait_s = self.limits.check(call.method, ctx.space.id, ctx.now_s, call.args.get("channel"))
            if wait_s is not None:
                return self._rate_limited(call, ctx.token, wait_s)
            body = {"ok": True, **await HANDLERS[call.method](ctx)}
            return self._answer(call, ctx.token, body, ctx.space.id)
        except ApiError as error:
            if call.method in METHODS["methods"] and error.error not in known_errors(call.method) | EXTRA_ERRORS:
                self.violations.append(f"emulator: {call.method} cannot answer {error.error}")
            token = self.world.tokens.get(call.token or "")
            return self._answer(call, token, {"ok": False, "error": error.error, **error.extra})

    def _rate_limited(self, call: Call, token: Token, wait_s: int) -> web.Response:
        self.record(self._recorded(call, token, "ratelimited", 429))
        body = {"ok": False, "error": "ratelimited"}
        return web.json_response(body, status=429, headers={"Retry-After": str(wait_s)})

    def _answer(self, call: Call, token: Token | None, body: dict[str, Any], team: str | None = None) -> web.Response:
        self.record(self._recorded(call, token, body.get("error"), 200, team))
        scopes = ",".join(sorted(token.scopes)) if token else ""
        return web.json_response(body, headers={"X-OAuth-Scopes": scopes})

    def _recorded(
        self, call: Call, token: Token | None, error: str | None, status: int, team: str | None = None
    ) -> Recorded:
        team = team or (token.team_id if token else None)
        return Recorded(self.clock.now(), "api", call.method, call.args, call.token, team, error, status)

    # ---------------------------------------------------------- faults and record

    def record(self, item: Recorded) -> None:
        self.requests.append(item)

    def calls(self, method: str, **args: Any) -> list[Recorded]:
        """Recorded calls of `method` whose arguments include `args`."""
        return [r for r in self.requests if r.method == method and all(r.args.get(k) == v for k, v in args.items())]

    def fault(self, method: str, **how: Any) -> Fault:
        """Make the next call(s) of a Web API method, `upload`, `download` or `response_url` go wrong."""
        fault = Fault(method, **how)
        self.faults.append(fault)
        return fault

    def take_fault(self, method: str, args: dict[str, Any]) -> Fault | None:
        for fault in self.faults:
            fits = all(v(args.get(k)) if callable(v) else args.get(k) == v for k, v in fault.match.items())
            if fault.method == method and fault.times > 0 and fits:
                fault.times -= 1
                return fault
        return None

    async def fail(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.drop:
            if request.transport:
                request.transport.abort()
            return web.Response()
        headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
        if fault.error:
            body = {"ok": False, "error": fault.error}
            return web.json_response(body, status=fault.status or 200, headers=headers)
        return web.Response(status=fault.status or 500, text=fault.body or "upstream error", headers=headers)

    # -------------------------------------------------------------------- pieces

    def settle_bytes(self, file: SlackFile, data: bytes) -> None:
        file.data, file.uploaded = data, True
        api_files.measured(file)

    def message_json(self, message: Message, *, event: bool = False, all_metadata: bool = False) -> dict[str, Any]:
        space = self.world.workspaces[self._team_of(message.channel)]
        out: dict[str, Any] = {"type": "message", "ts": message.ts, "user": message.user, "text": message.text}
        out["team"] = space.id
        if message.blocks:
            out["blocks"] = message.blocks
        if message.stream:
            cards = [{"type": "task_card", "task_id": i, **message.stream.tasks[i]} for i in message.stream.order]
            out["blocks"] = [*cards, *message.stream.blocks, *message.blocks]
        if message.thread_ts:
            out["thread_ts"] = message.thread_ts
        if message.edited_ts:
            out["edited"] = {"user": message.user, "ts": message.edited_ts}
        if message.attachments:
            out["attachments"] = message.attachments
        if message.files:
            out["files"] = [api_files.file_json(self, self.world.files[f], event=event) for f in message.files]
        if message.metadata and all_metadata:
            out["metadata"] = message.metadata
        if message.bot:
            out |= {"bot_id": space.bot_id, "app_id": self.world.app_id}
        return out

    def _team_of(self, channel_id: str) -> str:
        channel = self.world.find_channel(channel_id)
        if channel is None:
            raise KeyError(channel_id)
        return channel.team_id
