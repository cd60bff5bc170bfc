"""What stops a start, and what a check of the installation finds (`python -m bot doctor`), in the adapters too."""

from dataclasses import dataclass
from typing import Literal


class NotUsable(Exception):
    """Something that the operator has set, or that lies here, cannot be used; the text is plain sentences for them."""


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
