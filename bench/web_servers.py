"""HTTP servers under load: started, waited for, and ended."""

import json
import os
import resource
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cores import family

START_SECONDS = 60
STOP_SECONDS = 20
ANSWER_SECONDS = 60


@dataclass(frozen=True)
class WebServer:
    url: str
    process: subprocess.Popen

    def get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return answer.read()

    def get_json(self, path: str) -> dict:
        return json.loads(self.get(path))

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        return sum(_cpu_seconds(pid) for pid in family(self.process.pid))

    def until(self, is_so: Callable[[], bool]) -> None:
        """Asks again and again until something is so."""
        end = time.monotonic() + ANSWER_SECONDS
        while not is_so():
            if time.monotonic() > end:
                raise SystemExit(f"{self.url}: what was waited for did not come")
            time.sleep(0.1)

    def peak_mib(self) -> float:
        """Peak memory of all its processes, each counted as if it shared nothing."""
        return sum(_peak_kib(pid) for pid in family(self.process.pid)) / 1024


@contextmanager
def serving(command: list, address: str, log: Path, **environment: str) -> Iterator[WebServer]:
    """A server that answers at `address`, which it was told of."""
    with open(log, "wb") as words:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=words,
            stderr=subprocess.STDOUT,
            # A process group of its own, so that none of its workers can stay behind.
            start_new_session=True,
            env={**os.environ, **environment},
        )
    server = WebServer(f"http://{address}", process)
    try:
        _await(server, log)
        yield server
    finally:
        _stop(process)


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def allow_open_files(count: int) -> None:
    """Raises the number of files and connections that this process, and those that it starts,
    may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"{count} open files are needed, and only {hard} allowed: ulimit -n")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _await(server: WebServer, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            server.get("/healthz")
            return
        except (urllib.error.URLError, ConnectionError):
            if server.process.poll() is not None or time.monotonic() > end:
                words = log.read_text(errors="replace")[-4000:]
                raise SystemExit(f"{server.url} does not answer:\n{words}") from None
            time.sleep(0.05)


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _peak_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _cpu_seconds(pid: int) -> float:
    try:
        # The name in brackets may hold anything; behind it are numbers.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
