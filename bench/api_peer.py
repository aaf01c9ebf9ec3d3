"""The peer of the API's rows: marts over HTTP by FastAPI and asyncpg, with Redis in front.

Run by uvicorn; PEER_POSTGRES_URL and PEER_REDIS_URL say where its stores are. What is asked and
answered is what Questlake's API has for the two marts, but for what no measured request asks for:
other formats, cursors, ETags, columns and orders of choice. An answer is kept for a minute,
whatever becomes of the data meanwhile.
"""

import gzip
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated

import asyncpg
import orjson
from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel, Field
from redis.asyncio import BlockingConnectionPool, Redis

KEPT_SECONDS = 60
# Of each worker.
POSTGRES_CONNECTIONS = 10
REDIS_CONNECTIONS = 50
EVERY = "*"

KINDS = {
    "bigint": "integer",
    "date": "date",
    "double precision": "double",
    "numeric": "decimal",
    "text": "text",
}

# A table's columns in their order, each with its type, comment and place in the primary key.
COLUMNS = """
    SELECT attname AS name, split_part(format_type(atttypid, NULL), '(', 1) AS type,
        col_description(attrelid, attnum) AS description, array_position(indkey, attnum) AS place
    FROM pg_attribute LEFT JOIN pg_index ON indrelid = attrelid AND indisprimary
    WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
"""


@dataclass(frozen=True)
class Mart:
    """What is asked of the database, as far as all requests have it in common."""

    name: str
    day: str
    select: str
    order: str
    # The first bytes of each answer.
    beginning: bytes


async def describe(pool: asyncpg.Pool, name: str) -> Mart:
    table = f"star.{name}"
    columns = await pool.fetch(COLUMNS, table)
    described = [
        {
            "name": column["name"],
            "type": KINDS[column["type"]],
            "description": column["description"],
            "role": role(column),
        }
        for column in columns
    ]
    # Decimals are texts in the answer, and PostgreSQL makes these faster than Python.
    shown = [
        f"{column['name']}::text" if column["type"] == "numeric" else column["name"]
        for column in columns
    ]
    keys = [column for column in columns if column["place"] is not None]
    keys.sort(key=lambda column: column["place"])
    return Mart(
        name=name,
        day=next(column["name"] for column in keys if column["type"] == "date"),
        select=f"SELECT {', '.join(shown)} FROM {table}",
        order=", ".join(column["name"] for column in keys),
        beginning=b'{"columns":' + orjson.dumps(described) + b',"rows":',
    )


def role(column: asyncpg.Record) -> str:
    if column["type"] == "date":
        return "date"
    if column["place"] is not None:
        return "key"
    return "text" if column["type"] == "text" else "measure"


class Asked(BaseModel):
    """The parameters that both marts have."""

    from_: date | None = Field(None, alias="from")
    to: date | None = None
    platform: list[str] = ["all"]
    country: list[str] = ["all"]
    limit: int = Field(1_000, ge=1, le=50_000)

    def key(self, mart: Mart) -> str:
        """The request in one spelling."""
        platforms, countries = sorted(set(self.platform)), sorted(set(self.country))
        days = sorted(set(self.days()))
        return f"{mart.name}:{self.from_}:{self.to}:{platforms}:{countries}:{days}:{self.limit}"

    def days(self) -> list[int]:
        return []

    def query(self, mart: Mart) -> tuple[str, list]:
        conditions: list[str] = []
        values: list = []
        for condition, value in (
            (f"{mart.day} >= ", self.from_),
            (f"{mart.day} <= ", self.to),
            ("platform = ANY", None if EVERY in self.platform else self.platform),
            ("country = ANY", None if EVERY in self.country else self.country),
            ("day_n = ANY", self.days() or None),
        ):
            if value is not None:
                values.append(value)
                conditions.append(f"{condition}(${len(values)})")
        chosen = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        values.append(self.limit)
        return f"{mart.select}{chosen} ORDER BY {mart.order} LIMIT ${len(values)}", values


class AskedOfCohorts(Asked):
    day_n: list[int] = []

    def days(self) -> list[int]:
        return self.day_n


@asynccontextmanager
async def stores(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(
        os.environ["PEER_POSTGRES_URL"],
        min_size=POSTGRES_CONNECTIONS,
        max_size=POSTGRES_CONNECTIONS,
    ) as pool:
        # Where more are needed, requests wait for one instead of failing.
        connections = BlockingConnectionPool.from_url(
            os.environ["PEER_REDIS_URL"], max_connections=REDIS_CONNECTIONS
        )
        async with Redis.from_pool(connections) as redis:
            app.state.pool, app.state.redis = pool, redis
            app.state.daily_kpi = await describe(pool, "mart_daily_kpi")
            app.state.retention = await describe(pool, "mart_retention")
            yield


app = FastAPI(lifespan=stores)


@app.get("/healthz")
async def healthz() -> Response:
    return Response("ok")


@app.get("/api/v1/marts/mart_daily_kpi")
async def daily_kpi(asked: Annotated[Asked, Query()], request: Request) -> Response:
    return await answer(app.state.daily_kpi, asked, request)


@app.get("/api/v1/marts/mart_retention")
async def retention(asked: Annotated[AskedOfCohorts, Query()], request: Request) -> Response:
    return await answer(app.state.retention, asked, request)


async def answer(mart: Mart, asked: Asked, request: Request) -> Response:
    packs = "gzip" in request.headers.get("accept-encoding", "")
    # Packed once and kept so, which is quicker than the middleware that packs each answer anew.
    key = f"{'gzip' if packs else 'plain'}:{asked.key(mart)}"
    kept = await app.state.redis.get(key)
    if kept is not None:
        return sent(kept, packs)
    started = time.perf_counter()
    sql, values = asked.query(mart)
    rows = await app.state.pool.fetch(sql, *values)
    body = mart.beginning + orjson.dumps([tuple(row) for row in rows])
    pack = gzip.compress if packs else bytes
    await app.state.redis.set(key, pack(body + ending(started, cached=True)), ex=KEPT_SECONDS)
    return sent(pack(body + ending(started, cached=False)), packs)


def sent(body: bytes, packed: bool) -> Response:
    headers = {"content-encoding": "gzip", "vary": "accept-encoding"} if packed else None
    return Response(body, media_type="application/json", headers=headers)


def ending(started: float, cached: bool) -> bytes:
    meta = {
        "generated_at": datetime.now(UTC),
        "cached": cached,
        "elapsed_ms": round((time.perf_counter() - started) * 1000),
        "truncated": False,
    }
    return b',"next_cursor":null,"meta":' + orjson.dumps(meta) + b"}"
