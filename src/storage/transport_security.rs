//! Who has asked to be reached by https only (RFC 6797), with the time until which that counts. Knows names and
//! times; what a server says is read in [`hsts`].

mod curl;
mod hosts;

use super::Choice;
use super::instances::Instances;
use super::journal::{Journal, Kind, News};
use super::places::{Places, make};
use crate::configuration::Configuration;
use crate::error::{Error, ErrorKind, Result};
use crate::header::quoted;
use crate::proto::transport_security::hsts::{self, StrictTransport, name_of};
use crate::sync::{Arc, Mutex, MutexGuard, lock};
use hosts::Hosts;
use std::fmt;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};
use url::{Host, Url};

/// The hosts that are to be reached by https only, because they have asked for it: HTTP Strict Transport Security
/// (RFC 6797).
///
/// A response over https with `Strict-Transport-Security` is remembered until the time that it names, two years at
/// most, and an `http:` URL of that host is made an `https:` one before anything is sent, also when a redirect
/// leads there. Addresses are not remembered, nor is `localhost`, nor what comes over a connection whose certificate
/// was not found good. 10,000 hosts are remembered at most; beyond that those go whose time ends first.
///
/// Cloning gives the same storage. Which one a session has is said by
/// [`Configuration::hsts_storage`](crate::Configuration::hsts_storage).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use urlsession::{HstsHost, HstsStorage};
///
/// let storage = HstsStorage::in_memory();
/// let year = Duration::from_secs(365 * 86_400);
/// storage.insert(HstsHost::new("example.com", SystemTime::now() + year)?.include_subdomains(true));
/// assert!(storage.covers("www.example.com"));
/// assert!(!storage.covers("example.org"));
/// # Ok::<(), urlsession::Error>(())
/// ```
#[derive(Clone)]
pub struct HstsStorage(Arc<Inner>);

struct Inner {
    hosts: Mutex<Hosts>,
    journal: Option<Journal>,
}

/// A host that is to be reached by https only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HstsHost {
    name: String,
    include_subdomains: bool,
    /// In seconds since 1970.
    expires: u64,
}

/// The name of the file in a session's directory.
const FILE: &str = "hsts";

const KIND: Kind = Kind(*b"hsts");

/// What is asked for is done for so long and no longer, so that a mistake of a server ends some time, and nobody can
/// ask for so much that all others are forgotten before.
const LONGEST: u64 = 2 * 365 * 86_400;

static INSTANCES: Instances<Inner> = Instances::new();

impl HstsStorage {
    /// The one that all sessions share that have no other. In memory, unless the program has named itself by
    /// [`set_application`](crate::set_application) before this is first used, by it or by a session: then it is in the
    /// program's own directory; if that cannot be used, the log says so, and it is in memory.
    pub fn shared() -> Self {
        static FALLBACK: OnceLock<HstsStorage> = OnceLock::new();
        HstsStorage::try_shared().unwrap_or_else(|error| {
            log::warn!("who has asked for https is remembered in memory only: {error}");
            FALLBACK.get_or_init(HstsStorage::in_memory).clone()
        })
    }

    fn try_shared() -> Result<Self> {
        static SHARED: OnceLock<HstsStorage> = OnceLock::new();
        if let Some(shared) = SHARED.get() {
            return Ok(shared.clone());
        }
        // Not within the lock: what is logged goes to the program. One that fails is tried again the next time.
        let opened = match Places::of_process()? {
            Some(places) => HstsStorage::in_directory(&places.state)?,
            None => HstsStorage::in_memory(),
        };
        Ok(SHARED.get_or_init(|| opened).clone())
    }

    /// An empty one that ends with its last handle.
    pub fn in_memory() -> Self {
        HstsStorage(Arc::new(Inner { hosts: Mutex::default(), journal: None }))
    }

    /// One that is kept in a directory, in a file that only the user may read. Whoever in this process opens it in
    /// the same directory gets the same; other processes may have it open too, and each learns what the others write.
    ///
    /// # Errors
    /// [`ErrorKind::CannotCreateFile`] or a kin of it if the directory or the file cannot be made and written to, or is
    /// another user's. A file that is damaged is no error: it is set aside, and the log says so.
    pub fn in_directory(directory: impl AsRef<Path>) -> Result<Self> {
        let open = |directory: &Path| {
            let journal = Journal::open(make(directory)?.join(FILE), KIND)?;
            Ok(Inner { hosts: Mutex::default(), journal: Some(journal) })
        };
        INSTANCES.get(directory.as_ref(), open).map(HstsStorage)
    }

    /// The one that a configuration asks for.
    pub(super) fn of(configuration: &Configuration) -> Result<Option<Self>> {
        Ok(match &configuration.hsts_storage {
            Choice::None => None,
            Choice::Own(storage) => Some(storage.clone()),
            Choice::Automatic if configuration.is_ephemeral() => Some(HstsStorage::in_memory()),
            Choice::Automatic => Some(match Places::of(configuration)? {
                Some(places) => HstsStorage::in_directory(&places.state)?,
                None => HstsStorage::try_shared()?,
            }),
        })
    }

    /// The hosts that are remembered, by name. None is in it whose time is over.
    pub fn hosts(&self) -> Vec<HstsHost> {
        self.0.hosts().all(now())
    }

    /// Whether a host is to be reached by https only: it has asked for that, or one whose subdomain it is has for all of
    /// those.
    pub fn covers(&self, host: &str) -> bool {
        Host::parse(host).is_ok_and(|host| {
            let host = match &host {
                Host::Domain(name) => Host::Domain(name.as_str()),
                _ => return false,
            };
            name_of(&host).is_some_and(|name| self.0.hosts().covers(name, now()))
        })
    }

    /// Remembers a host, in place of what is known of it.
    pub fn insert(&self, host: HstsHost) {
        let record = self.0.hosts().set(host, now());
        self.0.write(&[record]);
    }

    /// Forgets a host. False if it was not known. What is known of those above it stays.
    pub fn remove(&self, host: &str) -> bool {
        let Ok(Host::Domain(name)) = Host::parse(host) else { return false };
        let record = self.0.hosts().remove(crate::proto::transport_security::host::without_root(&name));
        let known = record.is_some();
        self.0.write(record.as_slice());
        known
    }

    /// Forgets all hosts, and removes the file.
    pub fn remove_all(&self) {
        self.0.hosts().clear();
        let cleared = self.0.journal.as_ref().map_or(Ok(()), Journal::clear);
        if let Err(error) = cleared {
            log::warn!("{error}");
        }
    }

    /// Reads hosts in the form of curl's `--hsts` file: a line for each, `example.com "20301231 23:59:59"`, with a dot
    /// before the name if its subdomains are meant too. Gives the number of hosts. Lines that are something else are
    /// passed over, as are addresses and times that are over.
    ///
    /// ```
    /// # use urlsession::HstsStorage;
    /// let storage = HstsStorage::in_memory();
    /// let file = b"# Your HSTS cache.\n.example.com \"29991231 23:59:59\"\n";
    /// assert_eq!(storage.import(file.as_slice())?, 1);
    /// assert!(storage.covers("www.example.com"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the reader fails with. What was read until then is remembered.
    pub fn import(&self, reader: impl BufRead) -> io::Result<usize> {
        let now = now();
        let mut records = Vec::new();
        let read = curl::read(reader, &mut |host| {
            if host.expires > now {
                records.push(self.0.hosts().set(host, now));
            }
        });
        self.0.write(&records);
        read.map(|()| records.len())
    }

    /// Writes the hosts in the form of curl's `--hsts` file, and gives their number.
    ///
    /// # Errors
    /// What the writer fails with.
    pub fn export(&self, writer: impl Write) -> io::Result<usize> {
        let hosts = self.hosts();
        curl::write(writer, &hosts)?;
        Ok(hosts.len())
    }

    /// Takes notice of what a server said of itself, over a connection that was found good.
    pub(crate) fn note(&self, url: &Url, field: &[u8], now: SystemTime) {
        let (Some(host), Some(asked)) = (url.host(), hsts::parse(field)) else { return };
        let Some(name) = name_of(&host) else { return };
        let record = self.0.hosts().note(name, asked, seconds(now));
        if record.is_some() {
            log::debug!("{name} is to be reached by https only, for {} s", asked.max_age);
        }
        self.0.write(record.as_slice());
    }

    /// The secure URL in place of a cleartext one, if its host has asked for that.
    pub(crate) fn upgraded(&self, url: &Url, now: impl FnOnce() -> SystemTime) -> Option<Url> {
        let hosts = self.0.hosts();
        if hosts.is_empty() || url.scheme() != "http" {
            return None;
        }
        let host = url.host()?;
        if !hosts.covers(name_of(&host)?, seconds(now())) {
            return None;
        }
        let mut secure = url.clone();
        hsts::upgrade(&mut secure).then_some(secure)
    }

    /// Has what is remembered put on the disk.
    ///
    /// # Errors
    /// If the disk cannot take it.
    pub(super) fn flush(&self) -> Result<()> {
        self.0.journal.as_ref().map_or(Ok(()), Journal::sync)
    }
}

impl Inner {
    /// The hosts, with what others have written.
    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        let Some(journal) = &self.journal else { return lock(&self.hosts) };
        journal.tell();
        let mut hosts = lock(&self.hosts);
        let news = journal.news();
        if news != News::default() {
            hosts.learn(news, now());
        }
        hosts
    }

    /// Writes what has changed. If it cannot be written it is remembered for as long as the process runs.
    fn write(&self, records: &[Vec<u8>]) {
        let Some(journal) = self.journal.as_ref().filter(|_| !records.is_empty()) else { return };
        let written = journal.append(records).and_then(|()| {
            if !journal.is_bloated() {
                return Ok(());
            }
            let all = self.hosts().records(now());
            journal.compact(&all).map(|_| ())
        });
        if let Err(error) = written {
            log::warn!("{error}");
        }
    }
}

impl fmt::Debug for HstsStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HstsStorage")
            .field("hosts", &self.hosts().len())
            .field("file", &self.0.journal.as_ref().map(Journal::path))
            .finish()
    }
}

impl HstsHost {
    /// A host by its name, and the time until which it is to be reached by https only.
    ///
    /// # Errors
    /// [`ErrorKind::BadUrl`] if that is no name: an address, or malformed. `localhost` and names below it are none
    /// for this.
    pub fn new(name: impl AsRef<str>, expires: SystemTime) -> Result<Self> {
        let given = name.as_ref();
        let name = match Host::parse(given) {
            Ok(Host::Domain(name)) => name_of(&Host::Domain(&name)).map(str::to_owned),
            _ => None,
        };
        let Some(name) = name.filter(|name| name.len() <= hosts::LONGEST_NAME && !name.starts_with('.'))
        else {
            let message = format!(
                "{} is not the name of a host that could ask to be reached by https only",
                quoted(given)
            );
            return Err(Error::new(ErrorKind::BadUrl, message));
        };
        Ok(HstsHost { name, include_subdomains: false, expires: seconds(expires) })
    }

    /// Sets whether its subdomains are meant too.
    #[must_use]
    pub fn include_subdomains(mut self, include: bool) -> Self {
        self.include_subdomains = include;
        self
    }

    /// Its name, in the form that it has in URLs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its subdomains are meant too.
    pub fn includes_subdomains(&self) -> bool {
        self.include_subdomains
    }

    /// The time until which it counts.
    pub fn expires(&self) -> SystemTime {
        let since = Duration::from_secs(self.expires);
        // Later than a clock can show is as late as that goes here.
        SystemTime::UNIX_EPOCH
            .checked_add(since)
            .unwrap_or(SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into()))
    }
}

/// What a server asks for, as it is remembered.
fn host(name: &str, asked: StrictTransport, now: u64) -> HstsHost {
    let expires = now.saturating_add(asked.max_age.min(LONGEST));
    HstsHost { name: name.to_owned(), include_subdomains: asked.include_subdomains, expires }
}

fn now() -> u64 {
    seconds(SystemTime::now())
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
