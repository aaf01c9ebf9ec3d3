-- Who comes back: per cohort of new players, the share active on day n, and on day n or later.
-- A day that is not over is absent, not 0. Cohorts are cut by the platform and country of the
-- players' first events; 'all' stands for no cut.
--
-- title: Retention
-- chart: heatmap x=day_n y=cohort_date value=retention
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
-- @active_players: Of these, active on exactly cohort_date + day_n.
-- @retention: active_players / cohort_size.
-- @rolling_active_players: Of these, active on cohort_date + day_n or later.
-- @rolling_retention: rolling_active_players / cohort_size.
WITH
-- The players with their cohort and the last day on which they were active, counted from it.
players AS (
    SELECT player_id, cohort_date, platform, country, last_day_n
    FROM star.dim_player_return
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
-- Per player, the day numbers with activity, once each.
active_days AS (
    SELECT DISTINCT
        players.player_id,
        players.cohort_date,
        players.platform,
        players.country,
        CAST(activity.date AS INT) - CAST(players.cohort_date AS INT) AS day_n
    FROM star.fact_player_day AS activity
    JOIN players ON players.player_id = activity.player_id
    WHERE CAST(activity.date AS INT) - CAST(players.cohort_date AS INT) BETWEEN 0 AND 30
),
-- Players active on exactly the day.
active AS (
    SELECT
        cohort_date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        day_n,
        count(*)                    AS active_players
    FROM active_days
    GROUP BY GROUPING SETS (
        (cohort_date, day_n),
        (cohort_date, day_n, platform),
        (cohort_date, day_n, country),
        (cohort_date, day_n, platform, country)
    )
),
-- Per player, the day numbers up to the last activity.
reached_days AS (
    SELECT
        cohort_date,
        platform,
        country,
        unnest(generate_series(0, last_day_n)) AS day_n
    FROM players
),
-- Players active on the day or later.
rolling AS (
    SELECT
        cohort_date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        day_n,
        count(*)                    AS rolling_active_players
    FROM reached_days
    GROUP BY GROUPING SETS (
        (cohort_date, day_n),
        (cohort_date, day_n, platform),
        (cohort_date, day_n, country),
        (cohort_date, day_n, platform, country)
    )
)
SELECT
    cells.cohort_date,
    cells.platform,
    cells.country,
    cells.day_n,
    cells.cohort_size,
    coalesce(active.active_players, 0)                                              AS active_players,
    CAST(coalesce(active.active_players, 0) AS DOUBLE) / cells.cohort_size          AS retention,
    coalesce(rolling.rolling_active_players, 0)                                     AS rolling_active_players,
    CAST(coalesce(rolling.rolling_active_players, 0) AS DOUBLE) / cells.cohort_size AS rolling_retention
FROM cells
LEFT JOIN active
    ON active.cohort_date = cells.cohort_date AND active.platform = cells.platform
    AND active.country = cells.country AND active.day_n = cells.day_n
LEFT JOIN rolling
    ON rolling.cohort_date = cells.cohort_date AND rolling.platform = cells.platform
    AND rolling.country = cells.country AND rolling.day_n = cells.day_n
