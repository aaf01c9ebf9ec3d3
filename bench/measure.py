"""Runs programs and says how long they took and how much memory they held."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Run:
    """One ended process."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str


def run(command: list, **environment: str) -> Run:
    """Runs a program to its end. A failure ends the benchmark with the program's own words."""
    command = [str(part) for part in command]
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    output, errors = _read_both(process)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    if code != 0:
        sys.exit(f"{' '.join(command)}\nended with {code}:\n{errors[-4000:]}{output[-2000:]}")
    # The peak counts from before the program was loaded into its process, so that this one must
    # stay small: it reads files in pieces, and leaves the peers to processes of their own.
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def _read_both(process: subprocess.Popen) -> tuple[str, str]:
    import threading

    errors: list[str] = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    reader.start()
    output = process.stdout.read()
    reader.join()
    return output, errors[0]


def run_script(name: str, *arguments: object, **environment: str) -> tuple[dict, float]:
    """Runs a script of this folder that prints one JSON object as its last line. Returns the object
    and the peak memory in MiB."""
    ended = run([sys.executable, HERE / name, *arguments], **environment)
    return json.loads(ended.output.strip().splitlines()[-1]), ended.peak_mib


def median(values: list[float]) -> float:
    return statistics.median(values)


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
