//! What a session remembers, in a file: records that are appended, by several processes at once. Knows files
//! and locks, and not what the records say; their form is in [`format`].
//!
//! ```text
//! open ─▶ news ─▶ append ─▶ append ─▶ news ─▶ … ─▶ is_bloated ─▶ news ─▶ compact
//! ```
//!
//! The file is the truth, and its order is the order of things. What a store has in memory is what the records
//! make of it one after the other, its own ones too: those come back by [`Journal::news`] among those of
//! others, in their order, so that all processes come to the same end. A record says what is so (a cookie with
//! its value, or that there is none), and does no harm when it comes twice.
//!
//! - Whoever writes has the file locked (`flock`) for as long as one `write` takes, and first looks at what
//!   others have written. Reading needs no lock: what is not there to its end yet is left for the next time.
//! - A record that was not written to its end is cut off by the next one to write. A file that is damaged
//!   elsewhere is renamed to `NAME.corrupt`, and a new one begun.
//! - [`Journal::compact`] puts a new file in place of the old one. The others notice, because the name
//!   does not stand for the one any more that they have open.
//!
//! The turn is the only lock held across file I/O, and nothing but that is waited for under it.
//! `news` does not wait for it, so it may be called under the lock of what the records make up, and
//! has to be if several threads call it; `append` and `compact` wait, and may not be.

pub(crate) mod format;

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use crate::sys::{file, temporary};
use bytes::Bytes;
pub(crate) use format::Kind;
use format::{Beginning, HEADER, MOST_JOURNAL, Rest};
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::TryLockError;
use std::time::{Duration, Instant};

/// A file of records. See the module's documentation.
pub(crate) struct Journal {
    path: PathBuf,
    kind: Kind,
    turn: Mutex<Turn>,
    /// What is to be logged as soon as no lock is held: a log is the program's code.
    untold: Mutex<Vec<String>>,
}

/// What was written to the journal since it was last asked, by whomever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The records are all that there is: what was there before counts no more.
    pub(crate) anew: bool,
    /// In the order in which they were written.
    pub(crate) records: Vec<Bytes>,
}

/// What is known of the file.
#[derive(Default)]
struct Turn {
    /// None if there is none.
    file: Option<Arc<File>>,
    /// Up to here there are good records, and they were read.
    read: u64,
    /// How long it was at the last look.
    seen: u64,
    /// How long it was when it held nothing twice.
    compacted: u64,
    news: News,
    /// Somebody kept it locked for too long, and is not waited for again.
    stuck: bool,
    /// Which one it is: device and number.
    id: Option<(u64, u64)>,
    /// There is something by its name that cannot be opened.
    barred: bool,
}

/// What there was to read.
enum Found {
    Good,
    Torn,
    Damaged(String),
}

/// How long somebody else may have the file locked. It takes them microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a file may get before it is worth a thought.
const SMALL: u64 = 64 * 1024;

/// How often the file may be replaced while we wait for it.
const MOST_TRIES: u32 = 100;

/// How many messages wait to be logged. There are no more unless something goes wrong again and again.
const MOST_UNTOLD: usize = 8;

/// How many damaged files are kept. Those after them take the place of the last.
const MOST_SET_ASIDE: u32 = 3;

impl Journal {
    /// Opens a journal, or makes one, in a directory that exists. What is in it is the first news.
    ///
    /// # Errors
    /// If the file cannot be made, read and written, is not a regular file, or is another user's.
    pub(crate) fn open(path: impl Into<PathBuf>, kind: Kind) -> Result<Journal> {
        let path = path.into();
        // What the working directory is later makes no difference.
        let path = std::path::absolute(&path).unwrap_or(path);
        let journal = Journal { path, kind, turn: Mutex::default(), untold: Mutex::default() };
        {
            let mut turn = lock(&journal.turn);
            turn.begin(None);
            // Most of the time there is one, and nothing to be done about it that takes a lock.
            let good = match journal.open_file()? {
                Some(file) => {
                    turn.begin(Some(file));
                    matches!(journal.look(&mut turn), Ok(Found::Good)) && turn.read > 0
                }
                None => {
                    // Only what was there is made again.
                    let directory = journal.path.parent().unwrap_or(&journal.path);
                    fs::metadata(directory).map_err(|error| {
                        Error::file(ErrorKind::CannotCreateFile, "making", &journal.path, error)
                    })?;
                    false
                }
            };
            if !good {
                journal.with_lock(&mut turn, PATIENCE, |_, _| Ok(()))?;
            }
        }
        journal.tell();
        Ok(journal)
    }

    /// What was written since this was last asked. Costs one system call if that is nothing. Waits
    /// for nobody: while another thread is at it there are no news.
    pub(crate) fn news(&self) -> News {
        let Some(mut turn) = self.try_turn() else { return News::default() };
        let looked = match self.look(&mut turn) {
            Ok(Found::Damaged(_)) => self.with_lock(&mut turn, Duration::ZERO, |_, _| Ok(())),
            Ok(Found::Good | Found::Torn) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            self.warn(error.to_string());
        }
        std::mem::take(&mut turn.news)
    }

    /// Logs what there is to log since this was last called. Not to be called under a lock; whoever calls
    /// [`news`](Journal::news) under one calls this before.
    pub(crate) fn tell(&self) {
        for message in std::mem::take(&mut *lock(&self.untold)) {
            log::warn!("{message}");
        }
    }

    /// Writes records, all or none of them. They are among the next news.
    ///
    /// # Errors
    /// If a record is longer than [`format::MOST_RECORD`], the journal would get longer than
    /// [`format::MOST_JOURNAL`], the disk is full, or somebody else has the file locked for 5 s.
    pub(crate) fn append<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<()> {
        let written = self.encode(records)?;
        if written.is_empty() {
            return Ok(());
        }
        self.in_turn(|turn, mut file| {
            self.check_len(turn.read + written.len() as u64)?;
            if let Err(error) = file.write_all(&written) {
                // A piece of it would be cut off by the next to come, but takes room that is missing.
                let _ = file.set_len(turn.read);
                return Err(self.failed("writing to", error));
            }
            turn.read += written.len() as u64;
            turn.seen = turn.read;
            turn.news.records.extend(format::records(&Bytes::from(written)).records);
            Ok(())
        })
    }

    /// Whether it is so much longer than when it held nothing twice that it is worth to be written anew.
    pub(crate) fn is_bloated(&self) -> bool {
        let Some(turn) = self.try_turn() else { return false };
        let added = turn.read.saturating_sub(turn.compacted);
        added > turn.compacted.max(SMALL) || (turn.read > MOST_JOURNAL / 4 * 3 && added > SMALL)
    }

    /// Puts a file with just these records in place of what is there, on the disk before it has the
    /// name. False, and nothing done, if there are news that the records cannot have heard of: ask for
    /// them, and try again.
    ///
    /// # Errors
    /// As [`append`](Journal::append).
    pub(crate) fn compact<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<bool> {
        let written = self.encode(records)?;
        let len = (HEADER + written.len()) as u64;
        self.check_len(len)?;
        self.in_turn(|turn, _| {
            if turn.news != News::default() {
                return Ok(false);
            }
            self.remove_leftovers();
            let beside = temporary::beside(&self.path);
            let made = file::create_new_private(&beside).and_then(|mut file| {
                file.write_all(&format::header(self.kind, len))?;
                file.write_all(&written)?;
                file.sync_data()?;
                file::append_only(&file)?;
                fs::rename(&beside, &self.path)?;
                Ok(file)
            });
            let file = made.map_err(|error| {
                let _ = fs::remove_file(&beside);
                self.failed("writing a new file in place of", error)
            })?;
            turn.take(Some(file));
            (turn.read, turn.seen, turn.compacted) = (len, len, len);
            Ok(true)
        })
    }

    /// Removes the file, with all that is in it, and what was left over or set aside. The next to write makes a
    /// new one. Somebody who has it locked is waited for, but does not keep it there.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub(crate) fn clear(&self) -> Result<()> {
        let done = self.remove(&mut lock(&self.turn));
        self.tell();
        done
    }

    fn remove(&self, turn: &mut Turn) -> Result<()> {
        turn.begin(self.open_file().unwrap_or_default());
        let file = turn.file.clone();
        // Whoever puts a new file in place of it would bring back what was in it.
        let locked = file.as_ref().map(|file| self.wait_for(file, turn, PATIENCE)).transpose();
        if locked.is_err() {
            self.warn(format!("removing {}, although another process has it locked", self.path.display()));
        }
        self.remove_leftovers();
        let removed = (1..=MOST_SET_ASIDE).map(|number| self.aside(number)).chain([self.path.clone()]);
        let removed = removed.map(|path| match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::file(ErrorKind::CannotRemoveFile, "removing", &path, error))
            }
            _ => Ok(()),
        });
        let removed: Vec<Result<()>> = removed.collect();
        turn.begin(None);
        removed.into_iter().collect()
    }

    /// Has what was written put on the disk.
    ///
    /// # Errors
    /// If the disk cannot take it.
    pub(crate) fn sync(&self) -> Result<()> {
        let file = lock(&self.turn).file.clone();
        match file {
            Some(file) => file.sync_data().map_err(|error| self.failed("writing to the disk:", error)),
            None => Ok(()),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn try_turn(&self) -> Option<MutexGuard<'_, Turn>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn encode<R: AsRef<[u8]>>(&self, records: &[R]) -> Result<Vec<u8>> {
        let len = records.iter().map(|record| format::record_len(record.as_ref().len())).sum();
        self.check_len(len as u64)?;
        let mut written = Vec::with_capacity(len);
        for record in records.iter().map(AsRef::as_ref) {
            if !format::write_record(&mut written, record) {
                let message = format!(
                    "writing to {}: {} bytes are too many for one record",
                    self.path.display(),
                    record.len()
                );
                return Err(Error::new(ErrorKind::DataLengthExceedsMaximum, message));
            }
        }
        Ok(written)
    }

    fn check_len(&self, len: u64) -> Result<()> {
        if len <= MOST_JOURNAL {
            return Ok(());
        }
        let message =
            format!("writing to {}: it would be longer than {MOST_JOURNAL} bytes", self.path.display());
        Err(Error::new(ErrorKind::DataLengthExceedsMaximum, message))
    }

    /// Reads what is new in the file, without a lock.
    fn look(&self, turn: &mut Turn) -> Result<Found> {
        // By its name: the one that is open may have been set aside by somebody, and go on without news.
        let metadata = match (&turn.file, fs::symlink_metadata(&self.path)) {
            (Some(_), Ok(named)) if turn.is(&named) => named,
            (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Good),
            _ => match self.open_file() {
                Ok(file) => {
                    turn.begin(file);
                    match &turn.file {
                        Some(file) => file.metadata().map_err(|error| self.failed_reading(error))?,
                        None => return Ok(Found::Good),
                    }
                }
                // What is known stays known, and it is told once.
                Err(_) if std::mem::replace(&mut turn.barred, true) => return Ok(Found::Good),
                Err(error) => return Err(error),
            },
        };
        turn.barred = false;
        if metadata.len() == turn.seen {
            return Ok(Found::Good);
        }
        turn.read_on(metadata.len(), self.kind).map_err(|error| self.failed_reading(error))
    }

    /// Does something with the file while nobody else writes to it, and then logs what there is to log.
    fn in_turn<R>(&self, then: impl FnOnce(&mut Turn, &File) -> Result<R>) -> Result<R> {
        let done = self.with_lock(&mut lock(&self.turn), PATIENCE, then);
        self.tell();
        done
    }

    /// Does something with the file while nobody else writes to it. It is read by then, and whole.
    fn with_lock<R>(
        &self,
        turn: &mut Turn,
        patience: Duration,
        then: impl FnOnce(&mut Turn, &File) -> Result<R>,
    ) -> Result<R> {
        for _ in 0..MOST_TRIES {
            let file = match &turn.file {
                Some(file) => Arc::clone(file),
                None => {
                    turn.begin(self.open_file()?.or(self.create_file()?));
                    continue;
                }
            };
            let locked = self.wait_for(&file, turn, patience)?;
            // Whoever had it until now may have replaced, removed or renamed it.
            if !file::is_at(&file, &self.path) {
                turn.begin(None);
                continue;
            }
            let len = file.metadata().map_err(|error| self.failed_reading(error))?.len();
            let found = turn.read_on(len, self.kind).map_err(|error| self.failed_reading(error))?;
            let whole = match found {
                Found::Damaged(why) => {
                    self.set_aside(&why)?;
                    turn.begin(None);
                    continue;
                }
                Found::Torn => {
                    self.warn(format!(
                        "{} was not written to its end; the rest is cut off",
                        self.path.display()
                    ));
                    file.set_len(turn.read)
                }
                Found::Good => Ok(()),
            };
            let begun = whole.and_then(|()| turn.begin_file(&file, self.kind));
            begun.map_err(|error| self.failed("writing to", error))?;
            let done = then(turn, &file);
            drop(locked);
            return done;
        }
        let message = format!("{} is replaced by somebody again and again", self.path.display());
        Err(Error::new(ErrorKind::ResourceUnavailable, message))
    }

    /// The file, if there is one.
    fn open_file(&self) -> Result<Option<File>> {
        let opened = file::open_no_follow(&self.path).and_then(|file| {
            file::make_private(&file)?;
            file::append_only(&file)?;
            Ok(file)
        });
        match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened
                .map(Some)
                .map_err(|error| Error::file(ErrorKind::CannotOpenFile, "opening", &self.path, error)),
        }
    }

    /// A new file, if there is none.
    fn create_file(&self) -> Result<Option<File>> {
        let create = || {
            file::create_new_private(&self.path).and_then(|file| {
                file::append_only(&file)?;
                Ok(file)
            })
        };
        let created = create().or_else(|error| match (error.kind(), self.path.parent()) {
            // Somebody has cleaned up.
            (io::ErrorKind::NotFound, Some(directory)) => {
                file::create_private_directory(directory)?;
                create()
            }
            _ => Err(error),
        });
        match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            created => created
                .map(Some)
                .map_err(|error| Error::file(ErrorKind::CannotCreateFile, "making", &self.path, error)),
        }
    }

    fn wait_for<'a>(&self, file: &'a File, turn: &mut Turn, patience: Duration) -> Result<Locked<'a>> {
        let patience = if turn.stuck { Duration::ZERO } else { patience };
        let begun = Instant::now();
        let mut pause = Duration::from_micros(20);
        while !file::lock(file) {
            if begun.elapsed() >= patience {
                // Asking is one thing, and having been made to wait another.
                turn.stuck |= patience == PATIENCE;
                let message = format!(
                    "writing to {}: another process has it locked; what changes is kept in memory only",
                    self.path.display()
                );
                return Err(Error::new(ErrorKind::ResourceUnavailable, message));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
        }
        turn.stuck = false;
        Ok(Locked(file))
    }

    /// The name of a damaged file.
    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(if number == 1 { ".corrupt".to_owned() } else { format!(".corrupt-{number}") });
        self.path.with_file_name(name)
    }

    /// Gives the file another name, so that what may be in it is not lost.
    fn set_aside(&self, why: &str) -> Result<()> {
        let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
        let aside = (1..MOST_SET_ASIDE).map(|number| self.aside(number)).find(is_free);
        let aside = aside.unwrap_or_else(|| self.aside(MOST_SET_ASIDE));
        fs::rename(&self.path, &aside).map_err(|error| {
            Error::file(ErrorKind::CannotMoveFile, "setting aside the damaged file", &self.path, error)
        })?;
        self.warn(format!("{} {why}; it is set aside as {}", self.path.display(), aside.display()));
        Ok(())
    }

    fn warn(&self, message: String) {
        let mut untold = lock(&self.untold);
        if untold.len() < MOST_UNTOLD {
            untold.push(message);
        }
    }

    /// Removes the new files of those that were interrupted before they put them in place. While we have the
    /// lock nobody else is at it.
    fn remove_leftovers(&self) {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{name}.");
        let entries = self.path.parent().and_then(|directory| fs::read_dir(directory).ok());
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&prefix) && name.ends_with(temporary::SUFFIX) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn failed(&self, doing: &str, error: io::Error) -> Error {
        Error::file(ErrorKind::CannotWriteToFile, doing, &self.path, error)
    }

    fn failed_reading(&self, error: io::Error) -> Error {
        Error::file(ErrorKind::CannotOpenFile, "reading", &self.path, error)
    }
}

impl Turn {
    /// Another file, or none, is the journal now.
    fn begin(&mut self, file: Option<File>) {
        let news = News { anew: true, records: Vec::new() };
        *self = Turn { news, stuck: self.stuck, ..Turn::default() };
        self.take(file);
    }

    /// This is the file.
    fn take(&mut self, file: Option<File>) {
        self.id = file.as_ref().and_then(|file| file.metadata().ok()).as_ref().map(id);
        self.file = file.map(Arc::new);
    }

    /// Whether a name stands for the file that is open.
    fn is(&self, named: &Metadata) -> bool {
        self.id == Some(id(named))
    }

    /// Reads from where the last good record ended up to the end.
    fn read_on(&mut self, len: u64, kind: Kind) -> io::Result<Found> {
        let Some(file) = self.file.clone() else { return Ok(Found::Good) };
        if len > MOST_JOURNAL {
            return Ok(Found::Damaged(format!("is longer than {MOST_JOURNAL} bytes")));
        }
        if len < self.read {
            // What was good is never cut off; this is a file that somebody else has his hands in.
            self.read = 0;
            self.news = News { anew: true, records: Vec::new() };
        }
        self.seen = len;
        let mut bytes = Bytes::from(read_at(&file, self.read, len)?);
        if self.read == 0 && !bytes.is_empty() {
            match format::beginning(&bytes, kind) {
                Beginning::Header { compacted } => {
                    self.compacted = compacted;
                    self.read = HEADER as u64;
                    bytes = bytes.slice(HEADER..);
                }
                Beginning::Torn => return Ok(Found::Torn),
                Beginning::Version(version) => {
                    return Ok(Found::Damaged(format!("is of version {version}, which is not known here")));
                }
                Beginning::Foreign => return Ok(Found::Damaged("is not what it should be".to_owned())),
            }
        }
        let found = format::records(&bytes);
        self.read += found.len as u64;
        self.news.records.extend(found.records);
        Ok(match found.rest {
            Rest::Nothing => Found::Good,
            Rest::Torn => Found::Torn,
            Rest::Damaged => Found::Damaged(format!("is damaged at byte {}", self.read)),
        })
    }

    /// Writes the header of a file that has none.
    fn begin_file(&mut self, mut file: &File, kind: Kind) -> io::Result<()> {
        if self.read == 0 {
            if let Err(error) = file.write_all(&format::header(kind, HEADER as u64)) {
                let _ = file.set_len(0);
                return Err(error);
            }
            (self.read, self.compacted) = (HEADER as u64, HEADER as u64);
        }
        self.seen = self.read;
        Ok(())
    }
}

fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// A file that nobody else writes to until this is dropped.
struct Locked<'a>(&'a File);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        file::unlock(self.0);
    }
}

/// What is between two places of a file, or less if it has got shorter.
fn read_at(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
    let mut have = 0;
    while have < bytes.len() {
        match file.read_at(&mut bytes[have..], from + have as u64) {
            Ok(0) => break,
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(have);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
