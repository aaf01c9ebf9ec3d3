-- One row per session: 30 minutes without an event end one.
--
-- key: player_id, session
WITH
numbered AS (
    SELECT
        player_id,
        event_time,
        sessionize(event_time, INTERVAL '30 minutes')
            OVER (PARTITION BY player_id ORDER BY event_time) AS session
    FROM star.fact_event
)
SELECT
    player_id,
    session,
    count(*)                                               AS events,
    CAST(date_part('epoch', min(event_time)) AS BIGINT)    AS started_second,
    CAST(date_part('epoch', max(event_time)) AS BIGINT)    AS ended_second
FROM numbered
GROUP BY player_id, session
