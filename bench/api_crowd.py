"""Asks a server for one thing from very many connections at the same moment; prints what came back.

    api_crowd.py URL CONNECTIONS

All connections are there before the first of them asks.
"""

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

from web_servers import allow_open_files

# Connections that are being made at a time: fewer than a listener lets wait.
MADE_AT_ONCE = 200
LONGEST_SECONDS = 120


class Client(asyncio.Protocol):
    """One connection: asks once, and tells when it is answered."""

    def __init__(self) -> None:
        self.answer = bytearray()
        self.whole: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, separator, body = self.answer.partition(b"\r\n\r\n")
        if separator and len(body) >= length_of(head) and not self.whole.done():
            self.whole.set_result(time.perf_counter())

    def connection_lost(self, error: Exception | None) -> None:
        if not self.whole.done():
            self.whole.set_exception(error or ConnectionError("closed without an answer"))


def length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise ValueError(f"no length: {head!r}")


async def connected(host: str, port: int, count: int) -> list[Client]:
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    while len(clients) < count:
        some = min(MADE_AT_ONCE, count - len(clients))
        made = [loop.create_connection(Client, host, port) for _ in range(some)]
        clients += [client for _, client in await asyncio.gather(*made)]
    return clients


async def ask(url: str, count: int) -> dict:
    parts = urlsplit(url)
    clients = await connected(parts.hostname, parts.port, count)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    started = time.perf_counter()
    for client in clients:
        client.transport.write(request)
    asked = time.perf_counter()
    async with asyncio.timeout(LONGEST_SECONDS):
        outcomes = await asyncio.gather(
            *(client.whole for client in clients), return_exceptions=True
        )
    ended = sorted(outcome for outcome in outcomes if isinstance(outcome, float))
    answers = [bytes(client.answer) for client in clients]
    refused = [answer for answer in answers if not answer.startswith(b"HTTP/1.1 200 ")]
    return {
        "connections": count,
        "answered": len(clients) - len(refused),
        # What a refusal looks like, if there was one.
        "refused": refused[0].decode(errors="replace") if refused else None,
        "asking_seconds": asked - started,
        "first_seconds": ended[0] - started if ended else None,
        "last_seconds": ended[-1] - started if ended else None,
        "bytes": sum(len(client.answer) for client in clients),
    }


def main() -> None:
    url, count = sys.argv[1], int(sys.argv[2])
    allow_open_files(count + 100)
    print(json.dumps(asyncio.run(ask(url, count))))


if __name__ == "__main__":
    main()
