"""Dimensions and facts of the bundled game in Polars, from a Parquet file per event type."""

import datetime

import polars
from polars import col

ENVELOPE = [
    "event_time",
    "event_date",
    "player_id",
    "session_id",
    "platform",
    "country",
    "app_version",
    "received_at",
]

PLATFORM = col("platform").fill_null("unknown")
COUNTRY = col("country").fill_null("unknown")


def first(value: polars.Expr) -> polars.Expr:
    """The value of the earliest event."""
    return value.get(col("event_time").arg_min())


def last(value: polars.Expr) -> polars.Expr:
    """The value of the latest event."""
    return value.get(col("event_time").arg_max())


def star_schema(events: str) -> dict[str, polars.DataFrame]:
    """Every table but the marts. All are collected at once, so that common parts are shared."""

    def scan(event_type: str) -> polars.LazyFrame:
        return polars.scan_parquet(f"{events}/{event_type}.parquet")

    envelope = polars.scan_parquet(f"{events}/*.parquet", extra_columns="ignore").select(ENVELOPE)
    plans = {
        "dim_item": items(scan("purchase"), scan("item_acquired")),
        "dim_player": players(envelope, scan("player_registered"), scan("purchase")),
        "fact_ad_impression": ad_impressions(scan("ad_impression")),
        "fact_player_day": player_days(envelope),
        "fact_purchase": purchases(scan("purchase")),
        "fact_session": sessions(envelope),
    }
    frames = dict(zip(plans, polars.collect_all(list(plans.values())), strict=True))
    frames["dim_date"] = dates(frames["dim_player"])
    return frames


def players(
    envelope: polars.LazyFrame, registered: polars.LazyFrame, purchase: polars.LazyFrame
) -> polars.LazyFrame:
    activity = envelope.group_by("player_id").agg(
        first_event_at=col("event_time").min(),
        cohort_date=col("event_date").min(),
        first_platform=first(PLATFORM),
        first_country=first(COUNTRY),
        last_event_at=col("event_time").max(),
        last_active_date=col("event_date").max(),
        last_received_at=col("received_at").max(),
        events=polars.len(),
    )
    registration = registered.group_by("player_id").agg(
        registered_at=col("event_time").min(),
        registered_date=col("event_date").min(),
        registered_platform=first(PLATFORM),
        registered_country=first(COUNTRY),
        display_name=first(col("display_name")),
        acquisition_channel=first(col("acquisition_channel")),
    )
    payment = purchase.group_by("player_id").agg(
        first_purchase_at=col("event_time").min(),
        first_purchase_date=col("event_date").min(),
        first_purchase_platform=first(PLATFORM),
        first_purchase_country=first(COUNTRY),
        last_purchase_at=col("event_time").max(),
        purchases=polars.len(),
    )
    return (
        activity.join(registration, on="player_id", how="left")
        .join(payment, on="player_id", how="left")
        .with_columns(col("purchases").fill_null(0))
    )


def dates(dim_player: polars.DataFrame) -> polars.DataFrame:
    first_date: datetime.date = dim_player["cohort_date"].min()
    last_date: datetime.date = dim_player["last_active_date"].max()
    received_date = dim_player["last_received_at"].max().date()
    date = col("date")
    return polars.DataFrame(
        {"date": polars.date_range(first_date, last_date, "1d", eager=True)}
    ).with_columns(
        year=date.dt.year(),
        month=date.dt.month(),
        day_of_month=date.dt.day(),
        day_of_week=date.dt.weekday(),
        iso_week=date.dt.week(),
        is_weekend=date.dt.weekday() >= 6,
        is_over=date < received_date,
    )


def items(purchase: polars.LazyFrame, item_acquired: polars.LazyFrame) -> polars.LazyFrame:
    bought = purchase.select(
        "item_id", "item_name", col("item_category").alias("category"), "event_time"
    ).with_columns(rarity=polars.lit(None, polars.String))
    acquired = item_acquired.select("item_id", "item_name", "category", "event_time", "rarity")
    return (
        polars.concat([bought, acquired])
        .group_by("item_id")
        .agg(
            item_name=last(col("item_name")),
            category=last(col("category")),
            rarity=col("rarity").max(),
            first_seen_at=col("event_time").min(),
            last_seen_at=col("event_time").max(),
        )
    )


def ad_impressions(ad_impression: polars.LazyFrame) -> polars.LazyFrame:
    return ad_impression.select(
        "event_id",
        col("event_date").alias("date"),
        col("event_time").alias("shown_at"),
        "player_id",
        "session_id",
        PLATFORM,
        COUNTRY,
        "network",
        "placement",
        "ad_format",
        "revenue_usd",
    )


def player_days(envelope: polars.LazyFrame) -> polars.LazyFrame:
    return envelope.group_by(
        col("event_date").alias("date"), "player_id", PLATFORM, COUNTRY
    ).agg(
        events=polars.len(),
        first_event_at=col("event_time").min(),
        last_event_at=col("event_time").max(),
    )


def purchases(purchase: polars.LazyFrame) -> polars.LazyFrame:
    return purchase.select(
        "event_id",
        col("event_date").alias("date"),
        col("event_time").alias("purchased_at"),
        "player_id",
        "session_id",
        PLATFORM,
        COUNTRY,
        "app_version",
        "purchase_id",
        "item_id",
        "price_usd",
        "quantity",
        (col("price_usd") * col("quantity")).alias("revenue_usd"),
        "store",
    )


def sessions(envelope: polars.LazyFrame) -> polars.LazyFrame:
    return (
        envelope.filter(col("session_id").is_not_null())
        .group_by("session_id")
        .agg(
            player_id=first(col("player_id")),
            session_date=col("event_date").min(),
            started_at=col("event_time").min(),
            ended_at=col("event_time").max(),
            platform=first(PLATFORM),
            country=first(COUNTRY),
            app_version=first(col("app_version").fill_null("unknown")),
            events=polars.len(),
        )
    )
