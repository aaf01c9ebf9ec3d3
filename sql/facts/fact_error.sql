-- One row per error that a client reported.
--
-- load: append
-- key: event_id
-- partition: date
--
-- @event_id: The event.
-- @date: UTC day of the error.
-- @occurred_at: Time of the error.
-- @player_id: The player.
-- @session_id: The session, if any.
-- @platform: Platform, 'unknown' if the event names none.
-- @country: Country, 'unknown' if the event names none.
-- @app_version: Version of the client, 'unknown' if the event names none.
-- @error_code: Stable code of the error.
-- @message: What the client said.
-- @fatal: Whether it ended the session.
-- @screen: Where in the game.
-- @free_memory_mb: Memory left on the device, mebibytes.
SELECT
    event_id,
    event_date                          AS date,
    event_time                          AS occurred_at,
    player_id,
    session_id,
    coalesce(platform, 'unknown')       AS platform,
    coalesce(country, 'unknown')        AS country,
    coalesce(app_version, 'unknown')    AS app_version,
    error_code,
    message,
    fatal,
    screen,
    free_memory_mb
FROM events.client_error
