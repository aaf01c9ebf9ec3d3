"""Each mart rebuilt in full, beside DuckDB running the same SQL over the same tables as Parquet."""

import data
from installation import checkpoint, copy_of, fresh_folder, ingested, questlake
from measure import median, progress, run_script
from report import Row
from settings import Settings

PLAYERS = 100_000
# A week, so that every mart has something to tell: who came back after 1 and 7 days, first wins. The
# players send more than nine million events in it.
DAYS = 7


def marts(settings: Settings) -> list[Row]:
    """The marts of many players, one by one, each from nothing."""
    share = min(1.0, settings.events / 5_000_000)
    file = data.simulated(settings, int(PLAYERS * share), DAYS)
    progress("marts: ingesting …")
    loaded = ingested(settings, file)
    folder = copy_of(settings, loaded.folder, "marts")
    progress("marts: loading all models …")
    first = questlake(settings, folder, "etl", "run", "--format", "json")
    checkpoint(folder / "warehouse.db")
    star = fresh_folder(settings, "marts-star")
    tables = sorted(
        path.stem
        for kind in ("dimensions", "facts", "marts")
        for path in (settings.project / "sql" / kind).glob("*.sql")
    )
    for table in tables:
        query = f"SELECT * FROM star.{table}"
        target = ("--output", star / f"{table}.parquet", "--query-max-rows", 0)
        questlake(settings, folder, "query", query, *target)
    rows = []
    for mart in (table for table in tables if table.startswith("mart_")):
        progress(f"marts: {mart} …")
        rows.append(_mart(settings, folder, star, mart, loaded.events))
    details = {"events": loaded.events, "all_models": data.last_json(first.output)}
    rows[0].details["load"] = {**details, "seconds": first.seconds, "peak_mib": first.peak_mib}
    return rows


def _mart(settings: Settings, folder, star, mart: str, events: int) -> Row:
    rebuild = ("etl", "run", "--full-refresh", "--select", mart, "--format", "json")
    runs = [questlake(settings, folder, *rebuild) for _ in range(settings.repeat)]
    outcomes = []
    for _ in range(settings.repeat):
        sql = settings.project / "sql" / "marts" / f"{mart}.sql"
        outcome, peak = run_script("marts_peer.py", sql, star)
        outcomes.append({**outcome, "peak_mib": peak})
    differing = outcomes[-1]["differing_rows"]
    peak = max(ended.peak_mib for ended in runs)
    return Row(
        name=f"{mart}, in full",
        unit="s",
        questlake=median([ended.seconds for ended in runs]),
        peers={"DuckDB": median([outcome["seconds"] for outcome in outcomes])},
        aim=1.0,
        lower_is_better=True,
        failed=differing > 0,
        note=f"{events:,} events, {outcomes[-1]['rows']:,} rows, peak memory {peak:.0f} MiB; "
        "the start of the program, reading and writing SQLite count for Questlake only"
        + (f"; rows that differ: {differing}" if differing else ""),
        details={
            "questlake": {
                "seconds": [ended.seconds for ended in runs],
                "cpu_seconds": [ended.cpu_seconds for ended in runs],
                "peak_mib": peak,
                "report": data.last_json(runs[-1].output),
            },
            "duckdb": outcomes,
        },
    )
