-- One row per player, with first and last activity.
--
-- key: player_id
-- combine: first_seen_at = min, last_seen_at = max, events = sum,
--          platform = last(last_seen_at), country = last(last_seen_at)
--
-- @first_seen_at: Time of the player's first event of any type.
-- @last_seen_at: Time of the player's latest event of any type.
-- @events: Number of the player's events.
SELECT
    player_id,
    min(event_time) AS first_seen_at,
    max(event_time) AS last_seen_at,
    count(*) AS events,
    last_value(platform ORDER BY event_time, platform) AS platform,
    last_value(country ORDER BY event_time, country) AS country
FROM events.envelope
GROUP BY player_id
