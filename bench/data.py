"""Simulated events, made once and kept in the cache folder."""

import hashlib
import json
import shutil
from pathlib import Path

from measure import progress, run, run_script
from settings import Settings

# A player of the bundled personas sends about so many events in the first 30 days, and in a year.
EVENTS_PER_MONTH = 228
EVENTS_PER_YEAR = 1960

# In the past on any machine: events of the future would be quarantined.
START = "2024-01-01"


def players_for(events: int, per_player: int) -> int:
    return max(1, events // per_player)


def simulated(settings: Settings, players: int, days: int) -> Path:
    """A file with the events of so many players and days, without faults."""
    folder = settings.cache / "events"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{players}-players-{days}-days-{simulator_version(settings)}.ndjson"
    if not file.exists():
        progress(f"simulating {players} players on {days} days …")
        unfinished = file.with_suffix(".tmp")
        run(simulate_command(settings, players, days, unfinished))
        unfinished.rename(file)
    return file


def simulate_command(settings: Settings, players: int, days: int, output: Path) -> list:
    return [
        settings.questlake, "simulate", "--players", players, "--days", days, "--seed", 1,
        "--start", START, "--output", output,
    ]  # fmt: skip


def simulator_version(settings: Settings) -> str:
    """Changes with the simulator, so that its files are made anew."""
    sources = settings.project / "ingest"
    digest = hashlib.sha256(START.encode())
    files = [sources / "personas.toml", *sorted((sources / "src" / "simulate").rglob("*.rs"))]
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def as_parquet(settings: Settings, file: Path) -> Path:
    """The same events as Parquet files, for the peers."""
    folder = file.with_suffix(".parquet")
    if not (folder / "complete").exists():
        progress("writing the events as Parquet for the peers …")
        shutil.rmtree(folder, ignore_errors=True)
        run_script("parquet.py", file, settings.project, folder)
        (folder / "complete").touch()
    return folder


def split_at_days(file: Path, days: list[str], folder: Path) -> list[Path]:
    """Cuts a file before the first event of each of the days (`YYYY-MM-DD`, ascending), and so into
    one part more than there are days."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [folder / f"part-{number}.ndjson" for number in range(len(days) + 1)]
    marks = [f'"event_time":"{day}'.encode() for day in days]
    with open(file, "rb") as source:
        for number, part in enumerate(parts):
            with open(part, "wb") as target:
                # The line that ended the part before begins this one.
                if number > 0:
                    target.write(line)
                for line in source:
                    if number < len(marks) and marks[number] in line:
                        break
                    target.write(line)
    return parts


def lines(file: Path) -> int:
    with open(file, "rb") as source:
        return sum(piece.count(b"\n") for piece in iter(lambda: source.read(1 << 24), b""))


def warm(file: Path) -> None:
    """Brings a file into the page cache."""
    with open(file, "rb") as source:
        while source.read(1 << 24):
            pass


def last_json(output: str) -> dict:
    """The JSON object that a command printed, whatever it printed before."""
    return json.loads(output[output.index("{") :])
