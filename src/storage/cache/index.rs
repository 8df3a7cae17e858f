//! What is stored, and what has to go: the entries by URL, how long ago each was used, and how much room
//! they take in memory and on disk. Knows names, sizes and times, and touches no file: what is to be
//! removed is given back, so that it happens after the lock around this is let go.

use super::key::Name;
use crate::proto::caching::stored::Stored;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The most responses of one URL.
pub(super) const MOST_VARIANTS: usize = 16;
/// The most entries, however small they are.
const MOST_ENTRIES: usize = 128 * 1024;
/// The most URLs that are remembered as invalidated until the directory is listed again.
const MOST_REMOVED: usize = 4096;
/// How exactly the time of use is kept in a file.
const USED: Duration = Duration::from_secs(60 * 60);
/// How far the times of files may be behind the clock.
const INEXACT: Duration = Duration::from_secs(2);
/// What an entry in memory takes beside its bytes: maps and headers.
const OVERHEAD: u64 = 512;
/// File systems give out room in blocks.
const DISK_BLOCK: u64 = 4096;

/// An entry in memory.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) url: Arc<str>,
    pub(super) stored: Arc<Stored>,
    pub(super) body: Bytes,
    /// What it takes, in bytes.
    pub(super) size: u64,
}

impl Kept {
    pub(super) fn new(url: Arc<str>, stored: Arc<Stored>, body: Bytes) -> Arc<Kept> {
        let field = |name: &str, value: &[u8]| (name.len() + value.len()) as u64 + 64;
        let headers: u64 =
            stored.headers.iter().map(|(name, value)| field(name.as_str(), value.as_ref())).sum();
        let selecting: u64 = stored
            .selecting
            .iter()
            .map(|selecting| field(&selecting.name, selecting.value.as_deref().unwrap_or_default()))
            .sum();
        let size = body.len() as u64 + url.len() as u64 + headers + selecting + OVERHEAD;
        Arc::new(Kept { url, stored, body, size })
    }
}

/// An entry in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OnDisk {
    /// The length of the file.
    pub(super) size: u64,
    pub(super) inode: u64,
    /// When the file says that it was used.
    pub(super) used: SystemTime,
}

impl OnDisk {
    fn takes(&self) -> u64 {
        self.size.div_ceil(DISK_BLOCK).saturating_mul(DISK_BLOCK)
    }
}

/// An entry that was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: Name,
    /// Which of those that had this name.
    pub(super) id: u64,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) enum Place {
    Memory(Arc<Kept>),
    Disk,
}

/// Files that are to be removed.
pub(super) type Removed = Vec<Name>;

/// What has become of a URL: another one as soon as its responses have been removed, for whatever reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheState {
    generation: u64,
    removals: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Index {
    urls: HashMap<u64, Vec<Slot>>,
    entries: usize,
    memory: Tier,
    disk: Tier,
    /// Counts uses.
    tick: u64,
    /// Counts entries.
    id: u64,
    /// URLs that were removed, and when: what other processes have stored before and is not known here
    /// yet, is removed, too.
    removed: HashMap<u64, SystemTime>,
    /// How often each URL was removed in this generation, which ends when it is too many of them. What was
    /// asked for before is not stored after it: it may be what was removed.
    removals: HashMap<u64, u64>,
    generation: u64,
}

#[derive(Debug)]
struct Slot {
    variant: u64,
    id: u64,
    tick: u64,
    memory: Option<Arc<Kept>>,
    disk: Option<OnDisk>,
}

/// One of the places, with its entries from the one that was not used for longest.
#[derive(Debug)]
struct Tier {
    capacity: u64,
    used: u64,
    order: BTreeMap<u64, Name>,
}

impl Tier {
    fn new(capacity: u64) -> Tier {
        Tier { capacity, used: 0, order: BTreeMap::new() }
    }

    fn add(&mut self, tick: u64, name: Name, size: u64) {
        self.order.insert(tick, name);
        self.used = self.used.saturating_add(size);
    }

    fn take(&mut self, tick: u64, size: u64) {
        self.order.remove(&tick);
        self.used = self.used.saturating_sub(size);
    }

    fn touch(&mut self, before: u64, after: u64) {
        if let Some(name) = self.order.remove(&before) {
            self.order.insert(after, name);
        }
    }

    /// The one that has to go first, if there is too much.
    fn pop_surplus(&mut self) -> Option<Name> {
        if self.used > self.capacity { self.order.pop_first().map(|(_, name)| name) } else { None }
    }
}

impl Index {
    pub(super) fn new(memory: u64, disk: u64) -> Index {
        Index {
            urls: HashMap::new(),
            entries: 0,
            memory: Tier::new(memory),
            disk: Tier::new(disk),
            tick: 0,
            id: 0,
            removed: HashMap::new(),
            removals: HashMap::new(),
            generation: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn memory_used(&self) -> u64 {
        self.memory.used
    }

    pub(super) fn disk_used(&self) -> u64 {
        self.disk.used
    }

    pub(super) fn memory_capacity(&self) -> u64 {
        self.memory.capacity
    }

    pub(super) fn disk_capacity(&self) -> u64 {
        self.disk.capacity
    }

    /// Sets how much may be in memory; what is too much goes.
    pub(super) fn set_memory_capacity(&mut self, capacity: u64) {
        self.memory.capacity = capacity;
        self.shrink_memory();
    }

    /// Sets how much may be on disk.
    #[must_use]
    pub(super) fn set_disk_capacity(&mut self, capacity: u64) -> Removed {
        self.disk.capacity = capacity;
        self.shrink_disk()
    }

    /// What there is of a URL.
    pub(super) fn find(&self, url: u64) -> Vec<Found> {
        let slots = self.urls.get(&url).map(Vec::as_slice).unwrap_or_default();
        let found = slots.iter().filter_map(|slot| {
            let place = match (&slot.memory, &slot.disk) {
                (Some(kept), _) => Place::Memory(kept.clone()),
                (None, Some(_)) => Place::Disk,
                (None, None) => return None,
            };
            Some(Found { name: Name { url, variant: slot.variant }, id: slot.id, place })
        });
        found.collect()
    }

    /// All that may have been stored at that time or later. What is on disk may turn out to be older.
    pub(super) fn since(&self, time: SystemTime) -> Vec<Found> {
        let mut all = Vec::new();
        for &url in self.urls.keys() {
            all.extend(self.find(url));
        }
        all.retain(|found| match &found.place {
            Place::Memory(kept) => kept.stored.response_time >= time,
            Place::Disk => {
                let disk = self.slot(found.name).and_then(|slot| slot.disk);
                disk.is_some_and(|disk| disk.used.checked_add(INEXACT).is_none_or(|used| used >= time))
            }
        });
        all
    }

    /// What has become of a URL.
    pub(super) fn state_of(&self, url: u64) -> CacheState {
        let removals = self.removals.get(&url).copied().unwrap_or_default();
        CacheState { generation: self.generation, removals }
    }

    /// Puts an entry in place of the one of its name, in memory, on disk, or both. Gives back its number,
    /// and what is to be removed.
    pub(super) fn insert(
        &mut self,
        name: Name,
        memory: Option<Arc<Kept>>,
        disk: Option<OnDisk>,
    ) -> (u64, Removed) {
        let before = self.take(name);
        let mut removed = Vec::new();
        if before.and_then(|slot| slot.disk).is_some() && disk.is_none() {
            removed.push(name);
        }
        let id = self.add(name, memory, disk);
        removed.extend(self.bound(name.url));
        self.shrink_memory();
        removed.extend(self.shrink_disk());
        (id, removed)
    }

    /// Keeps an entry in memory, too, if it is still that entry.
    pub(super) fn promote(&mut self, name: Name, id: u64, kept: Arc<Kept>) {
        let size = kept.size;
        let Some(slot) = find_slot(&mut self.urls, name).filter(|slot| slot.id == id) else { return };
        if slot.memory.is_some() || size > self.memory.capacity {
            return;
        }
        slot.memory = Some(kept);
        self.memory.add(slot.tick, name, size);
        self.shrink_memory();
    }

    /// Whether it is still that entry.
    pub(super) fn has(&self, name: Name, id: u64) -> bool {
        self.slot(name).is_some_and(|slot| slot.id == id)
    }

    /// Whether the entry of a name is in memory, and whether on disk.
    pub(super) fn places_of(&self, name: Name) -> (bool, bool) {
        self.slot(name).map_or((false, false), |slot| (slot.memory.is_some(), slot.disk.is_some()))
    }

    /// Notes that an entry is used. True if its file should be told.
    pub(super) fn touch(&mut self, name: Name, id: u64, now: SystemTime) -> bool {
        let Some(slot) = find_slot(&mut self.urls, name).filter(|slot| slot.id == id) else { return false };
        self.tick += 1;
        let before = std::mem::replace(&mut slot.tick, self.tick);
        if slot.memory.is_some() {
            self.memory.touch(before, self.tick);
        }
        let Some(disk) = &mut slot.disk else { return false };
        self.disk.touch(before, self.tick);
        let old = now.duration_since(disk.used).is_ok_and(|since| since > USED);
        if old {
            disk.used = now;
        }
        old
    }

    /// Forgets an entry, if it is still that one, and says whether its file is to be removed.
    pub(super) fn remove_entry(&mut self, name: Name, id: u64) -> bool {
        self.has(name, id) && self.take(name).is_some_and(|slot| slot.disk.is_some())
    }

    /// Forgets all responses of a URL, and, with a time, those which other processes have stored before
    /// that when they are found.
    #[must_use]
    pub(super) fn remove(&mut self, url: u64, now: Option<SystemTime>) -> Removed {
        if self.removals.len() >= MOST_REMOVED {
            self.removals.clear();
            self.generation += 1;
        }
        *self.removals.entry(url).or_default() += 1;
        if let Some(now) = now.filter(|_| !self.has_removed_much() || self.removed.contains_key(&url)) {
            self.removed.insert(url, now);
        }
        let variants: Vec<u64> = self.urls.get(&url).into_iter().flatten().map(|slot| slot.variant).collect();
        let mut removed = Vec::new();
        for variant in variants {
            let name = Name { url, variant };
            if self.take(name).is_some_and(|slot| slot.disk.is_some()) {
                removed.push(name);
            }
        }
        removed
    }

    /// Whether more URLs were removed than are remembered.
    pub(super) fn has_removed_much(&self) -> bool {
        self.removed.len() >= MOST_REMOVED
    }

    /// Forgets everything.
    #[must_use]
    pub(super) fn clear(&mut self) -> Removed {
        let removed = self.disk.order.values().copied().collect();
        let (memory, disk, id, tick) = (self.memory.capacity, self.disk.capacity, self.id, self.tick);
        let generation = self.generation + 1;
        *self = Index { id, tick, generation, ..Index::new(memory, disk) };
        removed
    }

    /// The number that the next entry will have: those that have it or a later one came after this.
    pub(super) fn next_id(&self) -> u64 {
        self.id + 1
    }

    /// Which files of a directory are not known, or others than those that had the name.
    pub(super) fn unknown(&self, listed: &HashMap<Name, u64>) -> Vec<Name> {
        let is_known = |name: &Name, inode: u64| {
            self.slot(*name).and_then(|slot| slot.disk).is_some_and(|disk| disk.inode == inode)
        };
        let unknown = listed.iter().filter(|(name, inode)| !is_known(name, **inode));
        unknown.map(|(name, _)| *name).collect()
    }

    /// Takes over what a directory has: the names of all files, as they were when `next_id` was asked for
    /// at `began`, and what those are that were not known.
    #[must_use]
    pub(super) fn merge(
        &mut self,
        (next_id, began): (u64, SystemTime),
        listed: &HashMap<Name, u64>,
        mut fresh: Vec<(Name, OnDisk)>,
    ) -> Removed {
        let mut gone = Vec::new();
        for (&url, slots) in &self.urls {
            let lost = slots.iter().filter(|slot| slot.disk.is_some() && slot.id < next_id);
            let lost = lost.map(|slot| Name { url, variant: slot.variant });
            gone.extend(lost.filter(|name| !listed.contains_key(name)));
        }
        for name in gone {
            // Another process has removed it, for all.
            self.take(name);
        }
        let mut removed = Vec::new();
        fresh.sort_unstable_by_key(|(_, disk)| disk.used);
        for (name, disk) in fresh {
            let slot = self.slot(name);
            if slot.is_some_and(|slot| slot.id >= next_id || slot.disk.is_some_and(|d| d.inode == disk.inode))
            {
                continue;
            }
            if self.removed.get(&name.url).is_some_and(|at| disk.used <= *at) {
                removed.push(name);
                continue;
            }
            // Room for it would be made of all that is of use.
            if disk.takes() > self.disk.capacity {
                removed.push(name);
                continue;
            }
            // Another process has put it in place of what is in memory.
            self.take(name);
            self.add(name, None, Some(disk));
            removed.extend(self.bound(name.url));
        }
        self.forget_removed(began);
        removed.extend(self.shrink_disk());
        removed
    }

    /// All that was stored before this time is known.
    pub(super) fn forget_removed(&mut self, began: SystemTime) {
        self.removed.retain(|_, at| *at >= began);
    }

    fn slot(&self, name: Name) -> Option<&Slot> {
        self.urls.get(&name.url)?.iter().find(|slot| slot.variant == name.variant)
    }

    fn add(&mut self, name: Name, memory: Option<Arc<Kept>>, disk: Option<OnDisk>) -> u64 {
        // One that fits nowhere is not to drive everything else out first.
        let memory = memory.filter(|kept| kept.size <= self.memory.capacity);
        self.tick += 1;
        self.id += 1;
        if memory.is_none() && disk.is_none() {
            return self.id;
        }
        if let Some(kept) = &memory {
            self.memory.add(self.tick, name, kept.size);
        }
        if let Some(disk) = &disk {
            self.disk.add(self.tick, name, disk.takes());
        }
        let slot = Slot { variant: name.variant, id: self.id, tick: self.tick, memory, disk };
        self.urls.entry(name.url).or_default().push(slot);
        self.entries += 1;
        self.id
    }

    fn take(&mut self, name: Name) -> Option<Slot> {
        let slots = self.urls.get_mut(&name.url)?;
        let at = slots.iter().position(|slot| slot.variant == name.variant)?;
        let slot = slots.swap_remove(at);
        if slots.is_empty() {
            self.urls.remove(&name.url);
        }
        self.entries -= 1;
        if let Some(kept) = &slot.memory {
            self.memory.take(slot.tick, kept.size);
        }
        if let Some(disk) = &slot.disk {
            self.disk.take(slot.tick, disk.takes());
        }
        Some(slot)
    }

    fn shrink_memory(&mut self) {
        while let Some(name) = self.memory.pop_surplus() {
            let Some(slot) = find_slot(&mut self.urls, name) else { continue };
            let size = slot.memory.take().map_or(0, |kept| kept.size);
            let is_empty = slot.disk.is_none();
            self.memory.used = self.memory.used.saturating_sub(size);
            if is_empty {
                self.take(name);
            }
        }
    }

    fn shrink_disk(&mut self) -> Removed {
        let mut removed = Vec::new();
        while let Some(name) = self.disk.pop_surplus() {
            removed.push(name);
            let Some(slot) = find_slot(&mut self.urls, name) else { continue };
            let size = slot.disk.take().map_or(0, |disk| disk.takes());
            let is_empty = slot.memory.is_none();
            self.disk.used = self.disk.used.saturating_sub(size);
            if is_empty {
                self.take(name);
            }
        }
        removed
    }

    /// No more variants of a URL and no more entries than there may be.
    fn bound(&mut self, url: u64) -> Removed {
        let mut removed = Vec::new();
        loop {
            let slots = self.urls.get(&url).map(Vec::as_slice).unwrap_or_default();
            let oldest = if slots.len() > MOST_VARIANTS {
                let oldest = slots.iter().min_by_key(|slot| slot.tick);
                oldest.map(|slot| Name { url, variant: slot.variant })
            } else if self.entries > MOST_ENTRIES {
                let tiers = [self.memory.order.first_key_value(), self.disk.order.first_key_value()];
                tiers.into_iter().flatten().min().map(|(_, name)| *name)
            } else {
                None
            };
            let Some(oldest) = oldest else { return removed };
            match self.take(oldest) {
                Some(slot) if slot.disk.is_some() => removed.push(oldest),
                Some(_) => {}
                None => return removed,
            }
        }
    }
}

fn find_slot(urls: &mut HashMap<u64, Vec<Slot>>, name: Name) -> Option<&mut Slot> {
    urls.get_mut(&name.url)?.iter_mut().find(|slot| slot.variant == name.variant)
}
