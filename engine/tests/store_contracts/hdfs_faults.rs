//! Landing on HDFS while answers of the NameNode get lost.
//!
//! Between client and NameNode stands a relay, which hangs up on the client when the NameNode has
//! done what was asked, or before it hears of it. DataNodes are spoken to directly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use questlake_engine::stores::landing::Landing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::hdfs::{cluster, new_folder, open_at};

/// When the relay hangs up.
#[derive(Clone, Copy, PartialEq)]
enum HangUp {
    BeforeTheRequest,
    BeforeTheAnswer,
    /// It only stays silent from then on.
    Never,
}

/// Calls that a relay spoils.
#[derive(Clone)]
struct Fault {
    /// The method's name as it stands in the request.
    method: &'static [u8],
    hang_up: HangUp,
    /// How many more.
    left: Arc<AtomicU32>,
}

impl Fault {
    fn new(method: &'static [u8], hang_up: HangUp, times: u32) -> Self {
        Self { method, hang_up, left: Arc::new(AtomicU32::new(times)) }
    }

    /// Whether this is a request to spoil.
    fn takes(&self, request: &[u8]) -> bool {
        let names_it = request.windows(self.method.len()).any(|part| part == self.method);
        let count = |left: u32| left.checked_sub(1);
        names_it && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_ok()
    }

    fn is_spent(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

/// Starts a relay; returns the URL of the cluster behind it.
async fn relay(fault: &Fault) -> String {
    let name_node = cluster().trim_start_matches("hdfs://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("hdfs://{}", listener.local_addr().unwrap());
    let fault = fault.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&name_node).await.unwrap();
            tokio::spawn(carry(client, server, fault.clone()));
        }
    });
    url
}

/// Carries bytes both ways until one side ends, or the fault strikes. The client writes a request at
/// once, and waits for its answer, so that a read gives a whole one.
async fn carry(mut client: TcpStream, mut server: TcpStream, fault: Fault) {
    let (mut request, mut answer) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let (mut is_spoiled, mut is_silent) = (false, false);
    loop {
        tokio::select! {
            read = client.read(&mut request) => {
                let Ok(length @ 1..) = read else { return };
                is_spoiled = fault.takes(&request[..length]);
                if is_spoiled && fault.hang_up == HangUp::BeforeTheRequest {
                    return;
                }
                if server.write_all(&request[..length]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answer) => {
                let Ok(length @ 1..) = read else { return };
                if is_spoiled && fault.hang_up == HangUp::Never {
                    is_silent = true;
                }
                if is_silent {
                    continue;
                }
                if is_spoiled || client.write_all(&answer[..length]).await.is_err() {
                    return;
                }
            }
        }
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
    assert!(fault.is_spent(), "the relay has spoiled nothing");
    let direct = open_at(&cluster(), &folder);
    let names = (0..3).map(|round| (format!("2026-01-01/{round}.qls"), 9));
    assert_eq!(direct.list().await.unwrap(), names.collect::<Vec<_>>());
    let read = direct.read("2026-01-01/0.qls", 0..9).await.unwrap();
    assert_eq!(&read[..], b"segment 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_whose_answer_is_lost_has_taken_place() {
    // The client asks a second time by itself, and is told that there is nothing to rename.
    seal_through(Fault::new(b"rename2", HangUp::BeforeTheAnswer, 1)).await;
    // It does not hear of the second either.
    seal_through(Fault::new(b"rename2", HangUp::BeforeTheAnswer, 2)).await;
}

/// Takes as long as the client waits for an answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_goes_silent_is_given_up() {
    seal_through(Fault::new(b"rename2", HangUp::Never, 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_that_nobody_heard_of_is_made_again() {
    seal_through(Fault::new(b"rename2", HangUp::BeforeTheRequest, 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_begun_or_closed_in_silence_is_written_anew() {
    for method in [&b"create"[..], b"addBlock", b"complete", b"getBlockLocations"] {
        seal_through(Fault::new(method, HangUp::BeforeTheAnswer, 2)).await;
        seal_through(Fault::new(method, HangUp::BeforeTheRequest, 2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_stays_so_whatever_is_lost() {
    let folder = new_folder();
    let name = "2026-01-01/a.qls";
    let direct = open_at(&cluster(), &folder);
    direct.seal(name, vec![Bytes::from_static(b"first")]).await.unwrap();
    let fault = Fault::new(b"rename2", HangUp::BeforeTheAnswer, 2);
    let store = open_at(&relay(&fault).await, &folder);
    assert!(store.seal(name, vec![Bytes::from_static(b"other")]).await.is_err());
    assert!(fault.is_spent(), "the relay has spoiled nothing");
    assert_eq!(&direct.read(name, 0..5).await.unwrap()[..], b"first");
    assert_eq!(direct.list().await.unwrap(), [(name.to_owned(), 5)]);
}
