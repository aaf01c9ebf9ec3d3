-- How many players are current, at risk of leaving, or gone, and who moves between these states, day
-- by day. A player's state on a day follows from the latest day on which they were active by then:
-- current for less than 7 days after it, at risk for less than 28, dormant from then on. The three
-- states add up to all players who had come by the day. Cut by the platform and country of the
-- players' first events; 'all' stands for no cut.
--
-- title: Player states
-- chart: stacked x=date y=current_players,at_risk_players,dormant_players
-- load: replace
-- key: date, platform, country
-- partition: date
-- lookback: 28 days
--
-- @date: UTC day.
-- @platform: Platform of the first event, 'all' for every one.
-- @country: Country of the first event, 'all' for every one.
-- @current_players: Players who were active on one of the 7 days ending with the day.
-- @at_risk_players: Players whose latest active day lies 7 to 27 days back.
-- @dormant_players: Players whose latest active day lies 28 days back or more.
-- @new_players: Players whose first event ever falls on the day.
-- @became_at_risk: Players who were current on the day before and are at risk now.
-- @became_dormant: Players who were at risk on the day before and are dormant now.
-- @recovered: Players who were at risk on the day before and are current now.
-- @reactivated: Players who were dormant on the day before and are current now.
WITH
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
-- Per day and cut, all players who had come by then.
populations AS (
    SELECT
        day.date,
        newcomers.platform,
        newcomers.country,
        sum(newcomers.new_players)  AS players
    FROM star.dim_date AS day
    JOIN newcomers ON newcomers.date <= day.date
    GROUP BY day.date, newcomers.platform, newcomers.country
),
-- The days on which each player was active.
visits AS (
    SELECT DISTINCT player_id, date FROM star.fact_player_day
),
-- Each with the days since the visit before and until the next one. Of a visit more than 28 days
-- before nothing is known: it makes no difference whether there was one.
gaps AS (
    SELECT
        player_id,
        date,
        CAST(date AS INT) - CAST(lag(date) OVER in_order AS INT)    AS days_before,
        CAST(lead(date) OVER in_order AS INT) - CAST(date AS INT)   AS days_after
    FROM visits
    WINDOW in_order AS (PARTITION BY player_id ORDER BY date)
),
-- How many there are of the same kind, in the cut of the players' first events.
turns AS (
    SELECT
        gaps.date,
        player.first_platform                                       AS platform,
        player.first_country                                        AS country,
        gaps.date = player.cohort_date                              AS is_first,
        gaps.days_before,
        gaps.days_after,
        count(*)                                                    AS players
    FROM gaps
    JOIN star.dim_player AS player ON player.player_id = gaps.player_id
    GROUP BY ALL
),
-- When a visit changes something: on its own day, and 7 and 28 days later if there is no other by then.
steps (after, days) AS (
    VALUES (INTERVAL '0 days', 0), (INTERVAL '7 days', 7), (INTERVAL '28 days', 28)
),
changes AS (
    SELECT
        CAST(turns.date + steps.after AS DATE)                      AS date,
        turns.platform,
        turns.country,
        turns.players,
        steps.days = 0 AND (days_before IS NULL OR days_before > 7) AS became_current,
        steps.days = 0 AND days_before BETWEEN 8 AND 28             AS recovered,
        steps.days = 0 AND NOT is_first AND (days_before IS NULL OR days_before > 28)
                                                                    AS reactivated,
        steps.days = 7                                              AS became_at_risk,
        steps.days = 28                                             AS became_dormant
    FROM turns
    CROSS JOIN steps
    WHERE steps.days = 0 OR days_after IS NULL OR days_after > steps.days
),
-- Players who change their state, per day and cut.
movements AS (
    SELECT
        date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        coalesce(sum(players) FILTER (WHERE became_current), 0) AS became_current,
        coalesce(sum(players) FILTER (WHERE recovered), 0)      AS recovered,
        coalesce(sum(players) FILTER (WHERE reactivated), 0)    AS reactivated,
        coalesce(sum(players) FILTER (WHERE became_at_risk), 0) AS became_at_risk,
        coalesce(sum(players) FILTER (WHERE became_dormant), 0) AS became_dormant
    FROM changes
    GROUP BY GROUPING SETS ((date), (date, platform), (date, country), (date, platform, country))
),
-- Current players and those at risk: who has come into the state and not left it yet.
states AS (
    SELECT
        populations.date,
        populations.platform,
        populations.country,
        populations.players,
        coalesce(movements.recovered, 0)        AS recovered,
        coalesce(movements.reactivated, 0)      AS reactivated,
        coalesce(movements.became_at_risk, 0)   AS became_at_risk,
        coalesce(movements.became_dormant, 0)   AS became_dormant,
        sum(coalesce(movements.became_current - movements.became_at_risk, 0)) OVER by_cut
                                                AS current_players,
        sum(coalesce(
            movements.became_at_risk - movements.recovered - movements.became_dormant, 0
        )) OVER by_cut                          AS at_risk_players
    FROM populations
    LEFT JOIN movements
        ON movements.date = populations.date AND movements.platform = populations.platform
        AND movements.country = populations.country
    WINDOW by_cut AS (
        PARTITION BY populations.platform, populations.country ORDER BY populations.date
    )
),
-- Both under each other: each row carries the figures of one step.
figures AS (
    SELECT date, platform, country, players, current_players, at_risk_players,
           0 AS new_players, became_at_risk, became_dormant, recovered, reactivated
    FROM states
    UNION ALL
    SELECT date, platform, country, 0, 0, 0, new_players, 0, 0, 0, 0
    FROM newcomers
)
SELECT
    date,
    platform,
    country,
    sum(current_players)                                            AS current_players,
    sum(at_risk_players)                                            AS at_risk_players,
    sum(players) - sum(current_players) - sum(at_risk_players)      AS dormant_players,
    sum(new_players)                                                AS new_players,
    sum(became_at_risk)                                             AS became_at_risk,
    sum(became_dormant)                                             AS became_dormant,
    sum(recovered)                                                  AS recovered,
    sum(reactivated)                                                AS reactivated
FROM figures
GROUP BY date, platform, country
