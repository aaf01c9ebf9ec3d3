-- title: Cheat suspects
-- Players whose coins per hour, wins or play time lie far from what others reach. The score is the
-- distance from the median in typical distances (median absolute deviations): above 3.5 is rare,
-- above 10 is hardly luck. Look at their events in hot.events before accusing anybody.
--
-- param min_score: DOUBLE = 3.5  -- least score of the worst figure
-- param min_hours: DOUBLE = 0.5  -- players who played less are left out
WITH
-- Hours played.
play AS (
    SELECT
        player_id,
        -- Times are counted in microseconds.
        CAST(sum(CAST(ended_at AS BIGINT) - CAST(started_at AS BIGINT)) AS DOUBLE) / 3600000000
                                                                            AS hours,
        count(DISTINCT session_date)                                        AS days
    FROM star.fact_session
    GROUP BY player_id
),
-- Coins that were earned by playing, not bought.
coins AS (
    SELECT player_id, sum(amount) AS coins
    FROM events.currency_earned
    WHERE currency = 'coins' AND source <> 'purchase'
    GROUP BY player_id
),
-- Wins of levels and of matches.
wins AS (
    SELECT player_id, count(*) FILTER (WHERE result = 'win') AS won
    FROM (
        SELECT player_id, result FROM events.level_end
        UNION ALL
        SELECT player_id, result FROM events.match_end
    ) AS games
    GROUP BY player_id
),
-- The three figures of each player.
figures AS (
    SELECT
        play.player_id,
        play.hours,
        play.hours / play.days                                              AS hours_per_day,
        CAST(coalesce(coins.coins, 0) AS DOUBLE) / play.hours               AS coins_per_hour,
        CAST(coalesce(wins.won, 0) AS DOUBLE) / play.hours                  AS wins_per_hour
    FROM play
    LEFT JOIN coins ON coins.player_id = play.player_id
    LEFT JOIN wins ON wins.player_id = play.player_id
    WHERE play.hours >= $min_hours
),
-- What is usual.
usual AS (
    SELECT
        median(hours_per_day)       AS hours_per_day,
        median(coins_per_hour)      AS coins_per_hour,
        median(wins_per_hour)       AS wins_per_hour
    FROM figures
),
-- How far from it players usually are.
spread AS (
    SELECT
        median(abs(figures.hours_per_day - usual.hours_per_day))            AS hours_per_day,
        median(abs(figures.coins_per_hour - usual.coins_per_hour))          AS coins_per_hour,
        median(abs(figures.wins_per_hour - usual.wins_per_hour))            AS wins_per_hour
    FROM figures
    CROSS JOIN usual
),
-- Distances above the median, in such steps.
scores AS (
    SELECT
        figures.*,
        (figures.hours_per_day - usual.hours_per_day)
            / nullif(1.4826 * spread.hours_per_day, 0)                      AS time_score,
        (figures.coins_per_hour - usual.coins_per_hour)
            / nullif(1.4826 * spread.coins_per_hour, 0)                     AS coins_score,
        (figures.wins_per_hour - usual.wins_per_hour)
            / nullif(1.4826 * spread.wins_per_hour, 0)                      AS wins_score
    FROM figures
    CROSS JOIN usual
    CROSS JOIN spread
)
SELECT
    player_id,
    round(greatest(coalesce(time_score, 0), coalesce(coins_score, 0), coalesce(wins_score, 0)), 1)
                                                                            AS score,
    round(hours, 2)                                                         AS hours,
    round(hours_per_day, 2)                                                 AS hours_per_day,
    round(coins_per_hour, 0)                                                AS coins_per_hour,
    round(wins_per_hour, 1)                                                 AS wins_per_hour,
    round(time_score, 1)                                                    AS time_score,
    round(coins_score, 1)                                                   AS coins_score,
    round(wins_score, 1)                                                    AS wins_score
FROM scores
WHERE greatest(coalesce(time_score, 0), coalesce(coins_score, 0), coalesce(wins_score, 0))
      >= $min_score
ORDER BY score DESC, player_id
