-- How the variants of each experiment do: whether players were spread evenly over them, and whether
-- those of a variant pay, spend and come back more than those of 'control'. Cut by the platform and
-- country of the players' exposure; 'all' stands for no cut. Mind that of twenty comparisons without
-- a difference one has a p-value below 0.05.
--
-- title: Experiments
-- chart: table
-- load: replace
-- key: experiment_id, platform, country, variant
--
-- @experiment_id: The experiment.
-- @platform: Platform of the exposure, 'all' for every one.
-- @country: Country of the exposure, 'all' for every one.
-- @variant: The variant of the players' first exposure; see dim_experiment.
-- @is_control: Whether it is the variant that the others are compared with.
-- @exposed_players: Players who met the variant.
-- @converted_players: Of these, with a purchase at or after their exposure.
-- @conversion: converted_players / exposed_players.
-- @revenue_usd: Purchases and ad impressions of the exposed players since their exposure.
-- @arpu: revenue_usd / exposed_players.
-- @d1_exposed: Exposed players whose day after the exposure is over.
-- @d1_players: Of these, active on exactly that day.
-- @d1_retention: d1_players / d1_exposed.
-- @d7_exposed: Exposed players whose seventh day after the exposure is over.
-- @d7_players: Of these, active on exactly that day.
-- @d7_retention: d7_players / d7_exposed.
-- @srm_chi_square: How far the players of all variants are from an even split; NULL if there is only
--                  one variant.
-- @srm_p_value: How likely such a split is by chance alone: below 0.001 the assignment is broken.
-- @conversion_z: Two-proportion z-statistic of the conversion against control, positive if the
--                variant converts better.
-- @conversion_p_value: How likely such a difference is by chance alone (two-sided).
WITH
-- Exposed players, and those who paid after it.
exposures AS (
    SELECT
        exposure.experiment_id,
        exposure.variant,
        coalesce(exposure.platform, 'all')                                  AS platform,
        coalesce(exposure.country, 'all')                                   AS country,
        count(*)                                                            AS exposed_players,
        count(*) FILTER (WHERE player.last_purchase_at >= exposure.exposed_at)
                                                                            AS converted_players
    FROM star.fact_experiment_exposure AS exposure
    JOIN star.dim_player AS player ON player.player_id = exposure.player_id
    GROUP BY GROUPING SETS (
        (exposure.experiment_id, exposure.variant),
        (exposure.experiment_id, exposure.variant, exposure.platform),
        (exposure.experiment_id, exposure.variant, exposure.country),
        (exposure.experiment_id, exposure.variant, exposure.platform, exposure.country)
    )
),
-- What they brought in, and how many came back, in all months together.
outcomes AS (
    SELECT
        experiment_id,
        variant,
        platform,
        country,
        sum(revenue_usd)                                                    AS revenue_usd,
        sum(d1_exposed)                                                     AS d1_exposed,
        sum(d1_players)                                                     AS d1_players,
        sum(d7_exposed)                                                     AS d7_exposed,
        sum(d7_players)                                                     AS d7_players
    FROM star.fact_experiment_month
    GROUP BY experiment_id, variant, platform, country
),
-- Every cut in which anybody was exposed, with all variants of the experiment.
cells AS (
    SELECT cuts.experiment_id, cuts.platform, cuts.country, experiment.variant
    FROM (SELECT DISTINCT experiment_id, platform, country FROM exposures) AS cuts
    JOIN star.dim_experiment AS experiment ON experiment.experiment_id = cuts.experiment_id
),
-- The figures of each variant.
variants AS (
    SELECT
        cells.experiment_id,
        cells.platform,
        cells.country,
        cells.variant,
        cells.variant = 'control'                                           AS is_control,
        coalesce(exposures.exposed_players, 0)                              AS exposed_players,
        coalesce(exposures.converted_players, 0)                            AS converted_players,
        coalesce(outcomes.revenue_usd, 0.000000)                            AS revenue_usd,
        coalesce(outcomes.d1_exposed, 0)                                    AS d1_exposed,
        coalesce(outcomes.d1_players, 0)                                    AS d1_players,
        coalesce(outcomes.d7_exposed, 0)                                    AS d7_exposed,
        coalesce(outcomes.d7_players, 0)                                    AS d7_players
    FROM cells
    LEFT JOIN exposures
        ON exposures.experiment_id = cells.experiment_id AND exposures.variant = cells.variant
        AND exposures.platform = cells.platform AND exposures.country = cells.country
    LEFT JOIN outcomes
        ON outcomes.experiment_id = cells.experiment_id AND outcomes.variant = cells.variant
        AND outcomes.platform = cells.platform AND outcomes.country = cells.country
),
-- Each beside control and beside the other variants in the same cut.
compared AS (
    SELECT
        variants.*,
        count(*) OVER in_cut                                                AS variant_count,
        chi_square_even(array_agg(exposed_players) OVER in_cut)             AS chi_square,
        max(CASE WHEN is_control THEN exposed_players END) OVER in_cut      AS control_exposed,
        max(CASE WHEN is_control THEN converted_players END) OVER in_cut    AS control_converted
    FROM variants
    WINDOW in_cut AS (PARTITION BY experiment_id, platform, country)
)
SELECT
    experiment_id,
    platform,
    country,
    variant,
    is_control,
    exposed_players,
    converted_players,
    CAST(converted_players AS DOUBLE) / nullif(exposed_players, 0)          AS conversion,
    CAST(revenue_usd AS DECIMAL(18, 6))                                     AS revenue_usd,
    CAST(revenue_usd AS DOUBLE) / nullif(exposed_players, 0)                AS arpu,
    d1_exposed,
    d1_players,
    CAST(d1_players AS DOUBLE) / nullif(d1_exposed, 0)                      AS d1_retention,
    d7_exposed,
    d7_players,
    CAST(d7_players AS DOUBLE) / nullif(d7_exposed, 0)                      AS d7_retention,
    chi_square                                                              AS srm_chi_square,
    chi_square_p_value(chi_square, variant_count - 1)                       AS srm_p_value,
    CASE
        WHEN NOT is_control
            THEN two_proportion_z(
                control_converted, control_exposed, converted_players, exposed_players
            )
    END                                                                     AS conversion_z,
    CASE
        WHEN NOT is_control
            THEN two_proportion_p_value(
                control_converted, control_exposed, converted_players, exposed_players
            )
    END                                                                     AS conversion_p_value
FROM compared
