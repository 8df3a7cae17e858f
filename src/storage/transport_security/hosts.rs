//! The hosts in memory, and the form of each in a journal. Sans I/O; time is an argument, in seconds since 1970.
//!
//! ```text
//! record   0 (forgotten) or 1 (known), 2 more if its subdomains are meant │ expires, 8 bytes │ name
//! ```

use super::{HstsHost, host};
use crate::proto::transport_security::host::and_above;
use crate::proto::transport_security::hsts::StrictTransport;
use crate::storage::journal::News;
use std::collections::HashMap;

/// How long a name may be: the DNS knows none that is longer.
pub(super) const LONGEST_NAME: usize = 253;

/// How many hosts are remembered.
const MOST: usize = 10_000;

/// So many go at once when there are more, or each new one would look for one to go.
const SPARE: usize = 500;

const KNOWN: u8 = 1;
const SUBDOMAINS: u8 = 2;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Hosts(HashMap<String, Until>);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Until {
    expires: u64,
    include_subdomains: bool,
}

impl Hosts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name is meant, itself or as the subdomain of another (RFC 6797 section 8.2).
    pub(super) fn covers(&self, name: &str, now: u64) -> bool {
        and_above(name).enumerate().any(|(number, name)| {
            let until = self.0.get(name).filter(|until| until.expires > now);
            until.is_some_and(|until| number == 0 || until.include_subdomains)
        })
    }

    /// All whose time is not over, by name.
    pub(super) fn all(&self, now: u64) -> Vec<HstsHost> {
        let known = self.0.iter().filter(|(_, until)| until.expires > now);
        let mut all: Vec<_> = known
            .map(|(name, until)| HstsHost {
                name: name.clone(),
                include_subdomains: until.include_subdomains,
                expires: until.expires,
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Does what a server asks for. Gives what is to be written, if that is anything: a server says the same with each
    /// response, and what makes no difference worth the name is let pass.
    pub(super) fn note(&mut self, name: &str, asked: StrictTransport, now: u64) -> Option<Vec<u8>> {
        if asked.max_age == 0 {
            return self.remove(name);
        }
        if name.len() > LONGEST_NAME {
            return None;
        }
        let host = host(name, asked, now);
        if let Some(known) = self.0.get(name).filter(|known| known.expires > now) {
            let difference = known.expires.abs_diff(host.expires);
            let is_worth = difference > (host.expires.saturating_sub(now) / 10).min(86_400);
            if known.include_subdomains == host.include_subdomains && !is_worth {
                return None;
            }
        }
        Some(self.set(host, now))
    }

    /// Remembers a host. Gives what is to be written.
    pub(super) fn set(&mut self, host: HstsHost, now: u64) -> Vec<u8> {
        let record = encode(&host);
        let HstsHost { name, include_subdomains, expires } = host;
        if expires > now {
            self.0.insert(name, Until { expires, include_subdomains });
            self.make_room(now);
        } else {
            self.0.remove(&name);
        }
        record
    }

    /// Forgets a host. Gives what is to be written, if it was known.
    pub(super) fn remove(&mut self, name: &str) -> Option<Vec<u8>> {
        self.0.remove(name).map(|_| {
            let mut record = vec![0; 9];
            record.extend_from_slice(name.as_bytes());
            record
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Does what was written.
    pub(super) fn learn(&mut self, news: News, now: u64) {
        if news.anew {
            self.0.clear();
        }
        for record in news.records {
            match decode(&record) {
                Some((host, true)) => {
                    self.set(host, now);
                }
                Some((host, false)) => {
                    self.0.remove(&host.name);
                }
                // Of a later version of this library, perhaps.
                None => {}
            }
        }
    }

    /// All whose time is not over, as they are written.
    pub(super) fn records(&self, now: u64) -> Vec<Vec<u8>> {
        self.all(now).iter().map(encode).collect()
    }

    fn make_room(&mut self, now: u64) {
        if self.0.len() <= MOST {
            return;
        }
        self.0.retain(|_, until| until.expires > now);
        if self.0.len() <= MOST {
            return;
        }
        let excess = self.0.len() - (MOST - SPARE);
        let mut by_end: Vec<_> = self.0.iter().map(|(name, until)| (until.expires, name.clone())).collect();
        by_end.sort_unstable();
        for (_, name) in by_end.into_iter().take(excess) {
            self.0.remove(&name);
        }
    }
}

fn encode(host: &HstsHost) -> Vec<u8> {
    let mut record = vec![KNOWN | if host.include_subdomains { SUBDOMAINS } else { 0 }];
    record.extend_from_slice(&host.expires.to_le_bytes());
    record.extend_from_slice(host.name.as_bytes());
    record
}

/// What a record says of which host: whether it is known.
fn decode(record: &[u8]) -> Option<(HstsHost, bool)> {
    let (&flags, rest) = record.split_first()?;
    let (expires, name) = rest.split_first_chunk()?;
    let name = std::str::from_utf8(name).ok()?;
    if flags & !(KNOWN | SUBDOMAINS) != 0 || name.is_empty() || name.len() > LONGEST_NAME {
        return None;
    }
    let host = HstsHost {
        name: name.to_owned(),
        include_subdomains: flags & SUBDOMAINS != 0,
        expires: u64::from_le_bytes(*expires),
    };
    Some((host, flags & KNOWN != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(max_age: u64, include_subdomains: bool) -> StrictTransport {
        StrictTransport { max_age, include_subdomains }
    }

    #[test]
    fn names_are_covered_until_their_time_is_over() {
        let mut hosts = Hosts::default();
        hosts.note("example.com", asked(100, true), 1000);
        hosts.note("exact.test", asked(50, false), 1000);
        for (name, now, expected) in [
            ("example.com", 1000, true),
            ("a.example.com", 1099, true),
            ("b.a.example.com", 1099, true),
            ("example.com", 1100, false),
            ("notexample.com", 1000, false),
            ("com", 1000, false),
            ("exact.test", 1049, true),
            ("exact.test", 1050, false),
            ("sub.exact.test", 1000, false),
        ] {
            assert_eq!(hosts.covers(name, now), expected, "{name} at {now}");
        }
        assert_eq!(hosts.all(1060).len(), 1);
    }

    #[test]
    fn a_subdomain_that_asks_for_less_does_not_undo_what_is_above() {
        let mut hosts = Hosts::default();
        hosts.note("example.com", asked(100, true), 0);
        hosts.note("a.example.com", asked(10, false), 0);
        assert!(hosts.covers("b.a.example.com", 0));
        hosts.note("a.example.com", asked(0, false), 0);
        assert!(hosts.covers("a.example.com", 0));
        hosts.note("example.com", asked(0, true), 0);
        assert!(!hosts.covers("a.example.com", 0));
    }

    #[test]
    fn what_is_said_again_is_written_when_it_makes_a_difference() {
        let mut hosts = Hosts::default();
        let year = 365 * 86_400;
        assert!(hosts.note("a.test", asked(year, false), 0).is_some());
        assert!(hosts.note("a.test", asked(year, false), 3600).is_none());
        assert!(hosts.note("a.test", asked(year, false), 90_000).is_some(), "a day later");
        assert!(hosts.note("a.test", asked(year, true), 90_000).is_some(), "subdomains");
        assert!(hosts.note("a.test", asked(3600, true), 90_000).is_some(), "shorter");
        assert_eq!(hosts.all(90_000)[0].expires, 93_600);
        assert!(hosts.note("a.test", asked(0, true), 90_000).is_some());
        assert!(hosts.note("a.test", asked(0, true), 90_000).is_none(), "it was not known");
        assert!(hosts.note("b.test", asked(u64::MAX, true), 0).is_some());
        assert_eq!(hosts.all(0)[0].expires, super::super::LONGEST);
    }

    #[test]
    fn those_go_first_whose_time_ends_first() {
        let mut hosts = Hosts::default();
        for number in 0..=MOST as u64 {
            hosts.note(&format!("{number}.test"), asked(1000 + number, false), 0);
        }
        assert_eq!(hosts.0.len(), MOST - SPARE);
        assert!(!hosts.covers("0.test", 0));
        assert!(hosts.covers(&format!("{MOST}.test"), 0));
    }

    #[test]
    fn of_those_that_end_together_no_more_go_than_have_to() {
        let mut hosts = Hosts::default();
        for number in 0..=MOST {
            hosts.note(&format!("{number}.test"), asked(1000, false), 0);
        }
        assert_eq!(hosts.0.len(), MOST - SPARE);
    }

    #[test]
    fn records_say_what_is_known() {
        let mut hosts = Hosts::default();
        let records = vec![
            hosts.note("a.test", asked(100, true), 0).unwrap(),
            hosts.note("b.test", asked(100, false), 0).unwrap(),
            hosts.note("c.test", asked(100, false), 0).unwrap(),
            hosts.remove("b.test").unwrap(),
        ];
        let mut other = Hosts::default();
        let learn = |hosts: &mut Hosts, anew, records: &[Vec<u8>]| {
            let records = records.iter().map(|record| record.clone().into()).collect();
            hosts.learn(News { anew, records }, 0);
        };
        learn(&mut other, false, &records);
        assert_eq!(other.all(0), hosts.all(0));
        let mut third = Hosts::default();
        learn(&mut third, true, &other.records(0));
        assert_eq!(third.all(0), hosts.all(0));
        learn(
            &mut third,
            false,
            &[vec![], vec![1; 9], vec![9; 12], vec![1; 400], b"\x01\0\0\0\0\0\0\0\0\xff".to_vec()],
        );
        assert_eq!(third.all(0), hosts.all(0));
        learn(&mut third, true, &[]);
        assert!(third.all(0).is_empty());
    }
}
