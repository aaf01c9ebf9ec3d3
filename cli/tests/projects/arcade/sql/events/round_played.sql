-- A player played a round. The game knows no sessions.
CREATE TABLE round_played (
    score BIGINT NOT NULL CHECK (score >= 0) -- Points of the round
);
