-- What a player is worth: per cohort of new players, the revenue through day n per player.
-- A day that is not over is absent, not 0. Cohorts are cut by the platform and country of the
-- players' first events; 'all' stands for no cut.
--
-- title: Lifetime value
-- chart: heatmap x=day_n y=cohort_date value=ltv
-- load: replace
-- key: cohort_date, platform, country, day_n
-- partition: cohort_date
-- lookahead: 30 days
--
-- @cohort_date: UTC day of the players' first events.
-- @platform: Platform of the first event, 'all' for every one.
-- @country: Country of the first event, 'all' for every one.
-- @day_n: Days after cohort_date, 0 to 30.
-- @cohort_size: Players of the cohort.
-- @cumulative_revenue_usd: Their purchases and ad impressions from cohort_date through day n.
-- @ltv: cumulative_revenue_usd / cohort_size.
WITH
-- The players with their cohort.
players AS (
    SELECT
        player_id,
        cohort_date,
        first_platform  AS platform,
        first_country   AS country
    FROM star.dim_player
),
-- The latest day that is over.
horizon AS (
    SELECT max(date) AS last_date FROM star.dim_date WHERE is_over HAVING max(date) IS NOT NULL
),
-- Size of each cohort, by cut.
sizes AS (
    SELECT
        cohort_date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        count(*)                    AS cohort_size
    FROM players
    GROUP BY GROUPING SETS (
        (cohort_date),
        (cohort_date, platform),
        (cohort_date, country),
        (cohort_date, platform, country)
    )
),
-- The cells: every cohort and day number whose day is over.
cells AS (
    SELECT
        sizes.cohort_date,
        sizes.platform,
        sizes.country,
        sizes.cohort_size,
        unnest(generate_series(
            0, least(CAST(horizon.last_date AS INT) - CAST(sizes.cohort_date AS INT), 30)
        )) AS day_n
    FROM sizes
    CROSS JOIN horizon
),
-- Revenue of both kinds by player and day.
revenue AS (
    SELECT player_id, date, CAST(revenue_usd AS DECIMAL(18, 6)) AS revenue_usd
    FROM star.fact_purchase
    UNION ALL
    SELECT player_id, date, CAST(revenue_usd AS DECIMAL(18, 6)) AS revenue_usd
    FROM star.fact_ad_impression
),
-- Revenue of each cohort on each day number.
daily AS (
    SELECT
        players.cohort_date,
        coalesce(players.platform, 'all')   AS platform,
        coalesce(players.country, 'all')    AS country,
        CAST(revenue.date AS INT) - CAST(players.cohort_date AS INT) AS day_n,
        sum(revenue.revenue_usd)            AS revenue_usd
    FROM revenue
    JOIN players ON players.player_id = revenue.player_id
    WHERE CAST(revenue.date AS INT) - CAST(players.cohort_date AS INT) <= 30
    GROUP BY GROUPING SETS (
        (players.cohort_date, CAST(revenue.date AS INT) - CAST(players.cohort_date AS INT)),
        (players.cohort_date, CAST(revenue.date AS INT) - CAST(players.cohort_date AS INT),
         players.platform),
        (players.cohort_date, CAST(revenue.date AS INT) - CAST(players.cohort_date AS INT),
         players.country),
        (players.cohort_date, CAST(revenue.date AS INT) - CAST(players.cohort_date AS INT),
         players.platform, players.country)
    )
),
-- Running total over the day numbers.
running AS (
    SELECT
        cells.cohort_date,
        cells.platform,
        cells.country,
        cells.day_n,
        cells.cohort_size,
        CAST(sum(coalesce(daily.revenue_usd, 0.000000)) OVER (
            PARTITION BY cells.cohort_date, cells.platform, cells.country
            ORDER BY cells.day_n
        ) AS DECIMAL(18, 6)) AS cumulative_revenue_usd
    FROM cells
    LEFT JOIN daily
        ON daily.cohort_date = cells.cohort_date AND daily.platform = cells.platform
        AND daily.country = cells.country AND daily.day_n = cells.day_n
)
SELECT
    cohort_date,
    platform,
    country,
    day_n,
    cohort_size,
    cumulative_revenue_usd,
    CAST(cumulative_revenue_usd AS DOUBLE) / cohort_size AS ltv
FROM running
