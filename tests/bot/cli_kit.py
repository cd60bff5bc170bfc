"""Run commands as `python -m bot` does, but in this process: starting Python takes longer than a command."""

import asyncio
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.cli.main import main

ROOT = Path(__file__).parents[2]
LIMIT_S = 90


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The variables that a process needs; none of our settings."""
    kept = {name: value for name in ("PATH", "HOME", "LANG", "TMPDIR") if (value := os.environ.get(name))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "DATA_DIR": str(folder / "data"),
        "WEB_PORT": "0",
        **({} if "FAL_KEY" in more else {"UPSCALE_BACKEND": "sandbox"}),
        **more,
    }


@dataclass(frozen=True)
class Done:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str = ""
    raw: bytes = b""

    @property
    def said(self) -> str:
        return self.out + self.err


class Commands:
    """Call it with the arguments of a command and its environment variables."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str, **more: str) -> Done:
        with self._monkeypatch.context() as patch:
            patch.chdir(self._folder)
            patch.setattr(os, "environ", environment(self._folder, **more))
            patch.setattr(sys, "argv", ["bot", *arguments])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
            self._capsys.readouterr()
            with pytest.raises(SystemExit) as left:
                main()
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err, captured.err
        return Done(left.value.code if isinstance(left.value.code, int) else 0, captured.out, captured.err)

    async def beside(self, *arguments: str, **more: str) -> Done:
        """Run a command while an emulator runs here. Not for `run` and `upscale`, which handle signals."""
        return await asyncio.to_thread(self, *arguments, **more)

    async def process(self, *arguments: str, given: bytes = b"", **more: str) -> Done:
        """Run a command in a process of its own, with `given` on its standard input."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", *arguments,
            cwd=self._folder,
            env=environment(self._folder, **more),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(LIMIT_S):
                output, errors = await process.communicate(given)
        finally:
            if process.returncode is None:
                process.kill()
        assert b"Traceback" not in errors, errors.decode()
        return Done(process.returncode or 0, output.decode(errors="replace"), errors.decode(), output)
