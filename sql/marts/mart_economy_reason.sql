-- Where virtual currency comes from and where it goes: sources and sinks of each day, the largest
-- ones first. 'all' stands for no cut. Players are counted at each row's own grain: never add them
-- up.
--
-- title: Sources and sinks
-- chart: line x=date y=amount
-- load: replace
-- key: date, platform, country, currency, direction, reason
-- partition: date
--
-- @date: UTC day.
-- @platform: Platform, 'all' for every one.
-- @country: Country, 'all' for every one.
-- @currency: coins (soft) or gems (hard).
-- @direction: earned or spent.
-- @reason: Source of what was earned, sink of what was spent.
-- @amount: Units.
-- @flows: Movements.
-- @players: Distinct players with such a movement.
-- @share: amount / all that was earned, or spent, of the currency on the day in the cut.
-- @place: 1 for the reason with the largest amount; ties in alphabetical order.
WITH
-- Each player's movements on each platform and in each country: much fewer rows to cut.
purses AS (
    SELECT
        date,
        platform,
        country,
        currency,
        direction,
        reason,
        player_id,
        sum(amount)                 AS amount,
        count(*)                    AS flows
    FROM star.fact_currency_flow
    GROUP BY date, platform, country, currency, direction, reason, player_id
),
-- Each player with such a movement.
pockets AS (
    SELECT
        date,
        coalesce(platform, 'all')   AS platform,
        coalesce(country, 'all')    AS country,
        currency,
        direction,
        reason,
        player_id,
        sum(amount)                 AS amount,
        sum(flows)                  AS flows
    FROM purses
    GROUP BY GROUPING SETS (
        (date, currency, direction, reason, player_id),
        (date, currency, direction, reason, player_id, platform),
        (date, currency, direction, reason, player_id, country),
        (date, currency, direction, reason, player_id, platform, country)
    )
),
-- All players together.
reasons AS (
    SELECT
        date,
        platform,
        country,
        currency,
        direction,
        reason,
        sum(amount)     AS amount,
        sum(flows)      AS flows,
        count(*)        AS players
    FROM pockets
    GROUP BY date, platform, country, currency, direction, reason
)
SELECT
    date,
    platform,
    country,
    currency,
    direction,
    reason,
    amount,
    flows,
    players,
    CAST(amount AS DOUBLE) / CAST(sum(amount) OVER together AS DOUBLE)  AS share,
    row_number() OVER (
        PARTITION BY date, platform, country, currency, direction ORDER BY amount DESC, reason
    )                                                                   AS place
FROM reasons
WINDOW together AS (PARTITION BY date, platform, country, currency, direction)
