"""The root of the tree, and the leaves that belong to no branch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class UpscaleError(Exception):
    """Base of the tree. `code` is the stable machine name used by the HTTP API and the database."""

    code: ClassVar[str] = "error"

    def __str__(self) -> str:
        """For logs only: the code. Facts may hold what a person typed and stay out of log lines."""
        return self.code


@dataclass(eq=False, kw_only=True)
class Draining(UpscaleError):
    """This process is shutting down and takes nothing new."""

    code: ClassVar[str] = "draining"


@dataclass(eq=False, kw_only=True)
class InternalError(UpscaleError):
    """Something unforeseen; the log has it under `reference`."""

    code: ClassVar[str] = "internal"
    reference: str = ""


@dataclass(eq=False, kw_only=True)
class StorageUnavailable(UpscaleError):
    """The database does not answer, so nothing can be done or even written down."""

    code: ClassVar[str] = "storage_unavailable"


@dataclass(eq=False, kw_only=True)
class Restored(UpscaleError):
    """A backup that was restored held this job unfinished; what became of it after the backup is not known."""

    code: ClassVar[str] = "restored"
