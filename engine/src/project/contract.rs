//! Event contracts: what one event type's `properties` must look like.
//!
//! A contract is the `CREATE TABLE` statement of one file under `sql/events/`. The decoder fills
//! Arrow arrays by it, and the engine offers it to SQL as `events.<event_type>`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The time zone of every timestamp in Questlake.
pub const TIME_ZONE: &str = "UTC";

/// Names of the columns that every landed event has besides its contract's own columns.
pub mod envelope {
    /// Unique identifier of the event, chosen by the sender: the logical key.
    pub const EVENT_ID: &str = "event_id";
    /// Type of the event; selects the contract. Not stored per row: it is the table's name.
    pub const EVENT_TYPE: &str = "event_type";
    /// When the event happened, by the sender's clock (microseconds, UTC).
    pub const EVENT_TIME: &str = "event_time";
    /// The player whom the event is about.
    pub const PLAYER_ID: &str = "player_id";
    /// The play session, where the game sends one.
    pub const SESSION_ID: &str = "session_id";
    /// The game, where several share an installation.
    pub const GAME: &str = "game";
    /// Platform of the client, such as `ios`.
    pub const PLATFORM: &str = "platform";
    /// Country of the player (ISO 3166-1 alpha-2).
    pub const COUNTRY: &str = "country";
    /// Version of the client.
    pub const APP_VERSION: &str = "app_version";
    /// Object in the JSON that the contract's own columns are read from.
    pub const PROPERTIES: &str = "properties";
    /// Properties and top-level fields that neither envelope nor contract knows: one JSON object.
    pub const EXTRA: &str = "extra";
    /// When Questlake decoded the event (microseconds, UTC).
    pub const RECEIVED_AT: &str = "received_at";
    /// UTC day of `event_time`.
    pub const EVENT_DATE: &str = "event_date";
    /// Physical key: the source's topic.
    pub const SOURCE_TOPIC: &str = "source_topic";
    /// Physical key: the partition of the topic.
    pub const SOURCE_PARTITION: &str = "source_partition";
    /// Physical key: the offset in the partition.
    pub const SOURCE_OFFSET: &str = "source_offset";

    /// Every name that a contract's own columns cannot have.
    pub const RESERVED: &[&str] = &[
        EVENT_ID,
        EVENT_TYPE,
        EVENT_TIME,
        PLAYER_ID,
        SESSION_ID,
        GAME,
        PLATFORM,
        COUNTRY,
        APP_VERSION,
        PROPERTIES,
        EXTRA,
        RECEIVED_AT,
        EVENT_DATE,
        SOURCE_TOPIC,
        SOURCE_PARTITION,
        SOURCE_OFFSET,
    ];
}

/// Type of a contract column, and with it the JSON values that it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `BOOLEAN`: JSON `true` or `false`.
    Boolean,
    /// `SMALLINT`: a JSON integer of 16 bits.
    Int16,
    /// `INTEGER`: a JSON integer of 32 bits.
    Int32,
    /// `BIGINT`: a JSON integer of 64 bits.
    Int64,
    /// `DOUBLE`: a finite JSON number.
    Float64,
    /// `DECIMAL(precision, scale)`: a JSON number, or a string with a number, that fits exactly.
    Decimal {
        /// Total number of digits, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: i8,
    },
    /// `TEXT` or `VARCHAR(max_chars)`: a JSON string.
    Text {
        /// Longest accepted value in Unicode characters, if limited.
        max_chars: Option<u32>,
    },
    /// `TIMESTAMP`: an RFC 3339 string or epoch milliseconds; microseconds, UTC.
    Timestamp,
    /// `DATE`: a string `YYYY-MM-DD`.
    Date,
    /// `JSON`: any JSON value, kept as its text.
    Json,
}

impl ColumnType {
    /// The Arrow type that values of this column are stored as.
    pub fn arrow_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Text { .. } | Self::Json => DataType::Utf8,
            Self::Timestamp => timestamp_type(),
            Self::Date => DataType::Date32,
        }
    }
}

/// The Arrow type of every timestamp: microseconds, UTC.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(TIME_ZONE.into()))
}

/// The Arrow type of `source_topic`: few distinct values in a batch.
pub fn topic_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// One column of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractColumn {
    /// Name of the property in the event's JSON, and of the column in SQL.
    pub name: String,
    /// What values it accepts.
    pub column_type: ColumnType,
    /// Whether the property may be missing or `null`.
    pub nullable: bool,
    /// What it means, from the comment in the contract file.
    pub comment: Option<String>,
    /// Line in the contract file, from 1.
    pub line: u64,
    /// Column in that line, from 1.
    pub column: u64,
}

/// A `CHECK` constraint of a contract, over the landed columns of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckConstraint {
    /// Name given by `CONSTRAINT name`, or made from the column it stands at.
    pub name: String,
    /// The condition as SQL. As in SQL, a row passes unless the condition is false.
    pub condition: String,
    /// Line in the contract file, from 1.
    pub line: u64,
    /// Column in that line, from 1.
    pub column: u64,
}

/// The contract of one event type.
#[derive(Debug, Clone)]
pub struct EventContract {
    /// Value of `event_type` in the JSON, and name of the table in SQL.
    pub event_type: String,
    /// What the event means, from the comment above `CREATE TABLE`.
    pub comment: Option<String>,
    /// The contract's own columns, in file order.
    pub columns: Vec<ContractColumn>,
    /// Conditions that every event must fulfil.
    pub checks: Vec<CheckConstraint>,
    /// Hash of all that decides which events are accepted; stored with landed and quarantined rows.
    pub version: u64,
    /// Path of the contract file relative to the project.
    pub file: String,
    /// Schema of the landed rows: see [`landed_schema`].
    pub schema: SchemaRef,
}

/// Index of the first of the contract's own columns in [`landed_schema`].
pub const FIRST_PROPERTY_COLUMN: usize = 8;

/// Schema of a landed event type, in this order: `event_id`, `event_time`, `player_id`,
/// `session_id`, `game`, `platform`, `country`, `app_version`, the contract's own columns, `extra`,
/// `received_at`, `event_date`, `source_topic`, `source_partition`, `source_offset`.
pub fn landed_schema(columns: &[ContractColumn]) -> SchemaRef {
    let mut fields = vec![
        Field::new(envelope::EVENT_ID, DataType::Utf8, false),
        Field::new(envelope::EVENT_TIME, timestamp_type(), false),
        Field::new(envelope::PLAYER_ID, DataType::Utf8, false),
        Field::new(envelope::SESSION_ID, DataType::Utf8, true),
        Field::new(envelope::GAME, DataType::Utf8, true),
        Field::new(envelope::PLATFORM, DataType::Utf8, true),
        Field::new(envelope::COUNTRY, DataType::Utf8, true),
        Field::new(envelope::APP_VERSION, DataType::Utf8, true),
    ];
    debug_assert_eq!(fields.len(), FIRST_PROPERTY_COLUMN);
    fields.extend(
        columns.iter().map(|column| {
            Field::new(&column.name, column.column_type.arrow_type(), column.nullable)
        }),
    );
    fields.extend([
        Field::new(envelope::EXTRA, DataType::Utf8, true),
        Field::new(envelope::RECEIVED_AT, timestamp_type(), false),
        Field::new(envelope::EVENT_DATE, DataType::Date32, false),
        Field::new(envelope::SOURCE_TOPIC, topic_type(), false),
        Field::new(envelope::SOURCE_PARTITION, DataType::Int32, false),
        Field::new(envelope::SOURCE_OFFSET, DataType::Int64, false),
    ]);
    Arc::new(Schema::new(fields))
}
