"""The rows of the benchmark: each function measures one thing and returns its lines."""

import datetime
from pathlib import Path

import data
from adhoc_rows import adhoc
from api_rows import api
from archive_rows import archive
from installation import checkpoint, copy_of, fresh_folder, ingested, questlake
from marts_rows import marts
from measure import Run, median, progress, run, run_script
from report import Row
from services_rows import kafka, postgres
from settings import Settings
from star_sqlite import MODELS

# Days of the growth row's history, and how many times longer the long one is. Both are longer than
# the 30 days that marts look back, so that only the length of the history differs.
SHORT_HISTORY_DAYS = 36
GROWTH = 10
INCREMENTS = 3

JOB_EVENTS = 1_000_000


def decode(settings: Settings) -> list[Row]:
    """NDJSON bytes to typed columns, with one thread and with two."""
    file = data.simulated(settings, data.players_for(settings.events, data.EVENTS_PER_MONTH), 30)
    size = file.stat().st_size
    rows = []
    for threads in (1, 2):
        figures: dict[str, float] = {}
        details: dict[str, dict] = {}
        for contender in ("questlake", "arrow-json", "DuckDB", "Polars"):
            progress(f"decode: {contender}, {threads} threads …")
            outcomes = []
            for _ in range(settings.repeat):
                data.warm(file)
                outcomes.append(_decode_once(settings, contender, threads, file))
            seconds = median([outcome["seconds"] for outcome in outcomes])
            figures[contender] = size / 1e6 / seconds
            details[contender] = {
                "seconds": [outcome["seconds"] for outcome in outcomes],
                "events_per_second": outcomes[0]["rows"] / seconds,
                "peak_mib": max(outcome["peak_mib"] for outcome in outcomes),
                "rows": outcomes[0]["rows"],
            }
        thread = "thread" if threads == 1 else "threads"
        rows.append(
            Row(
                name=f"decode, {threads} {thread}",
                unit="MB/s",
                questlake=figures.pop("questlake"),
                peers=figures,
                aim=2.0,
                note="the peers read one union schema, Polars decimals as doubles; "
                "only Questlake checks contracts",
                details={"bytes": size, **details},
            )
        )
    return rows


def _decode_once(settings: Settings, contender: str, threads: int, file: Path) -> dict:
    if contender in ("questlake", "arrow-json"):
        ended = run([
            settings.decode_bench, "--file", file, "--project", settings.project,
            "--contender", contender, "--threads", threads, "--repeat", 1,
        ])  # fmt: skip
        return {**data.last_json(ended.output), "peak_mib": ended.peak_mib}
    outcome, peak = run_script(
        "decode_peer.py", contender.lower(), file, settings.project, threads
    )
    return {**outcome, "peak_mib": peak}


def ingest(settings: Settings) -> list[Row]:
    """File to sealed segments, hot store and ledger, beside SQLite's own copy of the hot store."""
    file = data.simulated(settings, data.players_for(settings.events, data.EVENTS_PER_MONTH), 30)
    progress("ingest …")
    loaded = ingested(settings, file)
    progress("ingest: copying the documents with SQLite …")
    copied, _ = run_script("copy_hot.py", loaded.folder / "hot.db", settings.work / "copy.db")
    return [
        Row(
            name="ingest, file → segments + hot store",
            unit="events/s",
            questlake=loaded.events / loaded.ended.seconds,
            peers={"INSERT … SELECT in SQLite": copied["rows"] / copied["seconds"]},
            aim=0.9,
            note="the peer copies the finished hot store into a new one with the same indexes, "
            "in as many transactions; it decodes and seals nothing",
            details={
                "events": loaded.events,
                "seconds": loaded.ended.seconds,
                "cpu_seconds": loaded.ended.cpu_seconds,
                "peak_mib": loaded.ended.peak_mib,
            },
        )
    ]


def etl(settings: Settings) -> list[Row]:
    """Landing to star schema in SQLite: the models that peers have too, from nothing."""
    file = data.simulated(settings, data.players_for(settings.events, data.EVENTS_PER_MONTH), 30)
    progress("etl: ingesting …")
    loaded = ingested(settings, file)
    runs = []
    for _ in range(settings.repeat):
        progress("etl: Questlake …")
        folder = copy_of(settings, loaded.folder, "etl")
        run_models = ("etl", "run", "--select", *MODELS, "--format", "json")
        runs.append(questlake(settings, folder, *run_models))
    warehouse = folder / "warehouse.db"
    checkpoint(warehouse)
    parquet = data.as_parquet(settings, file)
    peers: dict[str, float] = {}
    details: dict[str, object] = {
        "questlake": {
            "seconds": [ended.seconds for ended in runs],
            "cpu_seconds": [ended.cpu_seconds for ended in runs],
            "peak_mib": max(ended.peak_mib for ended in runs),
            "report": data.last_json(runs[-1].output),
        }
    }
    for peer, name in (("duckdb", "DuckDB"), ("polars", "Polars, no marts"), ("sqlite", "raw")):
        outcomes = []
        for _ in range(settings.repeat):
            progress(f"etl: {name} …")
            target = settings.work / f"{peer}.db"
            outcome, peak = run_script("etl_peer.py", peer, parquet, target, warehouse)
            outcomes.append({**outcome, "peak_mib": peak})
        peers[name] = median([outcome["seconds"] for outcome in outcomes])
        details[peer] = outcomes
    raw = peers.pop("raw")
    seconds = median([ended.seconds for ended in runs])
    return [
        Row(
            name="ETL, landing → star schema",
            unit="s",
            questlake=seconds,
            peers=peers,
            aim=2.0,
            lower_is_better=True,
            note="peers read Parquet (Snappy) of the same columns and write through Python's "
            "sqlite3; starting the program counts for Questlake only"
            + _differences(details),
            details=details,
        ),
        Row(
            name="ETL, beside writing alone",
            unit="s",
            questlake=seconds,
            peers={"executemany of the same rows": raw},
            aim=0.7,
            lower_is_better=True,
        ),
    ]


def _differences(details: dict) -> str:
    found = []
    for peer in ("duckdb", "polars", "sqlite"):
        for table, rows in details[peer][-1]["differing_rows"].items():
            if rows:
                found.append(f"{peer} {table} {rows}")
    return f"; rows that differ: {', '.join(found)}" if found else "; all tables are equal"


def growth(settings: Settings) -> list[Row]:
    """The same days of events after a short and after a ten times longer history."""
    days = SHORT_HISTORY_DAYS * GROWTH
    players = data.players_for(settings.events, data.EVENTS_PER_YEAR)
    file = data.simulated(settings, players, days + INCREMENTS)
    start = datetime.date.fromisoformat(data.START)
    cuts = [days - SHORT_HISTORY_DAYS, *range(days, days + INCREMENTS)]
    progress("growth: cutting the events into days …")
    parts = data.split_at_days(
        file,
        [str(start + datetime.timedelta(days=cut)) for cut in cuts],
        settings.work / "growth-events",
    )
    older, recent, *increments = parts
    steps: dict[str, dict[str, list[Run]]] = {}
    history: dict[str, list[Path]] = {"short": [recent], "long": [older, recent]}
    for length, files in history.items():
        progress(f"growth: loading the {length} history …")
        folder = fresh_folder(settings, f"growth-{length}")
        questlake(settings, folder, "ingest", "--file", *files)
        questlake(settings, folder, "etl", "run")
        steps[length] = {"ingest": [], "etl run": []}
        for increment in increments:
            progress(f"growth: one more day after the {length} history …")
            steps[length]["ingest"].append(
                questlake(settings, folder, "ingest", "--format", "json", "--file", increment)
            )
            steps[length]["etl run"].append(
                questlake(settings, folder, "etl", "run", "--format", "json")
            )
    rows = []
    for step in ("ingest", "etl run"):
        times = {
            length: median([ended.seconds for ended in steps[length][step]]) for length in steps
        }
        busy = {
            length: median([ended.cpu_seconds for ended in steps[length][step]])
            for length in steps
        }
        peaks = {
            length: max(ended.peak_mib for ended in steps[length][step]) for length in steps
        }
        rows.append(
            Row(
                name=f"growth, {step} of a day after {GROWTH} × the history",
                unit="× the time",
                questlake=times["long"] / times["short"],
                peers={},
                aim=1.10,
                lower_is_better=True,
                note=f"{times['short']:.2f} s → {times['long']:.2f} s, processor time "
                f"{busy['short']:.2f} → {busy['long']:.2f} s, peak memory {peaks['short']:.0f} → "
                f"{peaks['long']:.0f} MiB",
                details={
                    "players": players,
                    "history_days": [SHORT_HISTORY_DAYS, days],
                    "increment_events": [data.lines(part) for part in increments],
                    "seconds": {
                        length: [ended.seconds for ended in steps[length][step]] for length in steps
                    },
                    "cpu_seconds": busy,
                    "peak_mib": peaks,
                    # Which model it is that grows; where the events lay is this machine's alone.
                    "reports": {
                        length: {
                            name: value
                            for name, value in data.last_json(
                                steps[length][step][-1].output
                            ).items()
                            if name != "file"
                        }
                        for length in steps
                    },
                },
            )
        )
    return rows


def job(settings: Settings) -> list[Row]:
    """Simulate, ingest, transform and verify a million events, each by its own command."""
    events = min(JOB_EVENTS, settings.events)
    players = data.players_for(events, data.EVENTS_PER_MONTH) + 1
    folder = fresh_folder(settings, "job")
    file, truth = folder / "events.ndjson", folder / "truth.json"
    progress("job …")
    simulation = [*data.simulate_command(settings, players, 30, file), "--truth", truth]
    ended = {
        "simulate": run(simulation),
        "ingest": questlake(settings, folder, "ingest", "--file", file),
        "etl run": questlake(settings, folder, "etl", "run"),
        "verify": questlake(settings, folder, "verify", "--truth", truth),
    }
    peak = max(step.peak_mib for step in ended.values())
    steps = ", ".join(f"{name} {step.seconds:.1f} s" for name, step in ended.items())
    details = {
        name: {
            "seconds": step.seconds,
            "cpu_seconds": step.cpu_seconds,
            "peak_mib": step.peak_mib,
        }
        for name, step in ended.items()
    }
    count = data.lines(file)
    return [
        Row(
            name="job, simulate → ingest → etl → verify",
            unit="s",
            questlake=sum(step.seconds for step in ended.values()),
            peers={},
            aim=30.0,
            lower_is_better=True,
            note=f"{count:,} events: {steps}",
            details=details,
        ),
        Row(
            name="job, peak memory of any step",
            unit="MiB",
            questlake=peak,
            peers={},
            aim=1024.0,
            lower_is_better=True,
        ),
    ]


ALL = {
    "decode": decode,
    "ingest": ingest,
    "etl": etl,
    "archive": archive,
    "adhoc": adhoc,
    "marts": marts,
    "growth": growth,
    "job": job,
    "kafka": kafka,
    "postgres": postgres,
    "api": api,
}
