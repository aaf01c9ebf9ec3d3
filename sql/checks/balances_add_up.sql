-- A player's balance is not what it was before and what came or went: the game has made or lost
-- currency, or movements have not arrived.
--
-- on: fact_currency_flow
-- severity: warn
-- param tolerated_share: DOUBLE = 0.01   -- of the movements; records are late, or in quarantine
WITH
-- Movements of the days that the run touches, and how many of the player's have the same time: which
-- of these came first nobody knows.
movements AS (
    SELECT
        event_id,
        date,
        player_id,
        currency,
        flowed_at,
        balance_after,
        balance_after - signed_amount                                       AS balance_before,
        count(*) OVER (PARTITION BY player_id, currency, flowed_at)         AS at_the_time
    FROM star.fact_currency_flow
),
-- Each with the one before it.
pairs AS (
    SELECT
        *,
        lag(balance_after) OVER by_player   AS expected_before,
        lag(at_the_time) OVER by_player     AS at_the_time_before
    FROM movements
    WINDOW by_player AS (PARTITION BY player_id, currency ORDER BY flowed_at)
),
-- Those that can be compared, and how many of them are wrong.
compared AS (
    SELECT
        *,
        balance_before <> expected_before                                       AS is_wrong,
        sum(CASE WHEN balance_before <> expected_before THEN 1 ELSE 0 END) OVER () AS wrong,
        count(*) OVER ()                                                        AS movements
    FROM pairs
    WHERE at_the_time = 1 AND at_the_time_before = 1
)
SELECT event_id, date, player_id, currency, expected_before, balance_before, balance_after
FROM compared
WHERE is_wrong AND wrong > $tolerated_share * movements
ORDER BY player_id, currency, flowed_at
