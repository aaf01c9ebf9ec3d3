-- One row per version of the client, with its parts as numbers, so that 2.10.0 comes after 2.9.1.
--
-- load: upsert
-- key: app_version
-- combine: first_seen_at = min, last_seen_at = max
--
-- @app_version: The version, 'unknown' for events that name none.
-- @major: First number of a version of the form 2.10.0, NULL for any other.
-- @minor: Its second number.
-- @patch: Its third number.
-- @first_seen_at: Time of the first event with it.
-- @last_seen_at: Time of the latest event with it.
WITH
-- The versions.
versions AS (
    SELECT
        coalesce(app_version, 'unknown')    AS app_version,
        min(event_time)                     AS first_seen_at,
        max(event_time)                     AS last_seen_at
    FROM events.envelope
    GROUP BY coalesce(app_version, 'unknown')
),
-- Those that are three numbers.
numbered AS (
    SELECT
        app_version,
        first_seen_at,
        last_seen_at,
        CASE
            WHEN regexp_like(app_version, '^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$') THEN app_version
        END AS numbers
    FROM versions
)
SELECT
    app_version,
    CAST(split_part(numbers, '.', 1) AS BIGINT)     AS major,
    CAST(split_part(numbers, '.', 2) AS BIGINT)     AS minor,
    CAST(split_part(numbers, '.', 3) AS BIGINT)     AS patch,
    first_seen_at,
    last_seen_at
FROM numbered
