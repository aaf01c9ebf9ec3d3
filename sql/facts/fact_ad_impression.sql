-- One row per advertisement shown.
--
-- load: append
-- key: event_id
-- partition: date
-- not_null: player_id, revenue_usd
-- accepted: ad_format = 'rewarded' | 'interstitial' | 'banner' (warn)
--
-- @event_id: The impression event.
-- @date: UTC day of the impression.
-- @shown_at: Time of the impression.
-- @player_id: Who saw it.
-- @session_id: The session in which it was shown, if any.
-- @platform: Platform, 'unknown' if the event names none.
-- @country: Country, 'unknown' if the event names none.
-- @network: Advertising network that paid for it.
-- @placement: Where in the game.
-- @ad_format: rewarded, interstitial or banner.
-- @revenue_usd: Revenue of the impression, US dollars.
SELECT
    event_id,
    event_date                      AS date,
    event_time                      AS shown_at,
    player_id,
    session_id,
    coalesce(platform, 'unknown')   AS platform,
    coalesce(country, 'unknown')    AS country,
    network,
    placement,
    ad_format,
    revenue_usd
FROM events.ad_impression
