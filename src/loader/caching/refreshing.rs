//! What is stale and was used meanwhile is asked for once more (RFC 5861, section 3), by a task that nobody
//! sees: one for each URL.

use super::super::Loader;
use super::super::authorization::for_another_task;
use super::Caching;
use crate::proto::caching::CachePolicy;
use crate::sync::{Arc, lock};
use crate::task::core::{Context, Kind, TaskCore};
use std::time::Duration;

/// So long it may take. Nobody waits for it, and nobody else could end it.
const MOST: Duration = Duration::from_secs(60);

/// A URL that is being asked for. Dropping it lets others ask.
pub(super) struct Refreshing {
    context: Arc<Context>,
    key: String,
}

impl Loader {
    /// Sees to it that what is stored is asked for.
    pub(super) fn refresh(&self, key: &str, core: &Arc<TaskCore>) {
        let context = &core.context;
        if !lock(&context.refreshing).insert(key.to_owned()) {
            return;
        }
        let refreshing = Box::new(Refreshing { context: Arc::clone(context), key: key.to_owned() });
        let request = for_another_task(self.request(core).clone(), self.credential_url(core));
        let limit = request.resource_timeout.unwrap_or(context.configuration.timeout_for_resource);
        let request = request.cache_policy(CachePolicy::ReloadRevalidating).resource_timeout(limit.min(MOST));
        let loader = Loader {
            caching: Caching { _refreshing: Some(refreshing), ..Caching::default() },
            ..Loader::new()
        };
        log::debug!("task {}: what is stored is stale, and is asked for on the side", core.id);
        TaskCore::begin_aside(context, Kind::Data, request, Box::new(loader));
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        lock(&self.context.refreshing).remove(&self.key);
    }
}
