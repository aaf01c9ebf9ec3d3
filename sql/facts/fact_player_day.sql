-- One row per player, day, platform and country with at least one event: who was active.
-- A player who uses two platforms on a day has two rows, so count distinct players, not rows.
--
-- load: upsert
-- key: date, player_id, platform, country
-- combine: events = sum, first_event_at = min, last_event_at = max
-- partition: date
--
-- @date: UTC day of the events.
-- @player_id: The player.
-- @platform: Platform of the events, 'unknown' if they name none.
-- @country: Country of the events (ISO 3166-1 alpha-2), 'unknown' if they name none.
-- @events: Number of events.
-- @first_event_at: Time of the first of them.
-- @last_event_at: Time of the last of them.
SELECT
    event_date                     AS date,
    player_id,
    coalesce(platform, 'unknown')  AS platform,
    coalesce(country, 'unknown')   AS country,
    count(*)                       AS events,
    min(event_time)                AS first_event_at,
    max(event_time)                AS last_event_at
FROM events.envelope
GROUP BY event_date, player_id, coalesce(platform, 'unknown'), coalesce(country, 'unknown')
