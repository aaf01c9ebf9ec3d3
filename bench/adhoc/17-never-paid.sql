-- Anti-join: players who watch rewarded advertisements to their end and have never paid.
WITH
watchers AS (
    SELECT player_id, country, count(*) AS watched
    FROM events.ad_impression
    WHERE ad_format = 'rewarded' AND completed
    GROUP BY player_id, country
)
SELECT
    watchers.country,
    count(*)               AS players,
    sum(watchers.watched)  AS watched
FROM watchers
LEFT JOIN (SELECT DISTINCT player_id FROM events.purchase) AS payers
  ON payers.player_id = watchers.player_id
WHERE payers.player_id IS NULL AND watchers.country IS NOT NULL
GROUP BY watchers.country
ORDER BY players DESC, watchers.country
