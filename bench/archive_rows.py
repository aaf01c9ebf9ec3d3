"""The row of the archive: landed segments to sorted Parquet."""

from pathlib import Path

import data
from installation import copy_of, ingested, questlake
from measure import median, progress, run_script
from report import Row
from settings import Settings

# Landing is shared by the runs: nothing of it may be pruned.
KEEP_LANDING = ["--archive-grace", "30d"]


def archive(settings: Settings) -> list[Row]:
    """`questlake archive` of everything that has landed, beside DuckDB's COPY of the same rows."""
    file = data.simulated(settings, data.players_for(settings.events, data.EVENTS_PER_MONTH), 30)
    progress("archive: ingesting …")
    loaded = ingested(settings, file)
    progress("archive: bringing the models up to date …")
    models = copy_of(settings, loaded.folder, "archive-models")
    questlake(settings, models, "etl", "run")
    landing = (models / "landing").resolve()
    runs, peer_runs = [], []
    for _ in range(settings.repeat):
        progress("archive: Questlake …")
        folder = copy_of(settings, models, "archive")
        warm_all(landing)
        runs.append(questlake(settings, folder, *KEEP_LANDING, "archive", "--format", "json"))
        progress("archive: DuckDB …")
        warm_all(landing)
        outcome, peak = run_script("archive_peer.py", landing, settings.work / "archive-duckdb")
        peer_runs.append({**outcome, "peak_mib": peak})
    files = list((folder / "archive").glob("*/event_date=*/*.parquet"))
    report = data.last_json(runs[-1].output)
    rows = sum(table["rows"] for table in report["moved"])
    if not rows == loaded.events == peer_runs[-1]["rows"]:
        raise SystemExit(
            f"archive: {loaded.events} events landed, Questlake archived {rows}, "
            f"DuckDB {peer_runs[-1]['rows']}"
        )
    peer = median([outcome["seconds"] for outcome in peer_runs])
    with_reading = median([
        outcome["seconds"] + outcome["read_back_seconds"] for outcome in peer_runs
    ])  # fmt: skip
    size = sum(file.stat().st_size for file in files)
    return [
        Row(
            name="archive, segments → Parquet",
            unit="s",
            questlake=median([ended.seconds for ended in runs]),
            peers={"DuckDB COPY": peer},
            aim=1.2,
            lower_is_better=True,
            note=f"{rows:,} events; Questlake's time has the start of the program, checksums of "
            "landing, synchronized files that are read back and compared, bloom filters and the "
            f"commits in it, DuckDB's only COPY (with reading the keys back {with_reading:.2f} s); "
            f"{size / 2**20:.0f} MiB in {len(files)} files, DuckDB "
            f"{peer_runs[-1]['bytes'] / 2**20:.0f} MiB in {peer_runs[-1]['files']}",
            details={
                "events": rows,
                "questlake": {
                    "seconds": [ended.seconds for ended in runs],
                    "cpu_seconds": [ended.cpu_seconds for ended in runs],
                    "peak_mib": max(ended.peak_mib for ended in runs),
                    "bytes": size,
                    "files": len(files),
                    "report": report,
                },
                "duckdb": peer_runs,
            },
        )
    ]


def warm_all(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            data.warm(file)
