"""Make a folder and everything in it, also what is created later, readable by its owner only."""

import contextlib
import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_USUAL_UMASK = os.umask(_OTHERS)
os.umask(_USUAL_UMASK)


def give_usual_rights(path: Path) -> None:
    """Give a file or folder that was made for a person the permissions of the umask from before `make_private`."""
    path.chmod((0o777 if path.is_dir() else 0o666) & ~_USUAL_UMASK)


def make_private(folder: Path) -> None:
    """Create `folder`, remove all permissions of group and others on it and below, and set the process's umask to 077.

    Symbolic links are not followed. Files of other users are left as they are.
    """
    os.umask(_OTHERS)
    folder.mkdir(parents=True, exist_ok=True)
    _close(folder)
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _close(Path(parent, name))


def _close(path: Path) -> None:
    with contextlib.suppress(PermissionError, FileNotFoundError):
        mode = path.lstat().st_mode
        if mode & _OTHERS and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
