-- Selective look-up: what happened in one session, over several event types.
SELECT event_time, 'level_end' AS what, result AS detail, duration_ms AS amount
FROM events.level_end
WHERE session_id = '{session}'
UNION ALL
SELECT event_time, 'match_end' AS what, result AS detail, duration_ms AS amount
FROM events.match_end
WHERE session_id = '{session}'
UNION ALL
SELECT event_time, 'earned' AS what, source AS detail, amount
FROM events.currency_earned
WHERE session_id = '{session}'
UNION ALL
SELECT event_time, 'spent' AS what, sink AS detail, amount
FROM events.currency_spent
WHERE session_id = '{session}'
ORDER BY event_time, what, detail, amount
