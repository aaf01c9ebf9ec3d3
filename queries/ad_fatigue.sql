-- title: Ad fatigue
-- Whether players who see more advertisements in a day come back less the next day, and what the
-- advertisements bring in.
--
-- param format: VARCHAR(16) = 'all'  -- rewarded, interstitial, banner, or all
WITH
-- The latest day that is over: the day before it is the last that has a next day.
horizon AS (
    SELECT max(date) AS date FROM star.dim_date WHERE is_over
),
-- Each day of each player.
days AS (
    SELECT DISTINCT player_id, date FROM star.fact_player_day
),
-- With the next day on which they played.
returns AS (
    SELECT
        player_id,
        date,
        lead(date) OVER (PARTITION BY player_id ORDER BY date)              AS next_date
    FROM days
),
-- Sessions of each day.
sessions AS (
    SELECT player_id, session_date AS date, count(*) AS sessions
    FROM star.fact_session
    GROUP BY player_id, session_date
),
-- Advertisements of each day.
ads AS (
    SELECT player_id, date, count(*) AS ads, sum(revenue_usd) AS revenue_usd
    FROM star.fact_ad_impression
    WHERE $format = 'all' OR ad_format = $format
    GROUP BY player_id, date
),
-- Advertisements per session, in classes.
classed AS (
    SELECT
        CASE
            WHEN coalesce(ads.ads, 0) = 0 THEN '0'
            WHEN CAST(ads.ads AS DOUBLE) / sessions.sessions <= 1 THEN 'up to 1'
            WHEN CAST(ads.ads AS DOUBLE) / sessions.sessions <= 2 THEN 'up to 2'
            WHEN CAST(ads.ads AS DOUBLE) / sessions.sessions <= 4 THEN 'up to 4'
            ELSE 'more'
        END                                                                 AS ads_per_session,
        returns.player_id,
        coalesce(ads.ads, 0)                                                AS ads,
        coalesce(ads.revenue_usd, 0)                                        AS revenue_usd,
        CASE
            WHEN CAST(returns.next_date AS INT) - CAST(returns.date AS INT) = 1 THEN 1.0
            ELSE 0.0
        END                                                                 AS came_back
    FROM returns
    CROSS JOIN horizon
    JOIN sessions
      ON sessions.player_id = returns.player_id AND sessions.date = returns.date
    LEFT JOIN ads ON ads.player_id = returns.player_id AND ads.date = returns.date
    WHERE returns.date < horizon.date
)
SELECT
    ads_per_session,
    count(*)                                                                AS player_days,
    count(DISTINCT player_id)                                               AS players,
    sum(classed.ads)                                                        AS ads_shown,
    sum(classed.revenue_usd)                                                AS revenue_usd,
    round(CAST(sum(classed.revenue_usd) AS DOUBLE) / count(*), 4)                   AS usd_per_player_day,
    round(avg(CAST(came_back AS DOUBLE)), 4)                                AS next_day_return
FROM classed
GROUP BY ads_per_session
ORDER BY min(classed.ads)
