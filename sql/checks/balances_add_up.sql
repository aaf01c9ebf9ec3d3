-- A player's balance is not what it was before and what came or went: the game has made or lost
-- currency, or movements have not arrived.
--
-- on: fact_currency_flow
-- severity: warn
-- param tolerated_share: DOUBLE = 0.01   -- of the movements; records are late, or in quarantine
WITH
-- Movements of the days that the run touches, each with what was before it.
movements AS (
    SELECT
        event_id,
        date,
        player_id,
        currency,
        flowed_at,
        balance_after,
        balance_after - signed_amount       AS balance_before,
        lag(balance_after) OVER by_player   AS expected_before,
        lag(flowed_at) OVER by_player       AS previous_at,
        lag(flowed_at, 2) OVER by_player    AS earlier_at,
        lead(flowed_at) OVER by_player      AS next_at
    FROM star.fact_currency_flow
    WINDOW by_player AS (PARTITION BY player_id, currency ORDER BY flowed_at)
),
-- Those that do not follow from the one before. Of several at the same time nobody knows which came
-- first, so they are left out.
wrong AS (
    SELECT *, count(*) OVER () AS how_many
    FROM movements
    WHERE balance_before <> expected_before
      AND flowed_at <> previous_at
      AND (flowed_at IS DISTINCT FROM next_at)
      AND (previous_at IS DISTINCT FROM earlier_at)
)
SELECT event_id, date, player_id, currency, expected_before, balance_before, balance_after
FROM wrong
WHERE how_many > $tolerated_share * (SELECT count(*) FROM star.fact_currency_flow)
ORDER BY player_id, currency, flowed_at
