-- title: Where players quit
-- The level at which players were when they fell silent, and how hard that level was for them.
-- A level where far more quit than play it well is a wall.
--
-- param silence_days: INT = 14  -- days without any event after which a player counts as gone
-- param min_players: BIGINT = 5  -- levels that fewer players reached are left out
WITH
-- The latest day that anybody played.
today AS (
    SELECT max(last_active_date) AS date FROM star.dim_player
),
-- Players who have been silent for long enough.
gone AS (
    SELECT player.player_id
    FROM star.dim_player AS player
    CROSS JOIN today
    WHERE CAST(today.date AS INT) - CAST(player.last_active_date AS INT) >= $silence_days
),
-- Each player's attempts, the latest one first.
attempts AS (
    SELECT
        player_id,
        level,
        result,
        duration_ms,
        row_number() OVER (PARTITION BY player_id ORDER BY event_time DESC, event_id) AS place
    FROM events.level_end
),
-- Everybody who ever tried the level.
reached AS (
    SELECT
        level,
        count(DISTINCT player_id)                                           AS players,
        count(*)                                                            AS attempts,
        count(*) FILTER (WHERE result = 'win')                              AS wins,
        avg(CAST(duration_ms AS DOUBLE)) / 1000                             AS avg_seconds
    FROM attempts
    GROUP BY level
),
-- Those for whom it was the last one.
quit AS (
    SELECT
        attempts.level,
        count(*)                                                            AS players,
        count(*) FILTER (WHERE attempts.result <> 'win')                    AS after_a_defeat
    FROM attempts
    JOIN gone ON gone.player_id = attempts.player_id
    WHERE attempts.place = 1
    GROUP BY attempts.level
)
SELECT
    reached.level,
    reached.players                                                         AS players_reached,
    coalesce(quit.players, 0)                                               AS players_quit,
    round(CAST(coalesce(quit.players, 0) AS DOUBLE) / reached.players, 4)   AS quit_rate,
    coalesce(quit.after_a_defeat, 0)                                        AS quit_after_a_defeat,
    round(CAST(reached.wins AS DOUBLE) / reached.attempts, 4)               AS win_rate,
    round(CAST(reached.attempts AS DOUBLE) / reached.players, 2)            AS attempts_per_player,
    round(reached.avg_seconds, 1)                                           AS avg_seconds
FROM reached
LEFT JOIN quit ON quit.level = reached.level
WHERE reached.players >= $min_players
ORDER BY quit_rate DESC, players_quit DESC, reached.level
