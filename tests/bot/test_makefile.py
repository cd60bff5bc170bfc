"""The targets of `make` and `.ci/run`, as far as they can be checked without running them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "target", ["run", "test", "check", "fix", "bench", "fuzz", "chaos", "lock", "messages", "clean", "setup"]
)
def test_every_promised_target_is_there_and_listed(target: str) -> None:
    assert make("--dry-run", "--assume-old=.venv/bin/python", target).returncode == 0
    assert f"make {target} " in make("help").stdout


def test_a_python_that_is_too_old_or_missing_is_one_plain_sentence(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (tmp_path / lock).write_text("")
    for python in ("/nowhere/python3", "false"):
        done = make("setup", f"PYTHON={python}", folder=tmp_path)
        assert done.returncode != 0
        assert "Python 3.11 or newer" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr


def test_a_python_without_venv_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.lock").write_text("")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ]\n')
    python.chmod(0o755)
    done = make("setup", f"PYTHON={python}", folder=tmp_path)
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stdout


@pytest.mark.parametrize("python", ["gone", "of another version"])
def test_a_venv_whose_python_is_gone_or_another_one_is_made_anew(tmp_path: Path, python: str) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.lock").write_text("")
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / ".installed").touch()
    if python == "gone":
        (venv / "bin" / "python").symlink_to("/nowhere/python3")
    else:
        (venv / "bin" / "python").symlink_to(sys.executable)
        (venv / "pyvenv.cfg").write_text(
            f"home = {Path(sys.base_prefix) / 'bin'}\ninclude-system-site-packages = false\n"
        )
    done = make("setup", "PYTHON=false", folder=tmp_path)
    assert "Python 3.11 or newer" in done.stdout, "it asks for a Python to make the new one with"
    assert not venv.exists()


def test_packages_that_cannot_be_fetched_are_one_plain_sentence(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.lock").write_text("no-such-package==1 --hash=sha256:0\n")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\necho 'pip: connection refused' >&2\nexit 1\n")
    python.chmod(0o755)
    done = make("setup", folder=tmp_path)
    assert done.returncode != 0
    assert "is this machine online" in done.stdout
    assert not (tmp_path / ".venv" / ".installed").exists()


def test_running_the_bot_never_asks_for_system_packages() -> None:
    recipe = make("--dry-run", "run").stdout
    assert "apt-get install -y" not in recipe
    assert "requirements-dev.lock" not in recipe


def test_ci_runs_tests_and_checks_and_can_be_started() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    for word in ("make test", "make check", "timeout"):
        assert word in text


def test_ci_fails_when_a_part_fails(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    for test, check, code in (("true", "true", 0), ("false", "true", 1), ("true", "false", 1)):
        (tmp_path / "Makefile").write_text(f"test:\n\t@{test}\ncheck:\n\t@echo checked; {check}\n")
        done = subprocess.run(
            ["bash", str(tmp_path / ".ci" / "run")], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code
        assert "checked" in done.stdout


def test_the_unit_stops_trying_where_the_settings_are_wrong() -> None:
    unit = (ROOT / "deploy" / "upscale-bot.service").read_text()
    assert "RestartPreventExitStatus=2" in unit
    grace = int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0])
    assert grace > 20


def test_the_image_holds_the_code_and_nothing_else() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.findall(r"(?m)^COPY (\w+) \w+$", text) == ["core", "adapters", "bot"]
    assert "--require-hashes" in text
    assert re.search(r"(?m)^USER bot$", text)
