-- How hard each level is: attempts that began on the day, and players who won the level for the
-- first time. Attempts are cut by the platform and country of their first event, first wins by
-- those of the winning event; 'all' stands for no cut. Medians are of each row's own grain.
--
-- title: Levels
-- chart: line x=date y=win_rate
-- load: replace
-- key: date, platform, country, level_id
-- partition: date
--
-- @date: UTC day of the attempts' first events.
-- @platform: Platform, 'all' for every one.
-- @country: Country, 'all' for every one.
-- @level_id: The level; see dim_level.
-- @level: Position of the level in the game, from 1.
-- @attempts: Attempts at the level.
-- @wins: Of these, won.
-- @losses: Of these, lost.
-- @quits: Of these, given up.
-- @unfinished: Of these, without a known end.
-- @win_rate: wins / attempts.
-- @median_duration_seconds: Median length of the attempts that ended.
-- @p90_duration_seconds: Length that 90 % of them do not exceed.
-- @first_wins: Players who won the level for the first time on the day.
-- @median_attempts_to_first_win: Median of the attempts that they needed.
WITH
-- Attempts and first wins under each other: what a row says nothing about is NULL.
moments AS (
    SELECT
        date,
        platform,
        country,
        level_id,
        level,
        1                                       AS attempts,
        coalesce(result, 'unfinished')          AS result,
        CAST(duration_ms AS DOUBLE) / 1000      AS duration_seconds,
        0                                       AS first_wins,
        NULL                                    AS attempts_to_first_win
    FROM star.fact_level_attempt
    UNION ALL
    SELECT date, platform, country, level_id, level, 0, NULL, NULL, 1, attempt
    FROM star.fact_level_first_win
),
-- Figures of each level, day and cut.
totals AS (
    SELECT
        date,
        coalesce(platform, 'all')                               AS platform,
        coalesce(country, 'all')                                AS country,
        level_id,
        max(level)                                              AS level,
        sum(attempts)                                           AS attempts,
        count(*) FILTER (WHERE result = 'win')                  AS wins,
        count(*) FILTER (WHERE result = 'loss')                 AS losses,
        count(*) FILTER (WHERE result = 'quit')                 AS quits,
        count(*) FILTER (WHERE result = 'unfinished')           AS unfinished,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_seconds)
                                                                AS median_duration_seconds,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY duration_seconds)
                                                                AS p90_duration_seconds,
        sum(first_wins)                                         AS first_wins,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY attempts_to_first_win)
                                                                AS median_attempts_to_first_win
    FROM moments
    GROUP BY GROUPING SETS (
        (date, level_id),
        (date, level_id, platform),
        (date, level_id, country),
        (date, level_id, platform, country)
    )
)
SELECT
    date,
    platform,
    country,
    level_id,
    level,
    attempts,
    wins,
    losses,
    quits,
    unfinished,
    CAST(wins AS DOUBLE) / nullif(attempts, 0)  AS win_rate,
    median_duration_seconds,
    p90_duration_seconds,
    first_wins,
    median_attempts_to_first_win
FROM totals
