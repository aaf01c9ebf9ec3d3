//! Landing and archive in a bucket while answers get lost, or another request for the name is under way.
//!
//! Between client and server stands a relay. It hangs up on the client when the server has done what
//! was asked, or before it hears of it; or it answers itself, as Amazon does when two requests for a
//! name meet (the server of these tests has the second one wait).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use questlake_engine::project::contract::{EventContract, landed_schema};
use questlake_engine::stores::archive::Archive;
use questlake_engine::stores::landing::Landing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::s3::{bucket, folder_of, new_folder, open_at, with_option};

/// What the relay does with a request to create a name.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spoil {
    HangUpBeforeTheRequest,
    HangUpBeforeTheAnswer,
    AnswerConflict,
}

/// Stands in the requests that create a name, and in no others.
const CREATES: &[u8] = b"if-none-match";

const CONFLICT: &[u8] = b"HTTP/1.1 409 Conflict\r\nconnection: close\r\ncontent-length: 54\r\n\r\n\
    <Error><Code>ConditionalRequestConflict</Code></Error>";

/// Requests that a relay spoils.
#[derive(Clone)]
struct Fault {
    spoil: Spoil,
    /// How many more.
    left: Arc<AtomicU32>,
}

impl Fault {
    fn new(spoil: Spoil, times: u32) -> Self {
        Self { spoil, left: Arc::new(AtomicU32::new(times)) }
    }

    /// Whether this is the head of a request to spoil.
    fn takes(&self, request: &[u8]) -> bool {
        let creates = request.windows(CREATES.len()).any(|part| part == CREATES);
        let count = |left: u32| left.checked_sub(1);
        creates && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_ok()
    }

    fn assert_spent(&self) {
        assert_eq!(self.left.load(Ordering::SeqCst), 0, "the relay has spoiled too little");
    }
}

/// Starts a relay; returns the URL of the bucket behind it.
async fn relay(fault: &Fault) -> String {
    let bucket = bucket();
    let endpoint =
        bucket.split(['?', '&']).find_map(|option| option.strip_prefix("endpoint=http://"));
    let server = endpoint.unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let fault = fault.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(carry(client, server, fault.clone()));
        }
    });
    with_option(&bucket, "endpoint", &address)
}

/// Carries bytes both ways until one side ends, or the fault strikes. The client writes the head of a
/// request at once, so that it is in one piece.
async fn carry(mut client: TcpStream, mut server: TcpStream, fault: Fault) {
    let (mut request, mut answer) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut is_spoiled = false;
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                is_spoiled |= fault.takes(&request[..length]);
                if is_spoiled && fault.spoil == Spoil::HangUpBeforeTheRequest {
                    return hang_up(client, b"").await;
                }
                if is_spoiled && fault.spoil == Spoil::AnswerConflict {
                    return hang_up(client, CONFLICT).await;
                }
                if server.write_all(&request[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if is_spoiled {
                    return hang_up(client, b"").await;
                }
                if client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Ends what the client hears with these bytes. What it has still to say is read: otherwise they could
/// get lost on their way, and it would hear of a broken connection instead.
async fn hang_up(mut client: TcpStream, last: &[u8]) {
    let mut rest = vec![0; 1 << 16];
    if client.write_all(last).await.is_ok() && client.shutdown().await.is_ok() {
        while let Ok(1..) = client.read(&mut rest).await {}
    }
}

/// Seals segments behind such a relay, and expects them to be there, whole and once.
async fn seal_through(fault: Fault) {
    let folder = new_folder();
    let store = open_at(&relay(&fault).await, &folder);
    for round in 0..3 {
        let name = format!("2026-01-01/{round}.qls");
        let parts = vec![Bytes::from(format!("segment {round}"))];
        store.seal(&name, parts).await.unwrap();
    }
    fault.assert_spent();
    let direct = open_at(&bucket(), &folder);
    let names = (0..3).map(|round| (format!("2026-01-01/{round}.qls"), 9));
    assert_eq!(direct.list().await.unwrap(), names.collect::<Vec<_>>());
    let read = direct.read("2026-01-01/0.qls", 0..9).await.unwrap();
    assert_eq!(&read[..], b"segment 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_whose_answer_is_lost_is_there() {
    seal_through(Fault::new(Spoil::HangUpBeforeTheAnswer, 1)).await;
    seal_through(Fault::new(Spoil::HangUpBeforeTheAnswer, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_nobody_heard_of_is_sent_again() {
    seal_through(Fault::new(Spoil::HangUpBeforeTheRequest, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_met_another_request_is_sent_again() {
    seal_through(Fault::new(Spoil::AnswerConflict, 2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_stays_so_whatever_is_lost() {
    let folder = new_folder();
    let name = "2026-01-01/a.qls";
    let direct = open_at(&bucket(), &folder);
    direct.seal(name, vec![Bytes::from_static(b"first")]).await.unwrap();
    for spoil in [Spoil::HangUpBeforeTheAnswer, Spoil::AnswerConflict] {
        let fault = Fault::new(spoil, 1);
        let store = open_at(&relay(&fault).await, &folder);
        let refused = store.seal(name, vec![Bytes::from_static(b"other")]).await;
        assert!(refused.is_err(), "{spoil:?}");
        fault.assert_spent();
        assert_eq!(&direct.read(name, 0..5).await.unwrap()[..], b"first");
    }
    assert_eq!(direct.list().await.unwrap(), [(name.to_owned(), 5)]);
}

/// A table is made by the first commit to its log.
async fn commit_through(fault: Fault) {
    let contract = EventContract {
        event_type: "login".to_owned(),
        comment: None,
        columns: Vec::new(),
        checks: Vec::new(),
        version: 1,
        file: "sql/events/login.sql".to_owned(),
        schema: landed_schema(&[]),
    };
    let folder = new_folder();
    let url = folder_of(&relay(&fault).await, &folder);
    let archive = Archive::open(&url, Path::new("/nowhere")).unwrap();
    assert_eq!(archive.table(&contract).await.unwrap().version(), 0);
    fault.assert_spent();
    let direct = Archive::open(&folder_of(&bucket(), &folder), Path::new("/nowhere")).unwrap();
    let table = direct.existing_table("login", None).await.unwrap().unwrap();
    assert_eq!((table.version(), table.through().await.unwrap()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_place_once_whatever_is_lost() {
    commit_through(Fault::new(Spoil::HangUpBeforeTheAnswer, 2)).await;
    commit_through(Fault::new(Spoil::HangUpBeforeTheRequest, 2)).await;
    commit_through(Fault::new(Spoil::AnswerConflict, 3)).await;
}
