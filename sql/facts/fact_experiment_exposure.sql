-- One row per player and experiment: when the player first met it, and in which variant.
--
-- load: upsert
-- key: experiment_id, player_id
-- combine: exposed_at = min, exposed_date = min, variant = first(exposed_at),
--          platform = first(exposed_at), country = first(exposed_at), exposures = sum
--
-- @experiment_id: The experiment.
-- @player_id: The player.
-- @exposed_at: Time of the first exposure.
-- @exposed_date: UTC day of the first exposure.
-- @variant: Variant of the first exposure; see dim_experiment.
-- @platform: Platform of the first exposure, 'unknown' if the event names none.
-- @country: Country of the first exposure, 'unknown' if the event names none.
-- @exposures: Number of exposures, repeated ones included.
SELECT
    experiment_id,
    player_id,
    min(event_time)                                     AS exposed_at,
    min(event_date)                                     AS exposed_date,
    min_by(variant, event_time)                         AS variant,
    min_by(coalesce(platform, 'unknown'), event_time)   AS platform,
    min_by(coalesce(country, 'unknown'), event_time)    AS country,
    count(*)                                            AS exposures
FROM events.experiment_exposure
GROUP BY experiment_id, player_id
