//! An authentication session (RFC 7616 section 3.6): a user at a realm, with the nonce of the moment. Shared
//! by all tasks that go there, so that no count is used twice with one nonce.
//!
//! ```text
//!                      401 with another nonce, or nextnonce
//!                     ┌──────────────────────────────┐
//!                     ▼                              │
//! challenge ─▶ a nonce, counted from 1 ── authorize ─┤
//!                     ▲                              ├─▶ spent: the count is at its end
//!                     └───────── 401 ◀── none ◀──────┴─▶ refuted: the server did not know the password
//! ```
//!
//! The lock guards the nonce and its count, and is held while they are read or changed; hashes are
//! computed outside it.

use super::hash::BodyHasher;
use super::{DigestChallenge, Qop};
use crate::error::{Error, ErrorKind, Result};
use crate::proto::auth::challenges::parameters;
use crate::sync::{Arc, Mutex, lock};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::collections::VecDeque;
use std::fmt;

/// How many former nonces are remembered, for servers that come back to one.
const FORMER: usize = 16;

/// See the module's documentation.
pub(crate) struct DigestSession {
    /// What the challenge asked for. Its nonce and opaque are those of the beginning.
    asked: DigestChallenge,
    /// The parameter, or the two, that name the user.
    user: Vec<u8>,
    /// The hash of user name, realm and password.
    secret: String,
    client_nonce: String,
    state: Mutex<State>,
}

struct State {
    current: Arc<Nonce>,
    /// How often it was used.
    count: u32,
    opaque: Option<Vec<u8>>,
    is_usable: bool,
    /// Those of before with their counts, the latest last.
    former: VecDeque<(Vec<u8>, u32)>,
}

/// A nonce with the key for it.
struct Nonce {
    value: Vec<u8>,
    key: String,
}

/// What goes out with a request.
pub(crate) struct Answer {
    /// The value of `Authorization` or `Proxy-Authorization`.
    pub(crate) value: HeaderValue,
    /// What the response is to be held against.
    pub(crate) proof: Proof,
}

/// What a server that knows the password has to prove (`rspauth`), and for which nonce.
pub(crate) struct Proof {
    nonce: Arc<Nonce>,
    count: String,
    target: String,
}

/// What `Authentication-Info` said about the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It knows the password.
    Proven,
    /// It does not tell, or in a way that cannot be verified here.
    Unproven,
    /// It said so, and it is not true.
    Refuted,
}

impl Proof {
    /// Whether the request had the nonce of this challenge.
    pub(crate) fn is_for(&self, challenge: &DigestChallenge) -> bool {
        self.nonce.value == challenge.nonce
    }
}

impl DigestSession {
    /// A session for a user and the password.
    ///
    /// # Errors
    ///
    /// `BadUrl` for a user name that cannot be in a header.
    pub(crate) fn new(
        challenge: &DigestChallenge,
        user: &str,
        password: &str,
        client_nonce: String,
    ) -> Result<Self> {
        if user.chars().any(char::is_control) {
            let message = "Digest authentication: a user name cannot have control characters in it";
            return Err(Error::new(ErrorKind::BadUrl, message));
        }
        let hash = challenge.algorithm.hash;
        let secret = hash.of(&[user.as_bytes(), &challenge.realm, password.as_bytes()]);
        let user = user_field(challenge, user);
        let mut session = DigestSession {
            asked: challenge.clone(),
            user,
            secret,
            client_nonce,
            state: Mutex::new(State {
                current: Arc::new(Nonce { value: Vec::new(), key: String::new() }),
                count: 0,
                opaque: challenge.opaque.clone(),
                is_usable: true,
                former: VecDeque::new(),
            }),
        };
        let current = Arc::new(session.nonce(challenge.nonce.clone()));
        session.state.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).current = current;
        Ok(session)
    }

    /// Whether an answer takes the hash of the body.
    pub(crate) fn needs_body(&self) -> bool {
        self.asked.qop == Some(Qop::AuthInt)
    }

    /// What makes that hash.
    pub(crate) fn body_hasher(&self) -> BodyHasher {
        BodyHasher::new(self.asked.algorithm.hash)
    }

    /// The answer for a request; `target` is as it stands in the request line. `body` is the hash of the body,
    /// where one is [needed](Self::needs_body) and there is a body.
    ///
    /// `None` if there is no nonce that can be used: the request goes without, and a challenge brings one.
    pub(crate) fn authorize(&self, method: &str, target: &str, body: Option<&str>) -> Option<Answer> {
        let (nonce, count, opaque) = {
            let mut state = lock(&self.state);
            if !state.is_usable {
                return None;
            }
            let Some(count) = state.count.checked_add(1) else {
                state.is_usable = false;
                return None;
            };
            state.count = count;
            (Arc::clone(&state.current), count, state.opaque.clone())
        };
        let count = format!("{count:08x}");
        let hash = self.asked.algorithm.hash;
        let request = match self.asked.qop {
            Some(Qop::AuthInt) => {
                let nothing;
                let body = match body {
                    Some(body) => body,
                    None => {
                        nothing = hash.of(&[]);
                        &nothing
                    }
                };
                hash.of(&[method.as_bytes(), target.as_bytes(), body.as_bytes()])
            }
            _ => hash.of(&[method.as_bytes(), target.as_bytes()]),
        };
        let response = self.response(&nonce, &count, self.asked.qop, &request);

        let mut value = b"Digest ".to_vec();
        value.extend_from_slice(&self.user);
        quoted(&mut value, "realm", &self.asked.realm);
        quoted(&mut value, "uri", target.as_bytes());
        if let Some(name) = &self.asked.algorithm.name {
            plain(&mut value, "algorithm", name);
        }
        quoted(&mut value, "nonce", &nonce.value);
        if let Some(qop) = self.asked.qop {
            plain(&mut value, "nc", &count);
            quoted(&mut value, "cnonce", self.client_nonce.as_bytes());
            plain(&mut value, "qop", qop.name());
        }
        quoted(&mut value, "response", response.as_bytes());
        if let Some(opaque) = opaque {
            quoted(&mut value, "opaque", &opaque);
        }
        if self.asked.hashes_user {
            plain(&mut value, "userhash", "true");
        }
        // All of it is fit for a header, unless the target is not.
        let value = super::super::secret(value).ok()?;
        Some(Answer { value, proof: Proof { nonce, count, target: target.to_owned() } })
    }

    /// Whether a challenge asks for what the session was made for, so that it can be [renewed](Self::renew).
    pub(crate) fn fits(&self, challenge: &DigestChallenge) -> bool {
        let alike = |challenge: &DigestChallenge| {
            let DigestChallenge { algorithm, qop, is_utf8, hashes_user, .. } = challenge;
            (algorithm.clone(), *qop, *is_utf8, *hashes_user)
        };
        alike(challenge) == alike(&self.asked) && challenge.realm == self.asked.realm
    }

    /// A challenge came for the same user: its nonce is used from now on. False if it does not
    /// [fit](Self::fits), so that another session has to be made.
    pub(crate) fn renew(&self, challenge: &DigestChallenge) -> bool {
        if !self.fits(challenge) {
            return false;
        }
        let nonce = self.nonce(challenge.nonce.clone());
        let mut state = lock(&self.state);
        state.opaque.clone_from(&challenge.opaque);
        state.adopt(nonce);
        true
    }

    /// What the response says about server and nonce: `Authentication-Info`, or `Proxy-Authentication-Info`
    /// (RFC 7616 section 3.5). A server that says that it knows the password and does not loses its nonce.
    pub(crate) fn informed(&self, proof: &Proof, headers: &HeaderMap, name: &HeaderName) -> Peer {
        let mut lines = headers.get_all(name).iter();
        let Some(line) = lines.next() else { return Peer::Unproven };
        let text = crate::header::decoded(line);
        let Some(info) = lines.next().is_none().then(|| parameters(&text)).flatten() else {
            log::debug!("{name} is malformed, and is ignored");
            return Peer::Unproven;
        };
        let info = Info(info);
        let peer = self.judge(proof, &info);
        if peer == Peer::Refuted {
            log::warn!("{name}: the server does not know the password; its nonce is not used any more");
            let mut state = lock(&self.state);
            if Arc::ptr_eq(&state.current, &proof.nonce) {
                state.is_usable = false;
            }
            return peer;
        }
        // The key of a -sess algorithm is made of the nonce of the challenge, or of the one of the moment:
        // servers differ. So they get the nonce they know, and say in a challenge when it is too old.
        let next = info.parameter("nextnonce").filter(|_| !self.asked.algorithm.is_session);
        if let Some(next) = next.filter(|next| next.is_ascii() && (1..=super::LONGEST).contains(&next.len()))
        {
            let nonce = self.nonce(next.as_bytes().to_vec());
            let mut state = lock(&self.state);
            // Answers cross. One to an older nonce knows nothing of the one of now.
            if state.current.value == proof.nonce.value {
                state.adopt(nonce);
            }
        }
        peer
    }

    fn judge(&self, proof: &Proof, info: &Info) -> Peer {
        let (Some(said), Some(qop)) = (info.parameter("rspauth"), self.asked.qop) else {
            return Peer::Unproven;
        };
        let other =
            |name, ours: &str| info.parameter(name).is_some_and(|theirs| !theirs.eq_ignore_ascii_case(ours));
        if other("cnonce", &self.client_nonce) || other("nc", &proof.count) {
            return Peer::Refuted;
        }
        // auth-int would take the whole body of the response.
        if qop == Qop::AuthInt || other("qop", Qop::Auth.name()) {
            return Peer::Unproven;
        }
        let response = self.asked.algorithm.hash.of(&[b"", proof.target.as_bytes()]);
        let right = self.response(&proof.nonce, &proof.count, Some(Qop::Auth), &response);
        if said.eq_ignore_ascii_case(&right) { Peer::Proven } else { Peer::Refuted }
    }

    /// The digest over what the request, or the response, is.
    fn response(&self, nonce: &Nonce, count: &str, qop: Option<Qop>, hashed: &str) -> String {
        let hash = self.asked.algorithm.hash;
        let (key, hashed) = (nonce.key.as_bytes(), hashed.as_bytes());
        match qop {
            None => hash.of(&[key, &nonce.value, hashed]),
            Some(qop) => {
                let client_nonce = self.client_nonce.as_bytes();
                hash.of(&[key, &nonce.value, count.as_bytes(), client_nonce, qop.name().as_bytes(), hashed])
            }
        }
    }

    fn nonce(&self, value: Vec<u8>) -> Nonce {
        let key = if self.asked.algorithm.is_session {
            self.asked.algorithm.hash.of(&[self.secret.as_bytes(), &value, self.client_nonce.as_bytes()])
        } else {
            self.secret.clone()
        };
        Nonce { value, key }
    }
}

/// The parameters of `Authentication-Info`.
struct Info(Vec<(String, String)>);

impl Info {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl State {
    /// Goes over to a nonce. One that was there before goes on where its count was.
    fn adopt(&mut self, nonce: Nonce) {
        self.is_usable = true;
        if nonce.value == self.current.value {
            return;
        }
        let known = self.former.iter().position(|(value, _)| *value == nonce.value);
        let count = known.and_then(|at| self.former.remove(at)).map_or(0, |(_, count)| count);
        if self.former.len() == FORMER {
            self.former.pop_front();
        }
        self.former.push_back((self.current.value.clone(), self.count));
        self.count = count;
        self.current = Arc::new(nonce);
    }
}

impl fmt::Debug for DigestSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestSession").field("algorithm", &self.asked.algorithm).finish_non_exhaustive()
    }
}

/// RFC 7616 section 3.4 has `username*` for names that are not ASCII. Servers of before do not know it, nor
/// do they say which charset they want; they get the bytes as they are.
fn user_field(challenge: &DigestChallenge, user: &str) -> Vec<u8> {
    let mut field = Vec::new();
    if challenge.hashes_user {
        let hash = challenge.algorithm.hash.of(&[user.as_bytes(), &challenge.realm]);
        field.extend_from_slice(format!("username=\"{hash}\"").as_bytes());
    } else if challenge.is_utf8 && !user.is_ascii() {
        field.extend_from_slice(b"username*=UTF-8''");
        for byte in user.bytes() {
            // RFC 8187 section 3.2.1.
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                field.push(byte);
            } else {
                field.extend_from_slice(format!("%{byte:02X}").as_bytes());
            }
        }
    } else {
        quoted(&mut field, "username", user.as_bytes());
        field.drain(..", ".len());
    }
    field
}

/// Which parameters are quoted, and which are not, is fixed (RFC 7616 section 3.4).
fn quoted(value: &mut Vec<u8>, name: &str, text: &[u8]) {
    value.extend_from_slice(format!(", {name}=\"").as_bytes());
    for &byte in text {
        if byte == b'"' || byte == b'\\' {
            value.push(b'\\');
        }
        value.push(byte);
    }
    value.push(b'"');
}

fn plain(value: &mut Vec<u8>, name: &str, text: &str) {
    value.extend_from_slice(format!(", {name}={text}").as_bytes());
}

#[cfg(all(test, feature = "digest"))]
impl DigestSession {
    pub(super) fn count_from(&self, count: u32) {
        lock(&self.state).count = count;
    }
}
