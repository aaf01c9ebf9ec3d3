use arrow::datatypes::DataType;
use proptest::prelude::*;

use super::*;
use crate::project::fuzzing::fuzz_contract;

const VALID: &str = "\
-- An older thought.

-- A player ended a level,
-- by winning or losing.
CREATE TABLE level_end (
    -- Level in the editor.
    level_id    TEXT NOT NULL,  -- Not its title.
    stars       SMALLINT CHECK (stars BETWEEN 0 AND 3), /* Stars won. */
    duration_ms BIGINT NOT NULL CHECK (duration_ms >= 0) CHECK (duration_ms < 86400000),
                -- Time from start to finish.
    won BOOLEAN NOT NULL, price DECIMAL(10, 2), -- Price of a second try,
                                                -- in USD.

    -- Section of rarely used columns.

    note VARCHAR(40) COMMENT 'It''s a note.',
    order INT NULL,
    CONSTRAINT paid CHECK (price > 0 OR NOT won), -- Nobody loses money.
    CHECK (\"order\" IS NULL OR event_time <= received_at)
);
";

fn file(text: &str) -> SourceFile {
    SourceFile::new("sql/events/level_end.sql", text)
}

fn parsed(text: &str) -> EventContract {
    match parse_contract(&file(text)) {
        Ok(contract) => contract,
        Err(diagnostics) => panic!("{diagnostics:#?}"),
    }
}

fn diagnostics(text: &str) -> Vec<Diagnostic> {
    parse_contract(&file(text)).expect_err("the contract has mistakes")
}

/// The only mistake of a contract with this column or constraint, as `column:length message` with
/// columns counted from the beginning of the element, and the hint.
fn mistake(element: &str) -> (String, String) {
    let found = diagnostics(&format!("CREATE TABLE level_end (a INT, t TEXT,\n{element}\n)"));
    assert_eq!(found.len(), 1, "{found:#?}");
    let d = &found[0];
    assert_eq!(d.line, 2, "{d}");
    (format!("{}:{} {}", d.column, d.length, d.message), d.hint.clone().unwrap_or_default())
}

fn type_of(written: &str) -> ColumnType {
    parsed(&format!("CREATE TABLE level_end (a {written})")).columns[0].column_type
}

#[test]
fn a_contract_is_read() {
    let contract = parsed(VALID);
    assert_eq!(contract.event_type, "level_end");
    assert_eq!(contract.comment.as_deref(), Some("A player ended a level, by winning or losing."));
    assert_eq!(contract.file, "sql/events/level_end.sql");
    let columns: Vec<(&str, bool, Option<&str>)> = contract
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.nullable, column.comment.as_deref()))
        .collect();
    assert_eq!(
        columns,
        [
            ("level_id", false, Some("Level in the editor. Not its title.")),
            ("stars", true, Some("Stars won.")),
            ("duration_ms", false, None),
            ("won", false, Some("Time from start to finish.")),
            ("price", true, Some("Price of a second try, in USD.")),
            ("note", true, Some("It's a note.")),
            ("order", true, None),
        ]
    );
    let checks: Vec<(&str, &str, u64, u64)> = contract
        .checks
        .iter()
        .map(|check| (check.name.as_str(), check.condition.as_str(), check.line, check.column))
        .collect();
    assert_eq!(
        checks,
        [
            ("stars_check", "stars BETWEEN 0 AND 3", 8, 33),
            ("duration_ms_check", "duration_ms >= 0", 9, 40),
            ("duration_ms_check1", "duration_ms < 86400000", 9, 65),
            ("paid", "price > 0 OR NOT won", 18, 28),
            ("level_end_check", "\"order\" IS NULL OR event_time <= received_at", 19, 12),
        ]
    );
    assert_eq!(contract.schema.field(8).name(), "level_id");
    assert_eq!(
        contract.schema.field_with_name("price").unwrap().data_type(),
        &DataType::Decimal128(10, 2)
    );
}

#[test]
fn types_have_their_usual_synonyms() {
    let text = |max_chars| ColumnType::Text { max_chars };
    let decimal = |precision, scale| ColumnType::Decimal { precision, scale };
    for (names, expected) in [
        (&["BOOLEAN", "bool"][..], ColumnType::Boolean),
        (&["SMALLINT", "int2"], ColumnType::Int16),
        (&["INTEGER", "INT", "int4"], ColumnType::Int32),
        (&["BIGINT", "INT8"], ColumnType::Int64),
        (
            &["DOUBLE", "DOUBLE PRECISION", "FLOAT", "FLOAT(24)", "FLOAT8", "FLOAT4", "REAL"],
            ColumnType::Float64,
        ),
        (&["DECIMAL(38, 38)", "NUMERIC(38,38)", "DEC(38,38)"], decimal(38, 38)),
        (&["DECIMAL(5)"], decimal(5, 0)),
        (&["TEXT", "STRING", "VARCHAR", "CHARACTER VARYING", "CHAR VARYING"], text(None)),
        (&["VARCHAR(7)", "CHARACTER VARYING(7)"], text(Some(7))),
        (
            &["TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP(6)"],
            ColumnType::Timestamp,
        ),
        (&["DATE"], ColumnType::Date),
        (&["JSON", "JSONB"], ColumnType::Json),
    ] {
        for name in names {
            assert_eq!(type_of(name), expected, "{name}");
            assert_eq!(parse_type_text(name).unwrap(), expected, "{name}");
        }
        // What is hashed into the version is itself a name of the type.
        assert_eq!(type_of(&column_type::sql_name(expected)), expected);
    }
}

#[test]
fn the_version_ignores_comments_and_layout_alone() {
    let version = |text: &str| parsed(text).version;
    let base = version("CREATE TABLE level_end (a INT NOT NULL CHECK (a > 0), b TEXT)");
    for same in [
        "-- x\ncreate table if not exists events.level_end (\n a integer not null, -- y\n b TEXT NULL,\
         \n CONSTRAINT positive CHECK ( a>0 )\n);\n",
        "CREATE TABLE level_end (a INT4 CHECK (a > 0) NOT NULL COMMENT 'c', b STRING) COMMENT 'd';",
    ] {
        assert_eq!(version(same), base, "{same}");
    }
    for other in [
        "CREATE TABLE level_end (a INT CHECK (a > 0), b TEXT)",
        "CREATE TABLE level_end (a BIGINT NOT NULL CHECK (a > 0), b TEXT)",
        "CREATE TABLE level_end (a INT NOT NULL CHECK (a >= 0), b TEXT)",
        "CREATE TABLE level_end (a INT NOT NULL, b TEXT)",
        "CREATE TABLE level_end (b TEXT, a INT NOT NULL CHECK (a > 0))",
        "CREATE TABLE level_end (a INT NOT NULL CHECK (a > 0), b VARCHAR(9))",
        "CREATE TABLE level_end (a INT NOT NULL CHECK (a > 0), b TEXT, c TEXT)",
    ] {
        assert_ne!(version(other), base, "{other}");
    }
    // Stored with rows, so it must not change from release to release.
    assert_eq!(version("CREATE TABLE level_end ()"), 1_523_286_373_261_844_388);
}

#[test]
fn what_events_do_not_have_is_refused_at_its_place() {
    for (element, expected, hint) in [
        ("b INT DEFAULT 5 NOT NULL", "7:7 `DEFAULT` is not", "coalesce"),
        ("b INT DEFAULT NULL", "7:7 `DEFAULT` is not", "coalesce"),
        ("b INT PRIMARY KEY", "7:7 `PRIMARY` is not", "event_id"),
        ("b INT UNIQUE NOT NULL", "7:6 `UNIQUE` is not", "event_id"),
        ("b INT REFERENCES x(y) ON DELETE SET NULL", "7:10 `REFERENCES` is not", "sql/checks"),
        ("b INT GENERATED ALWAYS AS (a + 1) STORED", "7:9 `GENERATED` is not", "model"),
        ("b INT COLLATE \"C\"", "7:7 `COLLATE` is not", "remove"),
        ("PRIMARY KEY (a)", "1:7 `PRIMARY` is not", "event_id"),
        ("UNIQUE (a)", "1:6 `UNIQUE` is not", "event_id"),
        ("CONSTRAINT x FOREIGN KEY (a) REFERENCES y (z)", "14:7 `FOREIGN` is not", "sql/checks"),
        ("LIKE other", "1:4 `LIKE` is not", "lists its columns"),
        ("b UUID", "3:4 unknown type `UUID`", "use TEXT"),
        ("b BOOLEN", "3:6 unknown type `BOOLEN`", "`BOOLEAN`"),
        ("b CHAR(3)", "3:4 `CHAR` pads", "VARCHAR(n)"),
        ("b INT[]", "6:1 arrays are not", "JSON"),
        ("b INT ARRAY", "7:5 arrays are not", "JSON"),
        ("b INT UNSIGNED", "7:8 there are no unsigned", "BIGINT"),
        ("b INT(11)", "6:1 `INT` takes no", "`INTEGER`"),
        ("b DECIMAL", "3:7 `DECIMAL` needs", "DECIMAL(18, 2)"),
        ("b DECIMAL(39, 2)", "11:2 a precision of 39", "1 to 38"),
        ("b DECIMAL(0)", "11:1 a precision of 0", "1 to 38"),
        ("b DECIMAL(4, 12)", "14:2 the scale 12", "all digits"),
        ("b DECIMAL(4, 2, 1)", "15:1 `,` is not expected", "DECIMAL(precision"),
        ("b DECIMAL(4, -2)", "14:1 `-` is not a whole", "whole numbers"),
        ("b VARCHAR(0)", "11:1 a length of 0", "TEXT"),
        ("b VARCHAR()", "10:1 the parentheses are empty", "number"),
        ("b TIMESTAMP(3)", "13:1 every timestamp has", "TIMESTAMP"),
        ("b TIMESTAMP WITHOUT TIME ZONE", "13:7 every timestamp is UTC", "TIMESTAMP"),
        ("b", "1:1 column `b` has no type", "`b TEXT`"),
        ("b NOT NULL", "1:1 column `b` has no type", "`b TEXT`"),
        ("b INT NULL NOT NULL", "12:3 the column is both", "one of them"),
        ("b INT NOT", "7:3 NOT is not followed", "NOT NULL"),
        ("b INT NOTNULL", "7:7 `NOTNULL` is not expected", "options of a column"),
        ("b INT COMENT 'x'", "7:6 `COMENT` is not expected", "`COMMENT`"),
        ("\"b\" INT", "1:3 the column's name is written in quotes", "write `b`"),
        ("levelId INT", "1:7 `levelId` is not a lower", "`level_id`"),
        ("session_id TEXT", "1:10 every event has", "envelope"),
        ("extra JSON", "1:5 every event has", "by themselves"),
        ("a TEXT", "1:1 column `a` is there twice", "line 1"),
        ("'b' INT", "1:3 expected the name", "a name, a type"),
        ("b INT,", "6:1 a comma after the last", "remove it"),
        (", b INT", "1:1 nothing stands before", "remove it"),
        ("b INT c TEXT", "7:1 `c` is not expected", "options of a column"),
        ("CONSTRAINT x", "12:1 constraint `x` has no", "CHECK"),
        ("CONSTRAINT x CHECK", "14:5 CHECK needs a condition", "CHECK (condition)"),
    ] {
        let (found, found_hint) = mistake(element);
        assert!(found.starts_with(expected), "{element}: {found}");
        assert!(found_hint.contains(hint), "{element}: {found_hint}");
    }
}

#[test]
fn conditions_are_reviewed() {
    for (condition, expected, hint) in [
        ("b > 0", "8:1 unknown column `b`", "a condition sees"),
        ("evnt_time > '2020-01-01'", "8:9 unknown column `evnt_time`", "`event_time`"),
        ("A > 0", "8:1 unknown column `A`", "`a`"),
        ("t = \"ios\"", "12:5 unknown column `ios`", "'ios'"),
        ("level_end.a > 0", "8:11 unknown column `level_end.a`", "write `a`"),
        ("event_type = 'x'", "8:10 unknown column `event_type`", "`level_end`"),
        ("properties IS NULL", "8:10 unknown column `properties`", "property itself"),
        ("a > 0 AND EXISTS (SELECT b)", "26:8 a subquery", "sql/checks"),
        ("a IN (SELECT x FROM y)", "14:15 a subquery", "sql/checks"),
        ("count(*) > 1", "8:5 `count` looks at more", "sql/checks"),
        ("rank() OVER (ORDER BY a) = 1", "8:4 `rank` looks at more", "sql/checks"),
        ("event_time < now()", "21:3 the result of `now`", "received_at"),
        ("a = $1", "12:2 `$1` is a parameter", "value itself"),
        ("a +", "10:1 expected an expression after this", "expression"),
        ("a > > 1", "12:1 expected an expression, found `>`", "expression"),
        ("a > 1 a", "14:1 `a` is not expected here", "one expression"),
        ("", "1:5 the condition is empty", "CHECK (condition)"),
    ] {
        let (found, found_hint) = mistake(&format!("CHECK ({condition})"));
        assert!(found.starts_with(expected), "{condition}: {found}");
        assert!(found_hint.contains(hint), "{condition}: {found_hint}");
    }
    let twice = "CONSTRAINT x CHECK (a > 0), CONSTRAINT x CHECK (a < 9)";
    assert!(mistake(twice).0.starts_with("40:1 two constraints"), "{:?}", mistake(twice));
}

#[test]
fn the_statement_around_the_columns_is_checked() {
    for (text, place, message) in [
        ("", (0, 0), "has no CREATE TABLE"),
        ("-- nothing", (0, 0), "has no CREATE TABLE"),
        ("SELECT 1", (1, 1), "is a CREATE TABLE"),
        ("CREATE VIEW level_end AS SELECT 1", (1, 8), "is a CREATE TABLE"),
        ("CREATE OR REPLACE TABLE level_end (a INT)", (1, 8), "`OR` has no meaning"),
        ("CREATE TEMPORARY TABLE level_end (a INT)", (1, 8), "`TEMPORARY` has no meaning"),
        ("CREATE", (1, 7), "ends after CREATE"),
        ("CREATE TABLE", (1, 13), "has no name"),
        ("CREATE TABLE level_end", (1, 23), "expected `(`"),
        ("CREATE TABLE level_end AS SELECT 1", (1, 24), "expected `(`"),
        ("CREATE TABLE other (a INT)", (1, 14), "called `other`, the file `level_end`"),
        ("CREATE TABLE Level_End (a INT)", (1, 14), "called `Level_End`"),
        ("CREATE TABLE \"level_end\" (a INT)", (1, 14), "without quotes"),
        ("CREATE TABLE star.level_end (a INT)", (1, 14), "unknown schema `star`"),
        ("CREATE TABLE level_end (a INT", (1, 24), "never closed"),
        ("CREATE TABLE level_end (a INT) PARTITION BY a", (1, 32), "`PARTITION` is not"),
        ("CREATE TABLE level_end (a INT) AS SELECT 1; x", (1, 32), "`AS` is not"),
        ("CREATE TABLE level_end (a INT);; SELECT 1", (1, 34), "a second statement"),
        ("CREATE TABLE level_end (\n a INT 'x", (2, 8), "cannot be read as SQL"),
        (" $$\r", (1, 4), "cannot be read as SQL"),
        ("CREATE TABLE level_end (\n a INT /* x", (2, 12), "cannot be read as SQL"),
    ] {
        let found = &diagnostics(text)[0];
        assert!(found.message.contains(message), "{text}: {found}");
        assert_eq!((found.line, found.column), place, "{text}: {found}");
    }
    let envelope = SourceFile::new("sql/events/envelope.sql", "CREATE TABLE envelope (a INT)");
    assert!(parse_contract(&envelope).unwrap_err()[0].message.contains("cannot be called"));
}

#[test]
fn a_missing_comma_hides_no_other_mistake() {
    let found = diagnostics("CREATE TABLE level_end (\n a INT\n b BOOLEN,\n CHECK (b AND c)\n)");
    let messages: Vec<&str> = found.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        messages,
        ["a comma is missing before `b`", "unknown type `BOOLEN`", "unknown column `c`"]
    );
}

#[test]
fn keywords_are_names_of_columns_where_they_can_be() {
    let contract = parsed(
        "CREATE TABLE level_end (key TEXT, index INT, value DOUBLE, type TEXT, level INT, \
         check BOOLEAN, unique INT, CHECK (value > 0 AND level > 0))",
    );
    assert_eq!(contract.columns.len(), 7);
}

#[test]
fn large_and_deep_files_are_refused_in_time() {
    let in_check =
        |condition: String| format!("CREATE TABLE level_end (a INT, CHECK ({condition}))");
    let refused = |text: String| diagnostics(&text)[0].message.clone();
    assert!(refused(in_check("a+".repeat(100_000) + "a > 0")).contains("more than 500"));
    assert!(refused(in_check("(".repeat(90) + "a" + &")".repeat(90))).contains("nested deeper"));
    assert!(refused(in_check("f(".repeat(50) + "a" + &")".repeat(50))).contains("nested deeper"));
    assert!(refused(in_check("a.".repeat(50) + "a")).contains("periods"));
    assert!(refused(in_check("+ CASE ".repeat(50))).contains("too often"));
    assert!(!refused(in_check("NOT ".repeat(400) + "true")).is_empty());
    assert!(refused(" ".repeat(MAX_CONTRACT_BYTES + 1)).contains("larger than 256 KiB"));
    assert!(refused(format!("CREATE TABLE level_end ({}", "(".repeat(200_000))).contains("closed"));
    assert!(
        !refused(format!("CREATE TABLE level_end (a INT DEFAULT {}", "(".repeat(200_000)))
            .is_empty()
    );
    assert_eq!(
        diagnostics(&format!("CREATE TABLE level_end ({})", "A,".repeat(60_000))).len(),
        100
    );
    assert!(refused(in_check("a>0),CHECK(".repeat(20_000) + "true")).contains("500 conditions"));
    let many: Vec<String> = (0..1_501).map(|number| format!("c{number} INT")).collect();
    assert!(refused(format!("CREATE TABLE level_end ({})", many.join(","))).contains("1500"));
    let comments = format!("CREATE TABLE level_end (\n{}a INT)", "--\n".repeat(80_000));
    assert_eq!(parsed(&comments).columns[0].comment, None);
    // As long as it may be, and still fine.
    assert_eq!(parsed(&in_check("a+".repeat(248) + "a > 0")).checks.len(), 1);
}

#[test]
fn a_condition_is_stored_on_one_line_as_it_was_written() {
    let contract = parsed(
        "CREATE TABLE level_end (a INT, t TEXT, CHECK (a>0 -- x\n   AND\tt = 'it''s  \\' /* y */))",
    );
    assert_eq!(contract.checks[0].condition, "a>0 AND t = 'it''s  \\'");
}

/// A condition over columns `a INT` and `t TEXT`.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-99..99_i32).prop_map(|number| format!("a > {number}")),
        "[ !-=?-~é日]{0,8}".prop_map(|text| format!("t = '{}'", text.replace('\'', "''"))),
        "[a-z%_]{0,5}".prop_map(|text| format!("t NOT LIKE '{text}'")),
        Just("a IS NOT NULL".to_owned()),
        Just("coalesce(length(t), 0) * -a <= 1.50 / 2".to_owned()),
        Just("CASE WHEN a = 1 THEN t IN ('x', 'y') ELSE false END".to_owned()),
        Just("t ~ '^[a-z]+$'".to_owned()),
        Just("CAST(a AS DOUBLE PRECISION) BETWEEN 0 AND a::BIGINT % 3".to_owned()),
        Just("event_time - INTERVAL '1 day' < received_at".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) OR {right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left} AND {right}")),
            inner.prop_map(|inner| format!("NOT ({inner})")),
        ]
    })
}

fn any_type() -> impl Strategy<Value = ColumnType> {
    prop_oneof![
        Just(ColumnType::Boolean),
        Just(ColumnType::Int16),
        Just(ColumnType::Int32),
        Just(ColumnType::Int64),
        Just(ColumnType::Float64),
        (1..=38_u8)
            .prop_flat_map(|precision| (Just(precision), 0..=precision as i8))
            .prop_map(|(precision, scale)| ColumnType::Decimal { precision, scale }),
        proptest::option::of(1..10_000_u32).prop_map(|max_chars| ColumnType::Text { max_chars }),
        Just(ColumnType::Timestamp),
        Just(ColumnType::Date),
        Just(ColumnType::Json),
    ]
}

proptest! {
    #[test]
    fn any_text_is_read(
        text in "\\PC{0,200}|(CREATE |TABLE |fuzzed |\\(|\\)|,|;|'|--|/\\*|\n|a |INT |CHECK |[ -~]){0,80}",
    ) {
        fuzz_contract(text.as_bytes());
    }

    #[test]
    fn any_list_of_elements_is_read(
        elements in "(a |b |\n|,|\\(|\\)|INT |DECIMAL|2|NOT |NULL |CHECK |CONSTRAINT |DEFAULT |'x' |COMMENT |> |KEY |PRIMARY |\\[|\\]|-- c\n|CASE |END |AND |\\.){0,40}",
    ) {
        fuzz_contract(format!("CREATE TABLE fuzzed ({elements})").as_bytes());
    }

    #[test]
    fn any_change_of_a_valid_contract_is_read(
        start in 0..VALID.len(),
        length in 0..30_usize,
        inserted in "[-(),.;'\"*/a-zA-Z0-9 \\n日]{0,10}",
    ) {
        let end = (start + length).min(VALID.len());
        let valid = VALID.replace("level_end", "fuzzed");
        let (start, end) = (start.min(valid.len()), end.min(valid.len()));
        let mutated = [&valid.as_bytes()[..start], inserted.as_bytes(), &valid.as_bytes()[end..]];
        fuzz_contract(&mutated.concat());
    }

    #[test]
    fn a_generated_contract_is_read_back(
        columns in proptest::collection::btree_map(
            "c_[a-z0-9_]{0,12}",
            (any_type(), any::<bool>(), proptest::option::of("[A-Za-z][A-Za-z ,.]{0,20}[a-z.]")),
            0..12,
        ),
    ) {
        let mut text = String::from("CREATE TABLE level_end (\n");
        let mut left = columns.len();
        for (name, (column_type, nullable, comment)) in &columns {
            left -= 1;
            text.push_str(&format!("  {name} {}", column_type::sql_name(*column_type)));
            text.push_str(if *nullable { "" } else { " NOT NULL" });
            text.push_str(if left > 0 { "," } else { "" });
            if let Some(comment) = comment {
                text.push_str(&format!("  -- {comment}"));
            }
            text.push('\n');
        }
        text.push_str(");\n");
        let contract = parsed(&text);
        prop_assert_eq!(contract.columns.len(), columns.len());
        for (read, (name, (column_type, nullable, comment))) in contract.columns.iter().zip(&columns) {
            prop_assert_eq!(&read.name, name);
            prop_assert_eq!(read.column_type, *column_type);
            prop_assert_eq!(read.nullable, *nullable);
            prop_assert_eq!(&read.comment, comment);
        }
    }

    #[test]
    fn a_stored_condition_is_read_back_as_itself(condition in condition()) {
        let contract = |condition: &str| {
            parsed(&format!("CREATE TABLE level_end (a INT, t TEXT, CHECK ({condition}))"))
        };
        let first = contract(&condition);
        prop_assert_eq!(&first.checks[0].condition, &condition);
        let spaced = contract(&format!("\n{} -- x\n", condition.replace(" > ", "\t> /* y */")));
        prop_assert_eq!(first.version, spaced.version);
    }
}
