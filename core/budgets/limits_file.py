"""Parses the operator's limits file: TOML with a list of `[[limit]]` tables, described in `docs/limits.md`."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from core.budgets.limit_grammar import MAX_AMOUNT, amount_of
from core.domain.errors import InvalidParameters
from core.domain.identity import TEAM_SCOPED
from core.domain.limits import Measure, Rule, ScopeKind, Window
from core.domain.models import ALL
from core.ports import NotUsable

_MAX_FILE_BYTES = 1_000_000

_SELECTORS = ("scope", "platform", "workspace", "id", "counts", "model", "name")
_AMOUNTS: dict[str, tuple[Measure, Window]] = {"running": (Measure.RUNNING, Window.NOW)} | {
    f"{window}_{measure}": (measure, window)
    for window in (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH, Window.TOTAL)
    for measure in (Measure.USD, Measure.MEGAPIXELS, Measure.JOBS)
}


class LimitsFileError(NotUsable):
    """`problems` are sentences for the operator, one for each mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load(path: Path) -> tuple[Rule, ...]:
    """Raises LimitsFileError with every mistake in the file."""
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
    except LimitsFileError as error:
        raise LimitsFileError([f"{path.name}: {problem}" for problem in error.problems]) from None


def parse(text: str) -> tuple[Rule, ...]:
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise LimitsFileError([f"The limits file is not valid TOML: {error}."]) from error
    problems: list[str] = []
    tables = document.pop("limit", [])
    for name in document:
        problems.append(f"“{name}” is not known; the file is a list of [[limit]] tables.")
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append("“limit” must be written as [[limit]] tables.")
        tables = []
    seen: dict[tuple[object, ...], int] = {}
    rules: list[Rule] = []
    for number, table in enumerate(tables, start=1):
        reader = _Table(number, table)
        rules += reader.rules(seen)
        problems += reader.problems
    if problems:
        raise LimitsFileError(problems)
    return tuple(rules)


class _Table:
    """One `[[limit]]` table, which may hold several amounts."""

    def __init__(self, number: int, table: Mapping[str, Any]) -> None:
        self.problems: list[str] = []
        self._number = number
        self._table = table
        name = table.get("name")
        self._where = f"Limit {number}" + (f" (“{name}”)" if isinstance(name, str) else "")

    def rules(self, seen: dict[tuple[object, ...], int]) -> list[Rule]:
        """The valid rules; `seen` maps a limit to the number of the first table that sets it."""
        self._refuse_unknown()
        kind = self._scope()
        platform, workspace, own_id = (self._text(key) for key in ("platform", "workspace", "id"))
        platform = platform.lower()
        model = self._model()
        if kind is None:
            return []
        self._check_selectors(kind, platform, workspace, own_id)
        counts = self._counts(kind, own_id)
        amounts = {key: self._amount(key) for key in _AMOUNTS if key in self._table}
        if not amounts and not self.problems:
            self.problems.append(f"{self._where} has no amount; write for example day_usd = 5.")
        if kind is ScopeKind.PLATFORM:
            platform, own_id = platform or own_id.lower(), ""
        rules = [
            Rule(kind, *_AMOUNTS[key], amount, "file", platform, workspace, own_id, counts, model)
            for key, amount in amounts.items()
        ]
        for rule in rules:
            first = seen.setdefault(astuple(replace(rule, amount=None, counts="each")), self._number)
            if first != self._number:
                self.problems.append(
                    f"{self._where} sets the same limit ({rule.measure} per {rule.window}) as limit {first}."
                )
        return rules

    def _add_problem(self, what: str) -> None:
        self.problems.append(f"{self._where}: {what}")

    def _refuse_unknown(self) -> None:
        known = [*_SELECTORS, *_AMOUNTS]
        for key in (key for key in self._table if key not in known):
            near = difflib.get_close_matches(key, known, n=1)
            self._add_problem(f"“{key}” is not known." + (f" Did you mean “{near[0]}”?" if near else ""))

    def _scope(self) -> ScopeKind | None:
        value = self._table.get("scope")
        if isinstance(value, str) and value in set(ScopeKind):
            return ScopeKind(value)
        problem = f"scope cannot be “{value}”" if "scope" in self._table else "scope is missing"
        self._add_problem(f"{problem}; it must be one of {', '.join(ScopeKind)}.")
        return None

    def _text(self, key: str) -> str:
        value = self._table.get(key, "")
        if isinstance(value, str):
            return value
        # A Discord id without quotes is a TOML integer.
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self._add_problem(f"{key} must be a text in quotes.")
        return ""

    def _model(self) -> str:
        """Model ids, sorted and joined by commas; empty for all."""
        named = [name.strip().lower() for name in self._text("model").split(",") if name.strip()]
        for name in named:
            if ALL.find(name) is None:
                self._add_problem(f"there is no model “{name}”; there is {', '.join(ALL.ids)}.")
        return ",".join(sorted(named))

    def _check_selectors(self, kind: ScopeKind, platform: str, workspace: str, own_id: str) -> None:
        if own_id and kind is ScopeKind.EVERYTHING:
            self._add_problem("the scope “everything” has no id.")
        if (own_id or workspace) and not platform and kind is not ScopeKind.PLATFORM:
            self._add_problem("an id or a workspace needs its platform, for example platform = “discord”.")
        if workspace and kind in (ScopeKind.EVERYTHING, ScopeKind.PLATFORM, ScopeKind.WORKSPACE):
            self._add_problem(f"the scope “{kind}” takes no workspace; name a workspace by its id.")
        if kind is ScopeKind.PLATFORM and platform and own_id.lower() not in ("", platform):
            self._add_problem("“platform” and “id” name two platforms.")
        if kind is ScopeKind.USER and own_id and platform in TEAM_SCOPED and not workspace:
            self._add_problem(f"the id of a {platform} user needs its workspace too.")

    def _counts(self, kind: ScopeKind, own_id: str) -> Literal["each", "shared"]:
        counts = self._table.get("counts")
        if kind is not ScopeKind.ROLE:
            if counts is not None:
                self._add_problem("“counts” belongs to roles only.")
            return "each"
        if not own_id:
            self._add_problem("a role needs its id.")
        if counts not in ("each", "shared"):
            self._add_problem(
                "a role must say counts = “each” (every member has this much) "
                "or counts = “shared” (all members together)."
            )
        return "shared" if counts == "shared" else "each"

    def _amount(self, key: str) -> int | None:
        value, measure = self._table[key], _AMOUNTS[key][0]
        if value == "none":
            return None
        try:
            amount = amount_of("" if isinstance(value, bool) else value, measure)
        except InvalidParameters:
            number = "number" if measure is Measure.USD else "whole number"
            self._add_problem(f"{key} must be a {number} from 0 to {MAX_AMOUNT}, or “none” for no limit.")
            return None
        if measure is Measure.RUNNING and amount < 1:
            self._add_problem("running must be at least 1; with 0 every job would wait for ever.")
        return amount
