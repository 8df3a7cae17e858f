//! The store behind a [`Cache`](super::Cache): the index, and the directory if there is one. What the loader
//! asks, it asks this.
//!
//! The index is asked and changed under its lock; files are read, written and removed without it. What
//! another thread or process does meanwhile is found out by the entry's number or by the file itself, and
//! then there is simply no entry.

use super::directory::{Directory, Opened, Unusable, whole};
use super::entry::{Body, Entry};
use super::format::{self, Damage, MOST_URL, Sums};
use super::index::{CacheState, Found, Index, Kept, OnDisk, Place};
use super::key::Name;
use super::writer::CacheWriter;
use crate::proto::caching::stored::Stored;
use crate::proto::xxh64::xxh64;
use crate::storage::StoragePolicy;
use crate::sync::{Arc, Instant, Mutex, lock};
use bytes::Bytes;
use std::time::{Duration, SystemTime};

/// No entry takes more than this part of a capacity.
const PART: u64 = 20;
/// How often the directory is asked whether other processes have changed it.
const LOOK: Duration = Duration::from_secs(2);
/// To list it may take this part of the time.
const BUSY: u32 = 100;
/// The time of a change is only so exact: after a change that is as young there may be another one that
/// has the same time.
const SETTLED: Duration = Duration::from_millis(50);

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) index: Mutex<Index>,
    directory: Option<Directory>,
    looked: Mutex<Looked>,
}

/// When the directory was listed.
#[derive(Debug)]
struct Looked {
    /// What its time of change was then; `None` if that says nothing.
    modified: Option<SystemTime>,
    /// When it is to be looked at next. `None` before the first time.
    next: Option<Instant>,
}

/// Where an entry may be, by its policy and its size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The largest that may be in memory, and on disk.
    pub(super) memory: u64,
    pub(super) disk: u64,
}

impl Store {
    pub(super) fn new(directory: Option<Directory>, memory: u64, disk: u64) -> Store {
        let disk = if directory.is_some() { disk } else { 0 };
        let looked = Mutex::new(Looked { modified: None, next: None });
        Store { index: Mutex::new(Index::new(memory, disk)), directory, looked }
    }

    pub(super) fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// What is stored of a URL, the newest first.
    pub(crate) fn variants(self: &Arc<Self>, url_key: &str) -> Vec<Entry> {
        self.refresh(false);
        let found = lock(&self.index).find(xxh64(url_key.as_bytes()));
        let mut entries: Vec<Entry> =
            found.into_iter().filter_map(|found| self.entry(found, Some(url_key))).collect();
        if entries.len() > 1 {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.stored().response_time));
        }
        entries
    }

    pub(crate) fn state_of(&self, url_key: &str) -> CacheState {
        lock(&self.index).state_of(xxh64(url_key.as_bytes()))
    }

    /// Begins to store a response, to which its body is still to come. `None` if it is not to be stored.
    pub(crate) fn writer(
        self: &Arc<Self>,
        url_key: &str,
        stored: Stored,
        policy: StoragePolicy,
    ) -> Option<CacheWriter> {
        if policy == StoragePolicy::NotAllowed || url_key.len() > MOST_URL {
            return None;
        }
        // What cookies or credentials have selected says something about them, and is written to no file.
        let policy = if stored.is_secret() { StoragePolicy::AllowedInMemoryOnly } else { policy };
        let places = self.places(policy);
        if places.memory == 0 && places.disk == 0 {
            return None;
        }
        Some(CacheWriter::new(self.clone(), url_key, stored, places))
    }

    /// Puts other metadata in place of those of an entry whose body stays (RFC 9111, sections 4.3.4 and
    /// 4.3.5), and gives back the entry with them. If the entry is gone meanwhile, the new one is not
    /// stored, but can be used.
    pub(crate) fn update(self: &Arc<Self>, entry: &Entry, stored: Stored) -> Entry {
        let stored = Arc::new(Stored { body_length: entry.stored().body_length, ..stored });
        let old = entry.name();
        let name = Name { url: old.url, ..Name::of(entry.url(), &stored.variant()) };
        let updated = entry.with(name, stored.clone());
        let (in_memory, on_disk) = {
            let index = lock(&self.index);
            if !index.has(old, entry.id()) {
                return updated;
            }
            index.places_of(old)
        };
        let mut disk = None;
        if let (true, Some(directory)) = (on_disk && !stored.is_secret(), &self.directory) {
            disk = match entry.source() {
                Body::Memory(bytes) => {
                    let sums = Sums::of(bytes);
                    let head = format::head(entry.url(), &stored, &sums);
                    head.and_then(|head| directory.write(name, [&head, bytes, sums.behind()]))
                }
                Body::File(opened) => {
                    let head = format::updated_head(entry.url(), &stored, &opened.layout);
                    head.and_then(|head| directory.copy(name, &head, &opened.file, &opened.layout))
                }
            };
        }
        let kept = match entry.source() {
            Body::Memory(bytes) if in_memory => Some(Kept::new(entry.url().clone(), stored, bytes.clone())),
            _ => None,
        };
        let mut index = lock(&self.index);
        if !index.has(old, entry.id()) {
            // It was invalidated while it was written.
            drop(index);
            self.delete(disk.map(|_| name));
            return updated;
        }
        let mut removed = Vec::new();
        if (name != old || disk.is_none()) && index.remove_entry(old, entry.id()) {
            removed.push(old);
        }
        if kept.is_none() && disk.is_none() {
            drop(index);
            self.delete(removed);
            return updated;
        }
        let (id, surplus) = index.insert(name, kept, disk);
        drop(index);
        removed.extend(surplus);
        self.delete(removed);
        updated.with_id(id)
    }

    /// Removes all responses of a URL, also those of other processes.
    pub(crate) fn remove(&self, url_key: &str) {
        if lock(&self.index).has_removed_much() {
            self.refresh(true);
        }
        let now = self.directory.is_some().then(SystemTime::now);
        let removed = lock(&self.index).remove(xxh64(url_key.as_bytes()), now);
        self.delete(removed);
    }

    /// Removes one response, if it is still that.
    pub(crate) fn remove_entry(&self, entry: &Entry) {
        let removed = lock(&self.index).remove_entry(entry.name(), entry.id());
        self.delete(removed.then_some(entry.name()));
    }

    /// Removes everything.
    pub(super) fn remove_all(&self) {
        let mut removed = lock(&self.index).clear();
        if let Some(directory) = &self.directory {
            let listing = directory.list();
            removed.extend(listing.entries.into_keys());
            // What crashed a moment ago has left something, too.
            directory.clean(&listing.temporary, true);
        }
        self.delete(removed);
    }

    /// Removes what was stored at a time or later.
    pub(super) fn remove_since(self: &Arc<Self>, time: SystemTime) {
        self.refresh(true);
        let found = lock(&self.index).since(time);
        for found in found {
            let (name, id) = (found.name, found.id);
            let is_young = self.entry(found, None).is_some_and(|entry| entry.stored().response_time >= time);
            if is_young && lock(&self.index).remove_entry(name, id) {
                self.delete([name]);
            }
        }
    }

    pub(super) fn set_memory_capacity(&self, capacity: u64) {
        lock(&self.index).set_memory_capacity(capacity);
    }

    pub(super) fn set_disk_capacity(&self, capacity: u64) {
        if self.directory.is_none() {
            return;
        }
        self.refresh(true);
        let removed = lock(&self.index).set_disk_capacity(capacity);
        self.delete(removed);
    }

    /// Looks whether the directory has changed, and takes over what other processes have done: now, or if it
    /// was not looked at for a while. The first time, it is listed.
    pub(super) fn refresh(&self, now: bool) {
        let Some(directory) = &self.directory else { return };
        let begin = Instant::now();
        let known = {
            let mut looked = lock(&self.looked);
            match looked.next {
                Some(next) if !now && begin < next => return,
                // Others go on with what is known.
                Some(_) => looked.next = Some(begin + LOOK),
                None => {}
            }
            looked.next.and(looked.modified)
        };
        let began = SystemTime::now();
        let modified = directory.modified();
        if known.is_some() && known == modified {
            lock(&self.index).forget_removed(began);
            return;
        }
        let next_id = lock(&self.index).next_id();
        let listing = directory.list();
        let unknown = lock(&self.index).unknown(&listing.entries);
        let fresh: Vec<(Name, OnDisk)> =
            unknown.into_iter().filter_map(|name| Some((name, directory.look(name)?))).collect();
        let removed = lock(&self.index).merge((next_id, began), &listing.entries, fresh);
        self.delete(removed);
        directory.clean(&listing.temporary, false);
        let mut looked = lock(&self.looked);
        looked.modified = modified.filter(|at| began.duration_since(*at).is_ok_and(|since| since > SETTLED));
        looked.next = Some(Instant::now() + LOOK.max(begin.elapsed() * BUSY));
    }

    /// Stores a body that is in memory, unless something was removed since it was asked for.
    pub(super) fn keep(
        &self,
        url_key: Arc<str>,
        stored: Stored,
        body: Bytes,
        places: Places,
        begun: Option<CacheState>,
    ) -> bool {
        let stored = Stored { body_length: body.len() as u64, ..stored };
        let name = Name::of(&url_key, &stored.variant());
        if self.is_over(name, begun) {
            return false;
        }
        let length = stored.body_length;
        let mut disk = None;
        if let (true, Some(directory)) = (length <= places.disk, &self.directory) {
            self.refresh(false);
            let sums = Sums::of(&body);
            let head = format::head(&url_key, &stored, &sums);
            disk = head.and_then(|head| directory.write(name, [&head, &body, sums.behind()]));
        }
        let kept = (length <= places.memory).then(|| Kept::new(url_key, Arc::new(stored), body));
        self.insert(name, kept, disk, begun)
    }

    /// Whether something was removed since then that may be what has now come.
    pub(super) fn is_over(&self, name: Name, begun: Option<CacheState>) -> bool {
        begun.is_some_and(|begun| lock(&self.index).state_of(name.url) != begun)
    }

    /// Notes what was stored, in place of what had its name.
    pub(super) fn insert(
        &self,
        name: Name,
        kept: Option<Arc<Kept>>,
        disk: Option<OnDisk>,
        begun: Option<CacheState>,
    ) -> bool {
        if kept.is_none() && disk.is_none() {
            return false;
        }
        let mut index = lock(&self.index);
        if begun.is_some_and(|begun| index.state_of(name.url) != begun) {
            drop(index);
            self.delete(disk.map(|_| name));
            return false;
        }
        let (_, removed) = index.insert(name, kept, disk);
        drop(index);
        self.delete(removed);
        true
    }

    /// Notes that an entry was used.
    pub(super) fn touch(&self, name: Name, id: u64) {
        let now = SystemTime::now();
        let tell = lock(&self.index).touch(name, id, now);
        if let (true, Some(directory)) = (tell, &self.directory) {
            directory.touch(name, now);
        }
    }

    /// An entry's file turned out to be damaged.
    pub(super) fn discard(&self, name: Name, id: u64, opened: &Opened, damage: Damage) {
        lock(&self.index).remove_entry(name, id);
        if let Some(directory) = &self.directory {
            directory.discard(name, &opened.file, &damage);
        }
    }

    /// Keeps in memory what was read from a file, if it is small enough and still what is stored.
    pub(super) fn promote(&self, name: Name, id: u64, url: &Arc<str>, stored: &Arc<Stored>, body: Bytes) {
        let places = self.places(StoragePolicy::Allowed);
        let kept = Kept::new(url.clone(), stored.clone(), body);
        if stored.body_length <= places.memory {
            lock(&self.index).promote(name, id, kept);
        }
    }

    pub(super) fn begin(&self, head_len: usize) -> Option<super::directory::Writing> {
        self.refresh(false);
        self.directory.as_ref()?.begin(head_len)
    }

    fn places(&self, policy: StoragePolicy) -> Places {
        let index = lock(&self.index);
        let disk = if policy == StoragePolicy::Allowed { index.disk_capacity() / PART } else { 0 };
        Places { memory: index.memory_capacity() / PART, disk }
    }

    /// What was found, as an entry; read from its file if it is in one. `None` if there is none, or if it
    /// is one of another URL.
    fn entry(self: &Arc<Self>, found: Found, url_key: Option<&str>) -> Option<Entry> {
        let Found { name, id, place } = found;
        let is_asked_for = |url: &str| url_key.is_none_or(|key| key == url);
        if let Place::Memory(kept) = place {
            let body = Body::Memory(kept.body.clone());
            let new = || Entry::new(self.clone(), name, id, kept.url.clone(), kept.stored.clone(), body);
            return is_asked_for(&kept.url).then(new);
        }
        let opened = match self.directory.as_ref()?.open_entry(name) {
            Ok(opened) => opened,
            Err(Unusable::Missing | Unusable::Damaged) => {
                lock(&self.index).remove_entry(name, id);
                return None;
            }
        };
        let read = if opened.is_whole() {
            whole(&opened).map(|(head, body)| (head.url.into(), head.stored, Some(body)))
        } else {
            opened.head().map(|head| (head.url.into(), head.stored, None))
        };
        let (url, stored, body): (Arc<str>, Stored, _) = match read {
            Ok(read) => read,
            Err(damage) => {
                self.discard(name, id, &opened, damage);
                return None;
            }
        };
        if !is_asked_for(&url) {
            return None;
        }
        let stored = Arc::new(stored);
        let body = match body {
            Some(range) => {
                let bytes = Bytes::from(opened.bytes).slice(range);
                self.promote(name, id, &url, &stored, bytes.clone());
                Body::Memory(bytes)
            }
            None => Body::File(Arc::new(opened)),
        };
        Some(Entry::new(self.clone(), name, id, url, stored, body))
    }

    fn delete(&self, names: impl IntoIterator<Item = Name>) {
        if let Some(directory) = &self.directory {
            names.into_iter().for_each(|name| directory.remove(name));
        }
    }
}
