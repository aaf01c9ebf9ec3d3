//! What data is and how it is transformed: project files, catalog, models, pipeline, stores.

pub mod archive;
pub mod catalog;
pub mod checks;
pub mod clock;
pub mod documentation;
pub mod failpoint;
pub mod freshness;
pub mod functions;
pub mod models;
pub mod pipeline;
pub mod project;
pub mod query;
pub mod settings;
pub mod status;
pub mod stores;
pub mod unit_tests;
