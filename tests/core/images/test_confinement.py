"""The sandbox of a worker: each attack by a compromised codec is really tried."""

import asyncio
import dataclasses
import itertools
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.domain.errors import ImageTooCostly
from core.images.confinement import MISSING, landlock_version
from core.images.memory_estimate import is_heavy
from core.images.pool import WorkerFault
from core.images.service import ImageService
from tests.core.images import pictures

ATTACKS = {
    "reads secret.key": "open(secret).read()",
    "reads another file of the machine": "open('/etc/passwd').read()",
    "lists the data folder": "os.listdir(os.path.dirname(secret))",
    "writes beside the pictures": "open(secret + '.new', 'w')",
    "follows a link to secret.key": "os.symlink(secret, jobs + '/link') or open(jobs + '/link').read()",
    "reads the environment of the bot": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "reads the memory of the bot": "open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "opens a socket": "socket.socket()",
    "opens a pair of sockets": "socket.socketpair()",
    "starts a process": "os.fork()",
    "runs a program": "os.execv('/bin/true', ['true'])",
    "starts a program": "subprocess.run(['/bin/true'])",
    "traces the bot": "call('ptrace', 16, os.getppid(), 0, 0)",
    "ends the bot": "os.kill(os.getppid(), 15)",
    "limits the bot": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))",
}
PROGRAM = """
import ctypes, os, resource, socket, subprocess, sys, threading
from pathlib import Path
from core.images.confinement import confine
attack, jobs, secret = sys.argv[1:]
confine(write=[Path(jobs)])
def call(name, *args):
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*args) == -1:
        raise PermissionError
threads = [threading.Thread(target=int)]
threads[0].start(); threads[0].join()
Path(jobs, "picture").write_bytes(b"x")
assert Path(jobs, "picture").read_bytes() == b"x"
try:
    exec(attack)
except PermissionError:
    print("denied")
"""


@pytest.mark.parametrize("name", ATTACKS)
def test_a_codec_that_was_taken_over_is_denied(name: str, tmp_path: Path) -> None:
    jobs, secret = tmp_path / "data" / "jobs", tmp_path / "data" / "secret.key"
    jobs.mkdir(parents=True)
    secret.write_text("the key")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ATTACKS[name], str(jobs), str(secret)],
        capture_output=True, text=True, timeout=60, check=False, env={"PATH": os.defpath},
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("denied\n", 0), done.stderr


def test_this_machine_enforces_every_measure() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "core.images.confinement"], capture_output=True, text=True, timeout=60, check=True
    )
    assert set(json.loads(done.stdout)) == set(MISSING)
    assert landlock_version() >= 1


async def test_a_worker_opens_the_files_of_its_own_job_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pictures.encoded(pictures.scene(), "PNG", exif=pictures.exif(6)))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with ImageService(workers=1, scratch=scratch) as image_service:
        assert (await image_service.prepare(tmp_path / "a", tmp_path / "b")).width_px > 0
        await image_service.compare(
            tmp_path / "a", tmp_path / "b", tmp_path / "c"
        )  # draws words, for which fonts are read
        assert [path for path in scratch.rglob("*") if path.is_file()] == []
        [worker] = image_service._pool._idle
        for other in (tmp_path / "a", tmp_path / "b"):
            asked = {
                "op": "probe",
                "args": {"path": str(other), "decode": False, "limits": dataclasses.asdict(image_service.limits)},
            }
            answer = await worker.run(json.dumps(asked).encode() + b"\n")
            assert answer["fault"] == "PermissionError 13"
        with pytest.raises(WorkerFault):
            await image_service.probe(tmp_path / "none")


def _png_head(width_px: int, height_px: int, *, interlaced: bool) -> bytes:
    body = struct.pack(">IIBBBBB", width_px, height_px, 16, 6, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR") + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    )


def _jpeg_head(*, progressive: bool) -> bytes:
    data = pictures.encoded(pictures.scene(), "JPEG", progressive=progressive)
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", 6000, 8000) + data[at + 9 :]


def _heic_head() -> bytes:
    data = pictures.heic(pictures.scene())
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", 8000, 6000) + data[at + 8 :]


@pytest.mark.parametrize(
    ("data", "heavy"),
    [
        (_png_head(8000, 8000, interlaced=True), True),
        (_png_head(8000, 8000, interlaced=False), False),
        (_jpeg_head(progressive=True), True),
        (_jpeg_head(progressive=False), False),
        (_heic_head(), True),
        (pictures.heic(pictures.scene()), False),
        (b"GIF89a" + struct.pack("<HH", 8000, 8000) + bytes(600), True),
        (b"no picture at all", False),
    ],
)
def test_only_images_that_are_decoded_whole_are_heavy(data: bytes, heavy: bool, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    assert is_heavy({"path": str(tmp_path / "a")}) is heavy
    assert not is_heavy({"path": str(tmp_path / "none")})


class CountingWorker:
    """Replaces a process by work in threads, and records how much of it ran concurrently."""

    process = SimpleNamespace(returncode=None)
    jobs_left = 100
    now = most = 0

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        scratch.mkdir()

    async def run(self, _line: bytes) -> dict[str, Any]:
        CountingWorker.now += 1
        CountingWorker.most = max(self.most, self.now)
        for _turn in range(5):
            await asyncio.to_thread(int)
        CountingWorker.now -= 1
        return {"error": {"code": "image_too_costly", "facts": {}}}


async def test_heavy_pictures_are_read_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(_png_head(8000, 8000, interlaced=True))
    image_service = ImageService()
    pool: Any = image_service._pool
    numbers = itertools.count()

    async def start() -> CountingWorker:
        return CountingWorker(tmp_path / f"worker{next(numbers)}")

    pool._start = start
    tasks = [asyncio.create_task(image_service.probe(tmp_path / "a")) for _ in range(3)]
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, ImageTooCostly)
    assert CountingWorker.most == 1
    assert next(numbers) == 1
