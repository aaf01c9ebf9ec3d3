"""The rows of the table, on the screen and as JSON."""

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from settings import Settings


@dataclass
class Row:
    """One line of the table: Questlake's figure beside those of the peers.

    `aim` is the ratio to the best peer that is aimed at; where there is no peer, the figure itself
    is compared with `aim`. With `lower_is_better` both turn round.
    """

    name: str
    unit: str
    questlake: float
    peers: dict[str, float]
    aim: float
    lower_is_better: bool = False
    # Something that no time makes up for, such as a wrong answer; the note says what.
    failed: bool = False
    note: str = ""
    # A table of its own below the others, with a heading.
    appendix: list[list[str]] = field(default_factory=list)
    details: dict = field(default_factory=dict)

    def best(self) -> tuple[str, float] | None:
        if not self.peers:
            return None
        choose = min if self.lower_is_better else max
        return choose(self.peers.items(), key=lambda item: item[1])

    def ratio(self) -> float:
        """How many times as good as the best peer; without a peer, the figure."""
        best = self.best()
        if best is None:
            return self.questlake
        if self.lower_is_better:
            return best[1] / self.questlake
        return self.questlake / best[1]

    def is_met(self) -> bool:
        if self.failed:
            return False
        if self.best() is None and self.lower_is_better:
            return self.questlake <= self.aim
        return self.ratio() >= self.aim

    def aim_text(self) -> str:
        sign = "≤" if self.best() is None and self.lower_is_better else "≥"
        return f"{sign} {self.aim:g}{' ×' if self.peers else ''}"


def number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(rows: list[Row]) -> str:
    head = ["row", "unit", "Questlake", "peers", "ratio", "aim", ""]
    lines = [head]
    for row in rows:
        peers = ", ".join(f"{name} {number(value)}" for name, value in row.peers.items())
        ratio = f"{row.ratio():.2f} ×" if row.peers else ""
        met = "met" if row.is_met() else "FAILED" if row.failed else "SHORT"
        lines.append(
            [row.name, row.unit, number(row.questlake), peers, ratio, row.aim_text(), met]
        )
    notes = [f"{row.name}: {row.note}" for row in rows if row.note]
    appendices = [f"\n{aligned(row.appendix)}" for row in rows if row.appendix]
    return "\n".join([aligned(lines), "", *notes, *appendices])


def aligned(lines: list[list[str]]) -> str:
    """A table with a heading."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in ruled
    )


def machine() -> dict:
    model = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        model = platform.processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.system(),
        "release": platform.release(),
        "architecture": platform.machine(),
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / (1 << 30), 1),
        "load_average_before": os.getloadavg(),
    }


def _output(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True)
    return ended.stdout.strip() if ended.returncode == 0 else ""


def _first_error_line(*command: str) -> str:
    """Java tells its version there."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return ended.stderr.partition("\n")[0]


PACKAGES = (
    "asyncpg",
    "duckdb",
    "fastapi",
    "orjson",
    "polars",
    "pyarrow",
    "pyspark",
    "redis",
    "uvicorn",
    "uvloop",
)


def versions() -> dict:
    import sqlite3

    return {
        "python": platform.python_version(),
        "python_sqlite": sqlite3.sqlite_version,
        "rustc": _output("rustc", "--version"),
        **{name: version(name) for name in PACKAGES},
        "java": _first_error_line("java", "-version"),
    }


def save(settings: Settings, rows: list[Row], host: dict) -> Path:
    """Writes the rows; those of earlier runs that were not measured now stay, each with its time
    and commit."""
    project = str(settings.project)
    path = settings.project / "bench" / "results" / "latest.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = {
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _output("git", "-C", project, "rev-parse", "HEAD"),
        "uncommitted_changes": bool(
            _output("git", "-C", project, "status", "--porcelain", "--", ".", ":!bench/results")
        ),
        "machine": host,
        "versions": versions(),
        "events": settings.events,
        "adhoc_events": settings.adhoc_events,
        "repeat": settings.repeat,
    }
    document = {"runs": [measured], "rows": []}
    names = {row.name for row in rows}
    if path.exists():
        earlier = json.loads(path.read_text())
        document["rows"] = [row for row in earlier.get("rows", []) if row["name"] not in names]
        wanted = {row.get("finished_at") for row in document["rows"]}
        runs = [run for run in earlier.get("runs", []) if run["finished_at"] in wanted]
        document["runs"] = [*runs, measured]
    document["rows"] += [
        {
            **{name: value for name, value in asdict(row).items() if name != "appendix"},
            "best_peer": (row.best() or (None,))[0],
            "ratio": row.ratio() if row.peers else None,
            "met": row.is_met(),
            # The run among `runs` that measured it.
            "finished_at": measured["finished_at"],
        }
        for row in rows
    ]
    unfinished = path.with_suffix(".tmp")
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    # Reports of commands name their files: where they lay is this machine's alone.
    unfinished.write_text(text.replace(f"{settings.work}/", "work/"))
    unfinished.rename(path)
    return path


def show(rows: list[Row]) -> None:
    print(table(rows), file=sys.stdout, flush=True)
