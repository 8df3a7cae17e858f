//! Credentials by protection space and name. A plain collection; knows what makes two spaces one, and how
//! many there may be.

use super::record::Change;
use crate::challenge::{Credential, Persistence, ProtectionSpace};
use std::collections::HashMap;

/// How many spaces there may be, and credentials in each. The oldest make room.
pub(super) const MOST_SPACES: usize = 3000;
pub(super) const MOST_IN_SPACE: usize = 100;

#[derive(Default)]
pub(super) struct Spaces {
    spaces: HashMap<ProtectionSpace, Space>,
    /// How many were made.
    made: u64,
}

struct Space {
    number: u64,
    /// The oldest first.
    credentials: Vec<Credential>,
    default: Option<Name>,
}

/// What a credential is known by in its space: there is one of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    User(String),
    Token,
    /// A certificate.
    Identity,
}

impl Name {
    pub(crate) fn of(credential: &Credential) -> Self {
        match credential.user() {
            Some(user) => Name::User(user.to_owned()),
            None if credential.bearer_token().is_some() => Name::Token,
            None => Name::Identity,
        }
    }
}

/// Whether it accepts a server, which counts for one connection.
pub(super) fn is_trust(credential: &Credential) -> bool {
    #[cfg(feature = "tls")]
    return credential.trust().is_some();
    #[cfg(not(feature = "tls"))]
    {
        let _ = credential;
        false
    }
}

/// A space as it is compared: in lower case, with its port, and without what the server shows of itself.
pub(super) fn normalised(space: &ProtectionSpace) -> ProtectionSpace {
    let protocol = space.protocol().to_ascii_lowercase();
    let port = match (space.port(), protocol.as_str()) {
        (0, "http") => 80,
        (0, "https") => 443,
        (port, _) => port,
    };
    let host = space.host().to_ascii_lowercase();
    let mut normal = ProtectionSpace::new(host, port, protocol, space.authentication_method().clone());
    if let Some(realm) = space.realm() {
        normal = normal.with_realm(realm);
    }
    if space.is_proxy() { normal.on_proxy() } else { normal }
}

impl Spaces {
    /// The credentials of a space, the default one first.
    pub(super) fn of(&self, space: &ProtectionSpace) -> Vec<Credential> {
        self.spaces.get(&normalised(space)).map_or_else(Vec::new, Space::in_order)
    }

    pub(super) fn all(&self) -> Vec<(ProtectionSpace, Vec<Credential>)> {
        self.spaces.iter().map(|(space, of)| (space.clone(), of.in_order())).collect()
    }

    pub(super) fn get(&self, space: &ProtectionSpace, name: &Name) -> Option<Credential> {
        self.spaces.get(&normalised(space))?.named(name).cloned()
    }

    /// The default one, or the only one.
    pub(super) fn default_of(&self, space: &ProtectionSpace) -> Option<Credential> {
        let space = self.spaces.get(&normalised(space))?;
        match (&space.default, space.credentials.as_slice()) {
            (Some(name), _) => space.named(name).cloned(),
            (None, [only]) => Some(only.clone()),
            (None, _) => None,
        }
    }

    /// Puts one there, and gives the names of those in the file that had to make room.
    pub(super) fn set(
        &mut self,
        space: &ProtectionSpace,
        credential: Credential,
        default: bool,
    ) -> Vec<(ProtectionSpace, Name)> {
        let key = normalised(space);
        let mut evicted = Vec::new();
        if self.spaces.len() >= MOST_SPACES && !self.spaces.contains_key(&key) {
            evicted = self.evict();
        }
        let number = self.made;
        self.made += 1;
        let new = || Space { number, credentials: Vec::new(), default: None };
        let space = self.spaces.entry(key.clone()).or_insert_with(new);
        let name = Name::of(&credential);
        space.remove(&name);
        if space.credentials.len() >= MOST_IN_SPACE {
            let oldest = space.credentials.remove(0);
            evicted.push((key, Name::of(&oldest)));
        }
        space.credentials.push(credential);
        if default {
            space.default = Some(name);
        }
        evicted
    }

    /// Takes the oldest space out.
    fn evict(&mut self) -> Vec<(ProtectionSpace, Name)> {
        let oldest = self.spaces.iter().min_by_key(|(_, space)| space.number).map(|(key, _)| key.clone());
        let Some((key, space)) = oldest.and_then(|key| self.spaces.remove_entry(&key)) else {
            return Vec::new();
        };
        space.credentials.iter().map(|credential| (key.clone(), Name::of(credential))).collect()
    }

    pub(super) fn remove(&mut self, space: &ProtectionSpace, name: &Name) -> Option<Credential> {
        let key = normalised(space);
        let space = self.spaces.get_mut(&key)?;
        let removed = space.remove(name);
        if space.default.as_ref() == Some(name) {
            space.default = None;
        }
        if space.credentials.is_empty() {
            self.spaces.remove(&key);
        }
        removed
    }

    /// Takes in a change of what is in the file. What is in memory alone goes before it.
    pub(super) fn apply(&mut self, change: Change) {
        let is_ours = |spaces: &Self, space, name| {
            spaces.get(space, name).is_some_and(|known| known.persistence() != Persistence::Permanent)
        };
        match change {
            Change::Set { space, credential, default } => {
                if !is_ours(self, &space, &Name::of(&credential)) {
                    // What has to make room has to do so wherever the file is read.
                    self.set(&space, credential, default);
                }
            }
            Change::Remove(space, name) => {
                if !is_ours(self, &space, &name) {
                    self.remove(&space, &name);
                }
            }
            Change::Clear => self.clear_permanent(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.spaces.clear();
    }

    /// Removes all that are in the file.
    pub(super) fn clear_permanent(&mut self) {
        self.spaces.retain(|_, space| {
            space.credentials.retain(|credential| credential.persistence() != Persistence::Permanent);
            if space.default.as_ref().is_some_and(|name| space.named(name).is_none()) {
                space.default = None;
            }
            !space.credentials.is_empty()
        });
    }

    /// All that are in the file.
    pub(super) fn permanent(&self) -> Vec<(ProtectionSpace, Credential)> {
        let changes = self.changes().into_iter();
        changes
            .filter_map(|change| match change {
                Change::Set { space, credential, .. } => Some((space, credential)),
                _ => None,
            })
            .collect()
    }

    /// What makes a file with all that is to be in it.
    pub(super) fn changes(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, space) in &self.spaces {
            for credential in &space.credentials {
                if credential.persistence() == Persistence::Permanent {
                    let default = space.default.as_ref() == Some(&Name::of(credential));
                    let (space, credential) = (key.clone(), credential.clone());
                    changes.push(Change::Set { space, credential, default });
                }
            }
        }
        changes
    }
}

impl Space {
    fn named(&self, name: &Name) -> Option<&Credential> {
        self.credentials.iter().find(|credential| Name::of(credential) == *name)
    }

    fn remove(&mut self, name: &Name) -> Option<Credential> {
        let at = self.credentials.iter().position(|credential| Name::of(credential) == *name)?;
        Some(self.credentials.remove(at))
    }

    fn in_order(&self) -> Vec<Credential> {
        let is_default = |credential: &Credential| self.default.as_ref() == Some(&Name::of(credential));
        let mut credentials = self.credentials.clone();
        credentials.sort_by_key(|credential| !is_default(credential));
        credentials
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::challenge::AuthenticationMethod;

    fn space(host: &str, port: u16, protocol: &str, realm: &str) -> ProtectionSpace {
        ProtectionSpace::new(host, port, protocol, AuthenticationMethod::Basic).with_realm(realm)
    }

    fn credential(user: &str) -> Credential {
        Credential::new(user, "x", Persistence::ForSession)
    }

    #[test]
    fn one_space_by_several_names() {
        let mut spaces = Spaces::default();
        spaces.set(&space("Example.COM", 0, "HTTPS", "a"), credential("me"), false);
        assert!(spaces.default_of(&space("example.com", 443, "https", "a")).is_some());
        for other in [
            space("example.com", 443, "https", "A"),
            space("example.com", 444, "https", "a"),
            space("example.com", 443, "http", "a"),
            space("example.com", 443, "https", "a").on_proxy(),
            ProtectionSpace::new("example.com", 443, "https", AuthenticationMethod::Digest).with_realm("a"),
        ] {
            assert_eq!(spaces.default_of(&other), None, "{other:?}");
        }
    }

    #[test]
    fn the_default_is_named_or_alone() {
        let (mut spaces, space) = (Spaces::default(), space("h", 0, "http", "r"));
        spaces.set(&space, credential("one"), false);
        assert_eq!(spaces.default_of(&space), Some(credential("one")));
        spaces.set(&space, credential("two"), false);
        assert_eq!(spaces.default_of(&space), None);
        spaces.set(&space, credential("two"), true);
        spaces.set(&space, Credential::token("t", Persistence::ForSession), false);
        assert_eq!(spaces.default_of(&space), Some(credential("two")));
        let users: Vec<_> = spaces.of(&space).iter().map(Name::of).collect();
        assert_eq!(users, [Name::User("two".into()), Name::User("one".into()), Name::Token]);
        spaces.remove(&space, &Name::User("two".into()));
        assert_eq!(spaces.default_of(&space), None);
        spaces.remove(&space, &Name::Token);
        spaces.remove(&space, &Name::User("one".into()));
        assert!(spaces.all().is_empty());
    }

    #[test]
    fn the_oldest_make_room() {
        let mut spaces = Spaces::default();
        for number in 0..MOST_SPACES {
            assert!(
                spaces.set(&space("h", 0, "http", &number.to_string()), credential("u"), true).is_empty()
            );
        }
        let evicted = spaces.set(&space("h", 0, "http", "more"), credential("u"), true);
        assert_eq!(evicted, [(space("h", 80, "http", "0"), Name::User("u".into()))]);
        assert_eq!(spaces.all().len(), MOST_SPACES);
        for number in 0..MOST_IN_SPACE {
            let evicted = spaces.set(&space("h", 0, "http", "1"), credential(&number.to_string()), false);
            assert_eq!(evicted.len(), usize::from(number + 1 == MOST_IN_SPACE));
        }
        assert_eq!(spaces.of(&space("h", 0, "http", "1")).len(), MOST_IN_SPACE);
        assert_eq!(spaces.default_of(&space("h", 0, "http", "1")), None);
    }
}
