"""A folder with the files of one image job, the only ones that its worker can open.

Inputs are hard-linked into it (copied across disks); outputs are moved out afterwards.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_INPUTS: Final = ("path", "source", "before", "after")
_OUTPUTS: Final = ("out", "out_dir")
_LINK_TRIES: Final = 3


class JobFolder:
    """Blocking; each call is a few system calls, plus a copy if the disks differ."""

    def __init__(self, scratch: Path, args: Mapping[str, Any]) -> None:
        """Raises OSError if an input is missing."""
        self._folder = scratch / "job"
        self._real = {name: Path(args[name]) for name in (*_INPUTS, *_OUTPUTS) if args.get(name)}
        self._folder.mkdir()
        for name in _INPUTS:
            if name in self._real:
                link_or_copy(self._real[name], self._folder / name)
        if "out_dir" in self._real:
            (self._folder / "out_dir").mkdir()
        self._inputs = {name: (self._folder / name).stat().st_ino for name in _INPUTS if name in self._real}
        self.args = {**args, **{name: str(self._folder / name) for name in self._real}}

    def collect_outputs(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Move files that were made, or changed in place, to their real paths; return the answer with those paths."""
        result = answer.get("result")
        if result is not None:
            for name, inode in self._inputs.items():
                made = self._folder / name
                if made.stat().st_ino != inode:
                    _move(made, self._real[name])
            if (self._folder / "out").exists():
                _move(self._folder / "out", self._real["out"])
            if "out_dir" in self._real:
                for made in (self._folder / "out_dir").iterdir():
                    _move(made, self._real["out_dir"] / made.name)
            if "path" in result:
                place, *rest = Path(result["path"]).relative_to(self._folder).parts
                answer = {**answer, "result": {**result, "path": str(self._real[place].joinpath(*rest))}}
        shutil.rmtree(self._folder)
        return answer


def link_or_copy(source: Path, dest: Path) -> None:
    """Hard-link `source` to `dest`, or copy it if that is not possible. Raises OSError."""
    dest.unlink(missing_ok=True)
    for _ in range(_LINK_TRIES):
        try:
            os.link(source, dest)
        except FileNotFoundError:  # also if `source` is replaced at this moment, because the old file has no name left
            source.stat()
        except OSError:
            break
        else:
            return
    shutil.copyfile(source, dest)


def _move(made: Path, real: Path) -> None:
    if real.is_dir():
        shutil.rmtree(real)
    shutil.move(made, real)
