-- One row per player: when they came, from where, when they were last seen, when they paid.
--
-- load: upsert
-- key: player_id
-- combine: first_event_at = min, cohort_date = min, first_platform = first(first_event_at),
--          first_country = first(first_event_at), last_event_at = max, last_active_date = max,
--          last_received_at = max, events = sum, registered_at = min, registered_date = min,
--          registered_platform = first(registered_at), registered_country = first(registered_at),
--          display_name = first(registered_at), acquisition_channel = first(registered_at),
--          first_purchase_at = min, first_purchase_date = min,
--          first_purchase_platform = first(first_purchase_at),
--          first_purchase_country = first(first_purchase_at),
--          last_purchase_at = max, purchases = sum
--
-- @player_id: The player.
-- @first_event_at: Time of the player's first event ever.
-- @cohort_date: UTC day of the first event: the player is new on it.
-- @first_platform: Platform of the first event, 'unknown' if it names none.
-- @first_country: Country of the first event, 'unknown' if it names none.
-- @last_event_at: Time of the latest event.
-- @last_active_date: UTC day of the latest event.
-- @last_received_at: When Questlake received the latest of the player's events.
-- @events: Number of events.
-- @registered_at: Time of the registration.
-- @registered_date: UTC day of the registration.
-- @registered_platform: Platform of the registration, 'unknown' if it names none.
-- @registered_country: Country of the registration, 'unknown' if it names none.
-- @display_name: Name chosen at the registration.
-- @acquisition_channel: Where the player came from.
-- @first_purchase_at: Time of the first purchase, NULL for players who never paid.
-- @first_purchase_date: UTC day of the first purchase.
-- @first_purchase_platform: Platform of the first purchase.
-- @first_purchase_country: Country of the first purchase.
-- @last_purchase_at: Time of the latest purchase, NULL for players who never paid.
-- @purchases: Number of purchases.
WITH
-- Whatever a player does.
activity AS (
    SELECT
        player_id,
        min(event_time)                                   AS first_event_at,
        min(event_date)                                   AS cohort_date,
        min_by(coalesce(platform, 'unknown'), event_time) AS first_platform,
        min_by(coalesce(country, 'unknown'), event_time)  AS first_country,
        max(event_time)                                   AS last_event_at,
        max(event_date)                                   AS last_active_date,
        max(received_at)                                  AS last_received_at,
        count(*)                                          AS events
    FROM events.envelope
    GROUP BY player_id
),
-- The registration.
registration AS (
    SELECT
        player_id,
        min(event_time)                                   AS registered_at,
        min(event_date)                                   AS registered_date,
        min_by(coalesce(platform, 'unknown'), event_time) AS registered_platform,
        min_by(coalesce(country, 'unknown'), event_time)  AS registered_country,
        min_by(display_name, event_time)                  AS display_name,
        min_by(acquisition_channel, event_time)           AS acquisition_channel
    FROM events.player_registered
    GROUP BY player_id
),
-- The purchases.
payment AS (
    SELECT
        player_id,
        min(event_time)                                   AS first_purchase_at,
        min(event_date)                                   AS first_purchase_date,
        min_by(coalesce(platform, 'unknown'), event_time) AS first_purchase_platform,
        min_by(coalesce(country, 'unknown'), event_time)  AS first_purchase_country,
        max(event_time)                                   AS last_purchase_at,
        count(*)                                          AS purchases
    FROM events.purchase
    GROUP BY player_id
)
SELECT
    activity.player_id,
    activity.first_event_at,
    activity.cohort_date,
    activity.first_platform,
    activity.first_country,
    activity.last_event_at,
    activity.last_active_date,
    activity.last_received_at,
    activity.events,
    registration.registered_at,
    registration.registered_date,
    registration.registered_platform,
    registration.registered_country,
    registration.display_name,
    registration.acquisition_channel,
    payment.first_purchase_at,
    payment.first_purchase_date,
    payment.first_purchase_platform,
    payment.first_purchase_country,
    payment.last_purchase_at,
    coalesce(payment.purchases, 0)  AS purchases
FROM activity
LEFT JOIN registration ON registration.player_id = activity.player_id
LEFT JOIN payment ON payment.player_id = activity.player_id
