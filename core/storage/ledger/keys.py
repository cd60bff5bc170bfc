"""Names of the ledger's counters. A person appears in them only as a keyed hash, never by id. Pure."""

import hashlib
import hmac
from urllib.parse import quote

from core.domain.identity import person_id, person_key
from core.domain.job import Requester
from core.domain.limits import Scope, ScopeKind

NOW = "now"
"""The window name of the counters of jobs at once."""


class Keys:
    """Counter names under one installation's salt.

    Hashing lets the open windows of a person who asked to be forgotten go on limiting them, with nothing readable left.
    """

    def __init__(self, salt: str) -> None:
        self._salt = bytes.fromhex(salt)

    def person(self, who: Requester) -> str:
        return self._mark(who.platform, person_id(who))

    def _mark(self, platform: str, user_id: str) -> str:
        """80 bits of HMAC-SHA-256."""
        return hmac.new(self._salt, f"{platform}\0{user_id}".encode(), hashlib.sha256).hexdigest()[:20]

    def of(self, scope: Scope) -> str:
        place = f"{_safe(scope.platform)}:{_safe(scope.workspace_id)}"
        match scope.kind:
            case ScopeKind.EVERYTHING:
                return "all"
            case ScopeKind.PLATFORM:
                return f"p:{_safe(scope.platform)}"
            case ScopeKind.WORKSPACE:
                return f"w:{place}"
            case ScopeKind.CHANNEL:
                return f"c:{place}:{_safe(scope.id)}"
            case ScopeKind.ROLE:
                return f"r:{place}:{_safe(scope.id)}"
            case ScopeKind.USER:
                return f"u:{place}:{self._mark(scope.platform, scope.id)}"

    def shared(self, who: Requester) -> list[str]:
        scopes = [Scope(ScopeKind.EVERYTHING), Scope(ScopeKind.PLATFORM, who.platform)]
        if who.workspace_id:
            scopes.append(Scope(ScopeKind.WORKSPACE, who.platform, who.workspace_id, who.workspace_id))
        if who.channel_id:
            scopes.append(Scope(ScopeKind.CHANNEL, who.platform, who.workspace_id, who.channel_id))
        return [self.of(scope) for scope in scopes]

    def personal(self, who: Requester) -> list[str]:
        """Counters of the person: wherever they are that person, and in this workspace."""
        _, team, user_id = person_key(who)
        places = dict.fromkeys([team, who.workspace_id or team])
        return [self.of(Scope(ScopeKind.USER, who.platform, place, user_id)) for place in places]


def sponsor_key(sponsor_id: str) -> str:
    return f"s:{sponsor_id}"


def sponsored_key(counter: str) -> str:
    """The counter of that part of `counter` which sponsors paid."""
    return f"g:{counter}"


def balance_key(counter: str, window: str) -> str:
    return f"{counter}|{window}"


def _safe(part: str) -> str:
    return quote(part, safe="")
