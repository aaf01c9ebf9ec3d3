-- What each variant of each experiment brought on each day: players exposed for the first time, those
-- who came back, and what exposed players paid from their exposure on. Cut by the platform and
-- country of the players' exposure; 'all' stands for no cut. Payers are counted at each row's own
-- grain: never add them up over days or cuts.
--
-- title: Experiments by day
-- chart: line x=date y=exposed_players,payers
-- load: replace
-- key: date, experiment_id, variant, platform, country
-- partition: date
--
-- @date: UTC day.
-- @experiment_id: The experiment.
-- @variant: The variant of the player's first exposure; see dim_experiment.
-- @platform: Platform of the exposure, 'all' for every one.
-- @country: Country of the exposure, 'all' for every one.
-- @exposed_players: Players whose first exposure falls on the day.
-- @d1_players: Players exposed on the day before and active on this one.
-- @d7_players: Players exposed 7 days before and active on this one.
-- @purchases: Purchases of exposed players.
-- @payers: Distinct players who made them.
-- @revenue_usd: What these purchases and the exposed players' ad impressions brought in.
WITH
-- Players by the day of their exposure.
exposures AS (
    SELECT
        exposed_date                AS date,
        experiment_id,
        variant,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        count(*)                    AS exposed_players
    FROM star.fact_experiment_exposure
    GROUP BY GROUPING SETS (
        (exposed_date, experiment_id, variant),
        (exposed_date, experiment_id, variant, platform),
        (exposed_date, experiment_id, variant, country),
        (exposed_date, experiment_id, variant, platform, country)
    )
),
-- Every day on which somebody was active.
visits AS (
    SELECT DISTINCT date, player_id FROM star.fact_player_day
),
-- Players who were active 1 or 7 days after their exposure.
returns AS (
    SELECT
        visits.date,
        exposure.experiment_id,
        exposure.variant,
        coalesce(exposure.platform, 'all')  AS platform,
        coalesce(exposure.country, 'all')   AS country,
        count(*) FILTER (
            WHERE CAST(visits.date AS INT) - CAST(exposure.exposed_date AS INT) = 1
        )                                   AS d1_players,
        count(*) FILTER (
            WHERE CAST(visits.date AS INT) - CAST(exposure.exposed_date AS INT) = 7
        )                                   AS d7_players
    FROM visits
    JOIN star.fact_experiment_exposure AS exposure ON exposure.player_id = visits.player_id
    WHERE CAST(visits.date AS INT) - CAST(exposure.exposed_date AS INT) IN (1, 7)
    GROUP BY GROUPING SETS (
        (visits.date, exposure.experiment_id, exposure.variant),
        (visits.date, exposure.experiment_id, exposure.variant, exposure.platform),
        (visits.date, exposure.experiment_id, exposure.variant, exposure.country),
        (visits.date, exposure.experiment_id, exposure.variant, exposure.platform,
         exposure.country)
    )
),
-- Purchases from the exposure on.
payments AS (
    SELECT
        purchase.date,
        exposure.experiment_id,
        exposure.variant,
        coalesce(exposure.platform, 'all')  AS platform,
        coalesce(exposure.country, 'all')   AS country,
        count(*)                            AS purchases,
        count(DISTINCT purchase.player_id)  AS payers,
        sum(purchase.revenue_usd)           AS iap_revenue_usd
    FROM star.fact_purchase AS purchase
    JOIN star.fact_experiment_exposure AS exposure ON exposure.player_id = purchase.player_id
    WHERE purchase.purchased_at >= exposure.exposed_at
    GROUP BY GROUPING SETS (
        (purchase.date, exposure.experiment_id, exposure.variant),
        (purchase.date, exposure.experiment_id, exposure.variant, exposure.platform),
        (purchase.date, exposure.experiment_id, exposure.variant, exposure.country),
        (purchase.date, exposure.experiment_id, exposure.variant, exposure.platform,
         exposure.country)
    )
),
-- Ad impressions from the exposure on.
ads AS (
    SELECT
        impression.date,
        exposure.experiment_id,
        exposure.variant,
        coalesce(exposure.platform, 'all')  AS platform,
        coalesce(exposure.country, 'all')   AS country,
        sum(impression.revenue_usd)         AS ad_revenue_usd
    FROM star.fact_ad_impression AS impression
    JOIN star.fact_experiment_exposure AS exposure ON exposure.player_id = impression.player_id
    WHERE impression.shown_at >= exposure.exposed_at
    GROUP BY GROUPING SETS (
        (impression.date, exposure.experiment_id, exposure.variant),
        (impression.date, exposure.experiment_id, exposure.variant, exposure.platform),
        (impression.date, exposure.experiment_id, exposure.variant, exposure.country),
        (impression.date, exposure.experiment_id, exposure.variant, exposure.platform,
         exposure.country)
    )
),
-- All of them under each other: each row carries the figures of one step.
figures AS (
    SELECT date, experiment_id, variant, platform, country, exposed_players,
           0 AS d1_players, 0 AS d7_players, 0 AS purchases, 0 AS payers,
           0.00 AS iap_revenue_usd, 0.000000 AS ad_revenue_usd
    FROM exposures
    UNION ALL
    SELECT date, experiment_id, variant, platform, country, 0, d1_players, d7_players, 0, 0, 0.00,
           0.000000
    FROM returns
    UNION ALL
    SELECT date, experiment_id, variant, platform, country, 0, 0, 0, purchases, payers,
           iap_revenue_usd, 0.000000
    FROM payments
    UNION ALL
    SELECT date, experiment_id, variant, platform, country, 0, 0, 0, 0, 0, 0.00, ad_revenue_usd
    FROM ads
),
-- One row per day, variant and cut.
totals AS (
    SELECT
        date,
        experiment_id,
        variant,
        platform,
        country,
        sum(exposed_players)                                                AS exposed_players,
        sum(d1_players)                                                     AS d1_players,
        sum(d7_players)                                                     AS d7_players,
        sum(purchases)                                                      AS purchases,
        sum(payers)                                                         AS payers,
        CAST(sum(iap_revenue_usd) + sum(ad_revenue_usd) AS DECIMAL(18, 6))  AS revenue_usd
    FROM figures
    GROUP BY date, experiment_id, variant, platform, country
)
SELECT
    date,
    experiment_id,
    variant,
    platform,
    country,
    exposed_players,
    d1_players,
    d7_players,
    purchases,
    payers,
    revenue_usd
FROM totals
-- Advertisements may bring in nothing, and then there is nothing to tell.
WHERE exposed_players + d1_players + d7_players + purchases > 0 OR revenue_usd <> 0
