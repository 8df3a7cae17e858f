//! Storing a response while it arrives: in memory as long as it is short, and from then on in a temporary
//! file. Only what was committed is ever found.

use super::directory::Writing;
use super::format::{self, BLOCK, Sums};
use super::index::CacheState;
use super::key::Name;
use super::responses::stored_of;
use super::store::{Places, Store};
use crate::proto::caching::RequestFields;
use crate::proto::caching::stored::Stored;
use crate::proto::xxh64::Xxh64;
use crate::storage::CachedResponse;
use crate::sync::Arc;
use bytes::Bytes;
use std::fmt;

/// How much is held in memory before it goes to a file, where it may.
const HELD: usize = 256 * 1024;

/// See the module's documentation. Dropped, it leaves nothing behind, and what was stored before stays.
pub(crate) struct CacheWriter {
    store: Arc<Store>,
    url_key: Arc<str>,
    stored: Stored,
    places: Places,
    /// How much room is made when the body begins.
    expected: usize,
    body: Coming,
    /// What had become of the URL when it was asked for, if that matters.
    begun: Option<CacheState>,
}

enum Coming {
    Memory(Vec<u8>),
    File(Box<Spilled>),
    /// It has become too long, or could not be written.
    Given,
}

/// A body that goes to a file.
struct Spilled {
    writing: Writing,
    head_len: usize,
    length: u64,
    sums: Sums,
    block: Xxh64,
    /// How much of the block there is.
    filled: usize,
}

impl CacheWriter {
    pub(super) fn new(store: Arc<Store>, url_key: &str, stored: Stored, places: Places) -> CacheWriter {
        let body = Coming::Memory(Vec::new());
        CacheWriter { store, url_key: url_key.into(), stored, places, expected: 0, body, begun: None }
    }

    /// It is not stored if something was removed since then.
    pub(crate) fn begun(self, begun: CacheState) -> CacheWriter {
        CacheWriter { begun: Some(begun), ..self }
    }

    /// Adds the next bytes of the body. False if the response is not going to be stored, because it is too
    /// long or its file cannot be written: the writer may be dropped then.
    #[must_use]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        match &mut self.body {
            Coming::Given => return false,
            Coming::File(spilled) => {
                let fits = spilled.length.saturating_add(bytes.len() as u64) <= self.places.disk;
                if fits && spilled.write(bytes) {
                    return true;
                }
            }
            Coming::Memory(held) => {
                let length = held.len().saturating_add(bytes.len());
                let in_memory = length as u64 <= self.places.memory.max(HELD as u64);
                let fits = length as u64 <= self.places.memory.max(self.places.disk);
                if fits && (in_memory || self.places.disk == 0) {
                    if held.is_empty() {
                        held.reserve_exact(self.expected);
                    }
                    held.extend_from_slice(bytes);
                    return true;
                }
                let held = std::mem::take(held);
                if fits {
                    if let Some(mut spilled) = self.spill() {
                        if spilled.write(&held) && spilled.write(bytes) {
                            self.body = Coming::File(Box::new(spilled));
                            return true;
                        }
                    }
                }
            }
        }
        self.body = Coming::Given;
        false
    }

    /// How much can be expected: room for that is made when it begins to come, as far as it stays in memory. False
    /// if a body of that length is not going to be stored.
    pub(crate) fn announce(&mut self, length: u64) -> bool {
        if length > self.places.memory.max(self.places.disk) {
            self.body = Coming::Given;
            return false;
        }
        self.expected = usize::try_from(length).unwrap_or(HELD).min(HELD);
        true
    }

    /// The body is complete: from now on the response is found, in place of the one that was selected by
    /// the same request. False if it is not stored.
    pub(crate) fn commit(self) -> bool {
        let CacheWriter { store, url_key, stored, places, body, begun, .. } = self;
        match body {
            Coming::Given => false,
            Coming::Memory(mut held) => {
                held.shrink_to_fit();
                store.keep(url_key, stored, held.into(), places, begun)
            }
            Coming::File(spilled) => {
                let stored = Stored { body_length: spilled.length, ..stored };
                let name = Name::of(&url_key, &stored.variant());
                if store.is_over(name, begun) {
                    return false;
                }
                let disk = (*spilled).finish(name, &url_key, &stored);
                store.insert(name, None, disk, begun)
            }
        }
    }

    /// The same, with this as the body. Nothing was written before.
    pub(crate) fn commit_whole(self, body: Bytes) -> bool {
        let CacheWriter { store, url_key, stored, places, begun, .. } = self;
        store.keep(url_key, stored, body, places, begun)
    }

    /// Something else is stored in place of what was written: a whole response, as the answer to a request
    /// with these headers. False if it is not stored.
    pub(crate) fn commit_as(self, response: &CachedResponse, asked: RequestFields<'_>) -> bool {
        let (times, begun) = ((self.stored.request_time, self.stored.response_time), self.begun);
        let Some(stored) = stored_of(response, asked, times) else { return false };
        let policy = response.storage_policy();
        let Some(writer) = self.store.clone().writer(&self.url_key, stored, policy) else { return false };
        drop(self.body);
        let (mut writer, data) = (CacheWriter { begun, ..writer }, response.data());
        writer.announce(data.len() as u64) && writer.write(data) && writer.commit()
    }

    fn spill(&self) -> Option<Spilled> {
        let head_len = format::head(&self.url_key, &self.stored, &Sums::default())?.len();
        let writing = self.store.begin(head_len)?;
        let sums = Sums::default();
        Some(Spilled { writing, head_len, length: 0, sums, block: Xxh64::new(), filled: 0 })
    }
}

impl fmt::Debug for CacheWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheWriter").field("stored", &self.stored).finish_non_exhaustive()
    }
}

impl Spilled {
    fn write(&mut self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((BLOCK - self.filled).min(rest.len()));
            self.block.update(piece);
            self.filled += piece.len();
            if self.filled == BLOCK {
                self.end_block();
            }
            rest = after;
        }
        self.length += bytes.len() as u64;
        self.writing.write(bytes)
    }

    fn end_block(&mut self) {
        self.sums.push(std::mem::replace(&mut self.block, Xxh64::new()).sum());
        self.filled = 0;
    }

    fn finish(mut self, name: Name, url_key: &str, stored: &Stored) -> Option<super::index::OnDisk> {
        if self.filled > 0 {
            self.end_block();
        }
        let head = format::head(url_key, stored, &self.sums).filter(|head| head.len() == self.head_len)?;
        self.writing.finish(name, &head, self.sums.behind())
    }
}
