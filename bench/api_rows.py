"""The rows of the API: reads over HTTP, beside FastAPI with Redis on the same database."""

import gzip
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import api_load
import data
from api_reads import Reads, choose
from cores import confined, divided, on
from installation import questlake_command
from measure import HERE, median, progress, run, run_script
from report import Row
from servers import address, database, postgres_process, with_database
from settings import Settings
from web_servers import WebServer, allow_open_files, free_address, serving

if TYPE_CHECKING:
    from redis import Redis

DAYS = 60
# A player of the bundled personas sends about so many events in these days.
EVENTS_PER_PLAYER = 350

WARM_SECONDS = 3
SECONDS = 10

PEER = "FastAPI + Redis"
# A database of the Redis server that nobody else uses.
REDIS_DATABASE = "15"

CACHED = "cached"
# As browsers and the HTTP libraries of most languages ask; both keep the answer packed.
PACKED = "cached, gzip"
UNCACHED = "uncached"
# Questlake asks PostgreSQL for each answer, as its peer does, and holds no tables in memory.
NOTHING_HELD = {"QUESTLAKE_CACHE_TABLES_LIMIT": "0"}

CLIENTS = 10_000
# A query that takes long enough for all clients to wait for it, and a table that it reads.
CROWDED = "/api/v1/queries/cohort_comparison"
CROWDED_TABLE = "fact_player_day"


class Contenders:
    """Questlake and its peer, both on the same PostgreSQL and the same Redis."""

    def __init__(self, questlake: WebServer, peer: WebServer, cache: "Redis") -> None:
        self.servers = {"questlake": questlake, "peer": peer}
        self.questlake = questlake
        self.peer = peer
        self.cache = cache

    def computed(self, name: str) -> int:
        """Answers that were computed so far. The peer puts each of its own into Redis."""
        if name == "questlake":
            return answers(self.questlake)["computed"]
        return self.cache.info("commandstats").get("cmdstat_set", {}).get("calls", 0)


def api(settings: Settings) -> list[Row]:
    """Cached and uncached reads, and many clients that ask for one thing at once."""
    allow_open_files(CLIENTS + 1_000)
    events = min(settings.service_events, settings.events)
    file = data.simulated(settings, data.players_for(events, EVENTS_PER_PLAYER), DAYS)
    with database("api") as name:
        folder = settings.work / name
        folder.mkdir(parents=True)
        stores = {
            "QUESTLAKE_KAFKA_BROKERS": "",
            "QUESTLAKE_STORES_WAREHOUSE": with_database(address("POSTGRES_URL"), name),
            "QUESTLAKE_STORES_HOT": "sqlite://hot.db",
            "QUESTLAKE_STORES_CACHE": with_database(address("REDIS_URL"), REDIS_DATABASE),
            "QUESTLAKE_LOG": "warn",
        }
        progress("api: loading …")
        run(questlake_command(settings, folder, "ingest", "--file", file), **stores)
        run(questlake_command(settings, folder, "etl", "run"), **stores)
        rows: list[Row] = []
        with serving_both(settings, folder, stores) as contenders:
            rows += compared(settings, folder, contenders, (PACKED, CACHED, UNCACHED))
            peaks = {name: each.peak_mib() for name, each in contenders.servers.items()}
            rows[0].details["peak_mib"] = peaks
            rows.append(crowd(settings, folder, stores, contenders.questlake))
        with serving_both(settings, folder, stores | NOTHING_HELD) as contenders:
            rows += compared(settings, folder, contenders, (f"{UNCACHED}, nothing held",))
    return rows


def compared(
    settings: Settings, folder: Path, contenders: Contenders, modes: tuple[str, ...]
) -> list[Row]:
    rows: list[Row] = []
    for reads in choose(contenders.questlake, data.START, DAYS):
        differing = differences(contenders, reads)
        for mode in modes:
            rows += measured(settings, folder, contenders, reads, mode, differing)
    return rows


@contextmanager
def serving_both(settings: Settings, folder: Path, stores: dict) -> Iterator[Contenders]:
    """The two servers, with what they ask, on the one part of the cores; the load has the other."""
    own, others = free_address(), free_address()
    cores, _ = divided()
    serve = questlake_command(settings, folder, "serve", "--collector-listen", own)
    host, _, port = others.partition(":")
    uvicorn = [
        sys.executable, "-m", "uvicorn", "api_peer:app", "--app-dir", HERE,
        "--host", host, "--port", port, "--workers", len(cores), "--loop", "uvloop",
        "--http", "httptools", "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    connections = {"QUESTLAKE_API_MAX_CONNECTIONS": str(CLIENTS + 1_000)}
    peer_stores = {
        "PEER_POSTGRES_URL": stores["QUESTLAKE_STORES_WAREHOUSE"],
        "PEER_REDIS_URL": stores["QUESTLAKE_STORES_CACHE"],
    }
    # Here, so that other rows do not carry it: see measure.run.
    from redis import Redis

    cache = Redis.from_url(stores["QUESTLAKE_STORES_CACHE"])
    cache.flushdb()
    stores_processes = [postgres_process(), cache.info("server")["process_id"]]
    try:
        with (
            confined(stores_processes, cores),
            serving(
                on(cores, serve), own, folder / "serve.log", **stores, **connections
            ) as questlake,
            serving(on(cores, uvicorn), others, folder / "peer.log", **peer_stores) as peer,
        ):
            yield Contenders(questlake, peer, cache)
    finally:
        cache.flushdb()


def differences(contenders: Contenders, reads: Reads) -> int:
    """Answers of which the two have another value, column or end."""
    progress(f"api: comparing answers, {reads.name} …")
    differing = 0
    for path in reads.sample():
        ours, theirs = (server.get_json(path) for server in contenders.servers.values())
        for answer in (ours, theirs):
            del answer["meta"]
        if ours != theirs:
            progress(f"api: the answers differ: {path}")
            differing += 1
        if ours["next_cursor"] is not None:
            raise SystemExit(f"not the whole answer: {path}")
    for server in contenders.servers.values():
        packed = gzip.decompress(server.get(reads.page, **api_load.PACKED))
        if json.loads(packed)["rows"] != server.get_json(reads.page)["rows"]:
            progress(f"api: {server.url} packs another answer: {reads.page}")
            differing += 1
    return differing


def measured(
    settings: Settings,
    folder: Path,
    contenders: Contenders,
    reads: Reads,
    mode: str,
    differing: int,
) -> list[Row]:
    pages = folder / "pages.txt"
    pages.write_text("".join(f"{page}\n" for page in reads.pages))
    runs: dict[str, list[dict]] = {"questlake": [], "peer": []}
    # The first one is to warm up.
    for number in range(settings.repeat + 1):
        seconds = SECONDS if number else WARM_SECONDS
        for name, server in contenders.servers.items():
            progress(f"api: {reads.name}, {mode}: {name} …")
            before, cpu_before = contenders.computed(name), server.cpu_seconds()
            if mode in (CACHED, PACKED):
                headers = api_load.PACKED if mode == PACKED else {}
                figures = api_load.repeated(server.url + reads.page, seconds, headers)
            else:
                first = reads.first_limit(number)
                figures = api_load.never_twice(server.url, pages, first, seconds)
            figures["cpu_seconds"] = server.cpu_seconds() - cpu_before
            figures["computed"] = contenders.computed(name) - before
            if mode.startswith(UNCACHED) and figures["computed"] < figures["requests"]:
                raise SystemExit(f"{name} did not compute every answer: {figures}")
            if number:
                runs[name].append(figures)
    return rows_of(reads, mode, runs, differing)


def rows_of(reads: Reads, mode: str, runs: dict[str, list[dict]], differing: int) -> list[Row]:
    def figure(name: str, key: str) -> float:
        return median([one[key] for one in runs[name]])

    size = sum(one["bytes"] for one in runs["questlake"])
    size /= sum(one["requests"] for one in runs["questlake"])
    # In milliseconds; what PostgreSQL and Redis take for it is not in it.
    busy = {
        name: 1000 * sum(one["cpu_seconds"] for one in of) / sum(one["requests"] for one in of)
        for name, of in runs.items()
    }
    wrong = f"; answers that differ: {differing}" if differing else ""
    cores, others = divided()
    places = "the same core" if cores == others else "another core"
    return [
        Row(
            name=f"API, {reads.name}, {mode}",
            unit="requests/s",
            questlake=figure("questlake", "requests_per_second"),
            peers={PEER: figure("peer", "requests_per_second")},
            aim=20.0,
            failed=differing > 0,
            note=f"{size / 1000:.1f} kB an answer; {api_load.CONNECTIONS} connections of wrk, on "
            f"{places}; servers and stores on {len(cores)}, a worker of uvicorn for each; median "
            f"{figure('questlake', 'p50_ms'):.2f} ms, {PEER} {figure('peer', 'p50_ms'):.2f} ms; "
            f"processor time of the server for each answer {busy['questlake']:.3f} ms, {PEER} "
            f"{busy['peer']:.3f} ms" + wrong,
            details=runs,
        ),
        Row(
            name=f"API, {reads.name}, {mode}, p99",
            unit="ms",
            questlake=figure("questlake", "p99_ms"),
            peers={PEER: figure("peer", "p99_ms")},
            aim=1.0,
            lower_is_better=True,
            failed=differing > 0,
        ),
    ]


def crowd(settings: Settings, folder: Path, stores: dict, server: WebServer) -> Row:
    """An answer that is known, data that changes, and then very many who ask at once."""
    progress(f"api: {CLIENTS:,} clients …")
    server.get(CROWDED)
    table = f"/api/v1/tables/{CROWDED_TABLE}?limit=1"
    version = server.get_json(table)["meta"]["data_version"]
    reload = ("etl", "run", "--full-refresh", "--select", CROWDED_TABLE)
    run(questlake_command(settings, folder, *reload), **stores)
    server.until(lambda: server.get_json(table)["meta"]["data_version"] != version)
    before = answers(server)
    outcome, _ = run_script("api_crowd.py", server.url + CROWDED, CLIENTS)
    found = {name: count - before[name] for name, count in answers(server).items()}
    answered = outcome["answered"]
    return Row(
        name=f"API, {CLIENTS:,} clients on one expired answer",
        unit="computations",
        questlake=found["computed"],
        peers={},
        aim=1.0,
        lower_is_better=True,
        failed=answered < CLIENTS or found["computed"] < 1,
        note=f"{answered:,} answered, the first after {outcome['first_seconds']:.2f} s, the last "
        f"after {outcome['last_seconds']:.2f} s; {found['shared']:,} waited for the computation, "
        f"{found['process'] + found['cache']:,} found its answer",
        details={**outcome, "found": found},
    )


def answers(server: WebServer) -> dict[str, int]:
    """Answers that Questlake has given, by where they were found."""
    name = "questlake_answers_total{found="
    lines = [line for line in server.get("/metrics").decode().splitlines() if line.startswith(name)]
    pairs = (line.removeprefix(name).split("} ") for line in lines)
    return {found.strip('"'): int(float(count)) for found, count in pairs}
