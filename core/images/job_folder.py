"""A folder with the files of one image job, the only ones that its worker can open.

Inputs are hard-linked into it (copied across disks); outputs are moved out afterwards.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

_INPUTS: Final = ("path", "source", "before", "after")
_OUTPUTS: Final = ("out", "out_dir")
_LINK_TRIES: Final = 3
StrPath: TypeAlias = str | os.PathLike[str]


def is_on_one_disk(scratch: Path, args: Mapping[str, Any]) -> bool:
    """Whether a job's files can be linked and moved, so that its `JobFolder` copies nothing."""
    used = {os.path.dirname(args[name]) for name in (*_INPUTS, *_OUTPUTS) if args.get(name)}
    return len({os.stat(folder).st_dev for folder in (scratch, *used)}) == 1


class JobFolder:
    """Blocking: each call is a few system calls, plus copies unless `is_on_one_disk`."""

    def __init__(self, scratch: Path, args: Mapping[str, Any]) -> None:
        """Raises OSError if an input is missing."""
        self._folder = os.path.join(scratch, "job")
        self._real = {name: args[name] for name in (*_INPUTS, *_OUTPUTS) if args.get(name)}
        here = {name: os.path.join(self._folder, name) for name in self._real}
        os.mkdir(self._folder)
        for name in self._real.keys() & _INPUTS:
            link_or_copy(self._real[name], here[name])
        if "out_dir" in here:
            os.mkdir(here["out_dir"])
        self._inputs = {name: os.stat(here[name]).st_ino for name in here.keys() & _INPUTS}
        self.args = {**args, **here}

    def collect_outputs(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Move files that were made, or changed in place, to their real paths; return the answer with those paths."""
        result = answer.get("result")
        if result is not None:
            for name, inode in self._inputs.items():
                if os.stat(self.args[name]).st_ino != inode:
                    _move(self.args[name], self._real[name])
            if "out" in os.listdir(self._folder):
                _move(self.args["out"], self._real["out"])
            if "out_dir" in self._real:
                for name in os.listdir(self.args["out_dir"]):
                    _move(os.path.join(self.args["out_dir"], name), os.path.join(self._real["out_dir"], name))
            if "path" in result:
                place, *rest = Path(result["path"]).relative_to(self._folder).parts
                answer = {**answer, "result": {**result, "path": os.path.join(self._real[place], *rest)}}
        _remove(self._folder)
        return answer


def link_or_copy(source: StrPath, dest: StrPath) -> None:
    """Hard-link `source` to `dest`, or copy it if that is not possible. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(dest)
    for _ in range(_LINK_TRIES):
        try:
            os.link(source, dest)
        except FileNotFoundError:  # also if `source` is replaced at this moment, because the old file has no name left
            os.stat(source)
        except OSError:
            break
        else:
            return
    shutil.copyfile(source, dest)


def _move(made: str, real: StrPath) -> None:
    try:
        os.replace(made, real)
    except OSError:  # a folder, or on another disk
        if os.path.isdir(real):
            shutil.rmtree(real)
        shutil.move(made, real)


def _remove(folder: str) -> None:
    try:
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
    except OSError:  # a folder in it
        shutil.rmtree(folder)
