-- A game of chess came to its end.
CREATE TABLE game_finished (
    game_id   VARCHAR(32) NOT NULL,                                             -- The game
    white_id  VARCHAR(32) NOT NULL,                                             -- Who had white
    black_id  VARCHAR(32) NOT NULL,                                             -- Who had black
    result    VARCHAR(7) NOT NULL CHECK (result IN ('1-0', '0-1', '1/2-1/2')),  -- As in a score sheet
    moves     INTEGER NOT NULL CHECK (moves >= 0),                              -- Moves of both sides
    prize_eur DECIMAL(8, 2) CHECK (prize_eur >= 0),                             -- For the winner, if there is one
    CONSTRAINT two_players CHECK (white_id <> black_id)
);
