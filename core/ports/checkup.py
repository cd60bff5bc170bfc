"""What a check of the installation finds; `python -m bot doctor` shows it. Adapters report in the same form."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what was seen, in plain words, and how to mend it (empty when fine)."""

    level: Literal["ok", "warning", "problem"]
    what: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Credential:
    """One variable that `python -m bot setup` asks for, with where its value is found, step by step.

    What is typed for a secret is not shown.
    """

    variable: str
    title: str
    steps: tuple[str, ...]
    secret: bool = True
