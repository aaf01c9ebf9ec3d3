"""Processes that answer ad-hoc queries: Questlake's shell, and the peers in Python.

Both live as long as a session of an analyst and are asked one query after the other, so that the
start of a process is a figure of its own.
"""

import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from installation import questlake_command
from measure import HERE
from settings import Settings

# Longest wait for an answer.
TIMEOUT_SECONDS = 600


class EngineError(Exception):
    """A query that a tool did not answer."""


@dataclass(frozen=True)
class Answer:
    """The rows of a query, and how long it took until the last of them was there."""

    seconds: float
    rows: list[list]


class Shell:
    """`questlake shell` behind pipes. A query's time is from sending its text to the line that
    tells the number of rows, which comes when all rows are written. A directive after it is
    answered whether there was such a line or the query failed."""

    tool = "questlake"
    _TOLD = re.compile(r"^[\d,]+ rows? in .*\n", re.MULTILINE)
    _DIRECTIVE = "\\timing on\n"
    _ANSWERED = re.compile(r"^timing is on\n", re.MULTILINE)

    def __init__(self, settings: Settings, folder: Path, memory_mib: int) -> None:
        command = questlake_command(
            settings, folder, "--query-memory-limit", f"{memory_mib}MiB",
            "--query-timeout", f"{TIMEOUT_SECONDS}s", "shell", "--format", "ndjson",
        )  # fmt: skip
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "QUESTLAKE_LOG": "warn"},
        )
        self.pid = self._process.pid
        for pipe in (self._process.stdout, self._process.stderr):
            os.set_blocking(pipe.fileno(), False)
        self._send(self._DIRECTIVE)
        self._wait_for(self._ANSWERED, time.perf_counter(), bytearray(), bytearray())
        self.ask({"sql": "SELECT 1 AS one"})
        self.start_seconds = time.perf_counter() - started

    def ask(self, request: dict) -> Answer:
        output, notes = bytearray(), bytearray()
        started = time.perf_counter()
        self._send(f"{request['sql']}\n;\n{self._DIRECTIVE}")
        told = re.compile(f"(?:{self._TOLD.pattern})|(?:{self._ANSWERED.pattern})", re.MULTILINE)
        self._wait_for(told, started, output, notes)
        seconds = time.perf_counter() - started
        self._wait_for(self._ANSWERED, started, output, notes)
        text = notes.decode(errors="replace")
        if not self._TOLD.search(text):
            raise EngineError(self._ANSWERED.sub("", text)[:2000])
        lines = output.decode().splitlines()
        return Answer(seconds, [list(json.loads(line).values()) for line in lines])

    def _wait_for(
        self, line: re.Pattern, started: float, output: bytearray, notes: bytearray
    ) -> None:
        """Reads until there is such a line among the notes. The rows are there before it."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ, output)
            selector.register(self._process.stderr, selectors.EVENT_READ, notes)
            while not line.search(notes.decode(errors="replace")):
                left = started + TIMEOUT_SECONDS + 10 - time.perf_counter()
                if left <= 0 or not selector.get_map():
                    raise EngineError(notes.decode(errors="replace")[:2000] or "no answer")
                for key, _ in selector.select(timeout=left):
                    if not _read_available(key.fileobj, key.data):
                        selector.unregister(key.fileobj)
        _read_available(self._process.stdout, output)

    def stop(self) -> float:
        """Ends the process; gives its peak memory in MiB."""
        return _end(self._process)

    def _send(self, text: str) -> None:
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EngineError("questlake shell has ended") from None


class Peer:
    """A peer in a process of its own, which takes its own time."""

    def __init__(self, tool: str, folder: Path, memory_mib: int) -> None:
        self.tool = tool
        self._errors = TemporaryFile()
        started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, HERE / "adhoc_peer.py", tool, folder, str(memory_mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.pid = self._receive()["pid"]
        self.start_seconds = time.perf_counter() - started

    def ask(self, request: dict) -> Answer:
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise EngineError(self._last_words()) from None
        answer = self._receive()
        if "error" in answer:
            raise EngineError(answer["error"])
        return Answer(answer["seconds"], answer["rows"])

    def stop(self) -> float:
        """Ends the process; gives its peak memory in MiB."""
        peak = _end(self._process)
        self._errors.close()
        return peak

    def _receive(self) -> dict:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            ready = selector.select(timeout=TIMEOUT_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            raise EngineError(self._last_words())
        return json.loads(line)

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-2000:] or "no answer"


def _read_available(pipe, target: bytearray) -> bool:
    """Takes what is in a pipe; false at its end."""
    while True:
        try:
            piece = os.read(pipe.fileno(), 1 << 20)
        except BlockingIOError:
            return True
        if not piece:
            return False
        target += piece


def _end(process: subprocess.Popen) -> float:
    peak = peak_mib(process.pid)
    process.stdin.close()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
    if process.stderr is not None:
        process.stderr.close()
    return peak


def peak_mib(pid: int) -> float:
    """Most memory that a process has held, in MiB; 0 where the system does not tell."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def bytes_read(pid: int) -> dict[str, int]:
    """Bytes that a process has read: `calls` by system calls, which page faults of mapped files are
    not, and `disk` that were not in the page cache. Empty where the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    except OSError:
        return {}
    counted = dict(line.split(": ") for line in lines)
    return {"calls": int(counted["rchar"]), "disk": int(counted["read_bytes"])}


def forget(files: Iterable[Path]) -> None:
    """Lets the page cache forget files. Programs stay in it: what is cold is the data."""
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            # Only pages that are on the disk are let go.
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
