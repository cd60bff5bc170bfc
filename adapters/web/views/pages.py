"""The page, the sign-in page, and their static files. They load nothing from other hosts."""

from typing import Any

from aiohttp import web

from adapters.web.connection.security import COOKIE, SESSION_S, Denied, Guard
from adapters.web.inbound.job_routes import actor_of
from adapters.web.inbound.request_body import form_fields
from adapters.web.settings import Settings
from adapters.web.views.card import card_json
from adapters.web.views.template import STATIC_DIR, Template
from core.domain.models import Models
from core.domain.parameters.spec import PRESETS, SPECS
from core.net.file_response import FileResponse
from core.ports import AdapterContext
from core.presentation import Card, file_size, language_of, tr
from core.presentation.cards.account import privacy
from core.presentation.cards.help import help_card
from core.presentation.formats import usd
from core.presentation.texts.page_texts import page_texts
from core.presentation.texts.parameter_texts import parameter_hint, parameter_label, preset_name

MAX_JOBS_AT_ONCE = 20
COMMANDS = (
    ("/upscale 3x creativity=0.5", "upscale"),
    ("/usage 2026-11", "usage"),
    ("/history", "history"),
    ("/settings 3x", "settings"),
    ("/privacy", "privacy"),
    ("/quota", "quota_show"),
    ("/queue", "queue_here"),
)
LIMITS = {"max_input_bytes", "max_input_pixels", "min_input_side_px", "max_output_side_px", "max_output_pixels"}

_TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}


class PageHandlers:
    def __init__(self, context: AdapterContext, settings: Settings, guard: Guard) -> None:
        self._context = context
        self._settings = settings
        self._guard = guard
        self._static = {path.name: path for path in STATIC_DIR.iterdir() if path.suffix in _TYPES}
        self._index = Template("index.html")
        self._login = Template("login.html")

    def open_routes(self) -> list[web.RouteDef]:
        """Routes that signing in needs; they reveal nothing."""
        return [
            web.get("/login", self.login_page),
            web.post("/login", self.login),
            web.post("/logout", self.logout),
            web.get("/static/{name}", self.static),
            web.get("/favicon.ico", self.favicon),
        ]

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page in the reader's language, with the data for its scripts."""
        actor = actor_of(request)
        boot = {
            "controls": _controls(actor.locale),
            "models": _models(self._context.service.models, actor.locale),
            "presets": await self._context.service.accounts.presets(actor),
            "preset_names": {name: preset_name(name, actor.locale) for name in PRESETS},
            "help": card_json(self._help(actor.locale)),
            "privacy": card_json(privacy(actor.locale, keep_days=self._settings.retention_days)),
            "defaults": dict(await self._context.service.accounts.defaults(actor)),
            "play_money": self._context.service.play_money,
            "can_share": self._context.service.can_share,
            "allow_unsafe": self._context.service.allow_unsafe,
            "limits": self._settings.model_dump(include=LIMITS),
            "max_jobs_at_once": MAX_JOBS_AT_ONCE,
            "signed_in": self._settings.token is not None,
            "version": self._context.version,
        }
        formats = page_texts(actor.locale)["hero_formats"]
        size = file_size(self._settings.max_input_bytes, actor.locale)
        return self._index.respond(actor.locale, boot, hero_formats=formats.format(size=size))

    def _help(self, locale: str) -> Card:
        return help_card(
            locale,
            COMMANDS,
            self._context.service,
            save_preset="/settings save logo 4x creativity=0.2",
            ways=[tr("Keys: / jumps to the input, ? shows this, arrow keys move the slider, Esc closes.", locale)],
        )

    async def login_page(self, request: web.Request) -> web.StreamResponse:
        if self._guard.signed_in(request):
            raise web.HTTPSeeOther("/")
        return self._login_form(request, "")

    async def login(self, request: web.Request) -> web.StreamResponse:
        form = await form_fields(request)
        try:
            right = self._guard.is_token_right(request, form.get("token", ""))
        except Denied as denied:
            response = self._login_form(request, "login_wait", denied.status)
            response.headers["Retry-After"] = str(denied.retry_after_s)
            return response
        if not right:
            return self._login_form(request, "login_wrong", 401)
        response = web.Response(status=303, headers={"Location": "/"})
        secure = request.secure or (self._settings.public_url or "").startswith("https://")
        cookie = self._guard.session_cookie()
        response.set_cookie(COOKIE, cookie, max_age=SESSION_S, httponly=True, samesite="Strict", secure=secure)
        return response

    async def logout(self, request: web.Request) -> web.StreamResponse:
        await self._guard.end_session(request)
        response = web.Response(status=303, headers={"Location": "/login"})
        response.del_cookie(COOKIE, httponly=True, samesite="Strict")
        return response

    def _login_form(self, request: web.Request, problem: str, status: int = 200) -> web.Response:
        locale = actor_of(request).locale
        return self._login.respond(locale, status=status, login_problem=page_texts(locale).get(problem, ""))

    async def static(self, request: web.Request) -> web.StreamResponse:
        path = self._static.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        response = FileResponse(path)
        response.content_type = _TYPES[path.suffix]
        if path.suffix != ".webp":
            response.charset = "utf-8"
        response.headers["Cache-Control"] = "no-cache"
        return response

    async def favicon(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPMovedPermanently("/static/icon.svg")


def _controls(locale: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "kind": spec.kind, "label": parameter_label(name, locale), "hint": parameter_hint(name, locale)}
        for name, spec in SPECS.items()
    ]


def _models(models: Models, locale: str) -> list[dict[str, Any]]:
    return [
        {
            "id": model.id,
            "name": model.name(language_of(locale)),
            "about": model.about(language_of(locale)),
            "price": tr("{price} per MP", locale, price=usd(model.unit_price_nanousd, locale)),
            "inputs": {
                name: {"low": each.low, "high": each.high, "default": each.default}
                for name, each in model.inputs.items()
            },
        }
        for model in models
    ]
