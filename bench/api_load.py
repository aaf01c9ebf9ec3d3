"""Load on an HTTP server, by wrk: connections of which each asks again once it is answered."""

import json
import shutil
from pathlib import Path

from cores import divided, on
from measure import HERE, run

CONNECTIONS = 64
PACKED = {"Accept-Encoding": "gzip"}


def repeated(url: str, seconds: int, headers: dict[str, str]) -> dict:
    """The same request all the time."""
    written = [part for name, text in headers.items() for part in ("--header", f"{name}: {text}")]
    return _wrk(seconds, *written, url)


def never_twice(server: str, paths: Path, first: int, seconds: int) -> dict:
    """The paths of a file, each with a number behind it that grows from `first` on."""
    return _wrk(seconds, server, "--", paths, first)


def _wrk(seconds: int, *arguments: object) -> dict:
    if shutil.which("wrk") is None:
        raise SystemExit("the load generator wrk is missing: apt install wrk")
    _, cores = divided()
    ended = run(on(cores, [
        "wrk", "--threads", len(cores), "--connections", CONNECTIONS, "--duration", f"{seconds}s",
        "--timeout", "30s", "--script", HERE / "api_load.lua", *arguments,
    ]))  # fmt: skip
    figures = json.loads(ended.output.strip().splitlines()[-1])
    if figures["failures"]:
        raise SystemExit(f"{figures['failures']} requests were not answered well:\n{ended.output}")
    figures["requests_per_second"] = figures["requests"] / figures["seconds"]
    # How much of the machine the load itself took.
    figures["load_cpu_seconds"] = ended.cpu_seconds
    return figures
