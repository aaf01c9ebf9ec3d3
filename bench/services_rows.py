"""The rows of the servers: Kafka, MongoDB and PostgreSQL, beside their own clients and other tools."""

import shutil

import data
from installation import fresh_folder
from measure import median, progress, run_script
from report import Row
from servers import Servers, address, fresh
from settings import Settings
from star_sqlite import MODELS

# So many times the events of the other rows of servers are read where no server keeps up with them.
STREAM = 4


def kafka(settings: Settings) -> list[Row]:
    """A topic to sealed segments and the hot store, beside raw consumption and raw inserts."""
    events = min(settings.service_events, settings.events)
    players = data.players_for(events, data.EVENTS_PER_MONTH)
    with fresh(settings, "kafka") as servers:
        progress("kafka: simulating into a topic …")
        simulation = ["simulate", "--kafka", "--players", players, "--days", 30, "--seed", 1]
        servers.questlake(settings, *simulation, "--start", data.START)
        progress("kafka: ingesting, MongoDB …")
        with_mongo = ingest_topic(settings, servers)
        count = with_mongo["events"]
        progress("kafka: ingesting, hot store on SQLite …")
        with fresh(settings, "kafka_sqlite") as others:
            embedded = ingest_topic(
                settings,
                others,
                QUESTLAKE_KAFKA_TOPIC=servers.name,
                QUESTLAKE_STORES_HOT="sqlite://hot.db",
            )
        progress("kafka: insert_many of the same documents …")
        inserted, _ = run_script("services_peer.py", "insert", servers.mongo, count)
    return [
        Row(
            name="ingest, Kafka → segments + MongoDB",
            unit="events/s",
            questlake=count / with_mongo["seconds"],
            peers={"insert_many": count / inserted["seconds"]},
            aim=0.9,
            note=f"{count:,} events; the peer inserts the finished documents, with the same "
            f"indexes, unordered, {inserted['batch']} at a time, acknowledged by the journal; "
            f"{inserted['server']}; Questlake's time has the start of the program and the joining "
            "of the group in it",
            details={"questlake": with_mongo, "insert_many": inserted},
        ),
        consumption(settings, count / embedded["seconds"], embedded),
    ]


def consumption(settings: Settings, with_sqlite: float, embedded: dict) -> Row:
    """A topic to sealed segments alone, beside raw consumption.

    A second is enough for a million events, so that there are more of them: else the row tells how
    long it takes to join the group.
    """
    events = min(STREAM * settings.service_events, settings.events)
    players = data.players_for(events, data.EVENTS_PER_MONTH)
    raw, off = [], []
    with fresh(settings, "kafka_stream") as servers:
        progress("kafka: simulating more into a topic …")
        simulation = ["simulate", "--kafka", "--players", players, "--days", 30, "--seed", 1]
        servers.questlake(settings, *simulation, "--start", data.START)
        # Nothing of it is read yet.
        status = servers.questlake(settings, "status", "--format", "json")
        count = data.last_json(status.output)["kafka"]["lag"]
        for _ in range(settings.repeat):
            progress("kafka: raw consumption …")
            outcome, _ = run_script(
                "services_peer.py", "consume", address("KAFKA_BROKERS"), servers.name, count
            )
            raw.append(outcome)
        for _ in range(settings.repeat):
            progress("kafka: ingesting, hot store off …")
            with fresh(settings, "kafka_off") as others:
                ended = others.program(
                    settings.topic_bench,
                    settings,
                    "--events",
                    count,
                    QUESTLAKE_KAFKA_TOPIC=servers.name,
                    QUESTLAKE_STORES_HOT="sqlite://unused.db",
                )
                off.append({**data.last_json(ended.output), "cpu_seconds": ended.cpu_seconds})
    consumed = median([outcome["seconds"] for outcome in raw])
    return Row(
        name="ingest, Kafka → segments, hot store off",
        unit="events/s",
        questlake=median([one["events"] / one["seconds"] for one in off]),
        peers={"librdkafka": count / consumed},
        aim=0.7,
        note=f"{count:,} events, from the opening of the stores to the last commit, by a program of its "
        "own: the hot store of Questlake cannot be switched off, since it tells duplicates; the whole "
        f"program with the embedded one does {with_sqlite:,.0f}; the peer counts messages of all "
        "partitions and does nothing else",
        details={"questlake": off, "with_sqlite": embedded, "librdkafka": raw},
    )


def ingest_topic(settings: Settings, servers: Servers, **stores: str) -> dict:
    ended = servers.questlake(settings, "ingest", "--drain", "--format", "json", **stores)
    totals = data.last_json(ended.output)["totals"]
    if totals["landed"] != totals["consumed"]:
        raise SystemExit(f"simulated events did not all land: {totals}")
    return {
        "events": totals["landed"],
        "seconds": ended.seconds,
        "cpu_seconds": ended.cpu_seconds,
        "peak_mib": ended.peak_mib,
    }


def postgres(settings: Settings) -> list[Row]:
    """Landing to star schema in PostgreSQL: the models that peers have too, from nothing."""
    file = data.simulated(settings, data.players_for(settings.events, data.EVENTS_PER_MONTH), 30)
    parquet = data.as_parquet(settings, file)
    embedded = {"QUESTLAKE_STORES_HOT": "sqlite://hot.db", "QUESTLAKE_KAFKA_BROKERS": ""}
    details: dict[str, object] = {}
    peers: dict[str, float] = {}
    with fresh(settings, "loaded") as loaded:
        progress("postgres: ingesting …")
        data.warm(file)
        loaded.questlake(settings, "ingest", "--file", file, **embedded)
        runs = []
        for number in range(settings.repeat):
            progress("postgres: Questlake …")
            with fresh(settings, f"etl{number}", template=loaded.name) as servers:
                (servers.folder / "landing").symlink_to((loaded.folder / "landing").resolve())
                run_models = ("etl", "run", "--select", *MODELS, "--format", "json")
                runs.append(servers.questlake(settings, *run_models, **embedded))
                if number + 1 == settings.repeat:
                    for peer, name in PEERS.items():
                        outcomes = []
                        for _ in range(settings.repeat if peer != "pyspark" else 1):
                            progress(f"postgres: {name} …")
                            scratch = fresh_folder(settings, "postgres-peer")
                            outcome, peak = run_script(
                                "services_peer.py", peer, servers.postgres, parquet, scratch
                            )
                            outcomes.append({**outcome, "peak_mib": peak})
                        peers[name] = median([outcome["seconds"] for outcome in outcomes])
                        details[peer] = outcomes
        shutil.rmtree(loaded.folder)
    details["questlake"] = {
        "seconds": [ended.seconds for ended in runs],
        "cpu_seconds": [ended.cpu_seconds for ended in runs],
        "peak_mib": max(ended.peak_mib for ended in runs),
        "report": data.last_json(runs[-1].output),
    }
    seconds = median([ended.seconds for ended in runs])
    raw = peers.pop(PEERS["copy"])
    return [
        Row(
            name="ETL, landing → star schema in PostgreSQL",
            unit="s",
            questlake=seconds,
            peers=peers,
            aim=2.0,
            lower_is_better=True,
            note="peers read Parquet (Snappy) of the same columns and load by COPY, PySpark over "
            "JDBC; starting the program counts for Questlake only" + differences(details),
            details=details,
        ),
        Row(
            name="ETL, beside COPY alone",
            unit="s",
            questlake=seconds,
            peers={PEERS["copy"]: raw},
            aim=0.7,
            lower_is_better=True,
        ),
    ]


PEERS = {
    "copy": "COPY of the same rows",
    "duckdb": "DuckDB + COPY",
    "polars": "Polars + COPY, no marts",
    "pyspark": "PySpark over JDBC, no marts",
}


def differences(details: dict) -> str:
    found = [
        f"{peer} {table} {rows}"
        for peer in PEERS
        for table, rows in details[peer][-1]["differing_rows"].items()
        if rows
    ]
    return f"; rows that differ: {', '.join(found)}" if found else "; all tables are equal"
