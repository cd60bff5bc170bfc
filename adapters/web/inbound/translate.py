"""Translates HTTP requests into the core's types. Pure."""

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
PAGE_USER_KEYS = (USER_ID, f"{PLATFORM}:{USER_ID}")
"""The keys of the page's user in usage reports."""
REPLY = ReplyAddress(PLATFORM, {})
MAX_CONFIRMED_USD = 1_000_000

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
    address = next((word for word in words if _ADDRESS.fullmatch(word)), "")
    rest = " ".join(word for word in words if word != address)
    if address.count(":") == 0 and address and not any(word.lower() in _QUOTA.scopes for word in words):
        rest = f"platform {rest}"
    elif "me" in words:
        address = f"{PLATFORM}:{USER_ID}"
    read = limit_words(rest, _QUOTA, needs_amount=needs_amount)
    return dataclasses.replace(read, scope_id=address)


def limit_address(limit: Limit) -> str:
    """A limit's scope and model as text for `limit_of`."""
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
    """The input of one `POST /api/jobs`: the text, the path of an upload if there is one, and all other fields."""

    text: str = ""
    fields: Mapping[str, Raw] = field(default_factory=dict)
    upload: Path | None = None
    upload_name: str = ""


def locale_of(accept_language: str) -> str:
    """The supported language of an `Accept-Language` header with the highest weight; English if there is none."""
    found = [(float(weight or 1), tag) for tag, weight in _LANGUAGE.findall(accept_language[:500])]
    supported = {language.split("_")[0] for language in LANGUAGES}
    ranked = sorted(found, key=lambda pair: -pair[0])
    return next((tag for weight, tag in ranked if weight > 0 and tag.split("-")[0].lower() in supported), "en")


def requester(accept_language: str = "") -> Requester:
    """The page's only user, who is also the operator."""
    locale = locale_of(accept_language)
    return Requester(
        PLATFORM, USER_ID, user_name=tr("the page", locale), is_moderator=True, is_operator=True, locale=locale
    )


def with_page_label(members: Sequence[UsageRow], locale: str) -> tuple[UsageRow, ...]:
    return tuple(
        dataclasses.replace(row, label=tr("the page", locale)) if row.key in PAGE_USER_KEYS else row for row in members
    )


def job_key(idempotency_key: str, *, scope: str = "job") -> str:
    """The job key, derived from the client's idempotency key if there is one."""
    given = idempotency_key.encode("utf-8", "surrogateescape")
    return f"{PLATFORM}:{scope}:{hashlib.sha256(given).hexdigest() if given else uuid.uuid4().hex}"


def scalars(values: Mapping[str, Any]) -> dict[str, Raw]:
    """Fields as the parser takes them; lists and objects become JSON text, which the parser refuses by name."""
    return {
        name: value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
        for name, value in values.items()
        if value is not None
    }


def upscale_request(
    submission: Submission, actor: Requester, idempotency_key: str, models: Models, presets: Presets = PRESETS
) -> UpscaleRequest:
    """Raises InvalidParameters or NoImage."""
    fields = dict(submission.fields)
    agreed_usd = number_in(fields.pop("agreed_usd", "") or 0, "agreed_usd", 0, MAX_CONFIRMED_USD)
    parsed = parse(submission.text, fields, models, presets=presets, lenient=True)
    return UpscaleRequest(
        key=job_key(idempotency_key),
        requester=actor,
        source=_source(submission, parsed.links),
        reply=REPLY,
        text=submission.text,
        fields=fields,
        unsafe_place=True,
        confirmed_nanousd=round(agreed_usd * NANOUSD_PER_USD),
    )


def _source(submission: Submission, links: Sequence[str]) -> Source:
    data = {"one_of_several": "1"} if len(links) + bool(submission.upload) > 1 else {}
    if submission.upload is not None:
        return Source("upload", path=f"uploads/{submission.upload.name}", name=submission.upload_name, data=data)
    if not links:
        raise NoImage
    return Source("link", url=links[0], name=links[0].split("?")[0].rsplit("/", 1)[-1][:120], data=data)


def change_of(values: Mapping[str, Any], models: Models) -> Change:
    """The change of a repeat button. Raises InvalidParameters for an unknown one, and for a model not on offer."""
    kind = values.get("change", "again")
    if kind not in CHANGES:
        raise InvalidParameters.of("change", str(kind), "range", ", ".join(CHANGES))
    if kind == "factor":
        return Change.of(kind, str(number_in(values.get("factor", ""), "factor", 0, 1e6)))
    model = str(values.get("model", ""))
    if kind == "model" and models.find(model) is None:
        raise InvalidParameters.of("model", model, "type", ", ".join(models.ids))
    return Change.of(str(kind), model[:60])


def number_in(raw: object, name: str, low: float, high: float) -> float:
    """Parse a number. Raises InvalidParameters if it is none, or out of range."""
    text = str(raw).strip()[:30]
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InvalidParameters.of(name, text, "type", f"{low:g}–{high:,.0f}")
    return value
