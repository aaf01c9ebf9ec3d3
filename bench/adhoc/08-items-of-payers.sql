-- Join with two dimensions: what those who pay do with their currency, beside those who do not.
SELECT
    item.category,
    CASE WHEN player.first_purchase_at IS NULL THEN 'free' ELSE 'payer' END  AS kind,
    count(*)                                                                 AS bought,
    sum(spent.amount)                                                        AS amount,
    count(DISTINCT spent.player_id)                                          AS players
FROM events.currency_spent AS spent
JOIN star.dim_item AS item ON item.item_id = spent.item_id
JOIN star.dim_player AS player ON player.player_id = spent.player_id
GROUP BY item.category, CASE WHEN player.first_purchase_at IS NULL THEN 'free' ELSE 'payer' END
ORDER BY category, kind
