//! Reading a request's body within its bounds, so that the sender learns of it when it is too long.
//!
//! A server that answers and closes while the client still writes breaks the client's pipe, and the
//! answer is lost. So what is left of a body that is too long is read and dropped first, within
//! bounds of its own.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use futures::StreamExt;

/// Most bytes of a body that is too long that are read after the bound; what is sent by mistake is
/// mostly shorter.
const DRAIN_BYTES: usize = 8 << 20;

/// Longest time for it.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Most bytes of memory that are set aside because a client says that it will send them.
const MAX_RESERVED: usize = 1 << 20;

/// A body that was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// It is too long.
    #[error("the body is too long")]
    TooLarge,
    /// The connection failed, or what came is not a body.
    #[error("the body could not be read: {0}")]
    Broken(axum::Error),
}

/// Reads a body of at most `limit` bytes.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, ReadError> {
    let declared = declared_length(headers);
    let mut pieces = body.into_data_stream();
    if declared.is_some_and(|length| length > limit) {
        // A client that waits for leave to send has nothing under way.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut pieces).await;
        }
        return Err(ReadError::TooLarge);
    }
    let mut read = Vec::with_capacity(declared.unwrap_or(0).min(MAX_RESERVED));
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(ReadError::Broken)?;
        if read.len() + piece.len() > limit {
            drain(&mut pieces).await;
            return Err(ReadError::TooLarge);
        }
        read.extend_from_slice(&piece);
    }
    Ok(Bytes::from(read))
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads on and drops what comes.
async fn drain(pieces: &mut BodyDataStream) {
    let reading = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(piece)) = pieces.next().await {
            match left.checked_sub(piece.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // The answer does not depend on how far it came.
    let _ = tokio::time::timeout(DRAIN_TIME, reading).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A body of so many pieces of 1 MiB, and how many of them were taken.
    fn body(pieces: usize) -> (Body, Arc<AtomicUsize>) {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let stream = futures::stream::iter(0..pieces).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 20]))
        });
        (Body::from_stream(stream), taken)
    }

    fn headers(length: usize) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_LENGTH, length.into())])
    }

    #[tokio::test]
    async fn a_body_within_its_bound_is_read_whole() {
        let (three, _) = body(3);
        let read = read_body(&HeaderMap::new(), three, 3 << 20).await.unwrap();
        assert_eq!(read.len(), 3 << 20);
        let empty = read_body(&headers(0), Body::empty(), 10).await.unwrap();
        assert!(empty.is_empty());
    }

    #[tokio::test]
    async fn what_is_too_long_is_read_on_within_bounds() {
        for (declared, pieces, expected) in
            [(None, 5, 5), (Some(5), 5, 5), (None, 100, 11), (Some(100), 100, 9)]
        {
            let (long, taken) = body(pieces);
            let headers = declared.map(|pieces: usize| headers(pieces << 20)).unwrap_or_default();
            let refused = read_body(&headers, long, 1 << 20).await;
            assert!(matches!(refused, Err(ReadError::TooLarge)), "{refused:?}");
            assert_eq!(taken.load(Ordering::Relaxed), expected, "{declared:?} of {pieces}");
        }
    }

    #[tokio::test]
    async fn a_client_that_waits_for_leave_is_answered_at_once() {
        let (long, taken) = body(5);
        let mut headers = headers(5 << 20);
        headers.insert(header::EXPECT, header::HeaderValue::from_static("100-continue"));
        let refused = read_body(&headers, long, 1 << 20).await;
        assert!(matches!(refused, Err(ReadError::TooLarge)), "{refused:?}");
        assert_eq!(taken.load(Ordering::Relaxed), 0);
    }
}
