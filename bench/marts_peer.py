"""Runs the SQL of a mart in DuckDB over the star schema as Parquet; prints the time.

    marts_peer.py SQL_FILE STAR_FOLDER

The SQL is the project's own. What the two dialects write differently is replaced: dates and times as
numbers, and the last value of a group. The functions that Questlake brings along are DuckDB macros
and functions of Python here.
"""

import json
import math
import re
import sys
import time
from pathlib import Path

import duckdb

DIALECT = [
    # Days and microseconds since 1970.
    (r"CAST\(((?:lag|lead)\(date\) OVER \w+|[\w.]*date) AS INT\)", r"(\1 - DATE '1970-01-01')"),
    (r"CAST\(([\w.]+_(?:at|minute)(?: \+ INTERVAL '[^']+')?) AS BIGINT\)", r"epoch_us(\1)"),
    (r"last_value\(([\w.]+ ORDER BY [^()]+)\)", r"last(\1)"),
]

MACROS = """
CREATE MACRO two_proportion_z(x1, n1, x2, n2) AS
    CASE WHEN n1 > 0 AND n2 > 0 AND x1 + x2 > 0 AND x1 + x2 < n1 + n2 THEN
        (x2 / n2 - x1 / n1) / sqrt(
            (x1 + x2) / (n1 + n2) * (1 - (x1 + x2) / (n1 + n2)) * (1 / n1 + 1 / n2)
        )
    END;
CREATE MACRO two_proportion_p_value(x1, n1, x2, n2) AS
    normal_tails(two_proportion_z(x1, n1, x2, n2));
CREATE MACRO chi_square_even(counts) AS
    list_sum(list_transform(counts, lambda n: (n - list_sum(counts) / len(counts)) ** 2))
        / (list_sum(counts) / len(counts));
"""


def normal_tails(z: float) -> float:
    """Share of a normal distribution that lies further from its middle than z."""
    return math.erfc(abs(z) / math.sqrt(2))


def chi_square_p_value(statistic: float, degrees: int) -> float:
    """Upper tail of the chi-square distribution, by its recurrence over the degrees of freedom."""
    half = statistic / 2
    if degrees % 2:
        tail, term, at = math.erfc(math.sqrt(half)), 0.0, 1
    else:
        tail, term, at = math.exp(-half), 0.0, 2
    while at < degrees:
        term = math.exp(at / 2 * math.log(half) - half - math.lgamma(at / 2 + 1)) if half else 0.0
        tail += term
        at += 2
    return tail


def main() -> None:
    file, star = (Path(argument) for argument in sys.argv[1:])
    sql = file.read_text()
    for pattern, replacement in DIALECT:
        sql = re.sub(pattern, replacement, sql)
    connection = duckdb.connect()
    double, integer = "DOUBLE", "BIGINT"
    connection.create_function("normal_tails", normal_tails, [double], double)
    connection.create_function("chi_square_p_value", chi_square_p_value, [double, integer], double)
    connection.execute(MACROS)
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA star")
    for table in star.glob("*.parquet"):
        connection.execute(f"CREATE VIEW star.{table.stem} AS SELECT * FROM '{table}'")
    started = time.perf_counter()
    connection.execute(f"CREATE TABLE result AS {sql}")
    seconds = time.perf_counter() - started
    rows = connection.execute("SELECT count(*) FROM result").fetchone()[0]
    kinds = connection.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'star' AND table_name = ?",
        [file.stem],
    ).fetchall()
    listed = ", ".join(
        f"round(CAST({name} AS DOUBLE), 9)" if kind == "DOUBLE" else f"CAST({name} AS {kind})"
        for name, kind in kinds
    )
    ours, theirs = (f"SELECT {listed} FROM {table}" for table in (f"star.{file.stem}", "result"))
    differing = connection.execute(
        f"SELECT (SELECT count(*) FROM ({ours} EXCEPT ALL {theirs}))"
        f" + (SELECT count(*) FROM ({theirs} EXCEPT ALL {ours}))"
    ).fetchone()[0]
    print(json.dumps({"seconds": seconds, "rows": rows, "differing_rows": differing}))


if __name__ == "__main__":
    main()
