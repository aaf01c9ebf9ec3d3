-- An attempt at a level ended.
CREATE TABLE level_end (
    attempt_id  VARCHAR(64) NOT NULL,                                           -- Joins level_start and level_end of one attempt
    level_id    VARCHAR(64) NOT NULL,                                           -- Level played; see dim_level
    level       INTEGER NOT NULL CHECK (level >= 1),                            -- Position of the level in the game, from 1
    attempt     INTEGER NOT NULL CHECK (attempt >= 1),                          -- Counts the player's attempts at this level, from 1
    result      VARCHAR(16) NOT NULL CHECK (result IN ('win', 'loss', 'quit')), -- How the attempt ended
    duration_ms INTEGER NOT NULL CHECK (duration_ms >= 0),                      -- Time since level_start, milliseconds
    score       BIGINT CHECK (score >= 0),                                      -- Points reached
    stars       SMALLINT CHECK (stars BETWEEN 0 AND 3)                          -- Stars earned; 0 unless won
);
