-- One row per variant of each experiment that players met.
--
-- load: upsert
-- key: experiment_id, variant
-- combine: first_exposed_at = min, last_exposed_at = max, exposures = sum
--
-- @experiment_id: The experiment.
-- @variant: The variant; 'control' is what the others are compared with.
-- @first_exposed_at: Time of the first exposure.
-- @last_exposed_at: Time of the latest exposure.
-- @exposures: Number of exposures, repeated ones included.
SELECT
    experiment_id,
    variant,
    min(event_time)     AS first_exposed_at,
    max(event_time)     AS last_exposed_at,
    count(*)            AS exposures
FROM events.experiment_exposure
GROUP BY experiment_id, variant
