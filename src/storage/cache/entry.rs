//! A stored response that was found, and its body: in memory, or in a file of which every block is checked
//! before it is believed. It stays usable when the entry is replaced or removed.

use super::directory::Opened;
use super::format::{BLOCK, Damage, Sums};
use super::key::Name;
use super::store::Store;
use crate::error::{Error, ErrorKind, Result};
use crate::proto::caching::stored::Stored;
use crate::sync::Arc;
use bytes::Bytes;
use std::fmt;
use std::os::unix::fs::FileExt;

/// Bodies up to this length are read as a whole.
const WHOLE: u64 = 1024 * 1024;

/// See the module's documentation. Cloning is cheap and gives the same.
#[derive(Clone)]
pub(crate) struct Entry(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    name: Name,
    id: u64,
    url: Arc<str>,
    stored: Arc<Stored>,
    body: Body,
}

/// Where a body is.
#[derive(Clone)]
pub(super) enum Body {
    Memory(Bytes),
    File(Arc<Opened>),
}

/// A body to be delivered.
#[derive(Debug)]
pub(crate) enum CacheBody {
    Memory(Bytes),
    File(CacheFile),
}

/// A body in a file, or a part of one, that is being read.
pub(crate) struct CacheFile {
    entry: Entry,
    sums: Arc<Sums>,
    /// The block that was read last, as far as it is wanted and was not taken.
    block: Bytes,
    at: u64,
    end: u64,
}

impl Entry {
    pub(super) fn new(
        store: Arc<Store>,
        name: Name,
        id: u64,
        url: Arc<str>,
        stored: Arc<Stored>,
        body: Body,
    ) -> Entry {
        Entry(Arc::new(Inner { store, name, id, url, stored, body }))
    }

    /// The metadata.
    pub(crate) fn stored(&self) -> &Arc<Stored> {
        &self.0.stored
    }

    /// The URL, as the store knows it.
    pub(crate) fn url(&self) -> &Arc<str> {
        &self.0.url
    }

    /// The body. The entry counts as used. `None` if its file turns out to be damaged: then the entry is
    /// gone, and it is as if there had been none.
    pub(crate) fn body(&self) -> Option<CacheBody> {
        let Inner { store, name, id, url, stored, body } = &*self.0;
        store.touch(*name, *id);
        let opened = match body {
            Body::Memory(bytes) => return Some(CacheBody::Memory(bytes.clone())),
            Body::File(opened) => opened,
        };
        let read = if stored.body_length <= WHOLE { read_whole(opened) } else { self.open(opened) };
        match read {
            Ok(read) => {
                if let CacheBody::Memory(bytes) = &read {
                    store.promote(*name, *id, url, stored, bytes.clone());
                }
                Some(read)
            }
            Err(damage) => {
                store.discard(*name, *id, opened, damage);
                None
            }
        }
    }

    pub(super) fn name(&self) -> Name {
        self.0.name
    }

    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    pub(super) fn source(&self) -> &Body {
        &self.0.body
    }

    /// The same body under other metadata.
    pub(super) fn with(&self, name: Name, stored: Arc<Stored>) -> Entry {
        let Inner { store, id, url, body, .. } = &*self.0;
        let (store, url, body) = (store.clone(), url.clone(), body.clone());
        Entry(Arc::new(Inner { store, name, id: *id, url, stored, body }))
    }

    pub(super) fn with_id(&self, id: u64) -> Entry {
        let Inner { store, name, url, stored, body, .. } = &*self.0;
        let (store, url) = (store.clone(), url.clone());
        Entry(Arc::new(Inner { store, name: *name, id, url, stored: stored.clone(), body: body.clone() }))
    }

    fn open(&self, opened: &Opened) -> std::result::Result<CacheBody, Damage> {
        let layout = &opened.layout;
        let mut bytes = vec![0; usize::try_from(layout.sums_len()).map_err(|_| Damage::Length)?];
        opened.file.read_exact_at(&mut bytes, layout.sums_begin()).map_err(|_| Damage::Length)?;
        let sums = Arc::new(layout.sums(bytes)?);
        let (entry, end) = (self.clone(), layout.body);
        Ok(CacheBody::File(CacheFile { entry, sums, block: Bytes::new(), at: 0, end }))
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("name", &self.0.name)
            .field("stored", &self.0.stored)
            .finish_non_exhaustive()
    }
}

impl CacheBody {
    /// How much is still to be read.
    pub(crate) fn left(&self) -> u64 {
        match self {
            CacheBody::Memory(bytes) => bytes.len() as u64,
            CacheBody::File(file) => file.left(),
        }
    }

    /// Only so many bytes from the byte of that number on, of what is there.
    pub(crate) fn section(self, begin: u64, length: u64) -> CacheBody {
        match self {
            CacheBody::Memory(bytes) => {
                let begin = usize::try_from(begin).unwrap_or(usize::MAX).min(bytes.len());
                let length = usize::try_from(length).unwrap_or(usize::MAX).min(bytes.len() - begin);
                CacheBody::Memory(bytes.slice(begin..begin + length))
            }
            CacheBody::File(mut file) => {
                let begun = file.at - file.block.len() as u64;
                file.at = begun.saturating_add(begin).min(file.end);
                file.end = file.at.saturating_add(length).min(file.end);
                file.block = Bytes::new();
                CacheBody::File(file)
            }
        }
    }

    /// The next piece, which is not empty; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of [`CacheFile::next`].
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        match self {
            CacheBody::Memory(bytes) => Ok(Some(std::mem::take(bytes)).filter(|bytes| !bytes.is_empty())),
            CacheBody::File(file) => file.next(),
        }
    }
}

impl CacheFile {
    /// How much is still to be read.
    pub(crate) fn left(&self) -> u64 {
        (self.end - self.at) + self.block.len() as u64
    }

    /// The next piece, at the most 128 KiB; `None` at the end.
    ///
    /// # Errors
    ///
    /// `ChecksumMismatch` if the file is damaged there. The entry is removed then.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        if self.block.is_empty() && self.at < self.end {
            self.block = self.read()?;
            self.at += self.block.len() as u64;
        }
        Ok(Some(std::mem::take(&mut self.block)).filter(|block| !block.is_empty()))
    }

    /// Reads to the end of a vector, as much as it has room for and no more than `most`. 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of [`next`](CacheFile::next).
    pub(crate) fn read_vec(&mut self, target: &mut Vec<u8>, most: u64) -> Result<usize> {
        let room = target.capacity() - target.len();
        let most = usize::try_from(most).unwrap_or(room).min(room);
        let mut count = 0;
        while count < most {
            let piece = self.take(most - count)?;
            if piece.is_empty() {
                break;
            }
            target.extend_from_slice(&piece);
            count += piece.len();
        }
        Ok(count)
    }

    /// Reads into a slice. 0 at the end.
    ///
    /// # Errors
    ///
    /// Those of [`next`](CacheFile::next).
    pub(crate) fn read_slice(&mut self, target: &mut [u8]) -> Result<usize> {
        let piece = self.take(target.len())?;
        if let Some(room) = target.get_mut(..piece.len()) {
            room.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }

    fn take(&mut self, most: usize) -> Result<Bytes> {
        let Some(mut piece) = self.next()? else { return Ok(Bytes::new()) };
        if piece.len() > most {
            self.block = piece.split_off(most);
        }
        Ok(piece)
    }

    /// What is wanted of the block that the next byte is in.
    fn read(&self) -> Result<Bytes> {
        let Inner { store, name, id, stored, body, .. } = &*self.entry.0;
        let Body::File(opened) = body else { return Ok(Bytes::new()) };
        let number = self.at / BLOCK as u64;
        let begin = number * BLOCK as u64;
        let length = stored.body_length.saturating_sub(begin).min(BLOCK as u64) as usize;
        let mut bytes = vec![0; length];
        let read = opened.file.read_exact_at(&mut bytes, opened.layout.head_len() as u64 + begin);
        if read.is_err() || !self.sums.is_right(number, &bytes) {
            let damage = if read.is_err() { Damage::Length } else { Damage::Checksum };
            store.discard(*name, *id, opened, damage);
            let message = "reading a stored response: its file is damaged, and was removed; try again";
            return Err(Error::new(ErrorKind::ChecksumMismatch, message));
        }
        let end = (self.end - begin).min(length as u64) as usize;
        Ok(Bytes::from(bytes).slice((self.at - begin) as usize..end))
    }
}

impl fmt::Debug for CacheFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheFile").field("entry", &self.entry).field("left", &self.left()).finish()
    }
}

fn read_whole(opened: &Opened) -> std::result::Result<CacheBody, Damage> {
    let (layout, head) = (&opened.layout, opened.layout.head_len());
    let rest = layout.file_len() - head as u64;
    let mut bytes = vec![0; usize::try_from(rest).map_err(|_| Damage::Length)?];
    opened.file.read_exact_at(&mut bytes, head as u64).map_err(|_| Damage::Length)?;
    let body = usize::try_from(layout.body).map_err(|_| Damage::Length)?;
    let (body, sums) = bytes.split_at_checked(body).ok_or(Damage::Length)?;
    layout.check_body(body, sums)?;
    let body = body.len();
    Ok(CacheBody::Memory(Bytes::from(bytes).slice(..body)))
}
