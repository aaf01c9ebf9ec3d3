//! A network between the stores and the server that loses what it is told to lose, and may end.

use std::sync::{Arc, Mutex};

use questlake_engine::settings::ServerUrl;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is lost, once; the connection ends with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Request(&'static str),
    /// The request arrives, and its answer does not.
    Answer(&'static str),
}

/// Passes bytes on.
pub(crate) struct Proxy {
    url: url::Url,
    loss: Arc<Mutex<Option<Loss>>>,
    /// Whoever takes connections, and with it those that there are.
    accepting: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &ServerUrl) -> Self {
        let mut url = url::Url::parse(server.reveal()).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        url.set_query(Some("sslmode=disable"));
        let loss = Arc::new(Mutex::new(None));
        let armed = Arc::clone(&loss);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.unwrap();
                connections.spawn(pass(client, server, Arc::clone(&armed)));
            }
        });
        Self { url, loss, accepting }
    }

    /// Ends all connections, and takes no others.
    pub(crate) async fn end(&mut self) {
        self.accepting.shutdown().await;
    }

    pub(crate) fn url(&self) -> ServerUrl {
        ServerUrl::new(self.url.to_string())
    }

    /// Where it listens, as messages name it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.url.port().unwrap())
    }

    /// The next request with this text does not arrive.
    pub(crate) fn lose_request(&self, text: &'static str) {
        *self.loss.lock().unwrap() = Some(Loss::Request(text));
    }

    /// The next request with this text arrives, and its answer does not.
    pub(crate) fn lose_answer_to(&self, text: &'static str) {
        *self.loss.lock().unwrap() = Some(Loss::Answer(text));
    }

    /// Whether that has happened.
    pub(crate) fn has_lost(&self) -> bool {
        self.loss.lock().unwrap().is_none()
    }
}

/// Passes on what either side says, until one of them ends or something is lost.
async fn pass(mut client: TcpStream, mut server: TcpStream, loss: Arc<Mutex<Option<Loss>>>) {
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(length @ 1..) = read else { return };
                let request = &from_client[..length];
                match meet(&loss, request) {
                    Some(Loss::Request(_)) => return,
                    Some(Loss::Answer(_)) => {
                        server.write_all(request).await.unwrap();
                        // The answer is read, so that the request has been served, and kept.
                        let _ = server.read(&mut from_server).await;
                        return;
                    }
                    None => {
                        if server.write_all(request).await.is_err() {
                            return;
                        }
                    }
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// What is to be lost of this request.
fn meet(loss: &Mutex<Option<Loss>>, request: &[u8]) -> Option<Loss> {
    let mut armed = loss.lock().unwrap();
    let (Loss::Request(text) | Loss::Answer(text)) = (*armed)?;
    let is_it = request.windows(text.len()).any(|part| part == text.as_bytes());
    if is_it { armed.take() } else { None }
}
