"""Questlake's commands on data folders of the benchmark."""

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import data
from measure import Run, run
from settings import Settings


def questlake_command(settings: Settings, folder: Path, *arguments: object) -> list:
    return [settings.questlake, "--project", settings.project, "--data", folder, *arguments]


def questlake(settings: Settings, folder: Path, *arguments: object) -> Run:
    return run(questlake_command(settings, folder, *arguments), QUESTLAKE_LOG="warn")


def fresh_folder(settings: Settings, name: str) -> Path:
    folder = settings.work / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def checkpoint(database: Path) -> None:
    """Brings what is in the write-ahead log into the file, so that others may read it alone."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@dataclass(frozen=True)
class Loaded:
    """A data folder into which events were ingested, and how that went."""

    folder: Path
    events: int
    ended: Run


_kept: dict[Path, Loaded] = {}


def ingested(settings: Settings, file: Path) -> Loaded:
    """The file in a fresh data folder; the rows of one run share it."""
    if file not in _kept:
        folder = fresh_folder(settings, "loaded")
        data.warm(file)
        ended = questlake(settings, folder, "ingest", "--format", "json", "--file", file)
        totals = data.last_json(ended.output)["totals"]
        if totals["landed"] != totals["consumed"]:
            raise SystemExit(f"simulated events did not all land: {totals}")
        _kept[file] = Loaded(folder, totals["landed"], ended)
    return _kept[file]


def copy_of(settings: Settings, loaded: Path, name: str) -> Path:
    """A data folder with the same ledger and warehouse and the same landing, which nobody may
    change: it is shared."""
    folder = fresh_folder(settings, name)
    checkpoint(loaded / "warehouse.db")
    shutil.copy(loaded / "warehouse.db", folder / "warehouse.db")
    (folder / "landing").symlink_to((loaded / "landing").resolve())
    return folder
