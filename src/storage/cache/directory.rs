//! The files of a cache: one an entry, in one directory, together with those of other processes. Knows how
//! they are named, written, read and removed, and not which of them are worth keeping.
//!
//! A file is written under a temporary name and renamed when it is complete, so that whoever opens an
//! entry has all of it, and goes on having it when the entry is replaced or removed. Nothing is locked for
//! reading. Nothing is synchronised with the disk: what a power failure leaves behind is found out by its
//! checksums.

use super::format::{self, BLOCK, Damage, Head, Layout};
use super::index::OnDisk;
use super::key::Name;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::places;
use crate::sys::file::{create_new_private, create_private_directory, is_at, lock, open_private};
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirEntryExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// Files up to this length are read at once.
const AT_ONCE: u64 = 64 * 1024;
/// What is read first of longer ones.
const HEAD: usize = 16 * 1024;
/// How long nobody has written to a temporary file, so that it may be that nobody will.
const ABANDONED: Duration = Duration::from_secs(60);
/// More names than these are not looked at: there cannot be as many entries.
const MOST_LISTED: usize = 256 * 1024;
const TEMPORARY: &str = ".tmp";

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// Nothing could be written the last time. It is told once, and not with each response on a full disk.
    failing: Arc<AtomicBool>,
}

/// An entry that was opened.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) layout: Layout,
    /// The first bytes of the file: all of them if it is short, and at least the head.
    pub(super) bytes: Vec<u8>,
}

/// Why an entry cannot be opened.
#[derive(Debug)]
pub(super) enum Unusable {
    /// There is none, or it cannot be read now.
    Missing,
    /// It was removed since it is none.
    Damaged,
}

/// What is in the directory.
pub(super) struct Listing {
    /// The files that have the name of an entry, and their inodes.
    pub(super) entries: HashMap<Name, u64>,
    /// Others of ours, which are not complete.
    pub(super) temporary: Vec<PathBuf>,
}

impl Directory {
    /// A directory that exists from now on, and which can be written to.
    pub(super) fn open(path: &Path) -> Result<Directory> {
        let failed = |error| Error::file(ErrorKind::CannotCreateFile, "making the cache in", path, error);
        // What the working directory is later makes no difference.
        let path = std::path::absolute(path).map_err(failed)?;
        let directory = Directory { path, failing: Arc::default() };
        places::make(&directory.path)?;
        let (_, probe) = directory.create().map_err(failed)?;
        fs::remove_file(probe).map_err(failed)?;
        Ok(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: Name) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// When the list of its files has changed last.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok()
    }

    /// What is in it. Nothing, if it cannot be read.
    pub(super) fn list(&self) -> Listing {
        let mut listing = Listing { entries: HashMap::new(), temporary: Vec::new() };
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return listing,
            Err(error) => {
                log::warn!("reading the cache in {}: {error}; it seems empty", self.path.display());
                return listing;
            }
        };
        for entry in entries.take(MOST_LISTED).flatten() {
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else { continue };
            if let Some(name) = Name::of_file(file_name) {
                listing.entries.insert(name, entry.ino());
            } else if is_temporary(file_name) {
                listing.temporary.push(entry.path());
            }
        }
        listing
    }

    /// What an entry's file is.
    pub(super) fn look(&self, name: Name) -> Option<OnDisk> {
        let metadata = fs::symlink_metadata(self.file(name)).ok()?;
        metadata.is_file().then(|| on_disk(&metadata))
    }

    /// Removes the temporary files that nobody is going to complete: those that have not been written to
    /// for a while and whose writer's lock is gone, as it is when its process is. `all`: those too that may
    /// be about to be completed, as far as they are not locked.
    pub(super) fn clean(&self, temporary: &[PathBuf], all: bool) {
        for path in temporary {
            let is_old = fs::symlink_metadata(path)
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|written| written.elapsed().is_ok_and(|since| since > ABANDONED));
            if (is_old || all) && open_private(path).is_ok_and(|(file, _)| lock(&file)) {
                log::debug!("removing {}, which was never completed", path.display());
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Opens an entry and reads its first bytes.
    pub(super) fn open_entry(&self, name: Name) -> std::result::Result<Opened, Unusable> {
        let path = self.file(name);
        let (mut file, metadata) = open_private(&path).map_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("reading {} of the cache: {error}", path.display());
            }
            Unusable::Missing
        })?;
        match read_first(&mut file, metadata.len()) {
            Ok((layout, bytes)) => Ok(Opened { file, layout, bytes }),
            Err(reason) => {
                self.discard(name, &file, &reason);
                Err(Unusable::Damaged)
            }
        }
    }

    /// Removes a file that is not what it should be, if it still has its name.
    pub(super) fn discard(&self, name: Name, file: &File, reason: &dyn std::fmt::Debug) {
        let path = self.file(name);
        log::warn!("removing {} from the cache, which is damaged: {reason:?}", path.display());
        if is_at(file, &path) {
            let _ = fs::remove_file(path);
        }
    }

    /// Removes an entry.
    pub(super) fn remove(&self, name: Name) {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("removing {} from the cache: {error}", path.display());
            }
            _ => {}
        }
    }

    /// Tells a file that it was used now.
    pub(super) fn touch(&self, name: Name, now: SystemTime) {
        // Of no consequence if it fails: the entry goes a little sooner.
        let _ = open_private(&self.file(name)).and_then(|(file, _)| file.set_modified(now));
    }

    /// Writes an entry that is there as a whole.
    pub(super) fn write(&self, name: Name, parts: [&[u8]; 3]) -> Option<OnDisk> {
        self.attempt(|| {
            let (mut file, path) = self.create()?;
            let written = write_parts(&mut file, parts).and_then(|()| self.publish(&file, &path, name));
            self.or_remove(&path, written)
        })
    }

    /// Begins to write an entry, whose head comes last.
    pub(super) fn begin(&self, head_len: usize) -> Option<Writing> {
        self.attempt(|| {
            let mut writing = self.start()?;
            io::copy(&mut io::repeat(0).take(head_len as u64), &mut writing.file)?;
            Ok(writing)
        })
    }

    fn start(&self) -> io::Result<Writing> {
        let (file, path) = self.create()?;
        // So that other processes do not take it for abandoned. Those know no file yet that they could lock.
        lock(&file);
        Ok(Writing { directory: self.clone(), file, path: Some(path) })
    }

    /// Writes an entry that has the body of another, as it stands in its file.
    pub(super) fn copy(&self, name: Name, head: &[u8], from: &File, layout: &Layout) -> Option<OnDisk> {
        self.attempt(|| {
            let mut writing = self.start()?;
            writing.file.write_all(head)?;
            let (mut at, end) = (layout.head_len() as u64, layout.file_len());
            let mut buffer = vec![0; BLOCK];
            while at < end {
                let most = usize::try_from(end - at).unwrap_or(BLOCK).min(BLOCK);
                let piece = buffer.get_mut(..most).unwrap_or_default();
                from.read_exact_at(piece, at)?;
                writing.file.write_all(piece)?;
                at += most as u64;
            }
            writing.publish(name)
        })
    }

    fn create(&self) -> io::Result<(File, PathBuf)> {
        loop {
            let random = RandomState::new().hash_one(std::process::id());
            let path = self.path.join(format!("{random:016x}{TEMPORARY}"));
            match create_new_private(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                // Somebody has cleaned up.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    create_private_directory(&self.path)?;
                    return create_new_private(&path).map(|file| (file, path));
                }
                created => return created.map(|file| (file, path)),
            }
        }
    }

    fn publish(&self, file: &File, path: &Path, name: Name) -> io::Result<OnDisk> {
        let metadata = file.metadata()?;
        fs::rename(path, self.file(name))?;
        Ok(on_disk(&metadata))
    }

    fn or_remove<T>(&self, path: &Path, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|_| drop(fs::remove_file(path)))
    }

    fn attempt<T>(&self, write: impl FnOnce() -> io::Result<T>) -> Option<T> {
        let written = write();
        let was_failing = self.failing.swap(written.is_err(), Ordering::Relaxed);
        let level = if was_failing { log::Level::Debug } else { log::Level::Warn };
        written
            .inspect_err(|error| log::log!(level, "writing to the cache in {}: {error}", self.path.display()))
            .ok()
    }
}

/// A file that is being written. Dropped before it is published, it is removed.
#[derive(Debug)]
pub(super) struct Writing {
    directory: Directory,
    file: File,
    path: Option<PathBuf>,
}

impl Writing {
    /// Adds bytes. False if that fails.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        let directory = &self.directory;
        directory.attempt(|| self.file.write_all(bytes)).is_some()
    }

    /// Completes the file with its head and gives it its name.
    pub(super) fn finish(self, name: Name, head: &[u8], sums: &[u8]) -> Option<OnDisk> {
        let directory = self.directory.clone();
        directory.attempt(move || {
            (&self.file).write_all(sums)?;
            self.file.write_all_at(head, 0)?;
            self.publish(name)
        })
    }

    fn publish(mut self, name: Name) -> io::Result<OnDisk> {
        let Some(path) = self.path.take() else { return Err(io::ErrorKind::NotFound.into()) };
        let published = self.directory.publish(&self.file, &path, name);
        self.directory.or_remove(&path, published)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

impl Opened {
    /// The head.
    pub(super) fn head(&self) -> std::result::Result<Head<'_>, Damage> {
        self.layout.head(&self.bytes)
    }

    /// Whether all of the file was read.
    pub(super) fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.layout.file_len()
    }
}

fn on_disk(metadata: &Metadata) -> OnDisk {
    let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    OnDisk { size: metadata.len(), inode: metadata.ino(), used }
}

fn is_temporary(name: &str) -> bool {
    let random = name.strip_suffix(TEMPORARY).unwrap_or_default();
    random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn write_parts(file: &mut File, [head, body, sums]: [&[u8]; 3]) -> io::Result<()> {
    if body.len() <= BLOCK {
        return file.write_all(&[head, body, sums].concat());
    }
    file.write_all(head)?;
    file.write_all(body)?;
    file.write_all(sums)
}

/// Reads the file if it is short, else its head, and checks that it is as long as it says.
fn read_first(file: &mut File, size: u64) -> std::result::Result<(Layout, Vec<u8>), Damage> {
    let first = if size <= AT_ONCE { size as usize } else { HEAD };
    let mut bytes = vec![0; first];
    file.read_exact(&mut bytes).map_err(|_| Damage::Length)?;
    let layout = Layout::read(&bytes)?;
    if layout.file_len() != size {
        return Err(Damage::Length);
    }
    if layout.head_len() > first {
        bytes.resize(layout.head_len(), 0);
        file.read_exact(bytes.get_mut(first..).unwrap_or_default()).map_err(|_| Damage::Length)?;
    }
    Ok((layout, bytes))
}

/// Reads an entry that was read as a whole: its head, and its body.
pub(super) fn whole(opened: &Opened) -> std::result::Result<(Head<'_>, std::ops::Range<usize>), Damage> {
    format::whole(&opened.bytes)
}
