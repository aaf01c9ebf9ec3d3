use super::*;

fn prepare(text: &str) -> Result<PreparedStatement, QueryError> {
    PreparedStatement::new(SourceFile::new("query", text))
}

#[test]
fn what_reads_is_allowed() {
    for text in [
        "SELECT 1",
        "select 1;",
        "-- a remark\nSELECT 1 -- another\n;\n",
        "WITH t AS (SELECT 1 AS x) SELECT x FROM t",
        "VALUES (1), (2)",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN VERBOSE SELECT 1",
        "SHOW TABLES",
        "SHOW COLUMNS FROM star.fact_purchase",
        "DESCRIBE star.fact_purchase",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT 'DROP TABLE x; DELETE FROM y' AS harmless",
        "SELECT * FROM information_schema.tables",
    ] {
        if let Err(error) = prepare(text) {
            panic!("{text}: {error}");
        }
    }
}

#[test]
fn what_changes_or_reaches_out_is_refused() {
    for text in [
        "INSERT INTO star.fact_purchase VALUES (1)",
        "UPDATE star.fact_purchase SET price_usd = 0",
        "DELETE FROM star.fact_purchase",
        "DROP TABLE star.fact_purchase",
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE FUNCTION f(int) RETURNS int RETURN $1",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "RESET datafusion.execution.batch_size",
        "SHOW ALL",
        "SHOW datafusion.execution.time_zone",
        "SELECT * FROM information_schema.df_settings",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "TRUNCATE star.fact_purchase",
        "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE",
        "EXPLAIN ANALYZE INSERT INTO x SELECT 1",
        "EXPLAIN COPY (SELECT 1) TO 'x.csv'",
        "SELECT 1 INTO x",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE star.fact_purchase",
        "WITH t AS (DELETE FROM star.fact_purchase RETURNING *) SELECT * FROM t",
        "WITH t AS (INSERT INTO x VALUES (1) RETURNING *) SELECT * FROM t",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'events.parquet'",
        "SELECT * FROM \"landing/x.arrow\"",
        "SELECT * FROM read_parquet('x.parquet')",
        "SELECT * FROM parquet_metadata('x.parquet')",
        "SELECT * FROM x FOR UPDATE",
        "VACUUM",
        "PRAGMA table_info(x)",
        "ATTACH 'x.db'",
    ] {
        match prepare(text) {
            Err(QueryError::NotAllowed(diagnostic)) => {
                assert!(diagnostic.line > 0 && diagnostic.column > 0, "{text}: {diagnostic}");
                assert!(diagnostic.source_line.is_some(), "{text}: {diagnostic}");
            }
            // Some of these the parser does not know at all.
            Err(QueryError::Syntax(_)) => {}
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn the_place_and_the_allowed_are_named() {
    let error = prepare("-- remark\n  DROP TABLE x").unwrap_err().to_string();
    assert!(error.starts_with("query:2:3: error: DROP is not allowed"), "{error}");
    assert!(error.contains("SHOW TABLES"), "{error}");
    let error = prepare("SELECT 1;\nDELETE FROM x").unwrap_err().to_string();
    assert!(error.starts_with("query:2:1: error: DELETE is not allowed"), "{error}");
    let error = prepare("SELECT 1;\nSELECT 2").unwrap_err().to_string();
    assert!(error.starts_with("query:2:1:"), "{error}");
    let error = prepare("SELEC 1").unwrap_err();
    assert!(matches!(error, QueryError::Syntax(_)), "{error}");
    let error = prepare(" -- nothing\n ;").unwrap_err();
    assert!(error.to_string().contains("there is no query"), "{error}");
}

#[test]
fn tables_are_found_and_names_of_with_are_not() {
    let prepared = prepare(
        "WITH t AS (SELECT * FROM events.purchase) SELECT * FROM t JOIN dim_item USING (item_id) \
         CROSS JOIN generate_series(1, 2)",
    )
    .unwrap();
    let names: Vec<&str> = prepared.tables.iter().map(|table| table.value.as_str()).collect();
    assert_eq!(names, ["dim_item", "events.purchase"]);
    assert_eq!((prepared.tables[1].line, prepared.tables[1].column), (1, 26));
}

#[test]
fn placeholders_are_typed_and_must_be_declared() {
    let prepared = prepare(
        "-- param least: DECIMAL(10,2) = 5\n-- param since: TIMESTAMP\n\
         SELECT * FROM x WHERE a > $least AND b > $since LIMIT 3",
    )
    .unwrap();
    let text = prepared.statement.to_string();
    assert!(text.contains("CAST($least AS DECIMAL(10,2))"), "{text}");
    assert!(text.contains("CAST($since AS TIMESTAMP(6) WITH TIME ZONE)"), "{text}");
    let error = prepare("-- param country: TEXT\nSELECT $contry").unwrap_err().to_string();
    assert!(error.contains("query:2:8"), "{error}");
    assert!(error.contains("did you mean `country`?"), "{error}");
    let unused = prepare("-- param country: TEXT\nSELECT 1").unwrap();
    assert_eq!(unused.warnings.len(), 1);
}

#[test]
fn types_of_a_fixed_length_are_short() {
    for text in [
        "SELECT arrow_cast(NULL, 'FixedSizeList(1000000000, Int64)')",
        "SELECT arrow_cast('x', 'FixedSizeBinary(2000000000)')",
        "SELECT CAST(NULL AS BIGINT[1000000000])",
        "SELECT NULL::BIGINT[5000]",
    ] {
        let error = prepare(text).unwrap_err().to_string();
        assert!(error.contains("a fixed length of at most 4096"), "{text}: {error}");
    }
    for text in [
        "SELECT arrow_cast([1, 2], 'FixedSizeList(2, Int64)')",
        "SELECT arrow_cast(123456, 'Decimal128(20, 2)')",
        "SELECT CAST([1, 2] AS BIGINT[2]), CAST([1] AS BIGINT[])",
    ] {
        prepare(text).unwrap();
    }
}
