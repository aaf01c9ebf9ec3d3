-- Join with a dimension: what players of each acquisition channel are worth in advertisements.
SELECT
    player.acquisition_channel,
    player.first_platform,
    count(*)                      AS impressions,
    count(DISTINCT ad.player_id)  AS players,
    sum(ad.revenue_usd)           AS revenue_usd
FROM events.ad_impression AS ad
JOIN star.dim_player AS player ON player.player_id = ad.player_id
WHERE player.acquisition_channel IS NOT NULL
GROUP BY player.acquisition_channel, player.first_platform
ORDER BY player.acquisition_channel, player.first_platform
