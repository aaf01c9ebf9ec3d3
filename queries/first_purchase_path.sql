-- title: First purchase path
-- What players do in the session of their first purchase before they pay, against what they do in
-- sessions without one. A lift of 2 means twice as often.
--
-- param min_sessions: BIGINT = 5  -- kinds of events in fewer of the paying sessions are left out
WITH
-- The first purchase of each player, in a session.
first_purchases AS (
    SELECT player_id, session_id, purchased_at
    FROM (
        SELECT
            player_id,
            session_id,
            purchased_at,
            row_number() OVER (PARTITION BY player_id ORDER BY purchased_at, event_id) AS place
        FROM star.fact_purchase
    ) AS in_order
    WHERE place = 1 AND session_id IS NOT NULL
),
-- Sessions in which nobody paid.
other_sessions AS (
    SELECT session.session_id
    FROM star.fact_session AS session
    LEFT JOIN star.fact_purchase AS purchase ON purchase.session_id = session.session_id
    WHERE purchase.session_id IS NULL
),
-- What happened before the purchase.
before_purchase AS (
    SELECT DISTINCT first_purchases.session_id, event.event_type
    FROM first_purchases
    JOIN events.envelope AS event ON event.session_id = first_purchases.session_id
    WHERE event.event_time < first_purchases.purchased_at
),
-- What happened elsewhere.
elsewhere AS (
    SELECT DISTINCT event.session_id, event.event_type
    FROM events.envelope AS event
    JOIN other_sessions ON other_sessions.session_id = event.session_id
),
-- How many sessions of either kind there are.
sizes AS (
    SELECT
        (SELECT count(*) FROM first_purchases)                              AS paying,
        (SELECT count(*) FROM other_sessions)                               AS others
),
-- Sessions with each kind of event.
paying AS (
    SELECT event_type, count(*) AS sessions FROM before_purchase GROUP BY event_type
),
others AS (
    SELECT event_type, count(*) AS sessions FROM elsewhere GROUP BY event_type
)
SELECT
    paying.event_type,
    paying.sessions                                                         AS paying_sessions,
    round(CAST(paying.sessions AS DOUBLE) / sizes.paying, 4)                AS share_before_paying,
    round(CAST(coalesce(others.sessions, 0) AS DOUBLE) / nullif(sizes.others, 0), 4)
                                                                            AS share_elsewhere,
    round(
        (CAST(paying.sessions AS DOUBLE) / sizes.paying)
            / nullif(CAST(others.sessions AS DOUBLE) / nullif(sizes.others, 0), 0),
        2
    )                                                                       AS lift
FROM paying
CROSS JOIN sizes
LEFT JOIN others ON others.event_type = paying.event_type
WHERE paying.sessions >= $min_sessions
ORDER BY lift DESC NULLS LAST, paying.event_type
