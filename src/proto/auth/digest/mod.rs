//! Digest authentication (RFC 7616, and RFC 2617 and 2069 where servers are that old): what a challenge
//! asks for. What answers it is a [`DigestSession`].
//!
//! Where the specifications leave room: of `auth` and `auth-int` the former is chosen; `-sess` without
//! `qop` is passed over, since its key needs a client nonce that the answer has no place for; `domain`
//! counts within the origin that names it.

pub(crate) mod hash;
// Without hashes there are no sessions, and what makes them is never reached.
#[cfg_attr(not(feature = "digest"), allow(unreachable_code, unused_variables, unused_mut))]
mod session;

pub(crate) use session::{DigestSession, Proof};

use super::basic;
use super::challenges::AuthChallenge;
use hash::Hash;
use std::fmt;
use url::{Position, Url};

/// How long what an answer has to repeat may be, in bytes.
const LONGEST: usize = 16 * 1024;

/// How many members of `domain` are kept.
const MOST_PATHS: usize = 64;

/// A challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DigestChallenge {
    algorithm: Algorithm,
    qop: Option<Qop>,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    opaque: Option<Vec<u8>>,
    domain: Vec<String>,
    is_stale: bool,
    is_utf8: bool,
    hashes_user: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Algorithm {
    hash: Hash,
    /// `-sess`: the key is made once a nonce.
    is_session: bool,
    /// As the server wrote it, if it did.
    name: Option<String>,
}

/// Quality of protection: what of the request the digest is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qop {
    /// Method and target.
    Auth,
    /// The body too.
    AuthInt,
}

impl Qop {
    fn name(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }
}

/// Why a challenge cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswerable {
    /// It has no realm or no nonce.
    Incomplete,
    /// Its algorithm is none that we know, or that this library was built with.
    Algorithm,
    /// It has a `qop`, and none that we know.
    Qop,
    /// `-sess` without `qop`.
    SessionWithoutQop,
    /// Realm, nonce and opaque are too long to be repeated.
    TooLong,
}

impl DigestChallenge {
    pub(crate) fn of(challenge: &AuthChallenge) -> Result<Self, Unanswerable> {
        let bytes = |name| challenge.parameter(name).map(|value| challenge.bytes(value));
        let is_true =
            |name| challenge.parameter(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let realm = bytes("realm").ok_or(Unanswerable::Incomplete)?;
        let nonce = bytes("nonce").ok_or(Unanswerable::Incomplete)?;
        let opaque = bytes("opaque");
        if realm.len() + nonce.len() + opaque.as_ref().map_or(0, Vec::len) > LONGEST {
            return Err(Unanswerable::TooLong);
        }
        let algorithm = algorithm(challenge.parameter("algorithm")).ok_or(Unanswerable::Algorithm)?;
        let qop = qop(challenge.parameter("qop"))?;
        if algorithm.is_session && qop.is_none() {
            return Err(Unanswerable::SessionWithoutQop);
        }
        let domain = challenge.parameter("domain").unwrap_or_default();
        Ok(DigestChallenge {
            algorithm,
            qop,
            realm,
            nonce,
            opaque,
            domain: domain.split_ascii_whitespace().take(MOST_PATHS).map(str::to_owned).collect(),
            is_stale: is_true("stale"),
            is_utf8: challenge.parameter("charset").is_some_and(|set| set.eq_ignore_ascii_case("utf-8")),
            hashes_user: is_true("userhash"),
        })
    }

    /// Whether only the nonce was too old, so that the same user name and password may do.
    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// The stronger, the greater.
    pub(crate) fn strength(&self) -> impl Ord + use<> {
        self.algorithm.hash
    }

    /// With what the paths begin to which an answer may be sent unasked, when this came from a URL (RFC 7616
    /// section 3.3). The whole origin, unless `domain` says otherwise. What it says about other origins is
    /// left out: nobody but they themselves should.
    pub(crate) fn paths(&self, from: &Url) -> Vec<String> {
        if self.domain.is_empty() {
            return vec!["/".to_owned()];
        }
        let own = self.domain.iter().filter_map(|uri| from.join(uri).ok());
        let own = own.filter(|url| url.origin() == from.origin() && url.origin().is_tuple());
        let paths: Vec<_> =
            own.map(|url| url[Position::BeforePath..Position::AfterPath].to_owned()).collect();
        if paths.is_empty() { vec![basic::directory(from.path()).to_owned()] } else { paths }
    }
}

fn algorithm(name: Option<&str>) -> Option<Algorithm> {
    let text = name.unwrap_or("MD5");
    let (base, is_session) =
        match text.len().checked_sub("-sess".len()).and_then(|at| text.split_at_checked(at)) {
            Some((base, suffix)) if suffix.eq_ignore_ascii_case("-sess") => (base, true),
            _ => (text, false),
        };
    Some(Algorithm { hash: Hash::named(base)?, is_session, name: name.map(str::to_owned) })
}

fn qop(list: Option<&str>) -> Result<Option<Qop>, Unanswerable> {
    let Some(list) = list.filter(|list| !list.trim().is_empty()) else { return Ok(None) };
    let has = |qop: Qop| list.split(',').any(|option| option.trim().eq_ignore_ascii_case(qop.name()));
    [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| has(*qop)).map(Some).ok_or(Unanswerable::Qop)
}

impl fmt::Display for Unanswerable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unanswerable::Incomplete => "it has no realm or no nonce",
            Unanswerable::Algorithm => "its algorithm is not known here",
            Unanswerable::Qop => "its qop is not known",
            Unanswerable::SessionWithoutQop => "its algorithm needs a qop, and it has none",
            Unanswerable::TooLong => "what would have to be repeated is too long",
        })
    }
}

#[cfg(all(test, feature = "digest"))]
mod tests;
