-- A player thought for longer than allowed.
CREATE TABLE move_timed_out (
    game_id      VARCHAR(32) NOT NULL,                                -- The game
    side         VARCHAR(5) NOT NULL CHECK (side IN ('white', 'black')), -- Whose move it was
    move_number  SMALLINT NOT NULL CHECK (move_number >= 1),          -- The move
    seconds_over DOUBLE NOT NULL CHECK (seconds_over > 0)             -- Time beyond the limit
);
