-- New events are not in the hot store, which had them before they landed: it has lost documents, and
-- no longer knows their duplicates.
--
-- severity: warn
SELECT event_id, event_type, date
FROM run.hot_sample
WHERE NOT is_hot
ORDER BY date, event_id
