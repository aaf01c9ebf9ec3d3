-- title: Price sensitivity
-- What each price brings in: who pays it, whether they pay again, and how it does where players
-- have less to spend.
--
-- param country: VARCHAR(16) = 'all'  -- one country (ISO 3166-1 alpha-2), or all
-- param min_purchases: BIGINT = 3  -- prices that were paid less often are left out
WITH
-- Payments in the chosen countries.
payments AS (
    SELECT event_id, player_id, purchased_at, price_usd, quantity, revenue_usd
    FROM star.fact_purchase
    WHERE $country = 'all' OR country = $country
),
-- Each with the same player's payments before and after it.
in_order AS (
    SELECT
        price_usd,
        player_id,
        quantity,
        revenue_usd,
        lag(price_usd) OVER player                                          AS price_before,
        lead(price_usd) OVER player                                         AS price_after
    FROM payments
    WINDOW player AS (PARTITION BY player_id ORDER BY purchased_at, event_id)
),
-- All of it, to compare with.
everything AS (
    SELECT sum(revenue_usd) AS revenue_usd, count(DISTINCT player_id) AS payers FROM payments
)
SELECT
    price_usd,
    count(*)                                                                AS purchases,
    count(DISTINCT player_id)                                               AS buyers,
    round(CAST(count(DISTINCT player_id) AS DOUBLE) / min(everything.payers), 4)
                                                                            AS share_of_payers,
    sum(in_order.revenue_usd)                                               AS revenue_usd,
    round(CAST(sum(in_order.revenue_usd) AS DOUBLE)
          / nullif(CAST(min(everything.revenue_usd) AS DOUBLE), 0), 4)      AS share_of_revenue,
    round(CAST(count(*) FILTER (WHERE price_before IS NULL) AS DOUBLE) / count(*), 4)
                                                                            AS share_first_payments,
    round(CAST(count(price_after) AS DOUBLE) / count(*), 4)                 AS share_paid_again,
    round(CAST(count(*) FILTER (WHERE price_after > price_usd) AS DOUBLE)
          / nullif(count(price_after), 0), 4)                               AS share_then_more,
    round(CAST(count(*) FILTER (WHERE price_after < price_usd) AS DOUBLE)
          / nullif(count(price_after), 0), 4)                               AS share_then_less
FROM in_order
CROSS JOIN everything
GROUP BY price_usd
HAVING count(*) >= $min_purchases
ORDER BY price_usd
