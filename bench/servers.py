"""An installation of the benchmark on the servers that `make services` starts: its names, what
Questlake is told of them, and what is removed at the end."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pymongo

from measure import Run, run
from settings import Settings


def address(service: str) -> str:
    variable = f"QUESTLAKE_TEST_{service}"
    try:
        return os.environ[variable]
    except KeyError:
        raise SystemExit(f"{variable} is not set: run scripts/bench.sh, which starts the servers")


@dataclass(frozen=True)
class Servers:
    """Databases of their own, and a topic. Landing and archive are local: no row is about HDFS."""

    name: str
    folder: Path

    @property
    def postgres(self) -> str:
        return with_database(address("POSTGRES_URL"), self.name)

    @property
    def mongo(self) -> str:
        return with_database(address("MONGODB_URL"), self.name)

    def environment(self, **stores: str) -> dict[str, str]:
        """Kafka, PostgreSQL and MongoDB, unless `stores` says otherwise."""
        return {
            "QUESTLAKE_KAFKA_BROKERS": address("KAFKA_BROKERS"),
            "QUESTLAKE_KAFKA_TOPIC": self.name,
            "QUESTLAKE_KAFKA_GROUP": self.name,
            "QUESTLAKE_STORES_WAREHOUSE": self.postgres,
            "QUESTLAKE_STORES_HOT": self.mongo,
            "QUESTLAKE_LOG": "warn",
            **stores,
        }

    def questlake(self, settings: Settings, *arguments: object, **stores: str) -> Run:
        return self.program(settings.questlake, settings, *arguments, **stores)

    def program(
        self, path: Path, settings: Settings, *arguments: object, **stores: str
    ) -> Run:
        return run(
            [path, "--project", settings.project, "--data", self.folder, *arguments],
            **self.environment(**stores),
        )


@contextmanager
def fresh(settings: Settings, purpose: str, template: str = "template0") -> Iterator[Servers]:
    """Servers with empty databases, or a copy of another installation's warehouse."""
    with database(purpose, template) as name:
        folder = settings.work / name
        folder.mkdir(parents=True)
        servers = Servers(name, folder)
        try:
            yield servers
        finally:
            pymongo.MongoClient(servers.mongo).drop_database(name)


@contextmanager
def database(purpose: str, template: str = "template0") -> Iterator[str]:
    """The name of a database of PostgreSQL that is there for so long."""
    name = f"bench_{purpose}_{int(time.time())}"
    administer(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield name
    finally:
        administer(f"DROP DATABASE {name} WITH (FORCE)")


def administer(sql: str) -> None:
    with psycopg.connect(address("POSTGRES_URL"), autocommit=True) as connection:
        connection.execute(sql)


def postgres_process() -> int:
    """The server on this machine that all backends come from."""
    with psycopg.connect(address("POSTGRES_URL"), autocommit=True) as connection:
        backend = connection.execute("SELECT pg_backend_pid()").fetchone()[0]
        # Behind the name in brackets, which may hold anything: the state, and the parent.
        return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
