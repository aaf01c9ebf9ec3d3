"""The rows of ad-hoc queries: Questlake's shell beside DuckDB, Polars and PySpark.

Every tool reads the same Parquet files of the same archive: Questlake as Delta tables, by their
log, the peers the folders with their dates. Dimensions are in Questlake's warehouse, and in Parquet
files for the peers. Questlake and DuckDB may use the same memory, PySpark's heap as much again;
Polars knows no limit.

`warm`: one process per tool is asked each query once, and then as often as BENCH_REPEAT says, of
which the median counts. `cold`: a new process per query, which knows its tables already; then the
page cache forgets the data, but no program, and the first answer counts. The time in which
processes start is given apart, for all of them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import adhoc_data
from adhoc_data import Archive
from adhoc_engines import EngineError, Peer, Shell, bytes_read, forget
from adhoc_queries import Query, read_queries
from measure import median, progress
from report import Row, number
from settings import Settings

TOOLS = {
    "questlake": "Questlake",
    "duckdb": "DuckDB",
    "polars": "Polars",
    "pyspark": "PySpark",
}

MEMORY_MIB = 4096

# Figures are sums of floating-point numbers in another order, or have been through decimals.
TOLERANCE = 1e-6

# Its start is many times as long as a query: once must do.
COLD_ONCE = {"pyspark"}


@dataclass
class Measured:
    """What one tool did with one query."""

    warm: list[float] = field(default_factory=list)
    cold: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    # Of the first cold run.
    bytes_read: dict[str, int] = field(default_factory=dict)
    rows: list[list] = field(default_factory=list)
    error: str = ""


def adhoc(settings: Settings) -> list[Row]:
    """Game queries on an archive of many events, cold and warm."""
    archive = adhoc_data.archived(settings)
    queries = read_queries()
    measured: dict[str, dict[str, Measured]] = {}
    peaks: dict[str, float] = {}
    for tool, name in TOOLS.items():
        progress(f"adhoc: {name}, warm …")
        start = starter(settings, tool, archive.folder)
        measured[tool], peaks[tool] = ask_warm(start, queries, archive, settings.repeat)
        progress(f"adhoc: {name}, cold …")
        repeat = 1 if tool in COLD_ONCE else settings.repeat
        for query in queries:
            ask_cold(start, query, archive, repeat, measured[tool][query.name])
    remarks = [*failures(measured), *differences(measured, queries)]
    for remark in remarks:
        progress(f"adhoc: {remark}")
    compared = [
        query.name
        for query in queries
        if not any(measured[tool][query.name].error for tool in TOOLS)
    ]
    if not compared:
        raise SystemExit("adhoc: no query was answered by all tools")
    return [
        row_of(phase, archive, queries, measured, peaks, compared, remarks)
        for phase in ("warm", "cold")
    ]


def starter(settings: Settings, tool: str, folder: Path) -> Callable[[], Shell | Peer]:
    if tool == "questlake":
        return lambda: Shell(settings, folder, MEMORY_MIB)
    return lambda: Peer(tool, folder, MEMORY_MIB)


def ask_warm(
    start: Callable[[], Shell | Peer], queries: list[Query], archive: Archive, repeat: int
) -> tuple[dict[str, Measured], float]:
    measured = {}
    engine = start()
    peak = 0.0
    for query in queries:
        outcome = measured[query.name] = Measured()
        request = query.request(engine.tool, archive.parameters)
        try:
            outcome.rows = engine.ask(request).rows
            outcome.warm = [engine.ask(request).seconds for _ in range(repeat)]
        except EngineError as error:
            outcome.error = str(error)
            # It may be in the midst of something.
            peak = max(peak, engine.stop())
            engine = start()
    return measured, max(peak, engine.stop())


def ask_cold(
    start: Callable[[], Shell | Peer],
    query: Query,
    archive: Archive,
    repeat: int,
    outcome: Measured,
) -> None:
    if outcome.error:
        return
    for _ in range(repeat):
        engine = start()
        try:
            outcome.starts.append(engine.start_seconds)
            forget(archive.files())
            before = bytes_read(engine.pid)
            answer = engine.ask(query.request(engine.tool, archive.parameters))
            after = bytes_read(engine.pid)
            outcome.cold.append(answer.seconds)
            if not outcome.bytes_read:
                outcome.bytes_read = {kind: after[kind] - before[kind] for kind in before}
        except EngineError as error:
            outcome.error = str(error)
            return
        finally:
            engine.stop()


def failures(measured: dict[str, dict[str, Measured]]) -> list[str]:
    return [
        f"{TOOLS[tool]} does not answer {query}, which is left out: "
        f"{' '.join(outcome.error.split())[:300]}"
        for tool, outcomes in measured.items()
        for query, outcome in outcomes.items()
        if outcome.error
    ]


def differences(measured: dict[str, dict[str, Measured]], queries: list[Query]) -> list[str]:
    """Queries that a tool answers in another way than DuckDB, the peer that is nearest to SQL."""
    found = []
    for query in queries:
        expected = measured["duckdb"][query.name]
        for tool, name in TOOLS.items():
            outcome = measured[tool][query.name]
            if expected.error or outcome.error or same_rows(expected.rows, outcome.rows):
                continue
            found.append(
                f"{name} answers {query.name} with other rows than DuckDB ({len(outcome.rows)} and "
                f"{len(expected.rows)})"
            )
    return found


def same_rows(left: list[list], right: list[list]) -> bool:
    return len(left) == len(right) and all(
        len(one) == len(other) and all(map(same_value, one, other))
        for one, other in zip(left, right, strict=True)
    )


def same_value(left: object, right: object) -> bool:
    if is_number(left) and is_number(right):
        return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=1e-9)
    return left == right


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def row_of(
    phase: str,
    archive: Archive,
    queries: list[Query],
    measured: dict[str, dict[str, Measured]],
    peaks: dict[str, float],
    compared: list[str],
    remarks: list[str],
) -> Row:
    """The ratio of geometric means, which is the geometric mean of the ratios."""
    seconds = {
        tool: {name: median(getattr(outcomes[name], phase)) for name in compared}
        for tool, outcomes in measured.items()
    }
    means = {tool: geometric_mean(list(times.values())) for tool, times in seconds.items()}
    best_of_each = geometric_mean([
        min(times[name] for tool, times in seconds.items() if tool != "questlake")
        / seconds["questlake"][name]
        for name in compared
    ])  # fmt: skip
    note = [
        f"geometric means of {len(compared)} queries on {archive.events:,} events "
        f"({archive.bytes / 2**20:.0f} MiB)",
        f"beside the best peer of each query {best_of_each:.2f} ×",
    ]
    if phase == "cold":
        starts = {
            tool: median([time for outcome in outcomes.values() for time in outcome.starts])
            for tool, outcomes in measured.items()
        }
        listed = ", ".join(f"{TOOLS[tool]} {time:.2f} s" for tool, time in starts.items())
        note.append(f"not counted, the start of a process until it knows its tables: {listed}")
    note += remarks or ["all results are equal"]
    return Row(
        name=f"ad-hoc queries, {phase}",
        unit="s",
        questlake=means["questlake"],
        peers={TOOLS[tool]: mean for tool, mean in means.items() if tool != "questlake"},
        aim=1.2,
        lower_is_better=True,
        failed=any(remark.startswith(TOOLS["questlake"]) for remark in remarks),
        note="; ".join(note),
        appendix=appendix(phase, measured, seconds, compared),
        details={
            "events": archive.events,
            "bytes": archive.bytes,
            "parameters": archive.parameters,
            "memory_mib": MEMORY_MIB,
            "against_best_of_each": best_of_each,
            "peak_mib": peaks,
            "queries": {
                query.name: {
                    "title": query.title,
                    "variants": query.variants(),
                    **{tool: details_of(phase, measured[tool][query.name]) for tool in TOOLS},
                }
                for query in queries
            },
        },
    )


def details_of(phase: str, outcome: Measured) -> dict:
    if outcome.error:
        return {"error": outcome.error}
    details = {"seconds": getattr(outcome, phase), "rows": len(outcome.rows)}
    if phase == "cold":
        details |= {"start_seconds": outcome.starts, "bytes_read": outcome.bytes_read}
    return details


def appendix(
    phase: str,
    measured: dict[str, dict[str, Measured]],
    seconds: dict[str, dict[str, float]],
    compared: list[str],
) -> list[list[str]]:
    """The same query by query: milliseconds, and when cold what came from the disk."""
    unit = "ms" if phase == "warm" else "ms, MiB read"
    lines = [[f"{phase}, {unit}", *TOOLS.values(), "ratio"]]
    for name in compared:
        cells = []
        for tool in TOOLS:
            cell = number(seconds[tool][name] * 1e3)
            if phase == "cold":
                read = measured[tool][name].bytes_read.get("disk")
                cell += ", ?" if read is None else f", {number(read / 2**20)}"
            cells.append(cell)
        best = min(times[name] for tool, times in seconds.items() if tool != "questlake")
        lines.append([name, *cells, f"{best / seconds['questlake'][name]:.2f} ×"])
    return lines
