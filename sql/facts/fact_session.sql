-- One row per play session. A row grows as the session's events arrive, in any order.
--
-- load: upsert
-- key: session_id
-- combine: player_id = first(started_at), session_date = min, started_at = min, ended_at = max,
--          platform = first(started_at), country = first(started_at),
--          app_version = first(started_at), events = sum
-- partition: session_date
-- lookback: 1 day
-- lookahead: 1 day
-- not_null: player_id, session_date, started_at, ended_at
--
-- @session_id: Identifier that the game gave the session.
-- @player_id: The player.
-- @session_date: UTC day of the session's first event.
-- @started_at: Time of its first event.
-- @ended_at: Time of its last event; the session's length is the difference.
-- @platform: Platform of its first event, 'unknown' if it names none.
-- @country: Country of its first event, 'unknown' if it names none.
-- @app_version: Version of the client at its first event.
-- @events: Number of events.
SELECT
    session_id,
    min_by(player_id, event_time)                        AS player_id,
    min(event_date)                                      AS session_date,
    min(event_time)                                      AS started_at,
    max(event_time)                                      AS ended_at,
    min_by(coalesce(platform, 'unknown'), event_time)    AS platform,
    min_by(coalesce(country, 'unknown'), event_time)     AS country,
    min_by(coalesce(app_version, 'unknown'), event_time) AS app_version,
    count(*)                                             AS events
FROM events.envelope
WHERE session_id IS NOT NULL
GROUP BY session_id
