//! What outlives a task.

mod cached_response;
#[allow(dead_code)]
pub(crate) mod journal;
#[allow(dead_code)]
pub(crate) mod places;

pub use cached_response::{CachedResponse, StoragePolicy};
