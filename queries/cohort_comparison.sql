-- title: Cohort comparison
-- New players of the latest period against those of the period before: do they come back, do they
-- pay? Only figures of days that are over for the whole cohort are given; others are NULL.
--
-- param days: INT = 14  -- length of each of the two periods, in days
WITH
-- The latest day that is over.
horizon AS (
    SELECT max(date) AS date FROM star.dim_date WHERE is_over
),
-- New players of both periods, with the days for which they have been watched.
players AS (
    SELECT
        player.player_id,
        player.cohort_date,
        CASE
            WHEN CAST(player.cohort_date AS INT) > CAST(horizon.date AS INT) - $days
                THEN 'latest'
            ELSE 'before'
        END                                                                 AS period,
        CAST(horizon.date AS INT) - CAST(player.cohort_date AS INT)         AS days_watched
    FROM star.dim_player AS player
    CROSS JOIN horizon
    WHERE player.cohort_date <= horizon.date
      AND CAST(player.cohort_date AS INT) > CAST(horizon.date AS INT) - 2 * $days
),
-- On which days after their first one they were active.
activity AS (
    SELECT DISTINCT
        players.player_id,
        CAST(active.date AS INT) - CAST(players.cohort_date AS INT)            AS day_n
    FROM players
    JOIN star.fact_player_day AS active ON active.player_id = players.player_id
),
-- Whether each player was there on day 1, 3 and 7.
returns AS (
    SELECT
        player_id,
        max(CASE WHEN day_n = 1 THEN 1 ELSE 0 END)                          AS day_1,
        max(CASE WHEN day_n = 3 THEN 1 ELSE 0 END)                          AS day_3,
        max(CASE WHEN day_n = 7 THEN 1 ELSE 0 END)                          AS day_7
    FROM activity
    GROUP BY player_id
),
-- What each player paid in the first week.
payments AS (
    SELECT players.player_id, sum(purchase.revenue_usd) AS paid_usd
    FROM players
    JOIN star.fact_purchase AS purchase ON purchase.player_id = players.player_id
    WHERE CAST(purchase.date AS INT) - CAST(players.cohort_date AS INT) <= 6
    GROUP BY players.player_id
)
SELECT
    players.period,
    min(players.cohort_date)                                                AS first_cohort,
    max(players.cohort_date)                                                AS last_cohort,
    count(*)                                                                AS players,
    round(avg(CASE WHEN days_watched >= 1 THEN CAST(coalesce(day_1, 0) AS DOUBLE) END), 4)
                                                                            AS retention_1,
    round(avg(CASE WHEN days_watched >= 3 THEN CAST(coalesce(day_3, 0) AS DOUBLE) END), 4)
                                                                            AS retention_3,
    round(avg(CASE WHEN days_watched >= 7 THEN CAST(coalesce(day_7, 0) AS DOUBLE) END), 4)
                                                                            AS retention_7,
    round(CAST(count(payments.paid_usd) AS DOUBLE) / count(*), 4)           AS conversion_in_a_week,
    round(CAST(coalesce(sum(payments.paid_usd), 0) AS DOUBLE) / count(*), 4)
                                                                            AS usd_per_player_in_a_week
FROM players
LEFT JOIN returns ON returns.player_id = players.player_id
LEFT JOIN payments ON payments.player_id = players.player_id
GROUP BY players.period
ORDER BY first_cohort
