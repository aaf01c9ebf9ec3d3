-- One row per finished level.
--
-- key: event_id
--
-- @play_date: UTC day on which the level was finished.
-- @duration_seconds: Time from start to finish.
SELECT
    event_id,
    player_id,
    event_date AS play_date,
    event_time AS completed_at,
    level_id,
    stars,
    duration_ms / 1000.0 AS duration_seconds
FROM events.level_completed
