"""Reads the operator's limits file (TOML) into rules, and says in plain words what is wrong with it.

The file is a list of `[[limit]]` tables; `docs/limits.md` and `limits.example.toml` explain it to people.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from core.budgets.limit_grammar import MAX_AMOUNT, amount_of
from core.domain.errors import InvalidParameters
from core.domain.identity import TEAM_SCOPED
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.domain.models import ALL

_MAX_FILE_BYTES = 1_000_000

_SELECTORS = ("scope", "platform", "workspace", "id", "counts", "model", "name")
_AMOUNTS: dict[str, tuple[Measure, Window]] = {"running": (Measure.RUNNING, Window.NOW)} | {
    f"{window}_{measure}": (measure, window)
    for window in (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH, Window.TOTAL)
    for measure in (Measure.USD, Measure.MEGAPIXELS, Measure.JOBS)
}


class LimitsFileError(Exception):
    """The file cannot be used; `problems` are plain sentences, all of them at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load(path: Path) -> tuple[Rule, ...]:
    """The rules of this file. Raises LimitsFileError with every mistake in it."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise LimitsFileError([f"The limits file {path} cannot be read: {error.strerror}."]) from error
    if len(raw) > _MAX_FILE_BYTES:
        raise LimitsFileError([f"The limits file {path} is larger than {_MAX_FILE_BYTES} bytes."])
    try:
        return parse(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise LimitsFileError([f"The limits file {path} is not UTF-8 text."]) from error


def parse(text: str) -> tuple[Rule, ...]:
    """The rules of this TOML text. Raises LimitsFileError."""
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise LimitsFileError([f"The limits file is not valid TOML: {error}."]) from error
    reader = _Reader()
    tables = document.pop("limit", [])
    for name in document:
        reader.problems.append(f"“{name}” is not known; the file is a list of [[limit]] tables.")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        reader.problems.append("“limit” must be written as [[limit]] tables.")
        tables = []
    rules = [rule for number, table in enumerate(tables, start=1) for rule in reader.table(number, table)]
    if reader.problems:
        raise LimitsFileError(reader.problems)
    return tuple(rules)


class _Reader:
    """Collects problems while it turns tables into rules."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._seen: dict[tuple[object, ...], int] = {}

    def table(self, number: int, table: Mapping[str, Any]) -> list[Rule]:
        """One `[[limit]]` table; it may hold several amounts."""
        where = f"Limit {number}" + (f" (“{table['name']}”)" if isinstance(table.get("name"), str) else "")
        before = len(self.problems)
        self._unknown(where, table)
        kind = self._scope(where, table)
        texts = {key: self._text(where, table, key) for key in ("platform", "workspace", "id")} | {
            "model": self._model(where, table)
        }
        if kind is None:
            return []
        counts = self._selectors(where, kind, table, texts)
        amounts = {key: self._amount(where, key, table[key]) for key in _AMOUNTS if key in table}
        if not amounts and len(self.problems) == before:
            self.problems.append(f"{where} has no amount; write for example day_usd = 5.")
        rules = [self._rule(kind, key, amount, texts, counts) for key, amount in amounts.items()]
        self._twice(where, number, rules)
        return rules if len(self.problems) == before else []

    def _rule(
        self,
        kind: ScopeKind,
        key: str,
        amount: int | None,
        texts: Mapping[str, str],
        counts: Literal["each", "shared"],
    ) -> Rule:
        measure, window = _AMOUNTS[key]
        own_id = "" if kind in (ScopeKind.EVERYTHING, ScopeKind.PLATFORM) else texts["id"]
        platform = texts["platform"] or (texts["id"] if kind is ScopeKind.PLATFORM else "")
        return Rule(kind, measure, window, amount, "file", platform, texts["workspace"], own_id, counts, texts["model"])

    def _unknown(self, where: str, table: Mapping[str, Any]) -> None:
        known = [*_SELECTORS, *_AMOUNTS]
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f" Did you mean “{near[0]}”?" if near else ""
                self.problems.append(f"{where}: “{key}” is not known.{hint}")

    def _scope(self, where: str, table: Mapping[str, Any]) -> ScopeKind | None:
        value = table.get("scope")
        if isinstance(value, str) and value in set(ScopeKind):
            return ScopeKind(value)
        known = ", ".join(ScopeKind)
        said = f"scope cannot be “{value}”" if "scope" in table else "scope is missing"
        self.problems.append(f"{where}: {said}; it must be one of {known}.")
        return None

    def _text(self, where: str, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key, "")
        if isinstance(value, str):
            return value
        # A Discord id written as a number is surely meant as one.
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self.problems.append(f"{where}: {key} must be a text in quotes.")
        return ""

    def _model(self, where: str, table: Mapping[str, Any]) -> str:
        """One model, or several by commas; empty for all."""
        named = [name.strip().lower() for name in self._text(where, table, "model").split(",") if name.strip()]
        for name in named:
            if ALL.find(name) is None:
                self.problems.append(f"{where}: there is no model “{name}”; there is {', '.join(ALL.ids)}.")
        return ",".join(sorted(named))

    def _selectors(
        self, where: str, kind: ScopeKind, table: Mapping[str, Any], texts: Mapping[str, str]
    ) -> Literal["each", "shared"]:
        if texts["id"] and kind is ScopeKind.EVERYTHING:
            self.problems.append(f"{where}: the scope “everything” has no id.")
        if (texts["id"] or texts["workspace"]) and not texts["platform"] and kind is not ScopeKind.PLATFORM:
            self.problems.append(f"{where}: an id or a workspace needs its platform, for example platform = “discord”.")
        if texts["workspace"] and kind in (ScopeKind.EVERYTHING, ScopeKind.PLATFORM, ScopeKind.WORKSPACE):
            self.problems.append(f"{where}: the scope “{kind}” takes no workspace; name a workspace by its id.")
        if kind is ScopeKind.USER and texts["id"] and texts["platform"] in TEAM_SCOPED and not texts["workspace"]:
            self.problems.append(f"{where}: the id of a {texts['platform']} user needs its workspace too.")
        counts = table.get("counts", "each")
        if kind is ScopeKind.ROLE:
            if not texts["id"]:
                self.problems.append(f"{where}: a role needs its id.")
            if table.get("counts") not in ("each", "shared"):
                self.problems.append(
                    f"{where}: a role must say counts = “each” (every member has this much) "
                    "or counts = “shared” (all members together)."
                )
        elif "counts" in table:
            self.problems.append(f"{where}: “counts” belongs to roles only.")
        return "shared" if counts == "shared" else "each"

    def _amount(self, where: str, key: str, value: Any) -> int | None:
        if value == "none":
            return None
        measure = _AMOUNTS[key][0]
        try:
            amount = amount_of("" if isinstance(value, bool) else value, measure)
        except InvalidParameters:
            number = "number" if measure is Measure.USD else "whole number"
            self.problems.append(f"{where}: {key} must be a {number} from 0 to {MAX_AMOUNT}, or “none” for no limit.")
            return None
        if measure is Measure.RUNNING and amount < 1:
            self.problems.append(f"{where}: running must be at least 1; with 0 every job would wait for ever.")
        return amount

    def _twice(self, where: str, number: int, rules: Sequence[Rule]) -> None:
        for rule in rules:
            same = (rule.kind, rule.measure, rule.window, rule.platform, rule.workspace_id, rule.id, rule.model)
            first = self._seen.setdefault(same, number)
            if first != number:
                self.problems.append(
                    f"{where} sets the same limit ({rule.measure} per {rule.window}) as limit {first}."
                )
