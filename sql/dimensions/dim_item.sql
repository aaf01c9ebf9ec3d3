-- One row per item that was bought or acquired, as it was last described.
--
-- load: upsert
-- key: item_id
-- combine: item_name = last(last_seen_at), category = last(last_seen_at), rarity = max,
--          first_seen_at = min, last_seen_at = max
-- accepted: category = 'booster' | 'cosmetic' | 'gear' | 'bundle' (warn)
--
-- @item_id: The item.
-- @item_name: Name shown to players.
-- @category: booster, cosmetic, gear or bundle.
-- @rarity: How scarce it is; known only for items acquired in the game.
-- @first_seen_at: Time of the first event about it.
-- @last_seen_at: Time of the latest event about it.
WITH
-- Every mention of an item.
mentions AS (
    SELECT item_id, item_name, item_category AS category, CAST(NULL AS TEXT) AS rarity, event_time
    FROM events.purchase
    UNION ALL
    SELECT item_id, item_name, category, rarity, event_time
    FROM events.item_acquired
)
SELECT
    item_id,
    last_value(item_name ORDER BY event_time, item_name)    AS item_name,
    last_value(category ORDER BY event_time, category)      AS category,
    max(rarity)                                             AS rarity,
    min(event_time)                                         AS first_seen_at,
    max(event_time)                                         AS last_seen_at
FROM mentions
GROUP BY item_id
