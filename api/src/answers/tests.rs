use std::sync::atomic::AtomicUsize;

use axum::body::to_bytes;
use axum::http::StatusCode;
use futures::future::join_all;
use questlake_engine::freshness::AnswerFreshness;
use questlake_engine::stores::cache::memory::MemoryCache;

use super::ready::DATA_THROUGH;
use super::*;
use crate::negotiate::Format;
use crate::problem::Kind;

fn answers() -> Arc<Answers> {
    let limit = ByteSize::from_bytes(64 << 20);
    Arc::new(Answers::new(Arc::new(MemoryCache::new(limit)), limit, 4))
}

fn question(text: &str, version: u64) -> Question {
    Question {
        text: text.to_owned(),
        freshness: AnswerFreshness { version, data_through: Some(1_000) },
        format: Format::Json,
        file_name: None,
        reproducible: true,
    }
}

async fn body(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Gives `text` in two parts and counts how often it is asked to.
fn giving(
    text: &'static str,
    computed: &Arc<AtomicUsize>,
) -> impl FnOnce(Parts) -> futures::future::BoxFuture<'static, Result<(), Problem>> + Send + 'static
{
    let computed = Arc::clone(computed);
    move |parts| {
        Box::pin(async move {
            computed.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            parts.send(Part::Bytes(Bytes::from_static(text.as_bytes()))).await;
            let (first, again) = (Bytes::from_static(b" first"), Bytes::from_static(b" again"));
            parts.send(Part::End { first, again }).await;
            Ok(())
        })
    }
}

#[tokio::test]
async fn however_many_ask_it_is_computed_once() {
    let (answers, computed) = (answers(), Arc::new(AtomicUsize::new(0)));
    let ask = |number: usize| {
        let work = giving("rows", &computed);
        let request = Some(format!("written {}", number % 3));
        let answers = &answers;
        async move {
            let question = question("q", 1);
            body(answers.answer(request, &HeaderMap::new(), question, work).await.unwrap()).await
        }
    };
    let mut bodies = join_all((0..10_000).map(ask)).await;
    assert_eq!(computed.load(Ordering::SeqCst), 1);
    bodies.sort();
    assert_eq!(bodies.iter().filter(|body| *body == "rows first").count(), 1);
    assert_eq!(bodies.iter().filter(|body| *body == "rows again").count(), 9_999);
    assert!(answers.near("written 0").is_some_and(|ready| ready.version() == 1));
    // New data is another question.
    let work = giving("new rows", &computed);
    let fresh = answers.answer(None, &HeaderMap::new(), question("q", 2), work).await.unwrap();
    assert_eq!(body(fresh).await, "new rows first");
    assert_eq!(computed.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_end_the_computation() {
    let (answers, computed) = (answers(), Arc::new(AtomicUsize::new(0)));
    let work = giving("rows", &computed);
    let headers = HeaderMap::new();
    let asked = answers.answer(None, &headers, question("q", 1), work);
    assert!(tokio::time::timeout(Duration::from_millis(5), asked).await.is_err());
    let work = giving("rows", &computed);
    let response = answers.answer(None, &HeaderMap::new(), question("q", 1), work).await.unwrap();
    assert_eq!(body(response).await, "rows again");
    assert_eq!(computed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn failures_are_shared_and_not_kept() {
    let answers = answers();
    let failing = |_parts: Parts| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(Problem::new(Kind::QueryLimit, "too much"))
    };
    let (empty, other) = (HeaderMap::new(), HeaderMap::new());
    let (first, second) = tokio::join!(
        answers.answer(None, &empty, question("q", 1), failing),
        answers.answer(None, &other, question("q", 1), failing),
    );
    assert_eq!(first.unwrap_err().detail, "too much");
    assert_eq!(second.unwrap_err().kind, Kind::QueryLimit);
    let computed = Arc::new(AtomicUsize::new(0));
    let work = giving("rows", &computed);
    let response = answers.answer(None, &HeaderMap::new(), question("q", 1), work).await.unwrap();
    assert_eq!(body(response).await, "rows first");
    // A computation that panics keeps nobody waiting.
    let panicking = |_parts: Parts| async { panic!("a mistake of ours") };
    let lost = answers.answer(None, &HeaderMap::new(), question("r", 1), panicking).await;
    assert_eq!(lost.unwrap_err().kind, Kind::Internal);
}

#[tokio::test]
async fn large_answers_are_sent_as_they_come_and_broken_off_when_they_fail() {
    let answers = answers();
    let large = |fails: bool| {
        move |parts: Parts| async move {
            for _ in 0..100 {
                parts.send(Part::Bytes(Bytes::from(vec![b'x'; 64 << 10]))).await;
            }
            if fails {
                return Err(Problem::new(Kind::QueryLimit, "too much"));
            }
            parts.send(Part::End { first: Bytes::new(), again: Bytes::new() }).await;
            Ok(())
        }
    };
    for _ in 0..2 {
        let headers = HeaderMap::new();
        let asked = answers.answer(None, &headers, question("q", 1), large(false)).await;
        assert_eq!(body(asked.unwrap()).await.len(), 6_400 << 10);
    }
    let asked = answers.answer(None, &HeaderMap::new(), question("q", 1), large(true)).await;
    assert!(to_bytes(asked.unwrap().into_body(), usize::MAX).await.is_err());
    assert_eq!(answers.counters.computed.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn who_has_the_answer_gets_none() {
    let (answers, computed) = (answers(), Arc::new(AtomicUsize::new(0)));
    let work = giving("rows", &computed);
    let response = answers.answer(None, &HeaderMap::new(), question("q", 1), work).await.unwrap();
    let etag = response.headers()[header::ETAG].clone();
    assert_eq!(response.headers()[&DATA_THROUGH], "1970-01-01T00:00:01.000Z");
    let mut headers = HeaderMap::new();
    headers.insert(header::IF_NONE_MATCH, etag.clone());
    let work = giving("rows", &computed);
    let response = answers.answer(None, &headers, question("q", 1), work).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(response.headers()[header::ETAG], etag);
    assert_eq!(computed.load(Ordering::SeqCst), 1);
    let work = giving("rows", &computed);
    let response = answers.answer(None, &headers, question("q", 2), work).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"a\", W/\"b\""));
    assert!(!matches(&headers, &etag));
    headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("*"));
    assert!(matches(&headers, &etag));
}

#[tokio::test]
async fn an_answer_that_takes_no_time_is_made_once_for_all_as_well() {
    let (answers, made) = (answers(), AtomicUsize::new(0));
    let whole = || {
        made.fetch_add(1, Ordering::SeqCst);
        let part = Bytes::from_static;
        Ok(Whole { body: part(b"rows"), first: part(b" first"), again: part(b" again") })
    };
    let ask = |version: u64| {
        let (answers, whole) = (&answers, &whole);
        async move {
            let (none, question) = (HeaderMap::new(), question("q", version));
            let request = Some("written".to_owned());
            body(answers.answer_at_once(request, &none, question, whole).await.unwrap()).await
        }
    };
    let bodies = join_all((0..1_000).map(|_| ask(1))).await;
    assert_eq!(made.load(Ordering::SeqCst), 1);
    assert_eq!(bodies.iter().filter(|body| *body == "rows first").count(), 1);
    assert_eq!(bodies.iter().filter(|body| *body == "rows again").count(), 999);
    assert!(answers.near("written").is_some_and(|ready| ready.version() == 1));
    assert_eq!(ask(2).await, "rows first", "new data is another question");
    assert!(answers.under_way().is_empty());
}

#[tokio::test]
async fn what_cannot_be_made_at_once_keeps_nobody_waiting() {
    let answers = answers();
    let fails = || Err(Problem::unavailable("away"));
    let question = || question("q", 1);
    let none = HeaderMap::new();
    assert!(answers.answer_at_once(None, &none, question(), fails).await.is_err());
    assert!(answers.under_way().is_empty(), "the next one makes it anew");
    // Whoever was to compute it is ended in the middle.
    let Joined::First(place) = answers.join(question().key()) else { panic!("nobody was there") };
    let Joined::Others(others) = answers.join(question().key()) else { panic!("it is under way") };
    drop(place);
    assert!(matches!(wait(others).await, Outcome::Lost));
    assert!(answers.under_way().is_empty());
}

#[tokio::test]
async fn who_takes_gzip_gets_it() {
    let (answers, none) = (answers(), HeaderMap::new());
    let text = "row ".repeat(1_000);
    let whole = || {
        let body = Bytes::from(text.clone());
        Ok(Whole { body, first: Bytes::new(), again: Bytes::new() })
    };
    let ask = || Some("written".to_owned());
    answers.answer_at_once(ask(), &none, question("q", 1), whole).await.unwrap();
    let ready = answers.near("written").unwrap();
    let mut takes = HeaderMap::new();
    takes.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
    let packed = ready.response(&takes);
    assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    assert_eq!(packed.headers()[header::ETAG], ready.response(&none).headers()[header::ETAG]);
    assert!(to_bytes(packed.into_body(), usize::MAX).await.unwrap().len() < text.len() / 10);
    assert_eq!(body(ready.response(&none)).await, text);
}

#[tokio::test]
async fn a_large_answer_is_kept_beside_many_small_ones() {
    let answers = answers();
    let keep = |name: String, bytes: usize| {
        let question = question(&name, 1);
        let body = Bytes::from(vec![b'x'; bytes]);
        let ready = Arc::new(ready(&question, etag(&question.key()), body));
        answers.keep_near(Some(name), &question.key(), &ready);
    };
    for number in 0..10_000 {
        let name = format!("small {number}");
        keep(name.clone(), 8_000);
        // Each is asked for again, once.
        let _ = answers.near(&name);
    }
    keep("large".to_owned(), 1 << 20);
    answers.near.as_ref().unwrap().run_pending_tasks();
    assert!(answers.near("large").is_some());
}
