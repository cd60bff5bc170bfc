"""Names whose addresses the attacker chooses: rebinding, chains of aliases, addresses within addresses.

The attacker's name server answers for everything, where the bot's machine asks it: in a mount namespace of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import struct
from collections import Counter
from typing import Any, cast

from tests.attacks.elsewhere import ADDRESSES
from tests.attacks.members import billed, until_calm
from tests.attacks.scene import Attack, Scene, counted, each
from tests.emulators.fal.state import FalJob
from tests.typed import unwrap

PUBLIC, INSIDE, METADATA = ADDRESSES[0], "127.0.0.1", "169.254.169.254"
_A, _CNAME, _AAAA = 1, 5, 28
_WITHIN = ("::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254", "fe80::1",
           "2606:4700::5efe:7f00:1", "2001:0:4136:e378:8000:63bf:80ff:fffe")  # fmt: skip
ADDRESSES_OF = {
    "inside": [INSIDE], "metadata": [METADATA], "both": [PUBLIC, INSIDE], "turned": [INSIDE, PUBLIC],
    "many": [PUBLIC] * 20 + [INSIDE], "zero": ["0.0.0.0"], "shared": ["100.100.100.200"], "private": ["10.0.0.1"],
    **{f"six{number}": [address] for number, address in enumerate(_WITHIN)},
    **{f"mixed{number}": [PUBLIC, address] for number, address in enumerate(_WITHIN)},
}  # fmt: skip
"""By the first label of a name. `flip` is public for its first answers, then within; `chain` leads there by aliases."""
_CHAIN = 12
_PUBLIC_ANSWERS = (1, 2, 3)


class Names(asyncio.DatagramProtocol):
    """A name server; every answer may be kept for zero seconds."""

    def __init__(self) -> None:
        self._asked: Counter[tuple[str, int]] = Counter()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        labels, at = [], 12
        while size := data[at]:
            labels.append(data[at + 1 : at + 1 + size].decode("latin-1").lower())
            at += size + 1
        (kind,) = struct.unpack(">H", data[at + 1 : at + 3])
        records = list(self._records(labels, kind))
        head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0)
        unwrap(self._transport).sendto(head + data[12 : at + 5] + b"".join(records), addr)

    def _records(self, labels: list[str], kind: int) -> list[bytes]:
        """Of an alias also what it leads to, as a resolver that recurses would say."""
        first, _, number = labels[0].partition("-")
        name, found = labels, []
        if first == "loop":
            found = [_alias(name, [f"loop-{1 - int(number) % 2}", *name[1:]])]
        for left in reversed(range(int(first[5:]))) if first.startswith("chain") else ():
            to = [f"alias{left}-{number}", *name[1:]]
            found.append(_alias(name, to))
            name = to
        addresses = ADDRESSES_OF.get(first, [INSIDE])
        if first.startswith("flip"):
            self._asked[labels[0], kind] += 1
            addresses = [PUBLIC if self._asked[labels[0], kind] <= int(first[4:]) else INSIDE]
        for address in addresses:
            family, wanted = (socket.AF_INET6, _AAAA) if ":" in address else (socket.AF_INET, _A)
            if kind == wanted:
                found.append(_record(name, kind, socket.inet_pton(family, address)))
        return found


def _name(labels: list[str]) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in labels) + b"\0"


def _record(labels: list[str], kind: int, value: bytes) -> bytes:
    return _name(labels) + struct.pack(">HHIH", kind, 1, 0, len(value)) + value


def _alias(labels: list[str], to: list[str]) -> bytes:
    return _record(labels, _CNAME, _name(to))


async def rebinding(scene: Scene, size: int) -> str:
    """Each name as a link, behind a redirect, where the first try fails, and as the address of a result."""
    fresh = itertools.count()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Names, local_addr=(INSIDE, 53))
    flips = [f"flip{number}" for number in _PUBLIC_ANSWERS]
    firsts = [*ADDRESSES_OF, *flips, "chain1", f"chain{_CHAIN}", "loop"]

    def name(first: str) -> str:
        return f"{first}-{next(fresh)}.evil.example"

    async def link(url: str) -> str:
        status, body = await scene.post("/api/jobs", json={"url": url})
        return "taken" if status == 202 else str(json.loads(body)["error"]["code"])

    links = [f"http://{name(first)}/{path}" for first in firsts for path in ("picture/1", "down")]
    links += [f"{scene.elsewhere.base_url}/hop?to=http://{name(first)}/picture/1" for first in firsts]
    try:
        found = counted(await each(link(url) for _ in range(size) for url in links))
        states = dict(await until_calm(scene, 120))
        results = await _results(scene, [name(first) for first in firsts])
    finally:
        transport.close()
    reached = scene.elsewhere.reached_inside
    assert not reached, reached
    return f"{found}, then {states}; results at these names: {results}; {reached} requests reached this machine"


async def _results(scene: Scene, hosts: list[str]) -> str:
    """Jobs whose finished picture fal says is at these names."""
    names, bill = iter(hosts), scene.fal.runner._bill

    def elsewhere(job: FalJob, pixels: int) -> None:
        bill(job, pixels)
        if (host := next(names, "")) and job.result_body:
            job.result_body["image"]["url"] = f"http://{host}/picture/1"

    return str(dict(await billed(scene, elsewhere, range(9_000, 9_000 + len(hosts)), 20)))


ATTACKS = (Attack("names that lead within by rebinding, aliases and IPv6", rebinding, 1, 0, leaves_jobs=True),)
