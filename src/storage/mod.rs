//! What outlives a task.

mod cached_response;

pub use cached_response::{CachedResponse, StoragePolicy};
