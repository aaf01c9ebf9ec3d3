-- How the checks of the latest runs ended.

CREATE TABLE questlake.checks (
    check_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run         timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    name        text COLLATE "C" NOT NULL,
    model       text COLLATE "C",
    severity    text COLLATE "C" NOT NULL,
    status      text COLLATE "C" NOT NULL,
    "rows"      bigint NOT NULL,
    sample      text,
    detail      text,
    description text,
    file        text NOT NULL,
    millis      bigint NOT NULL,
    commit_id   uuid NOT NULL,
    place       integer NOT NULL,
    UNIQUE (commit_id, place)
);
CREATE INDEX checks_by_check ON questlake.checks (model, name, check_id);
COMMENT ON TABLE  questlake.checks IS 'How the checks of the latest runs ended';
COMMENT ON COLUMN questlake.checks.run IS 'When the run began that it is a part of';
COMMENT ON COLUMN questlake.checks.status IS 'passed, failed, broken or skipped';
COMMENT ON COLUMN questlake.checks."rows" IS 'Rows that are wrong';
COMMENT ON COLUMN questlake.checks.sample IS 'The first of them, one per line';
COMMENT ON COLUMN questlake.checks.place IS 'Place in the report of one run of the pipeline';
