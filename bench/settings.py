"""What a run of the benchmarks is given: sizes, places, programs. All of it by environment."""

import os
from dataclasses import dataclass
from pathlib import Path


ALL_ROWS = "decode ingest etl archive adhoc marts growth job kafka postgres api"


@dataclass(frozen=True)
class Settings:
    project: Path
    questlake: Path
    decode_bench: Path
    topic_bench: Path
    cache: Path
    work: Path
    events: int
    adhoc_events: int
    service_events: int
    repeat: int
    rows: list[str]


def from_environment() -> Settings:
    cache = Path(os.environ["BENCH_CACHE"])
    return Settings(
        project=Path(__file__).resolve().parent.parent,
        questlake=Path(os.environ["BENCH_QUESTLAKE"]),
        decode_bench=Path(os.environ["BENCH_DECODE"]),
        topic_bench=Path(os.environ["BENCH_TOPIC"]),
        cache=cache,
        work=Path(os.environ.get("BENCH_WORK", cache / "work")),
        events=int(os.environ.get("BENCH_EVENTS", "5700000")),
        adhoc_events=int(os.environ.get("BENCH_ADHOC_EVENTS", "20000000")),
        service_events=int(os.environ.get("BENCH_SERVICE_EVENTS", "500000")),
        repeat=int(os.environ.get("BENCH_REPEAT", "3")),
        rows=os.environ.get("BENCH_ROWS", ALL_ROWS).split(),
    )
