//! The credentials that sessions have: what a program puts there, and what turned out to be right.
//!
//! | persistence | where |
//! |---|---|
//! | [`Persistence::None`] | nowhere |
//! | [`Persistence::ForSession`] | in memory |
//! | [`Persistence::Permanent`] | in a file that nobody else can read, if there is a directory; else in memory |
//!
//! The file is a journal of user names, passwords and tokens; certificates and accepted trust never get
//! there. It is read when somebody looks a credential up, which is when a challenge has come; what
//! requests take along unasked ([`unasked`]) is in memory alone, and costs one atomic read where there is
//! nothing. Neither lock is held while the file is written.

mod record;
mod spaces;
pub(crate) mod unasked;

use super::Choice;
use super::instances::Instances;
use super::journal::{Journal, Kind, News};
use super::places::{self, Places};
use crate::challenge::{Credential, Persistence, ProtectionSpace};
use crate::configuration::Configuration;
use crate::error::Result;
use crate::proto::auth::digest::{DigestChallenge, DigestSession};
use crate::sync::{Arc, Mutex, lock};
use record::Change;
use spaces::{Name, Spaces, is_trust};
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;
use unasked::{Means, Proven, Unasked};
use url::Url;

/// Credentials by what they are for. `URLCredentialStorage`. Cloning gives the same storage.
///
/// A session looks here when a server asks who it is, before it asks the delegate: the
/// [default credential](CredentialStorage::default_credential) of the protection space is what a challenge
/// proposes. What a server has taken is put here, as far as its [`Persistence`] allows.
///
/// ```
/// use urlsession::{
///     AuthenticationMethod, Configuration, Credential, CredentialStorage, Persistence, ProtectionSpace, Session,
/// };
///
/// let storage = CredentialStorage::in_memory();
/// let staff = ProtectionSpace::new("example.com", 443, "https", AuthenticationMethod::Basic).with_realm("staff");
/// storage.set(&staff, Credential::new("me", "secret", Persistence::ForSession));
/// assert_eq!(storage.default_credential(&staff).unwrap().user(), Some("me"));
///
/// let session = Session::new(Configuration::default().credential_storage(storage));
/// ```
#[derive(Clone)]
pub struct CredentialStorage(Arc<Inner>);

struct Inner {
    spaces: Mutex<Spaces>,
    journal: Option<Journal>,
    unasked: Unasked,
}

/// Whose journal it is.
const KIND: Kind = Kind(*b"cred");

/// The name of the file in a session's directory.
const FILE: &str = "credentials";

static SHARED: OnceLock<Result<CredentialStorage>> = OnceLock::new();
static INSTANCES: Instances<Inner> = Instances::new();

impl CredentialStorage {
    /// The storage that sessions share unless they are told otherwise. In memory, unless the process has
    /// [named itself](crate::set_application) before this is first used. `shared`.
    ///
    /// If the program's own directory cannot be used, it is in memory, and the log says why.
    pub fn shared() -> Self {
        CredentialStorage::try_shared().unwrap_or_else(|error| {
            static INSTEAD: OnceLock<CredentialStorage> = OnceLock::new();
            let instead = INSTEAD.get_or_init(|| {
                log::error!("credentials are kept in memory only: {error}");
                CredentialStorage::in_memory()
            });
            instead.clone()
        })
    }

    /// A new storage that is gone with the last of its clones and sessions.
    pub fn in_memory() -> Self {
        CredentialStorage(Arc::new(Inner::new(None)))
    }

    /// A storage that keeps [permanent](Persistence::Permanent) credentials in a file in a directory, which is
    /// made if it is not there. The file is `credentials`, and for nobody but the user; what is in it is not
    /// encrypted. Several storages of a directory are one in a process, and several processes may use it at
    /// once.
    ///
    /// A file that is damaged is set aside as `credentials.corrupt`, and the storage is empty.
    ///
    /// # Errors
    /// If directory or file cannot be made, read and written, if one is another user's, or if everybody may
    /// write to the directory.
    pub fn in_directory(path: impl AsRef<Path>) -> Result<Self> {
        INSTANCES
            .get(path.as_ref(), |path| {
                let inner = Inner::new(Some(Journal::open(places::make(path)?.join(FILE), KIND)?));
                inner.learn();
                Ok(inner)
            })
            .map(CredentialStorage)
    }

    fn try_shared() -> Result<Self> {
        let open = || match Places::of_process()? {
            Some(places) => CredentialStorage::in_directory(&places.state),
            None => Ok(CredentialStorage::in_memory()),
        };
        SHARED.get_or_init(open).clone()
    }

    /// The one that a configuration asks for.
    ///
    /// # Errors
    /// As [`in_directory`](CredentialStorage::in_directory).
    pub(crate) fn of(configuration: &Configuration) -> Result<Option<Self>> {
        match &configuration.credential_storage {
            Choice::None => Ok(None),
            Choice::Own(storage) => Ok(Some(storage.clone())),
            Choice::Automatic if configuration.is_ephemeral() => Ok(Some(CredentialStorage::in_memory())),
            Choice::Automatic => match Places::of(configuration)? {
                Some(places) => CredentialStorage::in_directory(&places.state).map(Some),
                None => CredentialStorage::try_shared().map(Some),
            },
        }
    }

    /// The credentials for a protection space, the default one first. `credentials(for:)`.
    pub fn credentials(&self, space: &ProtectionSpace) -> Vec<Credential> {
        self.0.learn();
        lock(&self.0.spaces).of(space)
    }

    /// All credentials with what they are for, in no particular order. `allCredentials`.
    pub fn all_credentials(&self) -> Vec<(ProtectionSpace, Vec<Credential>)> {
        self.0.learn();
        lock(&self.0.spaces).all()
    }

    /// The credential that is used for a protection space unless somebody objects: the one that was
    /// [made the default](CredentialStorage::set_default), or the only one. `defaultCredential(for:)`.
    pub fn default_credential(&self, space: &ProtectionSpace) -> Option<Credential> {
        self.0.learn();
        lock(&self.0.spaces).default_of(space)
    }

    /// Puts a credential there, in place of one for the same user. `set(_:for:)`.
    ///
    /// One with [`Persistence::None`] and one that accepts a server's trust are not kept. A certificate is
    /// kept in memory. If the file cannot be written, the log says so, and the credential is kept in memory.
    pub fn set(&self, space: &ProtectionSpace, credential: Credential) {
        self.put(space, credential, false);
    }

    /// Puts a credential there, and makes it the default of its space. `setDefaultCredential(_:for:)`.
    pub fn set_default(&self, space: &ProtectionSpace, credential: Credential) {
        self.put(space, credential, true);
    }

    /// Removes the credential for the same user, in memory and in the file. `remove(_:for:)`.
    pub fn remove(&self, space: &ProtectionSpace, credential: &Credential) {
        self.0.learn();
        let removed = lock(&self.0.spaces).remove(space, &Name::of(credential));
        self.0.unasked.forget(space, &Name::of(credential));
        if removed.is_some_and(|removed| removed.persistence() == Persistence::Permanent) {
            self.0.write(&[Change::Remove(space.clone(), Name::of(credential))]);
            self.0.tidy();
        }
    }

    /// Removes all credentials, in memory and in the file. Requests that were answered already are
    /// asked again from now on.
    pub fn remove_all(&self) {
        lock(&self.0.spaces).clear();
        self.0.unasked.clear();
        // A record that says so would leave the passwords before it in the file.
        if let Some(Err(error)) = self.0.journal.as_ref().map(Journal::clear) {
            log::warn!("{error}");
        }
    }

    fn put(&self, space: &ProtectionSpace, credential: Credential, default: bool) {
        if credential.persistence() == Persistence::None || is_trust(&credential) {
            log::debug!("a credential that is not to be kept is not stored");
            return;
        }
        self.0.learn();
        // What requests take along unasked is of the old one.
        self.0.unasked.forget_others(space, &credential);
        let (changes, evicted, is_outdated) = {
            let mut spaces = lock(&self.0.spaces);
            let former = spaces.get(space, &Name::of(&credential));
            let former = former.filter(|former| former.persistence() == Persistence::Permanent);
            let is_outdated = former.as_ref().is_some_and(|former| *former != credential);
            let changes = match (credential.persistence(), former) {
                (Persistence::Permanent, _) => {
                    vec![Change::Set { space: space.clone(), credential: credential.clone(), default }]
                }
                // Or it would come back when the program runs the next time.
                (_, Some(_)) => vec![Change::Remove(space.clone(), Name::of(&credential))],
                (_, None) => Vec::new(),
            };
            let evicted = spaces.set(space, credential, default);
            (changes, evicted, is_outdated)
        };
        let is_outdated = is_outdated || !evicted.is_empty();
        let evicted = evicted.into_iter().inspect(|(space, name)| {
            log::warn!("too many credentials: one for {} is dropped", space.host());
            self.0.unasked.forget(space, name);
        });
        let changes: Vec<_> =
            changes.into_iter().chain(evicted.map(|(space, name)| Change::Remove(space, name))).collect();
        self.0.write(&changes);
        if is_outdated {
            self.0.tidy();
        }
    }
}

/// What the loader asks for.
impl CredentialStorage {
    /// What a request to this URL takes along unasked, because it was right for its neighbours.
    #[inline]
    pub(crate) fn unasked(&self, url: &Url) -> Option<Arc<Proven>> {
        self.0.unasked.find(url)
    }

    /// A server took a credential, in answer to a challenge or unasked, for a request to `url`. `paths` are the
    /// beginnings of the paths that it holds for. The credential is kept as long as its persistence says, and
    /// is the default from now on; one with [`Persistence::None`] is neither kept nor sent unasked.
    pub(crate) fn succeeded(
        &self,
        space: &ProtectionSpace,
        credential: &Credential,
        means: Means,
        url: &Url,
        paths: Vec<String>,
    ) {
        if credential.persistence() == Persistence::None {
            return;
        }
        // Most of the time it is there already.
        if lock(&self.0.spaces).default_of(space).as_ref() != Some(credential) {
            self.set_default(space, credential.clone());
        }
        self.0.unasked.remember(space, credential, means, url, paths);
    }

    /// A server did not take a credential: it is not sent unasked any more.
    pub(crate) fn refused(&self, space: &ProtectionSpace, credential: &Credential) {
        self.0.unasked.forget(space, &Name::of(credential));
    }

    /// The authentication session of a user of Digest at a space: the one that is in use, with the nonce of the
    /// challenge, or a new one. `None` if the credential has no user name, or the system no randomness.
    ///
    /// # Errors
    /// If the user name cannot be sent.
    pub(crate) fn digest_session(
        &self,
        space: &ProtectionSpace,
        credential: &Credential,
        challenge: &DigestChallenge,
    ) -> Result<Option<Arc<DigestSession>>> {
        self.0.unasked.digest_session(space, credential, challenge)
    }

    /// Has what was written put on the disk.
    ///
    /// # Errors
    /// If the disk cannot take it.
    pub(crate) fn flush(&self) -> Result<()> {
        self.0.journal.as_ref().map_or(Ok(()), Journal::sync)
    }
}

impl Inner {
    fn new(journal: Option<Journal>) -> Self {
        Inner { spaces: Mutex::default(), journal, unasked: Unasked::default() }
    }

    /// Takes in what was written to the file, by whomever.
    fn learn(&self) {
        let Some(journal) = &self.journal else { return };
        journal.tell();
        let outdated = {
            let mut spaces = lock(&self.spaces);
            let news = journal.news();
            if news == News::default() {
                return;
            }
            let former = spaces.permanent();
            if news.anew {
                spaces.clear_permanent();
            }
            for record in &news.records {
                match Change::decode(record) {
                    Some(change) => spaces.apply(change),
                    None => log::warn!("{} has a record that is not understood", journal.path().display()),
                }
            }
            let is_outdated = |(space, credential): &(ProtectionSpace, Credential)| {
                spaces.get(space, &Name::of(credential)).as_ref() != Some(credential)
            };
            former.into_iter().filter(is_outdated).collect::<Vec<_>>()
        };
        for (space, credential) in outdated {
            self.unasked.forget(&space, &Name::of(&credential));
        }
    }

    /// Writes changes to the file, which are in memory by now.
    fn write(&self, changes: &[Change]) {
        let Some(journal) = self.journal.as_ref().filter(|_| !changes.is_empty()) else { return };
        let records: Vec<_> = changes.iter().filter_map(Change::encode).collect();
        let written = journal
            .append(&records)
            .and_then(|()| if journal.is_bloated() { self.compact(journal) } else { Ok(()) });
        if let Err(error) = written {
            log::warn!("{error}; what has changed is kept in memory only");
        }
        self.learn();
    }

    /// Sees to it that passwords that are not to be kept do not stay in the file either.
    fn tidy(&self) {
        if let Some(Err(error)) = self.journal.as_ref().map(|journal| self.compact(journal)) {
            log::warn!("{error}; a credential that was removed or replaced may still be in the file");
        }
    }

    fn compact(&self, journal: &Journal) -> Result<()> {
        // Others may be quicker, and then they are likely to compact.
        const MOST_TRIES: usize = 3;
        for _ in 0..MOST_TRIES {
            self.learn();
            let changes = lock(&self.spaces).changes();
            let records: Vec<_> = changes.iter().filter_map(Change::encode).collect();
            if journal.compact(&records)? {
                break;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for CredentialStorage {
    /// Without what is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.0.journal.as_ref().map(Journal::path);
        f.debug_struct("CredentialStorage").field("file", &file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
