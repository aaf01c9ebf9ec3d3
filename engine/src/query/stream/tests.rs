use std::time::{Duration, Instant};

use arrow::array::Int64Array;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;

use super::*;
use crate::project::source::SourceFile;
use crate::settings::{ByteSize, QuerySettings};

fn limits(timeout: Duration) -> QueryLimits {
    let settings = QuerySettings {
        memory_limit: ByteSize::from_bytes(512 << 20),
        timeout: Some(timeout),
        max_rows: None,
    };
    QueryLimits::new(&settings, 1)
}

async fn started(
    session: &SessionContext,
    limits: &QueryLimits,
    sql: &str,
) -> Result<QueryStream, QueryError> {
    let statement = PreparedStatement::new(SourceFile::new("query", sql))?;
    let asked = Asked::Statement(Box::new(statement), ParamValues::List(Vec::new()));
    let cancellation = Cancellation::new(Instant::now(), limits.timeout);
    let state = Bounds::new(limits.memory.limit, Arc::clone(&cancellation)).apply(session.state());
    start(state, asked, limits, Overflow::Refuse, cancellation).await
}

/// A function over which the optimizer thinks for a while.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Slow {
    signature: Signature,
    thinks: Duration,
}

impl ScalarUDFImpl for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> datafusion::common::Result<DataType> {
        Ok(DataType::Int64)
    }

    fn simplify(
        &self,
        arguments: Vec<Expr>,
        _context: &SimplifyContext,
    ) -> datafusion::common::Result<ExprSimplifyResult> {
        std::thread::sleep(self.thinks);
        Ok(ExprSimplifyResult::Original(arguments))
    }

    fn invoke_with_args(
        &self,
        arguments: ScalarFunctionArgs,
    ) -> datafusion::common::Result<ColumnarValue> {
        let thread = std::thread::current();
        let on_own_threads = i64::from(thread.name() == Some("query"));
        let rows = Int64Array::from(vec![on_own_threads; arguments.number_rows]);
        Ok(ColumnarValue::Array(Arc::new(rows)))
    }
}

fn session(thinks: Duration) -> SessionContext {
    let session = SessionContext::new();
    // What is not volatile is computed by the planner, which then has nothing to simplify.
    let signature = Signature::nullary(Volatility::Volatile);
    session.register_udf(ScalarUDF::from(Slow { signature, thinks }));
    session
}

#[tokio::test]
async fn planning_neither_blocks_others_nor_outlives_the_limit() {
    let session = session(Duration::from_secs(4));
    let limits = limits(Duration::from_millis(300));
    let begun = Instant::now();
    let planned = started(&session, &limits, "SELECT slow()");
    // On the only thread that there is beside those of queries.
    let ticks = async {
        let mut ticks = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            ticks += 1;
            if ticks == 10 {
                break begun.elapsed();
            }
        }
    };
    let (planned, ticked) = tokio::join!(planned, ticks);
    assert!(matches!(planned, Err(QueryError::TimedOut { .. })), "{planned:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(ticked < Duration::from_secs(2), "{ticked:?}");
    // Whoever comes next does not wait for it.
    let mut next = started(&session, &limits, "SELECT 1").await.unwrap();
    assert_eq!(next.next().await.unwrap().unwrap().num_rows(), 1);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn statements_are_planned_on_the_threads_of_queries() {
    let session = session(Duration::ZERO);
    let limits = limits(Duration::from_secs(60));
    let mut stream = started(&session, &limits, "SELECT slow() AS own").await.unwrap();
    assert_eq!(stream.schema().field(0).name(), "own");
    let batch = stream.next().await.unwrap().unwrap();
    let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
    assert_eq!(column.value(0), 1);
    assert!(stream.next().await.unwrap().is_none());
    // Mistakes that the planner finds are still told as such.
    let mistake = started(&session, &limits, "SELECT nothing").await.unwrap_err();
    assert!(mistake.is_mistake(), "{mistake:?}");
}

#[tokio::test]
async fn a_server_that_grows_too_large_ends_its_queries() {
    let session = SessionContext::new();
    let mut limits = limits(Duration::from_secs(60));
    limits.watch_process(1 << 30);
    let sql = "SELECT value FROM generate_series(1, 100000000)";
    let mut stream = started(&session, &limits, sql).await.unwrap();
    stream.next().await.unwrap().unwrap();
    // Others took more than what is theirs.
    stream.guard = Some(ResidentGuard::of_process(limits.memory.limit, 1 << 20));
    let error = loop {
        match stream.next().await {
            Ok(rows) => assert!(rows.is_some(), "it was not ended"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, QueryError::Memory { .. }), "{error}");
    assert!(error.to_string().contains("the process holds"), "{error}");
    // The next query is judged anew.
    let mut next = started(&session, &limits, "SELECT 1").await.unwrap();
    assert_eq!(next.next().await.unwrap().unwrap().num_rows(), 1);
}
