-- The latest event is older than it may be: the game has stopped sending, or something before
-- Questlake has.
--
-- severity: warn
-- param max_age_hours: BIGINT = 24     -- older than this is reported
-- param given_up_after_days: BIGINT = 60     -- older than this is history that was loaded; nobody waits
WITH
-- The latest event, and its age when the run began.
latest AS (
    SELECT
        max(event_time)                                                             AS latest_event_at,
        (CAST(max(now) AS BIGINT) - CAST(max(event_time) AS BIGINT)) / 3600000000   AS age_hours
    FROM run.latest_events
    CROSS JOIN run.clock
)
SELECT latest_event_at, age_hours
FROM latest
WHERE age_hours >= $max_age_hours AND age_hours < 24 * $given_up_after_days
