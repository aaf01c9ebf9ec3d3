-- One row per match that a player finished.
--
-- load: append
-- key: event_id
-- partition: date
--
-- @event_id: The event that ended the match.
-- @date: UTC day of the end.
-- @ended_at: Time of the end.
-- @player_id: The player.
-- @session_id: The session, if any.
-- @platform: Platform, 'unknown' if the event names none.
-- @country: Country, 'unknown' if the event names none.
-- @match_id: The match.
-- @mode: duel, ranked or tournament.
-- @opponent_id: The other player, NULL against the computer.
-- @result: win, loss or draw, for this player.
-- @duration_ms: Length of the match, milliseconds.
-- @rating_before: Rating before the match.
-- @rating_after: Rating after the match.
-- @accuracy: Share of moves that hit.
SELECT
    event_id,
    event_date                      AS date,
    event_time                      AS ended_at,
    player_id,
    session_id,
    coalesce(platform, 'unknown')   AS platform,
    coalesce(country, 'unknown')    AS country,
    match_id,
    mode,
    opponent_id,
    result,
    duration_ms,
    rating_before,
    rating_after,
    accuracy
FROM events.match_end
