-- One row per attempt at a level, from its start and its end, whichever arrives first.
-- An attempt whose end never arrived has no result: it is unfinished.
--
-- load: upsert
-- key: attempt_id
-- combine: player_id = first(first_event_at), session_id = first(first_event_at),
--          date = min, level_id = first(first_event_at), level = first(first_event_at),
--          attempt = first(first_event_at), first_event_at = min, started_at = min, ended_at = min,
--          platform = first(first_event_at), country = first(first_event_at),
--          result = first(ended_at), duration_ms = first(ended_at), score = first(ended_at),
--          stars = first(ended_at), boosters = first(started_at)
-- partition: date
-- lookback: 1 day
-- lookahead: 1 day
-- not_null: player_id, level_id, date
-- references: level_id = dim_level.level_id
--
-- @attempt_id: The attempt.
-- @player_id: The player.
-- @session_id: The session in which it began, if any.
-- @date: UTC day of the attempt's first event.
-- @level_id: The level; see dim_level.
-- @level: Position of the level in the game, from 1.
-- @attempt: Counts the player's attempts at this level, from 1.
-- @first_event_at: Time of the attempt's first event.
-- @started_at: Time of its start, NULL if it never arrived.
-- @ended_at: Time of its end, NULL if it never arrived.
-- @platform: Platform of its first event, 'unknown' if it names none.
-- @country: Country of its first event, 'unknown' if it names none.
-- @result: win, loss or quit; NULL for an unfinished attempt.
-- @duration_ms: Time between start and end by the client, milliseconds.
-- @score: Points reached.
-- @stars: Stars earned.
-- @boosters: Boosters taken along.
WITH
-- Both kinds of events. What only one of them says is taken at its own time.
moments AS (
    SELECT
        attempt_id, player_id, session_id, event_date, event_time, level_id, level, attempt,
        platform, country,
        event_time      AS started_at,
        boosters,
        NULL            AS ended_at,
        NULL            AS result,
        NULL            AS duration_ms,
        NULL            AS score,
        NULL            AS stars
    FROM events.level_start
    UNION ALL
    SELECT
        attempt_id, player_id, session_id, event_date, event_time, level_id, level, attempt,
        platform, country,
        NULL            AS started_at,
        NULL            AS boosters,
        event_time      AS ended_at,
        result,
        duration_ms,
        score,
        stars
    FROM events.level_end
)
SELECT
    attempt_id,
    min_by(player_id, event_time)                       AS player_id,
    min_by(session_id, event_time)                      AS session_id,
    min(event_date)                                     AS date,
    min_by(level_id, event_time)                        AS level_id,
    min_by(level, event_time)                           AS level,
    min_by(attempt, event_time)                         AS attempt,
    min(event_time)                                     AS first_event_at,
    min(started_at)                                     AS started_at,
    min(ended_at)                                       AS ended_at,
    min_by(coalesce(platform, 'unknown'), event_time)   AS platform,
    min_by(coalesce(country, 'unknown'), event_time)    AS country,
    min_by(result, ended_at)                            AS result,
    min_by(duration_ms, ended_at)                       AS duration_ms,
    min_by(score, ended_at)                             AS score,
    min_by(stars, ended_at)                             AS stars,
    min_by(boosters, started_at)                        AS boosters
FROM moments
GROUP BY attempt_id
