//! The store of an HTTP cache: responses by URL, in memory and in a directory, within capacities. Knows what
//! is stored and where; when a response may be stored and what it may answer are the rules of
//! `proto::caching`, which the loader goes by.

mod directory;
mod entry;
mod format;
mod index;
mod key;
mod responses;
mod store;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use entry::{CacheBody, CacheFile, Entry};
pub(crate) use index::CacheState;
pub(crate) use key::url_key;
pub(crate) use writer::CacheWriter;

use crate::configuration::Configuration;
use crate::error::Result;
use crate::proto::caching::stored::Stored;
use crate::request::Request;
use crate::storage::instances::Instances;
use crate::storage::places::{self, Places};
use crate::storage::{CachedResponse, Choice, StoragePolicy};
use crate::sync::{Arc, lock};
use directory::Directory;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;
use store::Store;

/// What a cache holds that nobody has made, in bytes.
const MEMORY: u64 = 4 * 1024 * 1024;
const DISK: u64 = 20 * 1024 * 1024;

/// The caches of the process that are in a directory which a configuration names.
static IN_DIRECTORIES: Instances<Store> = Instances::new();

/// Stored responses. `URLCache`.
///
/// Each is found by its URL without the fragment, and among those of a URL by the request headers that its
/// `Vary` names. A session stores and uses them by the rules of RFC 9111 for a private cache; here they can
/// be looked at, added and removed whatever those rules say.
///
/// There are two places. What is in memory is there for this process. A directory keeps what is stored for
/// later ones, and may be shared by several processes at once: each finds what the others have stored within
/// some seconds. Every entry is a file of its own that nobody but the user can read, complete or not there,
/// with checksums: one that is damaged is removed, and it is as if it had never been stored. When there is
/// more than the capacity, what was not used for longest goes. A body longer than a twentieth of both
/// capacities is not stored at all.
///
/// Cloning gives the same cache.
///
/// ```
/// use urlsession::{Cache, CachedResponse, Request, Response, http};
///
/// let cache = Cache::in_memory(1 << 20);
/// let request = Request::get("https://example.com/greeting");
/// let response = http::Response::builder().header("cache-control", "max-age=60").body("hello".into())?;
/// let response = Response::from_http(response, request.get_url().unwrap().clone());
/// cache.store(&CachedResponse::new(response), &request);
///
/// assert_eq!(cache.cached_response(&request).unwrap().data(), "hello");
/// assert!(cache.current_memory_usage() > 5);
/// cache.remove(&request);
/// assert!(cache.cached_response(&request).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cache {
    store: Arc<Store>,
}

impl Cache {
    /// The cache of all that have no other one. `shared`.
    ///
    /// It holds 4 MiB in memory. If the program has [named itself](crate::set_application) before the first
    /// use, it holds 20 MiB in its cache directory, too; if nothing can be written there, the log says so.
    pub fn shared() -> Cache {
        static IN_MEMORY: OnceLock<Cache> = OnceLock::new();
        Cache::try_shared().unwrap_or_else(|error| {
            IN_MEMORY
                .get_or_init(|| {
                    log::warn!("the shared cache is in memory only: {error}");
                    Cache::in_memory(MEMORY)
                })
                .clone()
        })
    }

    /// An empty cache of so many bytes that is gone with its last user.
    pub fn in_memory(capacity: u64) -> Cache {
        Cache { store: Arc::new(Store::new(None, capacity, 0)) }
    }

    /// The cache in a directory, with so many bytes in memory and so many on disk. The directory is made if
    /// there is none, for nobody but the user. It should be the cache's own, but files in it that are not
    /// the cache's are left alone.
    ///
    /// What is in it is looked at when the cache is first used.
    ///
    /// # Errors
    ///
    /// [`CannotCreateFile`](crate::ErrorKind::CannotCreateFile) or
    /// [`StorageFull`](crate::ErrorKind::StorageFull) if no file can be made there.
    pub fn in_directory(path: impl AsRef<Path>, memory_capacity: u64, disk_capacity: u64) -> Result<Cache> {
        let directory = Directory::open(path.as_ref())?;
        Ok(Cache { store: Arc::new(Store::new(Some(directory), memory_capacity, disk_capacity)) })
    }

    /// The most that is kept in memory, in bytes. `memoryCapacity`.
    pub fn memory_capacity(&self) -> u64 {
        lock(&self.store.index).memory_capacity()
    }

    /// Sets the most that is kept in memory, in bytes. What is beyond that goes; with 0, nothing is kept
    /// there.
    pub fn set_memory_capacity(&self, capacity: u64) {
        self.store.set_memory_capacity(capacity);
    }

    /// The most that is kept on disk, in bytes. 0 without a directory. `diskCapacity`.
    pub fn disk_capacity(&self) -> u64 {
        lock(&self.store.index).disk_capacity()
    }

    /// Sets the most that is kept on disk, in bytes. What is beyond that is removed; with 0, nothing is
    /// kept there. Without a directory it changes nothing.
    pub fn set_disk_capacity(&self, capacity: u64) {
        self.store.set_disk_capacity(capacity);
    }

    /// How much is in memory, in bytes. `currentMemoryUsage`.
    pub fn current_memory_usage(&self) -> u64 {
        lock(&self.store.index).memory_used()
    }

    /// How much room the files take, in bytes. `currentDiskUsage`.
    pub fn current_disk_usage(&self) -> u64 {
        self.store.refresh(true);
        lock(&self.store.index).disk_used()
    }

    /// The response that is stored for a request, however old it is. `cachedResponse(for:)`.
    ///
    /// It has to be of the same URL, and of the same request headers as far as `Vary` names them and the
    /// request has them; the newest of several is given. The body comes decoded, as the session would give
    /// it. Only `GET` and `HEAD` have stored responses.
    pub fn cached_response(&self, request: &Request) -> Option<CachedResponse> {
        responses::find(self, request)
    }

    /// Stores a response for a request, in place of one that is stored for it.
    /// `storeCachedResponse(_:for:)`.
    ///
    /// A response to another method than `GET`, one that must not be stored by its [`StoragePolicy`], one
    /// with `Vary: *` and one that is too long are passed over. One that cookies or credentials of the
    /// request have selected, by its `Vary`, is not written to disk.
    pub fn store(&self, response: &CachedResponse, request: &Request) {
        responses::store(self, response, request);
    }

    /// Removes the responses that are stored for a request's URL. `removeCachedResponse(for:)`.
    pub fn remove(&self, request: &Request) {
        if let Some(url) = request.get_url() {
            self.remove_url(&url_key(url));
        }
    }

    /// Removes all responses. `removeAllCachedResponses`.
    pub fn remove_all(&self) {
        self.store.remove_all();
    }

    /// Removes the responses that were stored at a time or later. `removeCachedResponses(since:)`.
    pub fn remove_since(&self, time: SystemTime) {
        self.store.remove_since(time);
    }
}

impl Cache {
    /// The cache of a session with this configuration, if it has one.
    ///
    /// # Errors
    ///
    /// Why the directory that is named cannot be used.
    pub(crate) fn of(configuration: &Configuration) -> Result<Option<Cache>> {
        match &configuration.cache {
            Choice::None => return Ok(None),
            Choice::Own(cache) => return Ok(Some(cache.clone())),
            Choice::Automatic if configuration.is_ephemeral() => return Ok(Some(Cache::in_memory(MEMORY))),
            Choice::Automatic => {}
        }
        match Places::of(configuration)? {
            Some(places) => Cache::at(&places).map(Some),
            None => Cache::try_shared().map(Some),
        }
    }

    /// The shared cache.
    ///
    /// # Errors
    ///
    /// Why the program's own directory cannot be used.
    fn try_shared() -> Result<Cache> {
        static SHARED: OnceLock<Result<Cache>> = OnceLock::new();
        let make = || match Places::of_process()? {
            Some(places) => Cache::at(&places),
            None => Ok(Cache::in_memory(MEMORY)),
        };
        SHARED.get_or_init(make).clone()
    }

    fn at(places: &Places) -> Result<Cache> {
        let open = |path: &Path| Ok(Store::new(Some(Directory::open(path)?), MEMORY, DISK));
        Ok(Cache { store: IN_DIRECTORIES.get(places::make(&places.cache)?, open)? })
    }
}

/// What the loader asks for. URLs are as [`url_key`] makes them.
impl Cache {
    /// What is stored of a URL, the newest first, and no more than 16.
    pub(crate) fn variants(&self, url_key: &str) -> Vec<Entry> {
        self.store.variants(url_key)
    }

    /// What has become of a URL, by what was removed.
    pub(crate) fn state_of(&self, url_key: &str) -> CacheState {
        self.store.state_of(url_key)
    }

    /// Begins to store a response whose body is still to come. `None` if it is not to be stored.
    pub(crate) fn writer(&self, url_key: &str, stored: Stored, policy: StoragePolicy) -> Option<CacheWriter> {
        self.store.writer(url_key, stored, policy)
    }

    /// Puts other metadata in place of those of an entry whose body stays, and gives back the entry that has
    /// them. One that is gone meanwhile is not stored again.
    pub(crate) fn update(&self, entry: &Entry, stored: Stored) -> Entry {
        self.store.update(entry, stored)
    }

    /// Removes all responses of a URL.
    pub(crate) fn remove_url(&self, url_key: &str) {
        self.store.remove(url_key);
    }

    /// Removes one response.
    pub(crate) fn remove_entry(&self, entry: &Entry) {
        self.store.remove_entry(entry);
    }
}

impl fmt::Debug for Cache {
    /// Where it is and what it holds at the most, but not what is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("directory", &self.store.directory().map(Directory::path))
            .field("memory_capacity", &self.memory_capacity())
            .field("disk_capacity", &self.disk_capacity())
            .finish_non_exhaustive()
    }
}
