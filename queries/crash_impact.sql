-- title: Crash impact on retention
-- Whether players come back within a week after a day with a crash, against days without one, by
-- version of the client.
--
-- param within_days: INT = 7  -- days in which a player must come back
-- param min_player_days: BIGINT = 20  -- versions with fewer days of play are left out
WITH
-- The latest day that is over.
horizon AS (
    SELECT max(date) AS date FROM star.dim_date WHERE is_over
),
-- The sessions of each day of each player, with the version of the last one.
days AS (
    SELECT player_id, date, app_version
    FROM (
        SELECT
            player_id,
            session_date                                                    AS date,
            app_version,
            row_number() OVER (
                PARTITION BY player_id, session_date ORDER BY started_at DESC, session_id
            )                                                               AS place
        FROM star.fact_session
    ) AS in_order
    WHERE place = 1
),
-- Days on which the client crashed.
crashes AS (
    SELECT player_id, event_date AS date, count(*) AS crashes
    FROM events.client_error
    WHERE fatal
    GROUP BY player_id, event_date
),
-- Each day with the next one, if enough time has passed to see it.
outcomes AS (
    SELECT
        days.app_version,
        crashes.crashes IS NOT NULL                                         AS crashed,
        CASE
            WHEN CAST(lead(days.date) OVER (
                     PARTITION BY days.player_id ORDER BY days.date
                 ) AS INT) - CAST(days.date AS INT) <= $within_days
                THEN 1
            ELSE 0
        END                                                                 AS came_back,
        CAST(horizon.date AS INT) - CAST(days.date AS INT) >= $within_days  AS is_known
    FROM days
    CROSS JOIN horizon
    LEFT JOIN crashes ON crashes.player_id = days.player_id AND crashes.date = days.date
)
SELECT
    app_version,
    count(*)                                                                AS player_days,
    count(*) FILTER (WHERE crashed)                                         AS days_with_crash,
    round(CAST(count(*) FILTER (WHERE crashed) AS DOUBLE) / count(*), 4)    AS crash_rate,
    round(avg(CAST(came_back AS DOUBLE)) FILTER (WHERE NOT crashed), 4)     AS return_without_crash,
    round(avg(CAST(came_back AS DOUBLE)) FILTER (WHERE crashed), 4)         AS return_after_crash,
    round(
        avg(CAST(came_back AS DOUBLE)) FILTER (WHERE crashed)
            - avg(CAST(came_back AS DOUBLE)) FILTER (WHERE NOT crashed),
        4
    )                                                                       AS difference
FROM outcomes
WHERE is_known
GROUP BY app_version
HAVING count(*) >= $min_player_days
ORDER BY app_version
