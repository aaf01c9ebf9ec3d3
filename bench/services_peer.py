"""Does with a peer what a row of the servers measures; prints the time.

    services_peer.py consume BROKERS TOPIC COUNT
    services_peer.py insert MONGODB_URL COUNT
    services_peer.py copy|duckdb|polars|pyspark POSTGRES_URL EVENTS SCRATCH

`insert` inserts the documents of the collection `events` into a new one. The others fill the schema
`peer` with the tables that the schema `star` has, and compare.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from star_sqlite import TABLES, VOLATILE

# Messages, and documents, of one call.
CONSUMED_AT_ONCE = 10_000
INSERTED_AT_ONCE = 1_000

# The marts are not written for them.
NO_MARTS = [table for table in TABLES if not table.startswith("mart_")]

COPY_BYTES = 1 << 20


# --- Kafka and MongoDB ---------------------------------------------------------------------------


def consume(brokers: str, topic: str, count: str) -> dict:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "bench",
        "enable.auto.commit": False,
        "fetch.queue.backoff.ms": 5,
    })  # fmt: skip
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    started = time.perf_counter()
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
    messages = size = 0
    while messages < int(count):
        # No more than there are: it waits for all that it is asked for.
        wanted = min(CONSUMED_AT_ONCE, int(count) - messages)
        found = consumer.consume(wanted, timeout=10)
        if not found:
            raise SystemExit(f"{messages} of {count} messages came, and no other for 10 s")
        for message in found:
            if message.error():
                raise SystemExit(str(message.error()))
            messages += 1
            size += len(message.value())
    return {"seconds": time.perf_counter() - started, "messages": messages, "bytes": size}


def insert(url: str, count: str) -> dict:
    import pymongo
    from bson.raw_bson import RawBSONDocument

    client = pymongo.MongoClient(url, document_class=RawBSONDocument)
    database = client.get_default_database()
    documents = list(database["events"].find({}, batch_size=INSERTED_AT_ONCE))
    if len(documents) != int(count):
        raise SystemExit(f"there are {len(documents)} documents, not {count}")
    plain = pymongo.MongoClient(url).get_default_database()
    acknowledged = pymongo.WriteConcern(w="majority", j=True)
    target = database.get_collection("copied", write_concern=acknowledged)
    for index in plain["events"].list_indexes():
        if list(index["key"]) != ["_id"]:
            plain["copied"].create_index(list(index["key"].items()), name=index["name"])
    started = time.perf_counter()
    for first in range(0, len(documents), INSERTED_AT_ONCE):
        target.insert_many(documents[first : first + INSERTED_AT_ONCE], ordered=False)
    seconds = time.perf_counter() - started
    info = pymongo.MongoClient(url).admin.command("buildInfo")
    server = "FerretDB" if "ferretdb" in str(info).lower() else f"MongoDB {info['version']}"
    return {"seconds": seconds, "batch": INSERTED_AT_ONCE, "server": server}


# --- PostgreSQL ----------------------------------------------------------------------------------


class Target:
    """The schema `peer`, with the tables of `star` and its indexes."""

    def __init__(self, url: str) -> None:
        import psycopg

        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute("DROP SCHEMA IF EXISTS peer CASCADE")
        self.connection.execute("CREATE SCHEMA peer")
        self.indexes = dict.fromkeys(TABLES, ())
        for table in TABLES:
            rows = self.connection.execute(
                "SELECT indexdef FROM pg_indexes WHERE schemaname = 'star' AND tablename = %s",
                [table],
            )
            self.indexes[table] = [text.replace(" ON star.", " ON peer.") for (text,) in rows]

    def columns(self, table: str) -> list[str]:
        rows = self.connection.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = 'star' AND table_name = %s ORDER BY ordinal_position",
            [table],
        )
        return [name for (name,) in rows]

    def create(self, table: str) -> None:
        self.connection.execute(f"CREATE TABLE peer.{table} (LIKE star.{table})")

    def index(self, table: str) -> None:
        for definition in self.indexes[table]:
            self.connection.execute(definition)

    def load(self, table: str, file: Path, form: str) -> None:
        """Creates a table, fills it by COPY and indexes it, in one transaction."""
        with self.connection.transaction():
            self.create(table)
            columns = ", ".join(self.columns(table))
            with (
                self.connection.cursor() as cursor,
                cursor.copy(f"COPY peer.{table} ({columns}) FROM STDIN ({form})") as copy,
                open(file, "rb") as source,
            ):
                while piece := source.read(COPY_BYTES):
                    copy.write(piece)
            self.index(table)

    def differing_rows(self, tables: list[str]) -> dict[str, int]:
        """For each table, rows that only one of the two has. Doubles to nine decimal places."""
        found = {}
        for table in tables:
            kinds = self.connection.execute(
                "SELECT column_name, data_type FROM information_schema.columns "
                "WHERE table_schema = 'star' AND table_name = %s",
                [table],
            )
            listed = ", ".join(
                f"round({name}::numeric, 9)" if kind == "double precision" else name
                for name, kind in kinds
                if name not in VOLATILE
            )
            one, other = (f"SELECT {listed} FROM {schema}.{table}" for schema in ("star", "peer"))
            found[table] = self.connection.execute(
                f"SELECT (SELECT count(*) FROM ({one} EXCEPT {other}) AS a)"
                f" + (SELECT count(*) FROM ({other} EXCEPT {one}) AS b)"
            ).fetchone()[0]
        return found


def copy(target: Target, events: str, scratch: Path) -> tuple[float, list[str]]:
    for table in TABLES:
        with (
            target.connection.cursor() as cursor,
            cursor.copy(f"COPY star.{table} TO STDOUT (FORMAT binary)") as rows,
            open(scratch / table, "wb") as file,
        ):
            for piece in rows:
                file.write(piece)
    started = time.perf_counter()
    for table in TABLES:
        target.load(table, scratch / table, "FORMAT binary")
    return time.perf_counter() - started, TABLES


def duckdb(target: Target, events: str, scratch: Path) -> tuple[float, list[str]]:
    import duckdb as engine

    connection = engine.connect()
    connection.execute(f"SET VARIABLE events = '{events}'")
    connection.execute("SET preserve_insertion_order = false")
    started = time.perf_counter()
    connection.execute((Path(__file__).parent / "etl_duckdb.sql").read_text())
    for table in TABLES:
        columns = ", ".join(target.columns(table))
        file = scratch / table
        connection.execute(f"COPY (SELECT {columns} FROM {table}) TO '{file}' (FORMAT csv)")
        target.load(table, file, "FORMAT csv, HEADER")
    return time.perf_counter() - started, TABLES


def polars(target: Target, events: str, scratch: Path) -> tuple[float, list[str]]:
    from etl_polars import star_schema

    started = time.perf_counter()
    frames = star_schema(events)
    for table in NO_MARTS:
        frames[table].select(target.columns(table)).write_csv(scratch / table)
        target.load(table, scratch / table, "FORMAT csv, HEADER")
    return time.perf_counter() - started, NO_MARTS


def pyspark(target: Target, events: str, scratch: Path) -> tuple[float, list[str]]:
    from etl_pyspark import jdbc_writer, star_schema

    write = jdbc_writer(target.connection.info, scratch)
    started = time.perf_counter()
    for table, frame in star_schema(write.session, events).items():
        target.create(table)
        write(frame.select(target.columns(table)), f"peer.{table}")
        target.index(table)
    return time.perf_counter() - started, NO_MARTS


def star(load: Callable, url: str, events: str, scratch: str) -> dict:
    target = Target(url)
    seconds, tables = load(target, events, Path(scratch))
    return {"seconds": seconds, "differing_rows": target.differing_rows(tables)}


def main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "consume":
        outcome = consume(*arguments)
    elif what == "insert":
        outcome = insert(*arguments)
    else:
        load = {"copy": copy, "duckdb": duckdb, "polars": polars, "pyspark": pyspark}[what]
        outcome = star(load, *arguments)
    print(json.dumps(outcome))


if __name__ == "__main__":
    main()
