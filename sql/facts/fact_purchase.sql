-- One row per purchase with real money.
--
-- load: append
-- key: event_id
-- partition: date
-- not_null: player_id, item_id, revenue_usd
-- accepted: store = 'app_store' | 'google_play' | 'web_shop' | 'steam' (warn)
-- references: item_id = dim_item.item_id
--
-- @event_id: The purchase event.
-- @date: UTC day of the purchase.
-- @purchased_at: Time of the purchase.
-- @player_id: The buyer.
-- @session_id: The session in which it was bought, if any.
-- @platform: Platform, 'unknown' if the event names none.
-- @country: Country, 'unknown' if the event names none.
-- @app_version: Version of the client.
-- @purchase_id: Receipt of the store.
-- @item_id: Item bought; see dim_item.
-- @price_usd: Price of one unit, US dollars.
-- @quantity: Units bought.
-- @revenue_usd: price_usd × quantity.
-- @store: The store that took the payment.
SELECT
    event_id,
    event_date                                      AS date,
    event_time                                      AS purchased_at,
    player_id,
    session_id,
    coalesce(platform, 'unknown')                   AS platform,
    coalesce(country, 'unknown')                    AS country,
    app_version,
    purchase_id,
    item_id,
    price_usd,
    quantity,
    CAST(price_usd * quantity AS DECIMAL(14, 2))    AS revenue_usd,
    store
FROM events.purchase
