//! What the journal of credentials says, a record a change.
//!
//! ```text
//! set     1 │ flags │ space │ kind │ user or token │ password
//! remove  2 │ flags │ space │ kind │ user
//! clear   3
//! space   port 2 │ protocol │ host │ method │ realm
//! ```
//!
//! A text is its length in four bytes, and its bytes in UTF-8. Numbers are little-endian.

use super::spaces::{Name, normalised};
use crate::authentication::method;
use crate::challenge::{AuthenticationMethod, Credential, Persistence, ProtectionSpace};
use std::fmt;

/// Something that is so from now on.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Change {
    Set { space: ProtectionSpace, credential: Credential, default: bool },
    Remove(ProtectionSpace, Name),
    Clear,
}

const SET: u8 = 1;
const REMOVE: u8 = 2;
const CLEAR: u8 = 3;

const IS_PROXY: u8 = 1;
const HAS_REALM: u8 = 2;
const IS_DEFAULT: u8 = 4;

const USER: u8 = 1;
const TOKEN: u8 = 2;

impl Change {
    /// `None` for what no file is to have: certificates, trust, and what they are for.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        match self {
            Change::Set { space, credential, default } => {
                put_space(&mut out, SET, space, if *default { IS_DEFAULT } else { 0 })?;
                match (credential.user(), credential.password(), credential.bearer_token()) {
                    (Some(user), Some(password), _) => {
                        out.push(USER);
                        put(&mut out, user)?;
                        put(&mut out, password)?;
                    }
                    (_, _, Some(token)) => {
                        out.push(TOKEN);
                        put(&mut out, token)?;
                    }
                    _ => return None,
                }
            }
            Change::Remove(space, name) => {
                put_space(&mut out, REMOVE, space, 0)?;
                match name {
                    Name::User(user) => {
                        out.push(USER);
                        put(&mut out, user)?;
                    }
                    Name::Token => out.push(TOKEN),
                    Name::Identity => return None,
                }
            }
            Change::Clear => out.push(CLEAR),
        }
        Some(out)
    }

    /// `None` if it is not understood.
    pub(super) fn decode(record: &[u8]) -> Option<Change> {
        let mut rest = Rest(record);
        let change = match rest.byte()? {
            SET => {
                let (space, flags) = rest.space()?;
                let credential = match rest.byte()? {
                    USER => Credential::new(rest.text()?, rest.text()?, Persistence::Permanent),
                    TOKEN => Credential::token(rest.text()?, Persistence::Permanent),
                    _ => return None,
                };
                Change::Set { space, credential, default: flags & IS_DEFAULT != 0 }
            }
            REMOVE => {
                let (space, _) = rest.space()?;
                let name = match rest.byte()? {
                    USER => Name::User(rest.text()?.to_owned()),
                    TOKEN => Name::Token,
                    _ => return None,
                };
                Change::Remove(space, name)
            }
            CLEAR => Change::Clear,
            _ => return None,
        };
        rest.0.is_empty().then_some(change)
    }
}

impl fmt::Debug for Change {
    /// Without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Change::Set { .. } => "Set",
            Change::Remove(..) => "Remove",
            Change::Clear => "Clear",
        })
    }
}

fn put(out: &mut Vec<u8>, text: &str) -> Option<()> {
    out.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

fn put_space(out: &mut Vec<u8>, change: u8, space: &ProtectionSpace, flags: u8) -> Option<()> {
    let method = match space.authentication_method() {
        AuthenticationMethod::Basic => "Basic",
        AuthenticationMethod::Digest => "Digest",
        AuthenticationMethod::Bearer => "Bearer",
        AuthenticationMethod::Ntlm => "NTLM",
        AuthenticationMethod::Negotiate => "Negotiate",
        AuthenticationMethod::Other(name) => name,
        AuthenticationMethod::ServerTrust | AuthenticationMethod::ClientCertificate => return None,
    };
    let proxy = if space.is_proxy() { IS_PROXY } else { 0 };
    let realm = if space.realm().is_some() { HAS_REALM } else { 0 };
    out.extend_from_slice(&[change, flags | proxy | realm]);
    out.extend_from_slice(&space.port().to_le_bytes());
    for text in [space.protocol(), space.host(), method, space.realm().unwrap_or_default()] {
        put(out, text)?;
    }
    Some(())
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn text(&mut self) -> Option<&'a str> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn space(&mut self) -> Option<(ProtectionSpace, u8)> {
        let flags = self.byte()?;
        let (port, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        let (protocol, host) = (self.text()?, self.text()?);
        let mut space = ProtectionSpace::new(host, u16::from_le_bytes(*port), protocol, method(self.text()?));
        let realm = self.text()?;
        if flags & HAS_REALM != 0 {
            space = space.with_realm(realm);
        }
        if flags & IS_PROXY != 0 {
            space = space.on_proxy();
        }
        Some((normalised(&space), flags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change> {
        let space = |method| ProtectionSpace::new("example.com", 8443, "https", method);
        let credential = Credential::new("ü", "", Persistence::Permanent);
        let token = Credential::token("abc", Persistence::Permanent);
        let new = AuthenticationMethod::Other("New".into());
        vec![
            Change::Set {
                space: space(AuthenticationMethod::Digest).with_realm("a b"),
                credential,
                default: true,
            },
            Change::Set {
                space: space(AuthenticationMethod::Bearer).on_proxy(),
                credential: token,
                default: false,
            },
            Change::Remove(space(new).with_realm(""), Name::User("me".into())),
            Change::Remove(space(AuthenticationMethod::Ntlm), Name::Token),
            Change::Clear,
        ]
    }

    #[test]
    fn what_is_written_is_read_again() {
        for change in changes() {
            let written = change.encode().expect("a record");
            assert!(Change::decode(&written).is_some_and(|read| read == change), "{change:?}");
        }
    }

    #[test]
    fn what_is_cut_or_longer_is_not_understood() {
        for change in changes() {
            let mut written = change.encode().expect("a record");
            for end in 0..written.len() {
                assert!(Change::decode(&written[..end]).is_none());
            }
            written.push(0);
            assert!(Change::decode(&written).is_none());
        }
        assert!(Change::decode(&[9]).is_none());
        assert!(Change::decode(&[SET, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]).is_none());
    }

    #[test]
    fn certificates_are_never_written() {
        let space = ProtectionSpace::new("h", 0, "https", AuthenticationMethod::ClientCertificate);
        assert!(Change::Remove(space.clone(), Name::Identity).encode().is_none());
        let credential = Credential::new("u", "p", Persistence::Permanent);
        assert!(Change::Set { space, credential, default: false }.encode().is_none());
    }
}
