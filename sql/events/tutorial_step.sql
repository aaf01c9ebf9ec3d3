-- A player finished or skipped one step of the tutorial.
CREATE TABLE tutorial_step (
    step        SMALLINT NOT NULL CHECK (step BETWEEN 1 AND 100),                 -- Position in the tutorial, from 1
    step_name   VARCHAR(64) NOT NULL,                                             -- What the step teaches
    outcome     VARCHAR(16) NOT NULL CHECK (outcome IN ('completed', 'skipped')), -- How the step ended
    duration_ms INTEGER CHECK (duration_ms >= 0)                                  -- Time spent on the step, milliseconds
);
