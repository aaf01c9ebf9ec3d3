-- The pipeline's own tables, in the warehouse database.

-- How far each model has got.
CREATE TABLE IF NOT EXISTS meta_models (
    model           TEXT    PRIMARY KEY,
    ledger_sequence INTEGER NOT NULL,   -- commit up to which it has read its events
    definition_hash INTEGER NOT NULL,   -- of the SQL and header that built its table
    updated_at      INTEGER NOT NULL    -- milliseconds since 1970
) WITHOUT ROWID;

-- Days of a model that changes upstream have made stale; NULL: all of it.
CREATE TABLE IF NOT EXISTS meta_stale (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    consumer TEXT NOT NULL,
    source   TEXT NOT NULL,
    day      DATE,
    exact    BOOLEAN NOT NULL           -- only the partition of that day, none that is made of several
);
CREATE INDEX IF NOT EXISTS meta_stale_by_consumer ON meta_stale (consumer, sequence);

-- The latest runs of each model.
CREATE TABLE IF NOT EXISTS meta_runs (
    run_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    started_at  INTEGER NOT NULL,       -- milliseconds since 1970
    finished_at INTEGER NOT NULL,
    model       TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    mode        TEXT    NOT NULL,
    "rows"      INTEGER NOT NULL,
    error       TEXT
);

-- How the checks of the latest runs ended.
CREATE TABLE IF NOT EXISTS meta_checks (
    check_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    run         INTEGER NOT NULL,       -- when the run began, milliseconds since 1970
    finished_at INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    model       TEXT,
    severity    TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    "rows"      INTEGER NOT NULL,       -- rows that are wrong
    sample      TEXT,                   -- the first of them, one per line
    detail      TEXT,
    description TEXT,
    file        TEXT    NOT NULL,
    millis      INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS meta_checks_by_check ON meta_checks (model, name, check_id);
