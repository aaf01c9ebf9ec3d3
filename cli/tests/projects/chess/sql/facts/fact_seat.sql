-- One row per game and side, in the week (from Monday) of the game's first event about the side.
-- A game that goes on over midnight may have events in two weeks.
--
-- load: upsert
-- key: game_id, side
-- combine: player_id = max, week_start = min, score = max, moves = max, prize_eur = max,
--          timeouts = sum, seconds_over = sum
-- partition: week_start
-- lookback: 1 day
-- lookahead: 7 days
--
-- @player_id: Who sat there; not known before the end of the game.
-- @week_start: Monday of the week.
-- @score: 1, 0.5 or 0.
-- @prize_eur: Prize won.
WITH
-- What each kind of event says about a side.
seats AS (
    SELECT
        game_id,
        'white' AS side,
        white_id AS player_id,
        event_date,
        CASE result WHEN '1-0' THEN 1.0 WHEN '0-1' THEN 0.0 ELSE 0.5 END AS score,
        moves,
        CASE result WHEN '1-0' THEN prize_eur END AS prize_eur,
        0 AS timeouts,
        CAST(0 AS DOUBLE) AS seconds_over
    FROM events.game_finished
    UNION ALL
    SELECT
        game_id,
        'black',
        black_id,
        event_date,
        CASE result WHEN '0-1' THEN 1.0 WHEN '1-0' THEN 0.0 ELSE 0.5 END,
        moves,
        CASE result WHEN '0-1' THEN prize_eur END,
        0,
        CAST(0 AS DOUBLE)
    FROM events.game_finished
    UNION ALL
    SELECT game_id, side, NULL, event_date, NULL, NULL, NULL, 1, seconds_over
    FROM events.move_timed_out
)
SELECT
    game_id,
    side,
    max(player_id)                                          AS player_id,
    CAST(date_trunc('week', min(event_date)) AS DATE)       AS week_start,
    CAST(max(score) AS DOUBLE)                              AS score,
    max(moves)                                              AS moves,
    max(prize_eur)                                          AS prize_eur,
    sum(timeouts)                                           AS timeouts,
    sum(seconds_over)                                       AS seconds_over
FROM seats
GROUP BY game_id, side
