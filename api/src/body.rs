//! Bodies of requests that are not events.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use axum::body::BodyDataStream;
use axum::extract::Request;
use axum::http::header;
use futures::StreamExt;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};

use crate::parameters::shortened;
use crate::problem::{Kind, Mistake, Problem};

/// Most bytes of a body that is too long that are read after the bound: a client that still writes when
/// the answer comes and the connection is closed does not see it.
const DRAIN_BYTES: usize = 8 << 20;

/// Longest time for it.
const DRAIN_TIME: Duration = Duration::from_secs(2);

async fn drain(pieces: &mut BodyDataStream) {
    let reading = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(piece)) = pieces.next().await {
            if piece.len() > left {
                break;
            }
            left -= piece.len();
        }
    };
    let _ = tokio::time::timeout(DRAIN_TIME, reading).await;
}

/// Reads a JSON body of at most `limit` bytes.
pub(crate) async fn json<T: DeserializeOwned>(
    request: Request,
    limit: usize,
) -> Result<T, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str());
    let is_json = match kind {
        // A page of another host can send texts and forms without asking; it must ask for this.
        None | Some(Err(_)) => false,
        Some(Ok(kind)) => {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/json")
        }
    };
    if !is_json {
        let detail = "send the body as Content-Type: application/json";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let too_large = || {
        Problem::new(Kind::TooLarge, format!("the body is longer than api.body_limit ({limit})"))
    };
    let mut body = Vec::new();
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| {
            Problem::new(Kind::InvalidBody, "the body could not be read to its end")
        })?;
        if body.len() + piece.len() > limit {
            drain(&mut pieces).await;
            return Err(too_large());
        }
        body.extend_from_slice(&piece);
    }
    serde_json::from_slice(&body).map_err(|error| {
        let mistake = Mistake {
            parameter: "body".to_owned(),
            message: error.to_string(),
            ..Mistake::default()
        };
        Problem::of_mistakes(Kind::InvalidBody, vec![mistake])
    })
}

/// Reads an object whose keys stand there once each: of two values, readers differ in which is meant.
pub(crate) fn each_once<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<BTreeMap<String, serde_json::Value>, D::Error> {
    source.deserialize_map(EachOnce)
}

struct EachOnce;

impl<'de> Visitor<'de> for EachOnce {
    type Value = BTreeMap<String, serde_json::Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut values = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry::<String, serde_json::Value>()? {
            if values.contains_key(&key) {
                return Err(A::Error::custom(format!("`{}` is there twice", shortened(&key))));
            }
            values.insert(key, value);
        }
        Ok(values)
    }
}
