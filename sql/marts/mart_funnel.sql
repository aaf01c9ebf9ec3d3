-- How far players get on their way, and how long each step takes. A player enters each funnel with
-- the registration. A step is reached at its earliest event at or after the time of the step before,
-- within the funnel's window after the registration; until then it is simply not reached yet.
-- Cohorts are cut by the platform and country of the registration; 'all' stands for no cut.
--
-- title: Funnels
-- chart: funnel x=step_name y=players
-- load: replace
-- key: funnel, cohort_date, platform, country, step
-- partition: cohort_date
-- lookback: 1 day
-- lookahead: 30 days
--
-- @funnel: tutorial (within 7 days), onboarding (within 7 days) or first_purchase (within 30 days).
-- @cohort_date: UTC day of the players' registration.
-- @platform: Platform of the registration, 'all' for every one.
-- @country: Country of the registration, 'all' for every one.
-- @step: Position of the step in the funnel, from 1.
-- @step_name: The step.
-- @players: Players who reached it.
-- @share_of_first: players / players of step 1.
-- @share_of_previous: players / players of the step before; 1 for step 1.
-- @median_seconds: Median time since the step before, over the players who reached both.
WITH
-- The funnels.
funnels (funnel, max_duration) AS (
    VALUES
        ('tutorial', INTERVAL '7 days'),
        ('onboarding', INTERVAL '7 days'),
        ('first_purchase', INTERVAL '30 days')
),
-- Their steps.
steps (funnel, step, step_name) AS (
    VALUES
        ('tutorial', 1, 'registered'),
        ('tutorial', 2, 'welcome'),
        ('tutorial', 3, 'first_move'),
        ('tutorial', 4, 'combine_runes'),
        ('tutorial', 5, 'use_booster'),
        ('tutorial', 6, 'open_chest'),
        ('tutorial', 7, 'visit_village'),
        ('onboarding', 1, 'registered'),
        ('onboarding', 2, 'tutorial_done'),
        ('onboarding', 3, 'level_1_won'),
        ('onboarding', 4, 'level_5_won'),
        ('onboarding', 5, 'level_10_won'),
        ('first_purchase', 1, 'registered'),
        ('first_purchase', 2, 'level_5_won'),
        ('first_purchase', 3, 'shop_used'),
        ('first_purchase', 4, 'purchased')
),
-- What counts as a step beyond the registration, whenever it happened.
moments AS (
    SELECT 'tutorial' AS funnel, number + 1 AS step, player_id, reached_at
    FROM star.fact_progression
    WHERE milestone = 'tutorial_step' AND number <= 6
    UNION ALL
    SELECT 'onboarding', 2, player_id, reached_at
    FROM star.fact_progression
    WHERE milestone = 'tutorial_step' AND number = 6
    UNION ALL
    SELECT 'onboarding', 3, player_id, ended_at
    FROM star.fact_level_attempt
    WHERE result = 'win' AND level = 1
    UNION ALL
    SELECT 'onboarding', 4, player_id, ended_at
    FROM star.fact_level_attempt
    WHERE result = 'win' AND level = 5
    UNION ALL
    SELECT 'onboarding', 5, player_id, ended_at
    FROM star.fact_level_attempt
    WHERE result = 'win' AND level = 10
    UNION ALL
    SELECT 'first_purchase', 2, player_id, ended_at
    FROM star.fact_level_attempt
    WHERE result = 'win' AND level = 5
    UNION ALL
    SELECT 'first_purchase', 3, player_id, flowed_at
    FROM star.fact_currency_flow
    WHERE direction = 'spent' AND reason = 'shop'
    UNION ALL
    SELECT 'first_purchase', 4, player_id, purchased_at
    FROM star.fact_purchase
),
-- Step 1: every player who registered, in each funnel.
reached_1 AS (
    SELECT
        funnels.funnel,
        player.registered_date                          AS cohort_date,
        player.registered_platform                      AS platform,
        player.registered_country                       AS country,
        player.player_id,
        player.registered_at + funnels.max_duration     AS deadline,
        player.registered_at                            AS at_1
    FROM star.dim_player AS player
    CROSS JOIN funnels
    WHERE player.registered_date IS NOT NULL
),
-- Step 2: its earliest moment from step 1 on.
reached_2 AS (
    SELECT reached_1.*, min(moments.reached_at) AS at_2
    FROM reached_1
    LEFT JOIN moments
        ON moments.funnel = reached_1.funnel AND moments.step = 2
        AND moments.player_id = reached_1.player_id
        AND moments.reached_at BETWEEN reached_1.at_1 AND reached_1.deadline
    GROUP BY ALL
),
-- Step 3, from step 2 on.
reached_3 AS (
    SELECT reached_2.*, min(moments.reached_at) AS at_3
    FROM reached_2
    LEFT JOIN moments
        ON moments.funnel = reached_2.funnel AND moments.step = 3
        AND moments.player_id = reached_2.player_id
        AND moments.reached_at BETWEEN reached_2.at_2 AND reached_2.deadline
    GROUP BY ALL
),
-- Step 4, from step 3 on.
reached_4 AS (
    SELECT reached_3.*, min(moments.reached_at) AS at_4
    FROM reached_3
    LEFT JOIN moments
        ON moments.funnel = reached_3.funnel AND moments.step = 4
        AND moments.player_id = reached_3.player_id
        AND moments.reached_at BETWEEN reached_3.at_3 AND reached_3.deadline
    GROUP BY ALL
),
-- Step 5, from step 4 on.
reached_5 AS (
    SELECT reached_4.*, min(moments.reached_at) AS at_5
    FROM reached_4
    LEFT JOIN moments
        ON moments.funnel = reached_4.funnel AND moments.step = 5
        AND moments.player_id = reached_4.player_id
        AND moments.reached_at BETWEEN reached_4.at_4 AND reached_4.deadline
    GROUP BY ALL
),
-- Step 6, from step 5 on.
reached_6 AS (
    SELECT reached_5.*, min(moments.reached_at) AS at_6
    FROM reached_5
    LEFT JOIN moments
        ON moments.funnel = reached_5.funnel AND moments.step = 6
        AND moments.player_id = reached_5.player_id
        AND moments.reached_at BETWEEN reached_5.at_5 AND reached_5.deadline
    GROUP BY ALL
),
-- Step 7, from step 6 on.
reached_7 AS (
    SELECT reached_6.*, min(moments.reached_at) AS at_7
    FROM reached_6
    LEFT JOIN moments
        ON moments.funnel = reached_6.funnel AND moments.step = 7
        AND moments.player_id = reached_6.player_id
        AND moments.reached_at BETWEEN reached_6.at_6 AND reached_6.deadline
    GROUP BY ALL
),
-- One row per player and step: when the step and the one before were reached, if they were.
progress AS (
    SELECT
        reached_7.funnel,
        reached_7.cohort_date,
        reached_7.platform,
        reached_7.country,
        steps.step,
        steps.step_name,
        CASE steps.step
            WHEN 1 THEN at_1 WHEN 2 THEN at_2 WHEN 3 THEN at_3 WHEN 4 THEN at_4
            WHEN 5 THEN at_5 WHEN 6 THEN at_6 WHEN 7 THEN at_7
        END AS reached_at,
        CASE steps.step
            WHEN 2 THEN at_1 WHEN 3 THEN at_2 WHEN 4 THEN at_3 WHEN 5 THEN at_4
            WHEN 6 THEN at_5 WHEN 7 THEN at_6
        END AS previous_at
    FROM reached_7
    JOIN steps ON steps.funnel = reached_7.funnel
),
-- Players per cohort and step.
totals AS (
    SELECT
        funnel,
        cohort_date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        step,
        step_name,
        count(*)                    AS cohort_size,
        count(reached_at)           AS players,
        count(previous_at)          AS previous_players,
        percentile_cont(0.5) WITHIN GROUP (
            -- Times are counted in microseconds.
            ORDER BY CAST(CAST(reached_at AS BIGINT) - CAST(previous_at AS BIGINT) AS DOUBLE) / 1000000
        )                           AS median_seconds
    FROM progress
    GROUP BY GROUPING SETS (
        (funnel, cohort_date, step, step_name),
        (funnel, cohort_date, step, step_name, platform),
        (funnel, cohort_date, step, step_name, country),
        (funnel, cohort_date, step, step_name, platform, country)
    )
)
SELECT
    funnel,
    cohort_date,
    platform,
    country,
    step,
    step_name,
    players,
    CAST(players AS DOUBLE) / cohort_size                   AS share_of_first,
    CASE
        WHEN step = 1 THEN CAST(1 AS DOUBLE)
        ELSE CAST(players AS DOUBLE) / nullif(previous_players, 0)
    END                                                     AS share_of_previous,
    median_seconds
FROM totals
