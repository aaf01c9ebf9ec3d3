"""Dimensions and facts of the bundled game in PySpark, written over JDBC."""

import os
from dataclasses import dataclass
from pathlib import Path

ENVELOPE = (
    "event_time, event_date, player_id, session_id, platform, country, app_version, received_at"
)

# Rows of one JDBC batch. The driver turns them into statements of many rows.
BATCH_ROWS = 10_000

TABLES = {
    "dim_player": """
        WITH activity AS (
            SELECT
                player_id,
                min(event_time) AS first_event_at,
                min(event_date) AS cohort_date,
                min_by(coalesce(platform, 'unknown'), event_time) AS first_platform,
                min_by(coalesce(country, 'unknown'), event_time) AS first_country,
                max(event_time) AS last_event_at,
                max(event_date) AS last_active_date,
                max(received_at) AS last_received_at,
                count(*) AS events
            FROM envelope
            GROUP BY player_id
        ),
        registration AS (
            SELECT
                player_id,
                min(event_time) AS registered_at,
                min(event_date) AS registered_date,
                min_by(coalesce(platform, 'unknown'), event_time) AS registered_platform,
                min_by(coalesce(country, 'unknown'), event_time) AS registered_country,
                min_by(display_name, event_time) AS display_name,
                min_by(acquisition_channel, event_time) AS acquisition_channel
            FROM player_registered
            GROUP BY player_id
        ),
        payment AS (
            SELECT
                player_id,
                min(event_time) AS first_purchase_at,
                min(event_date) AS first_purchase_date,
                min_by(coalesce(platform, 'unknown'), event_time) AS first_purchase_platform,
                min_by(coalesce(country, 'unknown'), event_time) AS first_purchase_country,
                max(event_time) AS last_purchase_at,
                count(*) AS purchases
            FROM purchase
            GROUP BY player_id
        )
        SELECT activity.*, registered_at, registered_date, registered_platform,
            registered_country, display_name, acquisition_channel, first_purchase_at,
            first_purchase_date, first_purchase_platform, first_purchase_country,
            last_purchase_at, coalesce(purchases, 0) AS purchases
        FROM activity
        LEFT JOIN registration USING (player_id)
        LEFT JOIN payment USING (player_id)""",
    "dim_date": """
        WITH bounds AS (
            SELECT
                min(cohort_date) AS first_date,
                max(last_active_date) AS last_date,
                CAST(max(last_received_at) AS DATE) AS received_date
            FROM dim_player
        ),
        days AS (
            SELECT explode(sequence(first_date, last_date)) AS date, received_date FROM bounds
        )
        SELECT
            date,
            year(date) AS year,
            month(date) AS month,
            day(date) AS day_of_month,
            weekday(date) + 1 AS day_of_week,
            weekofyear(date) AS iso_week,
            weekday(date) >= 5 AS is_weekend,
            date < received_date AS is_over
        FROM days""",
    "dim_item": """
        WITH mentions AS (
            SELECT item_id, item_name, item_category AS category, CAST(NULL AS STRING) AS rarity,
                event_time FROM purchase
            UNION ALL
            SELECT item_id, item_name, category, rarity, event_time FROM item_acquired
        )
        SELECT
            item_id,
            max_by(item_name, event_time) AS item_name,
            max_by(category, event_time) AS category,
            max(rarity) AS rarity,
            min(event_time) AS first_seen_at,
            max(event_time) AS last_seen_at
        FROM mentions
        GROUP BY item_id""",
    "fact_ad_impression": """
        SELECT
            event_id, event_date AS date, event_time AS shown_at, player_id, session_id,
            coalesce(platform, 'unknown') AS platform, coalesce(country, 'unknown') AS country,
            network, placement, ad_format, revenue_usd
        FROM ad_impression""",
    "fact_player_day": """
        SELECT
            event_date AS date, player_id, coalesce(platform, 'unknown') AS platform,
            coalesce(country, 'unknown') AS country, count(*) AS events,
            min(event_time) AS first_event_at, max(event_time) AS last_event_at
        FROM envelope
        GROUP BY 1, 2, 3, 4""",
    "fact_purchase": """
        SELECT
            event_id, event_date AS date, event_time AS purchased_at, player_id, session_id,
            coalesce(platform, 'unknown') AS platform, coalesce(country, 'unknown') AS country,
            app_version, purchase_id, item_id, price_usd, quantity,
            CAST(price_usd * quantity AS DECIMAL(14, 2)) AS revenue_usd, store
        FROM purchase""",
    "fact_session": """
        SELECT
            session_id,
            min_by(player_id, event_time) AS player_id,
            min(event_date) AS session_date,
            min(event_time) AS started_at,
            max(event_time) AS ended_at,
            min_by(coalesce(platform, 'unknown'), event_time) AS platform,
            min_by(coalesce(country, 'unknown'), event_time) AS country,
            min_by(coalesce(app_version, 'unknown'), event_time) AS app_version,
            count(*) AS events
        FROM envelope
        WHERE session_id IS NOT NULL
        GROUP BY session_id""",
}


def star_schema(session, events: str) -> dict:
    """A frame for every table but the marts."""
    folders = sorted(Path(events).glob("*.parquet"))
    for file in folders:
        session.read.parquet(str(file)).createOrReplaceTempView(file.stem)
    union = " UNION ALL ".join(f"SELECT {ENVELOPE} FROM {file.stem}" for file in folders)
    session.sql(union).createOrReplaceTempView("envelope")
    frames = {}
    for table, sql in TABLES.items():
        frames[table] = session.sql(sql)
        if table == "dim_player":
            frames[table] = frames[table].cache()
            frames[table].createOrReplaceTempView(table)
    return frames


@dataclass
class jdbc_writer:
    """Appends frames to tables of the database, with the same connections as the cores."""

    info: object
    scratch: Path

    def __post_init__(self) -> None:
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        os.environ["PYSPARK_SUBMIT_ARGS"] = "--driver-memory 4096m pyspark-shell"
        from pyspark.sql import SparkSession

        cores = os.cpu_count()
        self.session = (
            SparkSession.builder.master(f"local[{cores}]")
            .config("spark.jars", os.environ["BENCH_JDBC_DRIVER"])
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", str(self.scratch))
            .config("spark.sql.warehouse.dir", str(self.scratch / "warehouse"))
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", str(cores))
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .getOrCreate()
        )
        self.session.sparkContext.setLogLevel("ERROR")

    def __call__(self, frame, table: str) -> None:
        info = self.info
        tls = info.get_parameters().get("sslmode", "prefer")
        url = (
            f"jdbc:postgresql://{info.host}:{info.port}/{info.dbname}"
            f"?reWriteBatchedInserts=true&stringtype=unspecified&sslmode={tls}"
        )
        (
            frame.write.format("jdbc")
            .option("url", url)
            .option("user", info.user)
            .option("password", info.password)
            .option("driver", "org.postgresql.Driver")
            .option("dbtable", table)
            .option("batchsize", BATCH_ROWS)
            .mode("append")
            .save()
        )
