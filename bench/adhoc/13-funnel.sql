-- Funnel: from the registration over the tutorial and the first win to the first payment, in order.
WITH
registered AS (
    SELECT player_id, platform, min(event_time) AS at
    FROM events.player_registered
    GROUP BY player_id, platform
),
taught AS (
    SELECT player_id, min(event_time) AS at
    FROM events.tutorial_step
    WHERE step >= 5 AND outcome = 'completed'
    GROUP BY player_id
),
won AS (
    SELECT player_id, min(event_time) AS at
    FROM events.level_end
    WHERE result = 'win' AND level >= 10
    GROUP BY player_id
),
paid AS (
    SELECT player_id, min(event_time) AS at
    FROM events.purchase
    GROUP BY player_id
)
SELECT
    registered.platform,
    count(*)                                                                AS players,
    sum(CASE WHEN taught.at > registered.at THEN 1 ELSE 0 END)              AS were_taught,
    sum(CASE WHEN taught.at > registered.at AND won.at > taught.at
        THEN 1 ELSE 0 END)                                                  AS then_won,
    sum(CASE WHEN taught.at > registered.at AND won.at > taught.at AND paid.at > won.at
        THEN 1 ELSE 0 END)                                                  AS then_paid
FROM registered
LEFT JOIN taught ON taught.player_id = registered.player_id
LEFT JOIN won ON won.player_id = registered.player_id
LEFT JOIN paid ON paid.player_id = registered.player_id
WHERE registered.platform IS NOT NULL
GROUP BY registered.platform
ORDER BY registered.platform
