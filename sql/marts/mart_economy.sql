-- What comes into players' pockets and what goes out, per virtual currency and day, and what they
-- own at the end of it. 'all' stands for no cut. Players and balances are counted at each row's own
-- grain: never add them up over days or cuts.
--
-- title: Economy
-- chart: line x=date y=earned,spent
-- load: replace
-- key: date, platform, country, currency
-- partition: date
--
-- @date: UTC day.
-- @platform: Platform, 'all' for every one.
-- @country: Country, 'all' for every one.
-- @currency: coins (soft) or gems (hard).
-- @earned: Units that players received.
-- @spent: Units that they paid.
-- @net: earned − spent.
-- @flows: Movements of the currency.
-- @players: Distinct players with a movement.
-- @balance_median: Median of what these players owned after their last movement of the day.
-- @balance_p90: What 90 % of them do not exceed.
-- @balance_p99: What 99 % of them do not exceed.
WITH
-- Each player's movements on each platform and in each country: much fewer rows to cut.
purses AS (
    SELECT
        date,
        platform,
        country,
        currency,
        player_id,
        sum(amount) FILTER (WHERE direction = 'earned')                 AS earned,
        sum(amount) FILTER (WHERE direction = 'spent')                  AS spent,
        count(*)                                                        AS flows,
        max(flowed_at)                                                  AS last_flowed_at,
        last_value(event_id ORDER BY flowed_at, event_id)               AS last_event_id,
        last_value(balance_after ORDER BY flowed_at, event_id)          AS balance
    FROM star.fact_currency_flow
    GROUP BY date, platform, country, currency, player_id
),
-- Each player with a movement, and what they owned after the last one.
pockets AS (
    SELECT
        date,
        coalesce(platform, 'all')                                       AS platform,
        coalesce(country, 'all')                                        AS country,
        currency,
        player_id,
        sum(earned)                                                     AS earned,
        sum(spent)                                                      AS spent,
        sum(flows)                                                      AS flows,
        last_value(balance ORDER BY last_flowed_at, last_event_id)      AS balance
    FROM purses
    GROUP BY GROUPING SETS (
        (date, currency, player_id),
        (date, currency, player_id, platform),
        (date, currency, player_id, country),
        (date, currency, player_id, platform, country)
    )
),
-- All players together.
totals AS (
    SELECT
        date,
        platform,
        country,
        currency,
        coalesce(sum(earned), 0)                                        AS earned,
        coalesce(sum(spent), 0)                                         AS spent,
        sum(flows)                                                      AS flows,
        count(*)                                                        AS players,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY balance)
                                                                        AS balance_median,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY balance)
                                                                        AS balance_p90,
        percentile_cont(0.99) WITHIN GROUP (ORDER BY balance)
                                                                        AS balance_p99
    FROM pockets
    GROUP BY date, platform, country, currency
)
SELECT
    date,
    platform,
    country,
    currency,
    earned,
    spent,
    earned - spent AS net,
    flows,
    players,
    balance_median,
    balance_p90,
    balance_p99
FROM totals
