//! What requests take along unasked: by origin, the protection spaces whose credential a server has taken,
//! with the paths they are known to cover (RFC 7617 section 2.2, RFC 7616 section 3.6).
//!
//! The lock is taken for a look-up in a table; a storage that has nothing does without.

use super::spaces::{Name, normalised};
use crate::challenge::{Credential, ProtectionSpace};
use crate::error::Result;
use crate::proto::auth::digest::hash::client_nonce;
use crate::proto::auth::digest::{DigestChallenge, DigestSession};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};
use http::HeaderValue;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Weak;
use url::{Position, Url};

/// How many origins are known, spaces in each, and paths in each of those. What is new takes the place of
/// what is old.
const MOST_ORIGINS: usize = 1000;
const MOST_SPACES: usize = 16;
const MOST_PATHS: usize = 64;

/// How many authentication sessions may be in use at a time without being known here.
const MOST_SESSIONS: usize = 1000;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Unasked {
    /// Whether there may be something.
    any: AtomicBool,
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    /// In each origin, the oldest first.
    origins: HashMap<String, Vec<Arc<Proven>>>,
    /// Those that somebody has.
    sessions: Vec<Session>,
}

struct Session {
    space: ProtectionSpace,
    credential: Credential,
    session: Weak<DigestSession>,
}

/// A credential that a server has taken.
pub(crate) struct Proven {
    pub(crate) space: ProtectionSpace,
    pub(crate) credential: Credential,
    pub(crate) means: Means,
    /// What the paths begin with that it covers.
    paths: Vec<String>,
}

/// How a request is to be authenticated.
#[derive(Clone)]
pub(crate) enum Means {
    /// With this value: Basic, Bearer.
    Value(HeaderValue),
    Digest(Arc<DigestSession>),
}

impl Unasked {
    /// What a request to this URL takes along: of the spaces that cover it the most particular.
    #[inline]
    pub(crate) fn find(&self, url: &Url) -> Option<Arc<Proven>> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        self.find_at(&origin(url)?, url.path())
    }

    #[cold]
    fn find_at(&self, origin: &str, path: &str) -> Option<Arc<Proven>> {
        let tables = lock(&self.tables);
        // Of two that are as long the newer one.
        let found =
            tables.origins.get(origin)?.iter().filter_map(|proven| Some((proven.cover(path)?, proven)));
        found.max_by_key(|(len, _)| *len).map(|(_, proven)| Arc::clone(proven))
    }

    /// A server has taken this for a request to the URL.
    pub(super) fn remember(
        &self,
        space: &ProtectionSpace,
        credential: &Credential,
        means: Means,
        url: &Url,
        mut paths: Vec<String>,
    ) {
        // What a proxy wants is not for the servers behind it.
        let Some(origin) = origin(url).filter(|_| space.is_server()).map(Cow::into_owned) else { return };
        let space = normalised(space);
        let mut tables = lock(&self.tables);
        self.any.store(true, Ordering::Relaxed);
        if tables.origins.len() >= MOST_ORIGINS && !tables.origins.contains_key(&origin) {
            if let Some(other) = tables.origins.keys().next().cloned() {
                tables.origins.remove(&other);
            }
        }
        let known = tables.origins.entry(origin).or_default();
        if let Some(at) = known.iter().position(|known| known.space == space) {
            let former = known.remove(at);
            let covered = |path: &String| paths.iter().any(|new| path.starts_with(new.as_str()));
            let kept: Vec<_> = former.paths.iter().filter(|path| !covered(path)).cloned().collect();
            // Those that a former one covers say nothing new.
            paths.retain(|path| !kept.iter().any(|kept| path.starts_with(kept.as_str())));
            paths.splice(0..0, kept);
        }
        let excess = paths.len().saturating_sub(MOST_PATHS);
        paths.drain(..excess);
        if known.len() >= MOST_SPACES {
            known.remove(0);
        }
        known.push(Arc::new(Proven { space, credential: credential.clone(), means, paths }));
    }

    /// Forgets the credential of that name.
    pub(super) fn forget(&self, space: &ProtectionSpace, name: &Name) {
        self.forget_if(space, |known| Name::of(known) == *name);
    }

    /// Forgets what does not go together with a credential that is now there.
    pub(super) fn forget_others(&self, space: &ProtectionSpace, credential: &Credential) {
        let differs = |known: &Credential| {
            known.password() != credential.password() || known.bearer_token() != credential.bearer_token()
        };
        self.forget_if(space, |known| Name::of(known) == Name::of(credential) && differs(known));
    }

    fn forget_if(&self, space: &ProtectionSpace, is: impl Fn(&Credential) -> bool) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let space = normalised(space);
        let mut tables = lock(&self.tables);
        tables.origins.retain(|_, known| {
            known.retain(|known| known.space != space || !is(&known.credential));
            !known.is_empty()
        });
        self.any.store(!tables.origins.is_empty(), Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        let mut tables = lock(&self.tables);
        *tables = Tables::default();
        self.any.store(false, Ordering::Relaxed);
    }

    /// See [`CredentialStorage::digest_session`](super::CredentialStorage::digest_session).
    pub(super) fn digest_session(
        &self,
        space: &ProtectionSpace,
        credential: &Credential,
        challenge: &DigestChallenge,
    ) -> Result<Option<Arc<DigestSession>>> {
        let (Some(user), Some(password)) = (credential.user(), credential.password()) else {
            return Ok(None);
        };
        let space = normalised(space);
        let is_it = |known: &Session| {
            let of = &known.credential;
            known.space == space && of.user() == Some(user) && of.password() == Some(password)
        };
        let find = |tables: &Tables| {
            let alive = tables.sessions.iter().filter(|known| is_it(known));
            alive.filter_map(|known| known.session.upgrade()).find(|session| session.fits(challenge))
        };
        let known = find(&lock(&self.tables));
        if let Some(session) = known {
            session.renew(challenge);
            return Ok(Some(session));
        }
        let Some(nonce) = client_nonce() else {
            log::error!("the system has no random numbers, which Digest authentication takes");
            return Ok(None);
        };
        let session = Arc::new(DigestSession::new(challenge, user, password, nonce)?);
        let faster = {
            let mut tables = lock(&self.tables);
            let faster = find(&tables);
            if faster.is_none() {
                tables.sessions.retain(|known| known.session.strong_count() > 0);
                if tables.sessions.len() < MOST_SESSIONS {
                    let (credential, session) = (credential.clone(), Arc::downgrade(&session));
                    tables.sessions.push(Session { space: space.clone(), credential, session });
                }
            }
            faster
        };
        Ok(Some(match faster {
            // Its nonce has been counted by somebody.
            Some(other) => {
                other.renew(challenge);
                other
            }
            None => session,
        }))
    }
}

impl Proven {
    /// How long the longest beginning is that covers a path.
    fn cover(&self, path: &str) -> Option<usize> {
        self.paths.iter().filter(|begin| path.starts_with(begin.as_str())).map(String::len).max()
    }
}

/// The key of a server. A URL without user name is its own.
fn origin(url: &Url) -> Option<Cow<'_, str>> {
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    if url.username().is_empty() && url.password().is_none() {
        return Some(Cow::Borrowed(&url[..Position::BeforePath]));
    }
    Some(Cow::Owned(url.origin().ascii_serialization()))
}
