-- title: Churn risk
-- Players who have been away for longer than they usually are between two days of play, those who
-- paid most first: whom to win back now.
--
-- param factor: DOUBLE = 2  -- how many times the usual gap the silence must be
-- param max_silence: INT = 27  -- players who have been silent for longer are gone already
-- param min_days: BIGINT = 3  -- players with fewer days of play have no habit yet
WITH
-- The latest day that anybody played.
today AS (
    SELECT max(last_active_date) AS date FROM star.dim_player
),
-- Each day of each player.
days AS (
    SELECT DISTINCT player_id, date FROM star.fact_player_day
),
-- Days since the day of play before.
gaps AS (
    SELECT
        player_id,
        date,
        CAST(date AS INT)
            - CAST(lag(date) OVER (PARTITION BY player_id ORDER BY date) AS INT) AS gap
    FROM days
),
-- The habit of each player.
habits AS (
    SELECT
        player_id,
        count(*)                                                            AS days_played,
        avg(CAST(gap AS DOUBLE))                                            AS usual_gap,
        max(gap)                                                            AS longest_gap,
        max(date)                                                           AS last_date
    FROM gaps
    GROUP BY player_id
    HAVING count(*) >= $min_days
),
-- What each player has paid.
payments AS (
    SELECT player_id, sum(revenue_usd) AS paid_usd
    FROM star.fact_purchase
    GROUP BY player_id
)
SELECT
    habits.player_id,
    player.display_name,
    CAST(today.date AS INT) - CAST(habits.last_date AS INT)                 AS days_silent,
    round(habits.usual_gap, 2)                                              AS usual_gap_days,
    habits.longest_gap                                                      AS longest_gap_days,
    round((CAST(today.date AS INT) - CAST(habits.last_date AS INT)) / habits.usual_gap, 1)
                                                                            AS times_usual,
    habits.days_played,
    coalesce(payments.paid_usd, 0)                                          AS paid_usd
FROM habits
CROSS JOIN today
JOIN star.dim_player AS player ON player.player_id = habits.player_id
LEFT JOIN payments ON payments.player_id = habits.player_id
WHERE CAST(today.date AS INT) - CAST(habits.last_date AS INT) >= $factor * habits.usual_gap
  AND CAST(today.date AS INT) - CAST(habits.last_date AS INT) BETWEEN 1 AND $max_silence
ORDER BY paid_usd DESC, times_usual DESC, habits.player_id
