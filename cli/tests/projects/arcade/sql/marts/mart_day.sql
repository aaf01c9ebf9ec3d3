-- Sessions and scores of each day; a session that goes on over midnight counts on both days.
--
-- load: replace
-- key: event_date
-- partition: event_date
WITH
numbered AS (
    SELECT
        event_date,
        player_id,
        sessionize(event_time, INTERVAL '30 minutes')
            OVER (PARTITION BY event_date, player_id ORDER BY event_time) AS session
    FROM events.envelope
),
-- The last session of each player is how many there were.
players AS (
    SELECT event_date, player_id, max(session) AS sessions
    FROM numbered
    GROUP BY event_date, player_id
),
scores AS (
    SELECT
        event_date,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY score) AS score_median,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY score) AS score_p90
    FROM events.round_played
    GROUP BY event_date
),
prices AS (
    SELECT event_date, percentile_cont(0.5) WITHIN GROUP (ORDER BY price_eur) AS price_median
    FROM events.coins_bought
    GROUP BY event_date
)
SELECT
    players.event_date,
    sum(players.sessions)     AS sessions,
    max(scores.score_median)  AS score_median,
    max(scores.score_p90)     AS score_p90,
    max(prices.price_median)  AS price_median
FROM players
LEFT JOIN scores ON scores.event_date = players.event_date
LEFT JOIN prices ON prices.event_date = players.event_date
GROUP BY players.event_date
