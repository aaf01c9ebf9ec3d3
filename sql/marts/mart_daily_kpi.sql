-- The figures of each day: for all players, by platform, by country, and by both.
-- 'all' stands for no cut. Unique-user figures are counted at each row's own grain: never add up
-- dau, wau, mau, payers or new_players over days or cuts.
--
-- title: Daily figures
-- chart: line x=date y=dau,wau,mau
-- load: replace
-- key: date, platform, country
-- partition: date
-- lookback: 29 days
--
-- @date: UTC day.
-- @platform: Platform, 'all' for every one.
-- @country: Country, 'all' for every one.
-- @new_players: Players whose first event ever falls on the day.
-- @dau: Distinct players with at least one event on the day.
-- @wau: Distinct players with at least one event on the 7 days ending with the day.
-- @mau: Distinct players with at least one event on the 30 days ending with the day.
-- @stickiness: dau / mau.
-- @sessions: Sessions whose first event falls on the day.
-- @playtime_seconds: Sum of their lengths (last event − first event).
-- @avg_session_seconds: playtime_seconds / sessions.
-- @iap_revenue_usd: Σ price × quantity of the day's purchases.
-- @ad_revenue_usd: Σ revenue of the day's ad impressions.
-- @total_revenue_usd: Both.
-- @arpdau: total_revenue_usd / dau.
-- @payers: Distinct players with a purchase on the day.
-- @arppu: iap_revenue_usd / payers.
-- @conversion: payers / dau.
-- @first_time_payers: Players whose first purchase ever falls on the day.
WITH
-- Per cut and player, the days with activity.
active_days AS (
    SELECT
        date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        player_id
    FROM star.fact_player_day
    GROUP BY GROUPING SETS (
        (date, player_id),
        (date, player_id, platform),
        (date, player_id, country),
        (date, player_id, platform, country)
    )
),
-- Each with the player's next one.
visits AS (
    SELECT
        date,
        platform,
        country,
        lead(date) OVER (PARTITION BY platform, country, player_id ORDER BY date) AS next_date
    FROM active_days
),
-- Players with the same two days.
spans AS (
    SELECT date, platform, country, next_date, count(*) AS players
    FROM visits
    GROUP BY date, platform, country, next_date
),
-- A player counts as active in the last n days from an active day on, until n days have gone by or
-- the next active day takes over.
steps (after, dau, wau, mau) AS (
    VALUES
        (INTERVAL '0 days', 1, 1, 1),
        (INTERVAL '1 day', -1, 0, 0),
        (INTERVAL '7 days', 0, -1, 0),
        (INTERVAL '30 days', 0, 0, -1)
),
arrivals AS (
    SELECT
        CAST(least(spans.date + steps.after, spans.next_date) AS DATE) AS date,
        spans.platform,
        spans.country,
        spans.players * steps.dau   AS dau,
        spans.players * steps.wau   AS wau,
        spans.players * steps.mau   AS mau
    FROM spans
    CROSS JOIN steps
),
-- Players who come and go per day and cut.
movements AS (
    SELECT
        date,
        platform,
        country,
        sum(dau) AS dau,
        sum(wau) AS wau,
        sum(mau) AS mau
    FROM arrivals
    GROUP BY date, platform, country
),
-- Every cut with any activity.
cuts AS (
    SELECT
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country
    FROM star.fact_player_day
    GROUP BY GROUPING SETS ((), (platform), (country), (platform, country))
),
-- Every day for every cut.
cells AS (
    SELECT day.date, cuts.platform, cuts.country
    FROM star.dim_date AS day
    CROSS JOIN cuts
),
-- Active players: who has come and not gone yet.
active AS (
    SELECT
        cells.date,
        cells.platform,
        cells.country,
        sum(coalesce(movements.dau, 0)) OVER by_cut AS dau,
        sum(coalesce(movements.wau, 0)) OVER by_cut AS wau,
        sum(coalesce(movements.mau, 0)) OVER by_cut AS mau
    FROM cells
    LEFT JOIN movements
        ON movements.date = cells.date AND movements.platform = cells.platform
        AND movements.country = cells.country
    WINDOW by_cut AS (PARTITION BY cells.platform, cells.country ORDER BY cells.date)
),
-- New players, in the cut of their first event.
newcomers AS (
    SELECT
        cohort_date                         AS date,
        coalesce(first_platform, 'all')     AS platform,
        coalesce(first_country, 'all')      AS country,
        count(*)                            AS new_players
    FROM star.dim_player
    GROUP BY GROUPING SETS (
        (cohort_date),
        (cohort_date, first_platform),
        (cohort_date, first_country),
        (cohort_date, first_platform, first_country)
    )
),
-- Sessions, on the day and in the cut of their first event.
play AS (
    SELECT
        session_date                    AS date,
        coalesce(platform, 'all')       AS platform,
        coalesce(country, 'all')        AS country,
        count(*)                        AS sessions,
        sum(CAST(ended_at AS BIGINT) - CAST(started_at AS BIGINT)) AS playtime_micros
    FROM star.fact_session
    GROUP BY GROUPING SETS (
        (session_date),
        (session_date, platform),
        (session_date, country),
        (session_date, platform, country)
    )
),
-- Purchases.
purchases AS (
    SELECT
        date,
        coalesce(platform, 'all')       AS platform,
        coalesce(country, 'all')        AS country,
        sum(revenue_usd)                AS iap_revenue_usd,
        count(DISTINCT player_id)       AS payers
    FROM star.fact_purchase
    GROUP BY GROUPING SETS ((date), (date, platform), (date, country), (date, platform, country))
),
-- Ad impressions.
ads AS (
    SELECT
        date,
        coalesce(platform, 'all')       AS platform,
        coalesce(country, 'all')        AS country,
        sum(revenue_usd)                AS ad_revenue_usd
    FROM star.fact_ad_impression
    GROUP BY GROUPING SETS ((date), (date, platform), (date, country), (date, platform, country))
),
-- First-time payers, in the cut of their first purchase.
converts AS (
    SELECT
        first_purchase_date                         AS date,
        coalesce(first_purchase_platform, 'all')    AS platform,
        coalesce(first_purchase_country, 'all')     AS country,
        count(*)                                    AS first_time_payers
    FROM star.dim_player
    WHERE first_purchase_date IS NOT NULL
    GROUP BY GROUPING SETS (
        (first_purchase_date),
        (first_purchase_date, first_purchase_platform),
        (first_purchase_date, first_purchase_country),
        (first_purchase_date, first_purchase_platform, first_purchase_country)
    )
),
-- All of them under each other: each row carries the figures of one step.
figures AS (
    SELECT date, platform, country, dau, wau, mau,
           0 AS new_players, 0 AS sessions, 0 AS playtime_micros, 0.00 AS iap_revenue_usd,
           0 AS payers, 0.000000 AS ad_revenue_usd, 0 AS first_time_payers
    FROM active
    UNION ALL
    SELECT date, platform, country, 0, 0, 0, new_players, 0, 0, 0.00, 0, 0.000000, 0 FROM newcomers
    UNION ALL
    SELECT date, platform, country, 0, 0, 0, 0, sessions, playtime_micros, 0.00, 0, 0.000000, 0
    FROM play
    UNION ALL
    SELECT date, platform, country, 0, 0, 0, 0, 0, 0, iap_revenue_usd, payers, 0.000000, 0
    FROM purchases
    UNION ALL
    SELECT date, platform, country, 0, 0, 0, 0, 0, 0, 0.00, 0, ad_revenue_usd, 0 FROM ads
    UNION ALL
    SELECT date, platform, country, 0, 0, 0, 0, 0, 0, 0.00, 0, 0.000000, first_time_payers
    FROM converts
),
-- One row per day and cut.
totals AS (
    SELECT
        date,
        platform,
        country,
        sum(new_players)                                AS new_players,
        sum(dau)                                        AS dau,
        sum(wau)                                        AS wau,
        sum(mau)                                        AS mau,
        sum(sessions)                                   AS sessions,
        sum(playtime_micros)                            AS playtime_micros,
        CAST(sum(iap_revenue_usd) AS DECIMAL(18, 2))    AS iap_revenue_usd,
        CAST(sum(ad_revenue_usd) AS DECIMAL(18, 6))     AS ad_revenue_usd,
        sum(payers)                                     AS payers,
        sum(first_time_payers)                          AS first_time_payers
    FROM figures
    GROUP BY date, platform, country
    HAVING sum(mau) > 0
)
SELECT
    date,
    platform,
    country,
    new_players,
    dau,
    wau,
    mau,
    CAST(dau AS DOUBLE) / mau                                           AS stickiness,
    sessions,
    CAST(playtime_micros AS DOUBLE) / 1000000                           AS playtime_seconds,
    CAST(playtime_micros AS DOUBLE) / 1000000 / nullif(sessions, 0)     AS avg_session_seconds,
    iap_revenue_usd,
    ad_revenue_usd,
    CAST(iap_revenue_usd + ad_revenue_usd AS DECIMAL(18, 6))            AS total_revenue_usd,
    CAST(iap_revenue_usd + ad_revenue_usd AS DOUBLE) / nullif(dau, 0)   AS arpdau,
    payers,
    CAST(iap_revenue_usd AS DOUBLE) / nullif(payers, 0)                 AS arppu,
    CAST(payers AS DOUBLE) / nullif(dau, 0)                             AS conversion,
    first_time_payers
FROM totals
