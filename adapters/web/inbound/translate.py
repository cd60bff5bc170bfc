"""Requests of a browser or a script to the core's words (pure)."""

import dataclasses
import hashlib
import json
import math
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.budgets.limit_grammar import Dialect, limit_words
from core.budgets.reports import UsageRow
from core.domain.errors import InvalidParameters, NoImage
from core.domain.identity import TEAM_SCOPED
from core.domain.job import ReplyAddress, Requester, Source, UpscaleRequest
from core.domain.limits import Limit, ScopeKind, WantedLimit
from core.domain.models import Models
from core.domain.money import NANOUSD_PER_USD
from core.domain.parameters.grammar import parse
from core.domain.parameters.spec import PRESETS, Presets
from core.domain.variations import CHANGES
from core.ports import Change
from core.presentation import LANGUAGES, tr

PLATFORM = "web"
USER_ID = "local"
OWN_KEYS = (USER_ID, f"{PLATFORM}:{USER_ID}")
"""How reports call whoever sits at the page."""
REPLY = ReplyAddress(PLATFORM, {})
IGNORED_FIELDS = frozenset({"private", "width", "height"})
MOST_AGREED_USD = 1_000_000

Raw = str | int | float | bool

_QUOTA = Dialect(
    scopes={
        **dict.fromkeys(("everything", "all", "global"), ScopeKind.EVERYTHING),
        **dict.fromkeys(("page", "platform"), ScopeKind.PLATFORM),
        **dict.fromkeys(("workspace", "server", "team"), ScopeKind.WORKSPACE),
        **dict.fromkeys(("user", "me"), ScopeKind.USER),
        "channel": ScopeKind.CHANNEL,
        "role": ScopeKind.ROLE,
    },
    examples="everything, platform discord, workspace discord:1234, channel slack:T1:C1, user slack:U1",
    default=ScopeKind.EVERYTHING,
)
_LANGUAGE = re.compile(r"([A-Za-z-]+)\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*(?:,|$)")
_ADDRESS = re.compile(r"(?:web|discord|slack)(?::[\w.-]{1,64}){0,2}")


def limit_of(text: str, *, needs_amount: bool) -> WantedLimit:
    """A limit as the operator types it on the page: `workspace discord:1234 day $20`. Raises InvalidParameters."""
    words = text.split()
    addresses = [word for word in words if _ADDRESS.fullmatch(word)]
    rest = " ".join(word for word in words if word not in addresses)
    address = addresses[0] if addresses else ""
    if address.count(":") == 0 and address and not any(word.lower() in _QUOTA.scopes for word in words):
        rest = f"platform {rest}"
    elif "me" in words:
        address = f"{PLATFORM}:{USER_ID}"
    read = limit_words(rest, _QUOTA, needs_amount=needs_amount)
    return dataclasses.replace(read, scope_id=address)


def limit_address(limit: Limit) -> str:
    """The words that name a limit's scope, and model, to `limit_of`; empty for a scope that cannot be typed."""
    scope, of_model = limit.scope, f" model={limit.model}" if limit.model else ""
    if scope.kind is ScopeKind.EVERYTHING:
        return f"everything{of_model}"
    ids = [scope.platform, scope.id]
    of_a_team = scope.kind is ScopeKind.USER and scope.platform in TEAM_SCOPED
    if scope.kind in (ScopeKind.CHANNEL, ScopeKind.ROLE) or of_a_team:
        ids.insert(1, scope.workspace_id)
    address = ":".join(filter(None, ids)) if scope.id else scope.platform
    return " ".join(filter(None, (scope.kind.value, address))) + of_model


@dataclass(frozen=True, slots=True)
class Submission:
    """What one `POST /api/jobs` brought: an upload on our disk, or a link, or neither; and every other field."""

    text: str = ""
    fields: Mapping[str, Raw] = field(default_factory=dict)
    upload: Path | None = None
    upload_name: str = ""


def locale_of(accept_language: str) -> str:
    """The first language of an `Accept-Language` header that the bot speaks, by weight; English otherwise."""
    found = [(float(weight or 1), tag) for tag, weight in _LANGUAGE.findall(accept_language[:500])]
    spoken = {language.split("_")[0] for language in LANGUAGES}
    ranked = sorted(found, key=lambda pair: -pair[0])
    return next((tag for weight, tag in ranked if weight > 0 and tag.split("-")[0].lower() in spoken), "en")


def requester(accept_language: str = "") -> Requester:
    """Whoever sits at the page: the one local person, who also runs the bot."""
    locale = locale_of(accept_language)
    return Requester(
        PLATFORM, USER_ID, user_name=tr("the page", locale), is_moderator=True, is_operator=True, locale=locale
    )


def in_language(members: Sequence[UsageRow], locale: str) -> tuple[UsageRow, ...]:
    return tuple(
        dataclasses.replace(row, label=tr("the page", locale)) if row.key in OWN_KEYS else row for row in members
    )


def job_key(idempotency_key: str, *, scope: str = "job") -> str:
    """The idempotency key of the core: the caller's own where there is one, else a new one."""
    if idempotency_key:
        return f"{PLATFORM}:{scope}:{hashlib.sha256(idempotency_key.encode('utf-8', 'surrogateescape')).hexdigest()}"
    return f"{PLATFORM}:{scope}:{uuid.uuid4().hex}"


def scalars(values: Mapping[str, Any]) -> dict[str, Raw]:
    """Fields as the parser takes them; lists and objects become text, which the parser then refuses by name."""
    fields: dict[str, Raw] = {}
    for name, value in values.items():
        if value is None or name in IGNORED_FIELDS:
            continue
        fields[name] = value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
    return fields


def upscale_request(
    submission: Submission, actor: Requester, idempotency_key: str, models: Models, presets: Presets = PRESETS
) -> UpscaleRequest:
    """The request for the core. Raises InvalidParameters or NoImage."""
    fields = dict(submission.fields)
    agreed_usd = number_in(fields.pop("agreed_usd", "") or 0, "agreed_usd", 0, MOST_AGREED_USD)
    asked = parse(submission.text, fields, models, presets=presets, lenient=True)
    return UpscaleRequest(
        key=job_key(idempotency_key),
        requester=actor,
        source=_source(submission, asked.links),
        reply=REPLY,
        text=submission.text,
        fields=fields,
        unsafe_place=True,
        confirmed_nanousd=round(agreed_usd * NANOUSD_PER_USD),
    )


def _source(submission: Submission, links: Sequence[str]) -> Source:
    if submission.upload is not None:
        return Source("upload", path=f"uploads/{submission.upload.name}", name=submission.upload_name)
    if not links:
        raise NoImage
    return Source("link", url=links[0], name=links[0].split("?")[0].rsplit("/", 1)[-1][:120])


def change_of(values: Mapping[str, Any]) -> Change:
    """What a button under a result asks for. Raises InvalidParameters for an unknown one."""
    kind = values.get("change", "again")
    if kind not in CHANGES:
        raise InvalidParameters.of("change", str(kind), "range", ", ".join(CHANGES))
    if kind == "factor":
        return Change.of(kind, str(number_in(values.get("factor", ""), "factor", 0, 1e6)))
    return Change.of(str(kind), str(values.get("model", ""))[:60])


def number_in(raw: object, name: str, low: float, high: float) -> float:
    """A number from a request. Raises InvalidParameters where it is none, or out of range."""
    text = str(raw).strip()[:30]
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InvalidParameters.of(name, text, "type", f"{low:g}–{high:,.0f}")
    return value
