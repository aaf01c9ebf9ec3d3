"""An archive of many events, made once by Questlake itself and kept in the cache folder.

At 20 million events the way there takes some minutes and about 20 GB of disk for the while; what is
kept is the archive, the warehouse and a copy of the dimensions for the peers.
"""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import data
from installation import checkpoint, questlake, questlake_command
from measure import progress, run_script
from settings import Settings

DAYS = 60

# A player sends about so many events in these days: rather too few, so that enough come.
EVENTS_PER_PLAYER = 375

# Tables of the star schema that the queries use. Questlake reads them in its warehouse.
STAR = ["dim_player", "dim_item"]


@dataclass(frozen=True)
class Archive:
    # The data folder, which has what is said in adhoc_peer.py too.
    folder: Path
    events: int
    bytes: int
    # What stands for itself in the queries.
    parameters: dict[str, str]

    def files(self) -> list[Path]:
        """Everything that queries read."""
        found = [*self.folder.glob("archive/**/*"), *self.folder.glob("star/*")]
        found += self.folder.glob("warehouse.db*")
        return [file for file in found if file.is_file()]


def archived(settings: Settings) -> Archive:
    cache = settings.cache / "adhoc"
    players = data.players_for(settings.adhoc_events, EVENTS_PER_PLAYER)
    kept = cache / f"{players}-players-{DAYS}-days-{_version(settings)}"
    if not (kept / "complete").exists():
        for other in cache.glob(f"{players}-players-*"):
            shutil.rmtree(other)
        _make(settings, players, kept)
        (kept / "complete").touch()
    return _describe(kept)


def _make(settings: Settings, players: int, folder: Path) -> None:
    folder.mkdir(parents=True)
    progress(f"adhoc: simulating {players} players on {DAYS} days, and ingesting …")
    _simulate_into(settings, players, folder)
    progress("adhoc: loading the models …")
    questlake(settings, folder, "etl", "run")
    progress("adhoc: archiving …")
    questlake(settings, folder, "archive")
    progress("adhoc: pruning landing …")
    questlake(settings, folder, "--archive-grace", "0s", "archive")
    left = list((folder / "landing").glob("*/*.qls"))
    if left:
        raise SystemExit(f"adhoc: {len(left)} segments are still in landing, such as {left[0]}")
    # No query asks the hot store.
    for file in folder.glob("hot.db*"):
        file.unlink()
    (folder / "star").mkdir()
    for table in STAR:
        questlake(
            settings, folder, "--query-max-rows", "0", "query", f"SELECT * FROM star.{table}",
            "--output", folder / "star" / f"{table}.parquet",
        )  # fmt: skip
    checkpoint(folder / "warehouse.db")


def _simulate_into(settings: Settings, players: int, folder: Path) -> None:
    """Pipes the simulator into the ingester: the events never lie in a file."""
    simulate = data.simulate_command(settings, players, DAYS, Path("-"))
    ingest = questlake_command(settings, folder, "ingest", "-")
    quiet = {**os.environ, "QUESTLAKE_LOG": "warn"}
    log = folder / "ingest.log"
    with open(log, "wb") as notes:
        source = subprocess.Popen(
            [str(part) for part in simulate],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=quiet,
        )
        target = subprocess.run(
            [str(part) for part in ingest],
            stdin=source.stdout,
            stdout=notes,
            stderr=notes,
            env=quiet,
        )
        source.stdout.close()
        if source.wait() != 0 or target.returncode != 0:
            raise SystemExit(f"adhoc: ingesting failed:\n{log.read_text()[-4000:]}")


def _describe(folder: Path) -> Archive:
    described, _ = run_script("adhoc_describe.py", folder)
    size = sum(file.stat().st_size for file in folder.glob("archive/*/*/*.parquet"))
    return Archive(folder, described["events"], size, described["parameters"])


def _version(settings: Settings) -> str:
    """Changes with what makes the archive, so that it is made anew."""
    digest = hashlib.sha256(data.simulator_version(settings).encode())
    sources = list((settings.project / "engine" / "src" / "stores" / "archive").glob("*.rs"))
    sources += (settings.project / "sql").rglob("*.sql")
    for file in sorted(sources):
        if file.name not in ("tests.rs", "testing.rs"):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
