-- The ledger's tables. Texts are compared byte by byte, as everywhere in Questlake.

CREATE TABLE questlake.partitions (
    topic       text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    epoch       bigint  NOT NULL,
    next_offset bigint  NOT NULL,
    consumed    bigint  NOT NULL DEFAULT 0,
    landed      bigint  NOT NULL DEFAULT 0,
    duplicates  bigint  NOT NULL DEFAULT 0,
    quarantined bigint  NOT NULL DEFAULT 0,
    head_hash   bytea,
    prefix_hash bytea,
    updated_at  timestamptz,
    commit_id   uuid,
    PRIMARY KEY (topic, partition),
    CHECK (consumed = landed + duplicates + quarantined)
)
-- Each commit updates a row or two: room for the new versions beside the old ones.
WITH (fillfactor = 50);
COMMENT ON TABLE  questlake.partitions IS 'Where each partition stands, and what became of its records';
COMMENT ON COLUMN questlake.partitions.epoch IS 'Raised by each claim: the fence';
COMMENT ON COLUMN questlake.partitions.next_offset IS 'First offset that is not committed';
COMMENT ON COLUMN questlake.partitions.consumed IS 'Records read: landed + duplicates + quarantined';
COMMENT ON COLUMN questlake.partitions.landed IS 'Rows in landing or archive';
COMMENT ON COLUMN questlake.partitions.duplicates IS 'Records that were there before';
COMMENT ON COLUMN questlake.partitions.quarantined IS 'Records that did not fit their contract';
COMMENT ON COLUMN questlake.partitions.head_hash IS 'XXH3-128 of a file''s first 4 KiB';
COMMENT ON COLUMN questlake.partitions.prefix_hash IS 'XXH3-128 of a file''s content up to next_offset';
COMMENT ON COLUMN questlake.partitions.updated_at IS 'Time of the latest commit';
COMMENT ON COLUMN questlake.partitions.commit_id IS 'Who made the latest commit, for whoever has lost the answer to it';

CREATE TABLE questlake.latest_commit (
    id       boolean PRIMARY KEY DEFAULT true CHECK (id),
    sequence bigint  NOT NULL
);
COMMENT ON TABLE  questlake.latest_commit IS 'One row, locked by each commit of a segment from the moment it takes its number until it is visible: so commits are numbered in the order in which they become visible';
COMMENT ON COLUMN questlake.latest_commit.sequence IS 'Number of the latest commit with a segment';
INSERT INTO questlake.latest_commit (sequence) VALUES (0);

CREATE TABLE questlake.segments (
    sequence     bigint PRIMARY KEY,
    name         text COLLATE "C" NOT NULL UNIQUE,
    bytes        bigint NOT NULL,
    committed_at timestamptz NOT NULL,
    archived_at  timestamptz
);
COMMENT ON TABLE  questlake.segments IS 'Sealed segments, numbered in commit order';
COMMENT ON COLUMN questlake.segments.name IS 'Name in the landing store';
COMMENT ON COLUMN questlake.segments.archived_at IS 'When its rows moved to the archive';

CREATE TABLE questlake.sections (
    sequence         bigint NOT NULL REFERENCES questlake.segments,
    event_type       text COLLATE "C" NOT NULL,
    contract_version bigint NOT NULL,
    "offset"         bigint NOT NULL,
    length           bigint NOT NULL,
    checksum         bigint NOT NULL,
    PRIMARY KEY (sequence, event_type)
);
COMMENT ON TABLE  questlake.sections IS 'One event type''s rows in a segment';
COMMENT ON COLUMN questlake.sections.contract_version IS 'Version of the contract that decoded them, 64 bits as a signed number';
COMMENT ON COLUMN questlake.sections."offset" IS 'Where they begin in the segment, in bytes';
COMMENT ON COLUMN questlake.sections.length IS 'Bytes';
COMMENT ON COLUMN questlake.sections.checksum IS 'XXH3-64, as a signed number';

CREATE TABLE questlake.section_days (
    sequence   bigint NOT NULL REFERENCES questlake.segments,
    event_type text COLLATE "C" NOT NULL,
    event_date date   NOT NULL,
    "rows"     bigint NOT NULL,
    PRIMARY KEY (sequence, event_type, event_date)
);
COMMENT ON TABLE questlake.section_days IS 'Rows of a section by UTC day';

CREATE TABLE questlake.quarantine (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic            text COLLATE "C" NOT NULL,
    partition        integer NOT NULL,
    "offset"         bigint  NOT NULL,
    raw              bytea   NOT NULL,
    reason           text COLLATE "C" NOT NULL,
    detail           text    NOT NULL,
    event_type       text COLLATE "C",
    contract_version bigint,
    quarantined_at   timestamptz NOT NULL,
    state            text COLLATE "C" NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed')),
    attempts         integer NOT NULL DEFAULT 0
);
CREATE INDEX quarantine_open ON questlake.quarantine (state, reason, event_type);
COMMENT ON TABLE  questlake.quarantine IS 'Records that did not fit their contract';
COMMENT ON COLUMN questlake.quarantine.raw IS 'The bytes as they came';
COMMENT ON COLUMN questlake.quarantine.reason IS 'Code of the reason';
COMMENT ON COLUMN questlake.quarantine.detail IS 'What is wrong, for a person';
COMMENT ON COLUMN questlake.quarantine.attempts IS 'How often a replay was tried';

CREATE TABLE questlake.gaps (
    topic       text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    from_offset bigint  NOT NULL,
    to_offset   bigint  NOT NULL,
    reason      text COLLATE "C" NOT NULL CHECK (reason IN ('truncated', 'recreated')),
    detail      text    NOT NULL,
    found_at    timestamptz NOT NULL,
    accepted_at timestamptz,
    PRIMARY KEY (topic, partition, from_offset, reason)
);
COMMENT ON TABLE  questlake.gaps IS 'Records that a topic no longer has although they were never read';
COMMENT ON COLUMN questlake.gaps.from_offset IS 'The position at which it was found';
COMMENT ON COLUMN questlake.gaps.to_offset IS 'First record that is there';
COMMENT ON COLUMN questlake.gaps.accepted_at IS 'When somebody decided to go on behind it';

CREATE TABLE questlake.archive (
    id        boolean PRIMARY KEY DEFAULT true CHECK (id),
    through   bigint NOT NULL,
    under_way bigint CHECK (under_way > through),
    commit_id uuid
);
COMMENT ON TABLE  questlake.archive IS 'How far the archive goes: one row';
COMMENT ON COLUMN questlake.archive.through IS 'Commits up to this one are in the archive';
COMMENT ON COLUMN questlake.archive.under_way IS 'How far a move goes that was announced and has not ended';
COMMENT ON COLUMN questlake.archive.commit_id IS 'Who made the latest move, for whoever has lost the answer to it';
INSERT INTO questlake.archive (through) VALUES (0);

CREATE TABLE questlake.archive_tables (
    event_type    text COLLATE "C" PRIMARY KEY,
    version       bigint NOT NULL,
    "transaction" bigint NOT NULL,
    caught_up_at  timestamptz
);
COMMENT ON TABLE  questlake.archive_tables IS 'The Delta table of each event type';
COMMENT ON COLUMN questlake.archive_tables.version IS 'Version that readers use';
COMMENT ON COLUMN questlake.archive_tables."transaction" IS 'Identifier of the latest move with rows of this type';
COMMENT ON COLUMN questlake.archive_tables.caught_up_at IS 'When readers were last let to a version late';

CREATE TABLE questlake.archive_days (
    event_type text COLLATE "C" NOT NULL,
    event_date date   NOT NULL,
    "rows"     bigint NOT NULL,
    key_sum    bytea  NOT NULL,
    PRIMARY KEY (event_type, event_date)
);
COMMENT ON TABLE  questlake.archive_days IS 'What the archive holds, by UTC day';
COMMENT ON COLUMN questlake.archive_days.key_sum IS 'Wrapping sum of XXH3-128 of each event_id, big-endian';
