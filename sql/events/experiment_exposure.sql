-- A player met a variant of an experiment.
CREATE TABLE experiment_exposure (
    experiment_id VARCHAR(64) NOT NULL,         -- Experiment; see dim_experiment
    variant       VARCHAR(32) NOT NULL,         -- Variant that the player was assigned to
    assigned_on   DATE,                         -- Day of the assignment (UTC)
    exposure      INTEGER CHECK (exposure >= 1) -- Counts the player's exposures to the experiment, from 1
);
