"""The installed package contains what the checkout contains, and starts under its own name."""

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _tracked(*folders: str) -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    return [Path(name) for name in names.stdout.splitlines()]


def test_every_file_of_the_product_is_part_of_the_package() -> None:
    packages = {p.parent for p in _tracked("core", "adapters", "bot") if p.name == "__init__.py"}
    data = PROJECT["tool"]["setuptools"]["package-data"]
    shipped = {
        found.relative_to(ROOT)
        for package, patterns in data.items()
        for pattern in patterns
        for found in (ROOT / package.replace(".", "/")).glob(pattern + ("/*" if pattern.endswith("**") else ""))
    }
    missing = [
        path.as_posix()
        for path in _tracked("core", "adapters", "bot")
        if path not in shipped and not (path.suffix == ".py" and path.parent in packages)
    ]
    assert missing == []


def test_the_command_is_installed_under_its_own_name() -> None:
    assert PROJECT["project"]["scripts"] == {"upscale-bot": "bot.__main__:start"}


def test_the_version_is_written_once_more_only_in_the_package() -> None:
    from bot import VERSION

    assert PROJECT["project"]["version"] == VERSION
