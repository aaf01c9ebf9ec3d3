-- What each variant of each experiment brought in each month: the days of mart_experiment_daily that
-- can be added up, so that an experiment's figures are made of a few months and not of all its days.
--
-- load: replace
-- key: month, experiment_id, variant, platform, country
-- partition: month
-- lookahead: 38 days
--
-- @month: First day of the month.
-- @experiment_id: The experiment.
-- @variant: The variant of the player's first exposure; see dim_experiment.
-- @platform: Platform of the exposure, 'all' for every one.
-- @country: Country of the exposure, 'all' for every one.
-- @revenue_usd: Purchases and ad impressions of exposed players since their exposure.
-- @d1_exposed: Players exposed in the month whose day after the exposure is over.
-- @d1_players: Players exposed on the day before one of the month that is over, and active on it.
-- @d7_exposed: Players exposed in the month whose seventh day after the exposure is over.
-- @d7_players: Players exposed 7 days before one of the month that is over, and active on it.
WITH
-- Every day: whether it is over, and the first and the seventh day after it.
days AS (
    SELECT
        date,
        is_over,
        lead(is_over, 1) OVER (ORDER BY date)   AS day_1_is_over,
        lead(is_over, 7) OVER (ORDER BY date)   AS day_7_is_over
    FROM star.dim_date
)
SELECT
    CAST(date_trunc('month', daily.date) AS DATE)                                   AS month,
    daily.experiment_id,
    daily.variant,
    daily.platform,
    daily.country,
    CAST(sum(daily.revenue_usd) AS DECIMAL(18, 6))                                  AS revenue_usd,
    coalesce(sum(daily.exposed_players) FILTER (WHERE days.day_1_is_over), 0)       AS d1_exposed,
    coalesce(sum(daily.d1_players) FILTER (WHERE days.is_over), 0)                  AS d1_players,
    coalesce(sum(daily.exposed_players) FILTER (WHERE days.day_7_is_over), 0)       AS d7_exposed,
    coalesce(sum(daily.d7_players) FILTER (WHERE days.is_over), 0)                  AS d7_players
FROM star.mart_experiment_daily AS daily
JOIN days ON days.date = daily.date
GROUP BY 1, 2, 3, 4, 5
