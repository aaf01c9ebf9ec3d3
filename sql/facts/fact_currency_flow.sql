-- One row per movement of virtual currency, into or out of a player's pocket.
--
-- load: append
-- key: event_id
-- partition: date
-- not_null: player_id, currency, amount, balance_after
-- accepted: currency = 'coins' | 'gems' (warn), direction = 'earned' | 'spent'
--
-- @event_id: The event.
-- @date: UTC day of the movement.
-- @flowed_at: Time of the movement.
-- @player_id: The player.
-- @session_id: The session, if any.
-- @platform: Platform, 'unknown' if the event names none.
-- @country: Country, 'unknown' if the event names none.
-- @currency: coins (soft) or gems (hard).
-- @direction: earned or spent.
-- @reason: Source of what was earned, sink of what was spent.
-- @amount: Units, always positive.
-- @signed_amount: Units, negative if they were spent.
-- @item_id: Item bought, if any; see dim_item.
-- @balance_after: Units owned afterwards.
WITH
-- Movements in both directions.
flows AS (
    SELECT
        event_id, event_date, event_time, player_id, session_id, platform, country, currency,
        'earned'    AS direction,
        source      AS reason,
        amount,
        amount      AS signed_amount,
        NULL        AS item_id,
        balance_after
    FROM events.currency_earned
    UNION ALL
    SELECT
        event_id, event_date, event_time, player_id, session_id, platform, country, currency,
        'spent'     AS direction,
        sink        AS reason,
        amount,
        -amount     AS signed_amount,
        item_id,
        balance_after
    FROM events.currency_spent
)
SELECT
    event_id,
    event_date                      AS date,
    event_time                      AS flowed_at,
    player_id,
    session_id,
    coalesce(platform, 'unknown')   AS platform,
    coalesce(country, 'unknown')    AS country,
    currency,
    direction,
    reason,
    amount,
    signed_amount,
    item_id,
    balance_after
FROM flows
