use proptest::prelude::*;

use super::*;
use crate::project::contract::ColumnType;
use crate::project::diagnostic::Severity;
use crate::project::fuzzing::fuzz_header;

fn file(text: &str) -> SourceFile {
    SourceFile::new("sql/facts/fact_session.sql", text)
}

fn parsed(text: &str) -> ModelHeader {
    let (header, diagnostics) = parse_model_header(&file(text));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    header
}

/// The mistakes of a header as `line:column:length message`.
fn mistakes(text: &str) -> Vec<String> {
    let (_, diagnostics) = parse_model_header(&file(text));
    let mut mistakes: Vec<String> = diagnostics
        .iter()
        .map(|d| format!("{}:{}:{} {}", d.line, d.column, d.length, d.message))
        .collect();
    mistakes.sort();
    mistakes
}

fn hint(text: &str) -> String {
    let (_, diagnostics) = parse_model_header(&file(text));
    assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
    diagnostics[0].hint.clone().unwrap_or_default()
}

const FULL: &str = "\
-- One row per play session.
-- A session's row grows as its events arrive, in any order.
--
-- load: upsert
-- key: session_id
-- combine: started_at = min, ended_at = max, events = sum, first_platform = first(started_at),
--          app_version = last( ended_at ), note = keep, other = replace
-- partition: session_date   -- UTC
-- lookback: 1 day
-- lookahead: 4 weeks
--
-- @session_id: Identifier of the session,
--     as the game sent it.
-- @events: Number of events.
SELECT 1
";

#[test]
fn a_full_header_is_read() {
    let header = parsed(FULL);
    assert_eq!(
        header.description.as_deref(),
        Some("One row per play session. A session's row grows as its events arrive, in any order.")
    );
    assert_eq!(header.load.as_ref().unwrap().value, LoadKind::Upsert);
    assert_eq!(
        header.key,
        [Located { value: "session_id".to_owned(), line: 5, column: 9, length: 10 }]
    );
    assert_eq!(header.combine_rule("started_at"), &CombineRule::Min);
    assert_eq!(header.combine_rule("ended_at"), &CombineRule::Max);
    assert_eq!(header.combine_rule("events"), &CombineRule::Sum);
    assert_eq!(header.combine_rule("note"), &CombineRule::Keep);
    assert_eq!(header.combine_rule("not_mentioned"), &CombineRule::Replace);
    let CombineRule::Last { order_column } = header.combine_rule("app_version") else {
        panic!("{header:?}");
    };
    assert_eq!(order_column.value, "ended_at");
    assert_eq!((order_column.line, order_column.column), (7, 33));
    assert!(matches!(header.combine_rule("first_platform"), CombineRule::First { .. }));
    assert_eq!(header.combine.last().unwrap().value.column, "other");
    assert_eq!(header.partition.as_ref().unwrap().value, "session_date");
    assert_eq!((header.lookback_days, header.lookahead_days), (1, 28));
    assert_eq!(
        header.column_description("session_id"),
        Some("Identifier of the session, as the game sent it.")
    );
    assert_eq!(header.column_description("events"), Some("Number of events."));
    assert_eq!(header.column_description("x"), None);
}

#[test]
fn the_load_follows_from_key_and_partition() {
    let load = |text: &str| parsed(text).load.map(|load| (load.value, load.line));
    assert_eq!(load("-- key: a\nSELECT 1"), Some((LoadKind::Upsert, 1)));
    assert_eq!(load("-- partition: d\nSELECT 1"), Some((LoadKind::Replace, 1)));
    assert_eq!(load("-- partition: d\n-- key: a\nSELECT 1"), Some((LoadKind::Upsert, 2)));
    assert_eq!(load("-- load: append\n-- key: a\nSELECT 1"), Some((LoadKind::Append, 1)));
    assert_eq!(load("SELECT 1"), None);
}

#[test]
fn prose_is_not_taken_for_settings() {
    let header = parsed(
        "-- Note: a session grows.\n-- See https://example.com: it says more.\n-- Lead: none.\n\
         -- position: somewhere\n-- owner: data team\n--\n-- Second paragraph.\nSELECT a::int",
    );
    let description = header.description.unwrap();
    assert!(description.starts_with("Note: a session grows. See https"), "{description}");
    assert!(description.ends_with("owner: data team"), "{description}");
    assert_eq!(header.load, None);
}

#[test]
fn block_comments_and_windows_line_ends_are_headers_too() {
    let header = parsed("/**\r\n * Players.\r\n *\r\n * key: player_id\r\n */\r\nSELECT 1\r\n");
    assert_eq!(header.description.as_deref(), Some("Players."));
    assert_eq!((header.key[0].value.as_str(), header.key[0].column), ("player_id", 9));
    let header = parsed("\n/* key: a */ -- x\n-- Text.\nSELECT 1");
    assert_eq!((header.key.len(), header.description.as_deref()), (1, Some("Text.")));
    // The first line of SQL ends the header, even behind a comment.
    assert_eq!(parsed("/* key: a */ SELECT 1").key.len(), 0);
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = "\
-- load: append
-- key: a, A b, a,
-- combine: x = sum, x = min, a = max, y, z = summ, w = first, v = sum(q), u = max(
-- lookback: 3
-- lookahead: 2 hours
-- key: b
SELECT 1";
    let expected = [
        "2:12:3 `A b` is not the name of a column",
        "2:17:1 `a` is listed twice in the key",
        "3:22:1 `x` has two combine rules",
        "3:31:1 `a` is part of the key",
        "3:40:1 `y` has no combine rule",
        "3:47:4 unknown combine rule `summ`",
        "3:4:7 `combine` has no effect with `load: append`",
        "3:57:5 `first` needs the column that orders the rows",
        "3:68:6 `sum` takes no column",
        "3:80:4 `)` is missing",
        "4:14:1 `3` has no unit",
        "4:4:8 `lookback` needs a `partition`",
        "5:15:7 `hours` is not a unit that can be used here",
        "5:4:9 `lookahead` needs a `partition`",
        "6:4:3 `key` is set twice",
    ];
    assert_eq!(mistakes(text), expected);
}

#[test]
fn hints_name_what_to_write() {
    assert!(hint("-- load: upsrt\n-- key: a\nSELECT 1").contains("did you mean `upsert`?"));
    assert!(hint("-- load: incremental\nSELECT 1").contains("`load: upsert` with a `key`"));
    assert!(hint("-- load: upsert\nSELECT 1").contains("`key: …`"));
    assert!(hint("-- kye: a\nSELECT 1").contains("did you mean `key`?"));
    assert!(hint("-- key = a\nSELECT 1").contains("write `key: …`"));
    assert!(hint("-- unique_key: a\nSELECT 1").contains("`key: …`"));
    assert!(hint("-- materialized: table\nSELECT 1").contains("`load:"));
    assert!(hint("-- partition_by: d\n-- lookback: 1 day\nSELECT 1").contains("`partition: …`"));
    assert!(hint("-- on_schema_change: fail\nSELECT 1").contains("remove it"));
    assert!(hint("-- partition: d\n-- lookback: 99999999999 days\nSELECT 1").contains("at most"));
    assert!(hint("-- key: a\n-- combine: x = avg\nSELECT 1").contains("a sum and a count"));
    assert!(hint("-- key: Session ID\nSELECT 1").contains("commas"));
    assert!(hint("-- key: sessionId\nSELECT 1").contains("`session_id`"));
    assert!(hint("-- combine: a = sum\nSELECT 1").contains("`key: …`"));
}

#[test]
fn a_setting_below_the_sql_is_a_warning() {
    let (header, diagnostics) = parse_model_header(&file("SELECT 1\n  -- key: a\n-- load it\n"));
    assert!(header.key.is_empty());
    assert_eq!(diagnostics.len(), 1);
    assert_eq!(diagnostics[0].severity, Severity::Warning);
    assert_eq!((diagnostics[0].line, diagnostics[0].column), (2, 6));
}

#[test]
fn a_query_has_a_title_and_parameters() {
    let (header, diagnostics) = parse_query_header(&file(
        "-- title: Big spenders\n-- Who paid.\n-- param min_usd: DECIMAL(10,2) = 100  -- least\n\
         -- param country: TEXT\n-- param day: DATE = '2026-01-31'\nSELECT 1",
    ));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(header.title.as_deref(), Some("Big spenders"));
    assert_eq!(header.description.as_deref(), Some("Who paid."));
    let first = &header.parameters[0].value;
    assert_eq!(first.parameter_type, ColumnType::Decimal { precision: 10, scale: 2 });
    assert_eq!((first.default.as_deref(), first.comment.as_deref()), (Some("100"), Some("least")));
    assert_eq!(header.parameters[1].value.default, None);
    assert_eq!(header.parameters[2].value.default.as_deref(), Some("2026-01-31"));
}

#[test]
fn mistakes_of_parameters_are_at_their_place() {
    let (_, diagnostics) = parse_query_header(&file(
        "-- param a: DECIMAL(50,2)\n-- param b: INT = x\n-- param c: TXT\n-- param d: INT INT\n\
         -- param e: INT\n-- param e: INT\nSELECT 1",
    ));
    let found: Vec<(u64, u64, &str)> =
        diagnostics.iter().map(|d| (d.line, d.column, d.message.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, 21, "a precision of 50 digits is not possible"),
            (2, 19, "`x` is not a value of the parameter's type"),
            (3, 13, "unknown type `TXT`"),
            (4, 17, "`INT` is not expected after the type"),
            (6, 10, "parameter `e` is there twice"),
        ]
    );
}

#[test]
fn a_check_has_a_severity() {
    let severity = |text: &str| parse_check_header(&file(text)).0.severity;
    assert_eq!(severity("-- Orphans.\nSELECT 1"), Severity::Error);
    assert_eq!(severity("-- severity: warn\nSELECT 1"), Severity::Warning);
    let (_, diagnostics) = parse_check_header(&file("-- severity: eror\nSELECT 1"));
    assert_eq!(diagnostics[0].hint.as_deref(), Some("did you mean `error`?"));
}

#[test]
fn checks_of_columns_are_read_with_their_severity() {
    let header = parsed(
        "-- not_null: player_id, amount (warn),\n--   store\n\
         -- accepted: store = 'web' | 'it''s, (app)', level = 1 | -2 | 3.5 (warn), done = true (error)\n\
         -- references: item_id = dim_item.item_id, level = star.dim_level.level (warn)\nSELECT 1",
    );
    let shown: Vec<String> = header
        .checks
        .iter()
        .map(|check| {
            let HeaderCheck { column, rule, severity } = &check.value;
            let rule = match rule {
                CheckRule::NotNull => "not null".to_owned(),
                CheckRule::Accepted(values) => {
                    let texts = values.iter().map(|value| value.value.text.as_str());
                    texts.collect::<Vec<_>>().join(" or ")
                }
                CheckRule::References { model, column } => {
                    format!("{} {}", model.value, column.value)
                }
            };
            format!("{column}: {rule}: {severity}")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "player_id: not null: error",
            "amount: not null: warning",
            "store: not null: error",
            "store: web or it's, (app): error",
            "level: 1 or -2 or 3.5: warning",
            "done: true: error",
            "item_id: dim_item item_id: error",
            "level: dim_level level: warning",
        ]
    );
}

#[test]
fn mistakes_in_checks_of_columns_have_their_place() {
    assert_eq!(
        mistakes("-- accepted: store = 'a' | b, x\nSELECT 1"),
        ["1:28:1 `b` is not a value", "1:31:1 `x` has no `=`"]
    );
    assert_eq!(mistakes("-- accepted: store = 'a' |\nSELECT 1"), ["1:22:5 a value is missing"]);
    assert_eq!(
        mistakes("-- not_null: a (wran), b, b\nSELECT 1"),
        ["1:17:4 unknown severity `wran`", "1:27:1 `b` is listed twice in `not_null`"]
    );
    assert_eq!(hint("-- not_null: a (wran)\nSELECT 1"), "did you mean `warn`?");
    assert_eq!(
        mistakes("-- references: a = dim_b\nSELECT 1"),
        ["1:20:5 `dim_b` does not name a column of a model"]
    );
    assert_eq!(hint("-- relationships: x\nSELECT 1"), "write `references: column = model.column`");
    assert!(hint("-- audits: x\nSELECT 1").contains("sql/checks"));
}

#[test]
fn a_check_may_name_its_model_and_days() {
    let (header, diagnostics) = parse_check_header(&file(
        "-- Orphans.\n-- on: star.fact_order\n-- lookback: 2 days\n-- lookahead: 1 week\n\
         -- param most: BIGINT = 3\nSELECT 1",
    ));
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let on = header.on.unwrap();
    assert_eq!((on.value.as_str(), on.line, on.column), ("fact_order", 2, 13));
    assert_eq!((header.lookback_days, header.lookahead_days), (2, 7));
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,300}|(-- |/\\*|\\*/|\\n|[ -~]){0,200}") {
        fuzz_header(text.as_bytes());
    }

    #[test]
    fn any_change_of_a_valid_header_is_read(
        start in 0..FULL.len(),
        length in 0..20_usize,
        inserted in "[-@:=,()a-z \\n\\t日]{0,12}",
    ) {
        let end = (start + length).min(FULL.len());
        let mutated = [&FULL.as_bytes()[..start], inserted.as_bytes(), &FULL.as_bytes()[end..]];
        fuzz_header(&mutated.concat());
    }

    #[test]
    fn a_generated_header_is_read_back(
        key in proptest::collection::btree_set("k_[a-z]{1,8}", 1..4),
        combined in proptest::collection::btree_map("c_[a-z]{1,8}", 0..7_usize, 0..5),
        lookback in 0..100_u32,
    ) {
        let rules = ["sum", "min", "max", "first(o)", "last(o)", "replace", "keep"];
        let key: Vec<String> = key.into_iter().collect();
        let mut text = format!("-- Text.\n--\n-- key: {}\n-- partition: day\n", key.join(", "));
        text.push_str(&format!("-- lookback: {lookback} days\n"));
        if !combined.is_empty() {
            let combined: Vec<String> =
                combined.iter().map(|(column, rule)| format!("{column} = {}", rules[*rule])).collect();
            text.push_str(&format!("-- combine: {}\n", combined.join(",\n--   ")));
        }
        text.push_str("SELECT 1");
        let header = parsed(&text);
        let read_key: Vec<String> = header.key.into_iter().map(|column| column.value).collect();
        prop_assert_eq!(read_key, key);
        prop_assert_eq!(header.combine.len(), combined.len());
        prop_assert_eq!(header.lookback_days, lookback);
        prop_assert_eq!(header.load.unwrap().value, LoadKind::Upsert);
    }
}
