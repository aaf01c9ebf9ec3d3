-- One row per player and level: the first time that the player won the level.
-- A win that arrives late may turn out to be the first one, so a day is rebuilt from all before it.
--
-- load: upsert
-- key: player_id, level_id
-- combine: won_at = min, date = min, level = first(won_at), attempt = first(won_at),
--          platform = first(won_at), country = first(won_at)
-- partition: date
-- lookback: 3660 days
--
-- @player_id: The player.
-- @level_id: The level; see dim_level.
-- @won_at: Time of the player's first win.
-- @date: UTC day of it.
-- @level: Position of the level in the game, from 1.
-- @attempt: The game's counter at that win: attempts to the first win.
-- @platform: Platform of the winning event, 'unknown' if it names none.
-- @country: Country of the winning event, 'unknown' if it names none.
SELECT
    player_id,
    level_id,
    min(event_time)                                     AS won_at,
    min(event_date)                                     AS date,
    min_by(level, event_time)                           AS level,
    min_by(attempt, event_time)                         AS attempt,
    min_by(coalesce(platform, 'unknown'), event_time)   AS platform,
    min_by(coalesce(country, 'unknown'), event_time)    AS country
FROM events.level_end
WHERE result = 'win'
GROUP BY player_id, level_id
