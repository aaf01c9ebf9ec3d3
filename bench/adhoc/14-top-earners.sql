-- Top N of many groups: who earned the most.
SELECT
    player_id,
    sum(amount)  AS amount,
    count(*)     AS payments
FROM events.currency_earned
WHERE currency = 'coins'
GROUP BY player_id
ORDER BY amount DESC, player_id
LIMIT 20
