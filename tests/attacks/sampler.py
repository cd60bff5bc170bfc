"""A process that asks `/healthz` all the time: `python -m tests.attacks.sampler PORT`, a report for each line read."""

import json
import select
import socket
import sys
import time

_EVERY_S = 0.02
_LIMIT_S = 10.0
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def ask(port: int) -> tuple[bool, float]:
    """Whether it answered 200 on a new connection, and after how many seconds."""
    started = time.perf_counter()
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_LIMIT_S) as connection:
            connection.sendall(_REQUEST)
            while chunk := connection.recv(4096):
                answer += chunk
    except OSError:
        pass
    return answer.startswith(b"HTTP/1.1 200 "), time.perf_counter() - started


def main(port: int) -> None:
    """Until the input closes."""
    times: list[float] = []
    failed = 0
    while True:
        answered, seconds = ask(port)
        times.append(1000 * seconds)
        failed += not answered
        if not select.select([sys.stdin], [], [], _EVERY_S)[0]:
            continue
        if not sys.stdin.readline():
            return
        times.sort()
        middle, most = times[len(times) // 2], times[-1]
        report = {"asked": len(times), "failed": failed, "p50_ms": middle, "p99_ms": times[int(len(times) * 0.99)]}
        print(json.dumps({**report, "max_ms": most}), flush=True)
        times, failed = [], 0


if __name__ == "__main__":
    main(int(sys.argv[1]))
