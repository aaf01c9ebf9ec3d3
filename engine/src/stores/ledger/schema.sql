-- The ledger's own tables, in the warehouse database. Names in the star schema never begin with `meta_`.

-- Where each partition stands, and what became of its records.
CREATE TABLE IF NOT EXISTS meta_partitions (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,             -- raised by each claim: the fence
    next_offset INTEGER NOT NULL,             -- first offset that is not committed
    consumed    INTEGER NOT NULL DEFAULT 0,
    landed      INTEGER NOT NULL DEFAULT 0,
    duplicates  INTEGER NOT NULL DEFAULT 0,
    quarantined INTEGER NOT NULL DEFAULT 0,
    head_hash   BLOB,                         -- of a file's first 4 KiB
    prefix_hash BLOB,                         -- of a file's content up to next_offset
    updated_at  INTEGER NOT NULL DEFAULT 0,   -- milliseconds since 1970
    PRIMARY KEY (topic, partition),
    CHECK (consumed = landed + duplicates + quarantined)
) WITHOUT ROWID;

-- Sealed segments, numbered in commit order.
CREATE TABLE IF NOT EXISTS meta_segments (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL UNIQUE,
    bytes        INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,            -- milliseconds since 1970
    archived_at  INTEGER                      -- when its rows moved to the archive
);

-- One event type's rows in a segment.
CREATE TABLE IF NOT EXISTS meta_sections (
    sequence         INTEGER NOT NULL REFERENCES meta_segments,
    event_type       TEXT    NOT NULL,
    contract_version INTEGER NOT NULL,
    "offset"         INTEGER NOT NULL,
    length           INTEGER NOT NULL,
    checksum         INTEGER NOT NULL,        -- XXH3-64
    PRIMARY KEY (sequence, event_type)
) WITHOUT ROWID;

-- Rows of a section by UTC day.
CREATE TABLE IF NOT EXISTS meta_section_days (
    sequence   INTEGER NOT NULL REFERENCES meta_segments,
    event_type TEXT    NOT NULL,
    event_date INTEGER NOT NULL,              -- days since 1970
    "rows"     INTEGER NOT NULL,
    PRIMARY KEY (sequence, event_type, event_date)
) WITHOUT ROWID;

-- Records that did not fit their contract.
CREATE TABLE IF NOT EXISTS meta_quarantine (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    topic            TEXT    NOT NULL,
    partition        INTEGER NOT NULL,
    "offset"         INTEGER NOT NULL,
    raw              BLOB    NOT NULL,
    reason           TEXT    NOT NULL,
    detail           TEXT    NOT NULL,
    event_type       TEXT,
    contract_version INTEGER,
    quarantined_at   INTEGER NOT NULL,        -- milliseconds since 1970
    state            TEXT    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed')),
    attempts         INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS meta_quarantine_open ON meta_quarantine (state, reason, event_type);

-- Records that a topic no longer has although they were never read.
CREATE TABLE IF NOT EXISTS meta_gaps (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    from_offset INTEGER NOT NULL,             -- the position at which it was found
    to_offset   INTEGER NOT NULL,             -- first record that is there
    reason      TEXT    NOT NULL CHECK (reason IN ('truncated', 'recreated')),
    detail      TEXT    NOT NULL,
    found_at    INTEGER NOT NULL,             -- milliseconds since 1970
    accepted_at INTEGER,                      -- when somebody decided to go on behind it
    PRIMARY KEY (topic, partition, from_offset, reason)
) WITHOUT ROWID;

-- How far the archive goes: one row.
CREATE TABLE IF NOT EXISTS meta_archive (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    through   INTEGER NOT NULL,               -- commits up to this one are in the archive
    under_way INTEGER CHECK (under_way > through)
);
INSERT OR IGNORE INTO meta_archive (id, through) VALUES (1, 0);

-- The Delta table of each event type.
CREATE TABLE IF NOT EXISTS meta_archive_tables (
    event_type  TEXT    PRIMARY KEY,
    version     INTEGER NOT NULL,             -- that readers use
    "transaction" INTEGER NOT NULL,           -- identifier of the last move with rows of this type
    caught_up_at INTEGER NOT NULL DEFAULT 0   -- when readers were last let to a version late
) WITHOUT ROWID;

-- What the archive holds, by UTC day.
CREATE TABLE IF NOT EXISTS meta_archive_days (
    event_type TEXT    NOT NULL,
    event_date INTEGER NOT NULL,              -- days since 1970
    "rows"     INTEGER NOT NULL,
    key_sum    BLOB    NOT NULL,              -- wrapping sum of XXH3-128 of the event_id, big-endian
    PRIMARY KEY (event_type, event_date)
) WITHOUT ROWID;
