//! SQL over the API: ad-hoc queries and saved ones, what they are refused, and what bounds them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Client;
use crate::api_client::encoded;
use crate::inspect::{number, warehouse};

#[test]
fn no_value_and_no_name_is_read_as_sql() {
    let client = Client::new();
    let sandbox = &client.sandbox;
    let before = number(sandbox, "SELECT count(*) FROM mart_daily_kpi");
    let evil = "all' OR '1'='1'; DROP TABLE mart_daily_kpi; --";
    for text in [evil, "all\" OR 1=1", "all') UNION SELECT 1 --", "%", "\\", "$1", "all\0"] {
        let text = encoded(text);
        let reply = client.get(&format!("/api/v1/marts/mart_daily_kpi?platform={text}"));
        assert_eq!(reply.rows(), [], "{text}");
        for name in ["columns", "order", "from", "cursor", "limit"] {
            let reply = client.get(&format!("/api/v1/marts/mart_daily_kpi?{name}={text}"));
            assert_eq!(reply.status, 400, "{name}: {}", reply.text());
        }
        assert_eq!(client.get(&format!("/api/v1/marts/{text}")).status, 404);
        assert_eq!(client.get(&format!("/api/v1/players?search={text}")).rows(), []);
        assert_eq!(client.get(&format!("/api/v1/players/{text}")).status, 404);
        let reply = client.get(&format!("/api/v1/queries/ad_fatigue?format={text}"));
        assert!(matches!(reply.status, 200 | 400), "{}", reply.text());
    }
    assert_eq!(number(sandbox, "SELECT count(*) FROM mart_daily_kpi"), before);
}

#[test]
fn sql_only_reads() {
    let client = Client::new();
    let sandbox = &client.sandbox;
    let rows = client.query(&json!({
        "sql": "SELECT platform, count(*) AS players FROM fact_session WHERE platform = $platform GROUP BY 1",
        "parameters": {"platform": "ios' OR 1=1 --"},
    }));
    assert_eq!(rows.rows(), []);
    let typed = client.query(&json!({
        "sql": "-- param least: DECIMAL(10,2) = 1\nSELECT $least AS least, $n + 1 AS n, $flag AS flag",
        "parameters": {"n": 41, "flag": true, "least": "2.50"},
    }));
    let row = &typed.rows()[0];
    assert_eq!(
        (&row["least"], &row["n"], &row["flag"]),
        (&json!("2.50"), &json!(42), &json!(true))
    );

    let before = number(sandbox, "SELECT count(*) FROM fact_session");
    let folder = sandbox.data().display().to_string();
    for sql in [
        "DROP TABLE fact_session".to_owned(),
        "DELETE FROM fact_session".to_owned(),
        "INSERT INTO fact_session SELECT * FROM fact_session".to_owned(),
        "CREATE TABLE x AS SELECT 1".to_owned(),
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        format!("COPY (SELECT 1) TO '{folder}/stolen.csv'"),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SHOW ALL".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM read_csv('/etc/passwd')".to_owned(),
        "SELECT * FROM information_schema.df_settings".to_owned(),
        "SELECT * FROM meta_api_keys".to_owned(),
        "SELECT * FROM meta.api_keys".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "PREPARE x AS SELECT 1".to_owned(),
        "SELECT 1 INTO x".to_owned(),
    ] {
        let reply = client.query(&json!({"sql": sql}));
        assert_eq!(reply.status, 400, "{sql}: {}", reply.text());
        assert_eq!(reply.mistakes(), ["sql"], "{sql}");
    }
    assert_eq!(number(sandbox, "SELECT count(*) FROM fact_session"), before);
    assert!(!sandbox.data().join("stolen.csv").exists());

    let wrong = client.query(&json!({"sql": "SELECT 1,\n  nothing FROM fact_session"})).json();
    assert_eq!(
        (&wrong["errors"][0]["line"], &wrong["errors"][0]["column"]),
        (&json!(2), &json!(3))
    );
    let zero = client.query(&json!({"sql": "SELECT 1 / (count(*) - count(*)) FROM fact_session"}));
    assert!(matches!(zero.status, 400 | 422), "{}", zero.text());
    let cut = client.query(&json!({"sql": "SELECT * FROM fact_session", "max_rows": 5})).ok();
    assert_eq!(
        (cut["rows"].as_array().unwrap().len(), &cut["meta"]["truncated"]),
        (5, &json!(true))
    );
    for body in [json!({}), json!({"sql": 1}), json!({"sql": "SELECT 1", "max_rows": 0}), json!([])]
    {
        assert_eq!(client.query(&body).status, 400, "{body}");
    }
    let large = json!({"sql": format!("SELECT '{}'", "x".repeat(2 << 20))});
    assert_eq!(client.query(&large).status, 413);
}

#[test]
fn an_answer_says_if_a_table_was_built_by_a_former_definition() {
    let client = Client::new();
    let sql = |limit: u32| json!({"sql": format!("SELECT * FROM fact_session LIMIT {limit}")});
    assert_eq!(client.query(&sql(1)).ok()["meta"]["warnings"], json!([]));
    let changed = "UPDATE meta_models SET definition_hash = 1 WHERE model = 'fact_session'";
    assert_eq!(warehouse(&client.sandbox).execute(changed, []).unwrap(), 1);
    let warnings = client.query(&sql(2)).ok()["meta"]["warnings"].to_string();
    assert!(warnings.contains("star.fact_session was built by a former definition"), "{warnings}");
}

#[test]
fn saved_queries_are_endpoints_with_checked_parameters() {
    let client = Client::new();
    let list = client.get("/api/v1/queries").ok();
    for query in list["queries"].as_array().unwrap() {
        let required =
            query["parameters"].as_array().unwrap().iter().any(|p| p["required"] == true);
        let reply = client.get(query["url"].as_str().unwrap());
        let expected = if required { 400 } else { 200 };
        assert_eq!(reply.status, expected, "{query}: {}", reply.text());
        if expected == 200 {
            let body = reply.ok();
            assert_eq!(body["meta"]["title"], query["title"]);
            let names = |columns: &Value| -> Vec<String> {
                let columns = columns.as_array().unwrap().iter();
                columns.map(|column| column["name"].as_str().unwrap().to_owned()).collect()
            };
            assert_eq!(names(&body["columns"]), names(&query["columns"]), "{}", query["name"]);
        }
    }
    let refused = client.get("/api/v1/queries/cheat_suspects?min_score=many&min_scoer=1");
    assert_eq!(refused.status, 400);
    assert_eq!(refused.mistakes(), ["min_score", "min_scoer"]);
    // `format` is a parameter of its own.
    let csv =
        client.get_with("/api/v1/queries/ad_fatigue?format=banner", &[("accept", "text/csv")]);
    assert!(csv.text().starts_with("ads_per_session,"), "{}", csv.text());
}

#[test]
fn what_is_too_deep_or_too_wide_is_refused_and_the_server_lives() {
    let client = Client::new();
    let columns: Vec<String> = (0..30).map(|number| format!("c{number}")).collect();
    let values = vec!["1"; 30].join(",");
    let columns = columns.join(",");
    let deep_type = format!("{}Int64{}", "List(".repeat(5_000), ")".repeat(5_000));
    for sql in [
        format!("SELECT {}", vec!["1"; 2_500].join("+")),
        format!("SELECT {}", vec!["1"; 100_000].join("+")),
        vec!["SELECT 1"; 600].join(" UNION ALL "),
        format!(
            "SELECT count(*) FROM fact_session WHERE {}",
            vec!["events = 0"; 2_000].join(" OR ")
        ),
        format!("SELECT 1{}", "::int".repeat(50_000)),
        format!("SELECT 1{}", " IS NULL".repeat(50_000)),
        format!("SELECT 1 FROM {}", vec!["(SELECT 1)"; 3_000].join(",")),
        format!("SELECT arrow_cast([1], '{deep_type}')"),
        format!(
            "SELECT count(*) FROM (VALUES ({values})) AS t({columns}) GROUP BY CUBE ({columns})"
        ),
    ] {
        let refused = client.query(&json!({ "sql": sql }));
        assert_eq!(refused.status, 400, "{}: {}", &sql[..60], refused.text());
    }
    let many = vec!["1"; 20_000].join(",");
    let allowed = client.query(&json!({ "sql": format!("SELECT 1 IN ({many}) AS found") }));
    assert_eq!(allowed.rows()[0]["found"], true);
    assert_eq!(client.get("/healthz").status, 200);
}

#[test]
fn functions_that_make_too_much_are_refused_and_the_server_lives() {
    let client = Client::new();
    for sql in [
        "SELECT repeat('x', 2000000000)",
        "SELECT sum(length(lpad(event_id, 1000000000))) FROM events.envelope",
        "SELECT max(length(s || s || s || s)) FROM (SELECT repeat(event_id, 100000) AS s FROM events.envelope)",
        "SELECT array_repeat(1, 2000000000)",
        "SELECT unnest(range(0, 2000000000))",
    ] {
        let refused = client.query(&json!({ "sql": sql }));
        assert_eq!(refused.status, 422, "{sql}: {}", refused.text());
        assert!(refused.text().contains("query.memory_limit"), "{sql}: {}", refused.text());
    }
    assert_eq!(client.get("/healthz").status, 200);
}

#[test]
fn arguments_that_a_function_does_not_take_are_the_callers_mistake() {
    let client = Client::new();
    for (sql, says) in [
        (
            "SELECT percentile_cont(2) WITHIN GROUP (ORDER BY value) FROM generate_series(1, 3)",
            "from 0 to 1",
        ),
        ("SELECT encode('x', 'rot13')", "rot13"),
    ] {
        let refused = client.query(&json!({ "sql": sql }));
        assert!(matches!(refused.status, 400 | 422), "{sql}: {}", refused.text());
        assert!(refused.text().contains(says), "{sql}: {}", refused.text());
    }
}

/// Some functions work for minutes without giving way. They hold the threads of callers' own SQL, and no
/// others.
#[test]
fn whoever_holds_all_threads_for_sql_keeps_no_reader_from_an_answer() {
    const ROUNDS: usize = 20;
    let client = Client::with_variables(&[("QUESTLAKE_ENGINE_THREADS", "1".to_owned())]);
    let url = client.url("");
    let address = url.trim_start_matches("http://");
    // Asks, and leaves if there is no answer soon.
    let is_sent_away = |round: usize| {
        let sql =
            format!("SELECT levenshtein(repeat('a', 200000), repeat('b', {}))", 200_000 + round);
        let body = json!({ "sql": sql }).to_string();
        let mut stream = TcpStream::connect(address).unwrap();
        // By then all threads are held: what is still missing is the answer of a busy machine.
        let patience = if round < 8 { 2 } else { 20 };
        stream.set_read_timeout(Some(Duration::from_secs(patience))).unwrap();
        let head = format!(
            "POST /api/v1/query HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).is_ok() && answer.ends_with(b"503")
    };
    assert!((0..ROUNDS).any(is_sent_away), "there were threads for {ROUNDS} such queries");
    for path in [
        "/api/v1/queries/whales",
        "/api/v1/marts/mart_daily_kpi?limit=3",
        "/api/v1/tables/fact_currency_flow?limit=3",
        "/api/v1/players?search=p",
    ] {
        let reply = client.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
}
