//! A client of the API that sees all of an answer.

use std::collections::BTreeMap;

use serde_json::Value;
use ureq::Agent;

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// By their names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| {
            panic!("no JSON ({error}), {}: {}", self.status, self.text());
        })
    }

    /// The JSON of an answer that must be 200.
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// The rows of a tabular answer, each as an object.
    pub(crate) fn rows(&self) -> Vec<BTreeMap<String, Value>> {
        let body = self.ok();
        let names: Vec<&str> = body["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap())
            .collect();
        let rows = body["rows"].as_array().unwrap().iter();
        rows.map(|row| {
            let values = row.as_array().unwrap();
            assert_eq!(values.len(), names.len());
            names.iter().map(|name| (*name).to_owned()).zip(values.iter().cloned()).collect()
        })
        .collect()
    }

    /// What the answer of `/readyz` says of the only store that is not ready, which must be this one.
    pub(crate) fn only_not_ready(&self, store: &str) -> String {
        let body = self.json();
        let stores = body["stores"].as_array().unwrap();
        let not_ready: Vec<_> = stores.iter().filter(|one| one["ready"] == false).collect();
        assert_eq!(not_ready.len(), 1, "{body}");
        assert_eq!(not_ready[0]["store"], store, "{body}");
        not_ready[0]["detail"].as_str().unwrap().to_owned()
    }

    /// The parameters that a problem names.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let body = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json", "{body}");
        assert_eq!(body["status"], self.status, "{body}");
        let errors = body["errors"].as_array().unwrap().iter();
        errors.map(|error| error["parameter"].as_str().unwrap().to_owned()).collect()
    }
}

/// Gets an address with further headers.
pub(crate) fn fetch(agent: &Agent, address: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = agent.get(address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    reply(request.call().unwrap())
}

/// Posts JSON.
pub(crate) fn send(agent: &Agent, address: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let mut request = agent.post(address).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    reply(request.send(body.to_string()).unwrap())
}

fn reply(mut response: ureq::http::Response<ureq::Body>) -> Reply {
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let status = response.status().as_u16();
    let bytes = response.body_mut().with_config().limit(256 << 20).read_to_vec().unwrap();
    Reply { status, headers, bytes }
}

/// A text as a part of an address.
pub(crate) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
