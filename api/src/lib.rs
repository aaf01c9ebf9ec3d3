//! How people get at the data over HTTP.
//!
//! ```text
//! request ─► server ─► gate ─► route ─► answers ─► engine
//!            bounds    key,    parameters  cache,     rows within
//!            of con-   page,   checked     one compu- the limits
//!            nections  time                tation     of queries
//! ```
//!
//! `routes.rs` lists everything that can be asked; router and OpenAPI document both follow from it.

mod access;
mod answers;
mod api;
mod assets;
mod body;
mod catalog;
mod compress;
mod cursor;
mod gate;
mod health;
mod live;
mod marts;
mod metrics;
mod negotiate;
mod openapi;
mod parameters;
mod pipeline;
mod players;
mod problem;
mod quarantine;
mod queries;
mod remembered;
mod request;
mod routes;
pub mod server;
mod tabular;
mod text;
mod trace;

pub use access::keys;
pub use api::{Api, ApiParts, AskQueue, Replay, ReplayError, ReplayReport, ReplayRequest};
pub use routes::router;
