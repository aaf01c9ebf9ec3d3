-- title: Whales
-- Players who paid the most, what they bought, and whether they still play.
--
-- param min_usd: DECIMAL(12,2) = 100  -- least amount paid, US dollars
-- param days: INT = 365  -- only payments of so many days up to the latest one
WITH
-- The latest day that anybody played.
today AS (
    SELECT max(last_active_date) AS date FROM star.dim_player
),
-- Payments of the period.
payments AS (
    SELECT
        purchase.player_id,
        purchase.date,
        purchase.item_id,
        purchase.revenue_usd
    FROM star.fact_purchase AS purchase
    CROSS JOIN today
    WHERE CAST(purchase.date AS INT) > CAST(today.date AS INT) - $days
),
-- What each player paid for each kind of item, the dearest kind first.
kinds AS (
    SELECT
        payments.player_id,
        item.category,
        row_number() OVER (
            PARTITION BY payments.player_id
            ORDER BY sum(payments.revenue_usd) DESC, item.category
        ) AS place
    FROM payments
    LEFT JOIN star.dim_item AS item ON item.item_id = payments.item_id
    GROUP BY payments.player_id, item.category
),
-- What each player paid in all.
totals AS (
    SELECT
        player_id,
        sum(revenue_usd)        AS paid_usd,
        count(*)                AS payments,
        max(revenue_usd)        AS largest_usd,
        min(date)               AS first_payment,
        max(date)               AS last_payment
    FROM payments
    GROUP BY player_id
    HAVING sum(revenue_usd) >= $min_usd
)
SELECT
    totals.player_id,
    player.display_name,
    player.first_country                                                    AS country,
    totals.paid_usd,
    totals.payments,
    totals.largest_usd,
    kinds.category                                                          AS favourite_category,
    totals.first_payment,
    totals.last_payment,
    CAST(today.date AS INT) - CAST(player.last_active_date AS INT)          AS days_silent
FROM totals
CROSS JOIN today
JOIN star.dim_player AS player ON player.player_id = totals.player_id
LEFT JOIN kinds ON kinds.player_id = totals.player_id AND kinds.place = 1
ORDER BY totals.paid_usd DESC, totals.player_id
