"""`make audit`: known holes in the locked packages, by the advisory service, else by the list that lies beside this.

Says which of the two it was: without a network the check still runs, but only against what was known on that day.
Exit code 1 where a locked version has a known hole.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parents[2]
KNOWN = Path(__file__).with_name("advisories.json")
LIMIT_S = 120


def locked(text: str) -> list[tuple[str, str]]:
    """Every name and version of a lock file; a package may be there once for each Python."""
    return re.findall(r"(?m)^([A-Za-z0-9_.-]+)==([^ ;\\\s]+)", text)


def by_service(lock: Path) -> tuple[list[str], int]:
    """Holes as the advisory service tells them, and how many packages it knew; (…, 0) where none answers."""
    command: list[str | Path] = [Path(sys.executable).with_name("pip-audit"), "--requirement", lock]
    more = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=LIMIT_S, check=False)
        found = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError):
        return [], 0
    asked = [one for one in found if "skip_reason" not in one]
    return [f"{one['name']} {one['version']}: {hole['id']}" for one in asked for hole in one["vulns"]], len(asked)


def by_list(text: str, known: dict[str, dict[str, str]]) -> list[str]:
    """Holes of the list in what is locked."""
    return [
        f"{name} {version}: {hole}, mended in {fixed}"
        for name, version in locked(text)
        for hole, fixed in known.get(name.lower(), {}).items()
        if Version(version) < Version(fixed)
    ]


def main() -> int:
    """Check both lock files; print what was found."""
    known = json.loads(KNOWN.read_text())
    holes: list[str] = []
    for lock in (ROOT / "requirements.lock", ROOT / "requirements-dev.lock"):
        told, asked = by_service(lock)
        if asked:
            print(f"audit: {lock.name}: the advisory service knew {asked} packages, {len(told)} holes")
        else:
            told = by_list(lock.read_text(), known["fixed_in"])
            print(
                f"audit: {lock.name}: no advisory service answers; by the list of {known['as_of']}, {len(told)} holes"
            )
        holes += told
    print("\n".join(f"  {hole}" for hole in sorted(set(holes))), end="\n" if holes else "")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
