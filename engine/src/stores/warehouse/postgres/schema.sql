-- The pipeline's own tables.

CREATE TABLE questlake.models (
    model           text COLLATE "C" PRIMARY KEY,
    ledger_sequence bigint NOT NULL,
    definition_hash bigint NOT NULL,
    updated_at      timestamptz NOT NULL,
    commit_id       uuid NOT NULL
);
COMMENT ON TABLE  questlake.models IS 'How far each model has got';
COMMENT ON COLUMN questlake.models.ledger_sequence IS 'Commit up to which it has read its events';
COMMENT ON COLUMN questlake.models.definition_hash IS 'Hash of the SQL and header that built its table, as a signed number';
COMMENT ON COLUMN questlake.models.updated_at IS 'Time of its latest publication';
COMMENT ON COLUMN questlake.models.commit_id IS 'Who made the latest publication, for whoever has lost the answer to it';

CREATE TABLE questlake.stale (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text COLLATE "C" NOT NULL,
    source   text COLLATE "C" NOT NULL,
    day      date,
    exact    boolean NOT NULL
);
CREATE INDEX stale_by_consumer ON questlake.stale (consumer, sequence);
COMMENT ON TABLE  questlake.stale IS 'Days of a model that changes upstream have made stale';
COMMENT ON COLUMN questlake.stale.consumer IS 'The model that is stale';
COMMENT ON COLUMN questlake.stale.source IS 'The table that has changed';
COMMENT ON COLUMN questlake.stale.day IS 'The day; NULL for all of the model';
COMMENT ON COLUMN questlake.stale.exact IS 'Only the partition of that day, none that is made of several';

CREATE TABLE questlake.runs (
    run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    model       text COLLATE "C" NOT NULL,
    state       text COLLATE "C" NOT NULL,
    mode        text COLLATE "C" NOT NULL,
    "rows"      bigint NOT NULL,
    error       text,
    commit_id   uuid NOT NULL,
    place       integer NOT NULL,
    UNIQUE (commit_id, place)
);
COMMENT ON TABLE  questlake.runs IS 'The latest runs of each model';
COMMENT ON COLUMN questlake.runs.state IS 'loaded, up to date, failed or skipped';
COMMENT ON COLUMN questlake.runs."rows" IS 'Rows staged';
COMMENT ON COLUMN questlake.runs.place IS 'Place in the report of one run of the pipeline';
