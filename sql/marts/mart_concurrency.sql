-- How many sessions are open at the same time: the busiest minute of each day, and the average over
-- its 1440 minutes. A session is open from the minute of its first event to that of its last one.
-- One over midnight counts on both days, and one that seems to last for more than a week on the
-- first 8 of its days. 'all' stands for no cut.
--
-- title: Concurrency
-- chart: line x=date y=peak_sessions,avg_sessions
-- load: replace
-- key: date, platform, country
-- partition: date
-- lookback: 7 days
--
-- @date: UTC day.
-- @platform: Platform of the sessions' first events, 'all' for every one.
-- @country: Country of the sessions' first events, 'all' for every one.
-- @peak_sessions: Most sessions that were open in one minute.
-- @peak_at: Begin of the first minute in which so many were.
-- @avg_sessions: Open sessions in an average minute of the day.
WITH
-- Sessions with their first and last minute.
sessions AS (
    SELECT
        session_date,
        platform,
        country,
        date_trunc('minute', started_at)    AS first_minute,
        date_trunc('minute', ended_at)      AS last_minute
    FROM star.fact_session
),
-- What of them lies on their first day and on each of the following ones.
pieces AS (
    SELECT
        session_date            AS date,
        platform,
        country,
        first_minute,
        least(last_minute, CAST(session_date AS TIMESTAMP(6)) + INTERVAL '1439 minutes')
                                AS last_minute
    FROM sessions
    UNION ALL
    SELECT
        day.date,
        sessions.platform,
        sessions.country,
        CAST(day.date AS TIMESTAMP(6)),
        least(sessions.last_minute, CAST(day.date AS TIMESTAMP(6)) + INTERVAL '1439 minutes')
    FROM sessions
    JOIN star.dim_date AS day
        ON day.date > sessions.session_date
        AND day.date <= sessions.session_date + INTERVAL '7 days'
        AND day.date <= sessions.last_minute
    WHERE CAST(sessions.last_minute AS DATE) > sessions.session_date
),
-- Sessions that open in a minute, less those that have closed in the one before.
arrivals AS (
    SELECT date, platform, country, first_minute AS minute, 1 AS sessions, 0 AS open_micros
    FROM pieces
    UNION ALL
    SELECT
        date,
        platform,
        country,
        last_minute + INTERVAL '1 minute',
        -1,
        CAST(last_minute + INTERVAL '1 minute' AS BIGINT) - CAST(first_minute AS BIGINT)
    FROM pieces
),
-- The same per minute and cut.
movements AS (
    SELECT
        date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        minute,
        sum(sessions)               AS sessions,
        sum(open_micros)            AS open_micros
    FROM arrivals
    GROUP BY GROUPING SETS (
        (date, minute),
        (date, minute, platform),
        (date, minute, country),
        (date, minute, platform, country)
    )
),
-- Open sessions: who has come and not gone yet.
open_sessions AS (
    SELECT
        date,
        platform,
        country,
        minute,
        sum(sessions) OVER (PARTITION BY date, platform, country ORDER BY minute) AS sessions,
        open_micros
    FROM movements
),
-- The busiest minute.
peaks AS (
    SELECT
        date,
        platform,
        country,
        max(sessions)                       AS peak_sessions,
        min_by(minute, -sessions)           AS peak_at,
        sum(open_micros)                    AS open_micros
    FROM open_sessions
    GROUP BY date, platform, country
)
SELECT
    date,
    platform,
    country,
    peak_sessions,
    peak_at,
    -- Times are counted in microseconds.
    CAST(open_micros AS DOUBLE) / 60000000 / 1440       AS avg_sessions
FROM peaks
