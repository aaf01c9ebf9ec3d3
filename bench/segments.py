"""Reads Questlake's landed segments: an Arrow IPC file per event type in each, and a directory."""

import json
import mmap
from pathlib import Path

import pyarrow as pa

MAGIC = b"QLSEG001"

# Behind the directory: its length (4 bytes), its checksum (8 bytes) and the magic bytes again.
_TAIL = 4 + 8 + len(MAGIC)


def landed_tables(landing: Path) -> dict[str, pa.Table]:
    """The rows of each event type. Nothing is copied: the columns lie in the mapped files."""
    batches: dict[str, list[pa.RecordBatch]] = {}
    for file in sorted(landing.glob("*/*.qls")):
        with open(file, "rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        if mapped[: len(MAGIC)] != MAGIC or mapped[-len(MAGIC) :] != MAGIC:
            raise ValueError(f"{file} is no whole segment")
        length = int.from_bytes(mapped[-_TAIL : 4 - _TAIL], "little")
        directory = json.loads(mapped[len(mapped) - _TAIL - length : -_TAIL])
        buffer = pa.py_buffer(mapped)
        for section in directory:
            part = buffer.slice(section["offset"], section["length"])
            reader = pa.ipc.open_file(part)
            known = batches.setdefault(section["event_type"], [])
            known.extend(reader.get_batch(index) for index in range(reader.num_record_batches))
    return {event_type: pa.Table.from_batches(known) for event_type, known in batches.items()}
