//! The cookies that there are (section 5.7, from where it depends on others), and which of them go with a
//! request (section 5.8.3).
//!
//! They are kept by site: what a server can set, what may get in its way, and what a request can need, is
//! all of one site, so that a request looks at those of its own only. Limits are 180 cookies a site and
//! 3,000 in all; the RFC asks for room for 50 a domain and 3,000.
//!
//! What is to be kept in a file is told as [`Change`]s, of which a jar can be made again.

use super::admission::Refusal;
use super::matching::{domain_matches, path_matches, site};
use crate::cookie::{Cookie, SameSite, header_value};
use crate::proto::public_suffix::PublicSuffixes;
use http::HeaderValue;
use std::collections::HashMap;
use std::time::SystemTime;

/// How many cookies a site can have, and a jar.
pub(crate) const MOST_OF_SITE: usize = 180;
pub(crate) const MOST: usize = 3000;
/// A site with more than that loses cookies before others do.
const MANY: usize = 50;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Jar {
    sites: HashMap<String, Vec<Entry>>,
    count: usize,
}

struct Entry {
    cookie: Cookie,
    created: SystemTime,
    /// When it was last sent, or set.
    accessed: SystemTime,
}

/// What makes a cookie the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) domain: String,
    pub(crate) path: String,
    pub(crate) host_only: bool,
}

/// What has become of the cookies that outlive the session.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is there, since then.
    Set(Cookie, SystemTime),
    Removed(Key),
}

/// What a request is, as far as cookies are concerned.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) secure: bool,
    /// Another site caused it.
    pub(crate) cross_site: bool,
}

impl Asked<'_> {
    fn gets(&self, cookie: &Cookie) -> bool {
        let flags = cookie.flags;
        let is_host = self.host == cookie.domain;
        (is_host || (!flags.host_only && domain_matches(self.host, &cookie.domain)))
            && path_matches(self.path, &cookie.path)
            && (self.secure || !flags.secure)
            // What says nothing is as strict as `Lax`; that goes along when the user goes somewhere, and
            // then nobody else causes the request.
            && (!self.cross_site || cookie.same_site == Some(SameSite::None))
    }
}

impl Jar {
    /// Keeps a cookie, in place of one that is the same. One that is over takes that away and is not kept.
    /// `secure`: it came over a connection on which nobody listens.
    pub(crate) fn set(
        &mut self,
        cookie: Cookie,
        secure: bool,
        now: SystemTime,
        suffixes: &PublicSuffixes,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        if !secure && !cookie.flags.secure && self.hides_secure(&cookie, now, suffixes) {
            return Err(Refusal::OverSecure);
        }
        self.put(cookie, now, now, suffixes, changes);
        Ok(())
    }

    /// Does what another process has done, which had a reason to do so.
    pub(crate) fn apply(&mut self, change: Change, now: SystemTime, suffixes: &PublicSuffixes) {
        match change {
            Change::Set(cookie, created) => {
                // The files are for cookies that outlive a session.
                if cookie.expires.is_some() {
                    self.put(cookie, created, now, suffixes, &mut Vec::new());
                }
            }
            Change::Removed(key) => {
                // One of this session has nothing to do with the file.
                let persists = |entry: &Entry| key.is_of(&entry.cookie) && entry.cookie.expires.is_some();
                if self.of_site(&key.domain, suffixes).iter().any(persists) {
                    drop(self.take(&key, suffixes));
                }
            }
        }
    }

    /// Whether it would be sent along with, or in place of, a secure cookie of that name (section 5.7,
    /// step 16).
    fn hides_secure(&self, cookie: &Cookie, now: SystemTime, suffixes: &PublicSuffixes) -> bool {
        self.of_site(&cookie.domain, suffixes).iter().any(|Entry { cookie: other, .. }| {
            other.flags.secure
                && other.name == cookie.name
                && !other.is_expired(now)
                && (domain_matches(&other.domain, &cookie.domain)
                    || domain_matches(&cookie.domain, &other.domain))
                && path_matches(&cookie.path, &other.path)
        })
    }

    fn put(
        &mut self,
        cookie: Cookie,
        created: SystemTime,
        now: SystemTime,
        suffixes: &PublicSuffixes,
        changes: &mut Vec<Change>,
    ) {
        let key = Key::of(&cookie);
        if cookie.is_expired(now) {
            return self.remove(&key, suffixes, changes);
        }
        let site = site(&key.domain, suffixes);
        let entries = self.sites.entry(site.to_owned()).or_default();
        let persists = cookie.expires.is_some();
        if let Some(old) = entries.iter_mut().find(|entry| key.is_of(&entry.cookie)) {
            let persisted = old.cookie.expires.is_some();
            // It keeps its age, and so its place in the header.
            (old.cookie, old.accessed) = (cookie, now);
            if persists {
                changes.push(Change::Set(old.cookie.clone(), old.created));
            } else if persisted {
                changes.push(Change::Removed(key));
            }
            return;
        }
        if persists {
            changes.push(Change::Set(cookie.clone(), created));
        }
        entries.push(Entry { cookie, created, accessed: now });
        self.count += 1;
        if entries.len() > MOST_OF_SITE {
            self.evict_of_site(site, now, changes);
        }
        if self.count > MOST {
            self.evict(now, changes);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// The `Cookie` header of a request.
    pub(crate) fn header(
        &mut self,
        asked: Asked<'_>,
        leave_out: impl Fn(&Cookie) -> bool,
        now: SystemTime,
        suffixes: &PublicSuffixes,
    ) -> Option<HeaderValue> {
        let entries = self.sites.get_mut(site(asked.host, suffixes))?;
        let mut chosen: Vec<&mut Entry> = entries
            .iter_mut()
            .filter(|Entry { cookie, .. }| {
                asked.gets(cookie) && !cookie.is_expired(now) && !leave_out(cookie)
            })
            .collect();
        chosen.sort_by(|one, other| order(one, other));
        let mut line = Vec::new();
        for entry in chosen {
            entry.accessed = now;
            entry.cookie.push_to(&mut line);
        }
        header_value(line)
    }

    /// The cookies that a request gets, in the order of the header.
    pub(crate) fn cookies_for(
        &self,
        asked: Asked<'_>,
        now: SystemTime,
        suffixes: &PublicSuffixes,
    ) -> Vec<Cookie> {
        let entries = self.of_site(asked.host, suffixes).iter();
        let mut chosen: Vec<&Entry> =
            entries.filter(|entry| asked.gets(&entry.cookie) && !entry.cookie.is_expired(now)).collect();
        chosen.sort_by(|one, other| order(one, other));
        chosen.into_iter().map(|entry| entry.cookie.clone()).collect()
    }

    /// All cookies, in the order in which they came.
    pub(crate) fn cookies(&self, now: SystemTime) -> Vec<Cookie> {
        let all = self.sites.values().flatten().filter(|entry| !entry.cookie.is_expired(now));
        let mut all: Vec<&Entry> = all.collect();
        all.sort_by(|one, other| {
            (one.created, &one.cookie.domain).cmp(&(other.created, &other.cookie.domain))
        });
        all.into_iter().map(|entry| entry.cookie.clone()).collect()
    }

    /// What a file has to have in it, so that a jar can be made of it again.
    pub(crate) fn kept(&self, now: SystemTime) -> Vec<Change> {
        let kept = self
            .sites
            .values()
            .flatten()
            .filter(|Entry { cookie, .. }| cookie.expires.is_some() && !cookie.is_expired(now));
        kept.map(|entry| Change::Set(entry.cookie.clone(), entry.created)).collect()
    }

    pub(crate) fn remove(&mut self, key: &Key, suffixes: &PublicSuffixes, changes: &mut Vec<Change>) {
        if self.take(key, suffixes).is_some_and(|cookie| cookie.expires.is_some()) {
            changes.push(Change::Removed(key.clone()));
        }
    }

    /// Takes away all that came then or later.
    pub(crate) fn remove_since(&mut self, since: SystemTime, changes: &mut Vec<Change>) {
        self.remove_all(|entry| entry.created >= since, changes);
    }

    pub(crate) fn clear(&mut self) {
        *self = Jar::default();
    }

    /// Takes away all that is in a file, since the file is another one.
    pub(crate) fn forget_kept(&mut self) {
        self.remove_all(|entry| entry.cookie.expires.is_some(), &mut Vec::new());
    }

    /// Puts all cookies where another list of public suffixes has them.
    pub(crate) fn sort_anew(&mut self, suffixes: &PublicSuffixes) {
        for entry in std::mem::take(&mut self.sites).into_values().flatten() {
            let site = site(&entry.cookie.domain, suffixes).to_owned();
            self.sites.entry(site).or_default().push(entry);
        }
    }

    fn of_site(&self, host: &str, suffixes: &PublicSuffixes) -> &[Entry] {
        self.sites.get(site(host, suffixes)).map_or(&[], Vec::as_slice)
    }

    fn take(&mut self, key: &Key, suffixes: &PublicSuffixes) -> Option<Cookie> {
        let name = site(&key.domain, suffixes);
        let entries = self.sites.get_mut(name)?;
        let index = entries.iter().position(|entry| key.is_of(&entry.cookie))?;
        let entry = entries.remove(index);
        if entries.is_empty() {
            self.sites.remove(name);
        }
        self.count -= 1;
        Some(entry.cookie)
    }

    fn remove_all(&mut self, which: impl Fn(&Entry) -> bool, changes: &mut Vec<Change>) {
        let mut count = 0;
        self.sites.retain(|_, entries| {
            entries.retain(|entry| {
                let removed = which(entry);
                if removed && entry.cookie.expires.is_some() {
                    changes.push(Change::Removed(Key::of(&entry.cookie)));
                }
                !removed
            });
            count += entries.len();
            !entries.is_empty()
        });
        self.count = count;
    }

    /// Takes away the one of a site that is missed least: what is over, what is not secure, what was used
    /// longest ago.
    fn evict_of_site(&mut self, site: &str, now: SystemTime, changes: &mut Vec<Change>) {
        let entries = self.sites.get(site).into_iter().flatten().enumerate();
        let worst = entries.min_by_key(|(_, entry)| {
            (!entry.cookie.is_expired(now), entry.cookie.flags.secure, entry.accessed)
        });
        if let Some((index, _)) = worst {
            self.evict_at(site, index, changes);
        }
    }

    /// Takes one away of all (section 5.7): what is over; of sites that have many, what is not secure, then
    /// the others; then any. Of those alike, what was used longest ago.
    fn evict(&mut self, now: SystemTime, changes: &mut Vec<Change>) {
        let class = |many: bool, cookie: &Cookie| match () {
            () if cookie.is_expired(now) => 0,
            () if many && !cookie.flags.secure => 1,
            () if many => 2,
            () => 3,
        };
        let all = self.sites.iter().flat_map(|(site, entries)| {
            let many = entries.len() > MANY;
            entries.iter().enumerate().map(move |(index, entry)| (many, site, index, entry))
        });
        let worst = all.min_by_key(|(many, _, _, entry)| (class(*many, &entry.cookie), entry.accessed));
        if let Some((_, site, index, _)) = worst {
            let site = site.clone();
            self.evict_at(&site, index, changes);
        }
    }

    fn evict_at(&mut self, site: &str, index: usize, changes: &mut Vec<Change>) {
        let Some(entries) = self.sites.get_mut(site).filter(|entries| index < entries.len()) else { return };
        let cookie = entries.remove(index).cookie;
        if entries.is_empty() {
            self.sites.remove(site);
        }
        self.count -= 1;
        if cookie.expires.is_some() {
            changes.push(Change::Removed(Key::of(&cookie)));
        }
    }
}

/// Longer paths first, then what is older (section 5.8.3).
fn order(one: &Entry, other: &Entry) -> std::cmp::Ordering {
    let (path, other_path) = (one.cookie.path.len(), other.cookie.path.len());
    other_path.cmp(&path).then(one.created.cmp(&other.created))
}

impl Key {
    pub(crate) fn of(cookie: &Cookie) -> Key {
        Key {
            name: cookie.name.clone(),
            domain: cookie.domain.clone(),
            path: cookie.path.clone(),
            host_only: cookie.flags.host_only,
        }
    }

    fn is_of(&self, cookie: &Cookie) -> bool {
        self.name == cookie.name
            && self.domain == cookie.domain
            && self.path == cookie.path
            && self.host_only == cookie.flags.host_only
    }
}
