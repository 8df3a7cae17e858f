//! Happy Eyeballs (RFC 8305): in which order and when to try the addresses of a host.
//!
//! It knows addresses and times, and neither sockets nor clocks. Whoever owns the sockets asks
//! [`step`](Eyeballs::step) what to do until it says to wait, and reports what
//! [`failed`](Eyeballs::failed); the first attempt that succeeds ends the race.
//!
//! ```text
//! untried ──Start──▶ in flight ──failed──▶ failed
//!                        │                   ▲
//!                        └──GiveUp──failed───┘
//! ```

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between the starts of two attempts, as long as neither fails (RFC 8305, 5: Connection Attempt
/// Delay).
pub(crate) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The most addresses of a host that are tried; a name server can answer with hundreds.
pub(crate) const MAX_ADDRESSES: usize = 16;
/// The most attempts that are in flight at once.
pub(crate) const MAX_IN_FLIGHT: usize = 6;
/// How old the oldest attempt must be to be given up for an untried address when there are
/// [`MAX_IN_FLIGHT`]. Without that, as many silent addresses would use up all of the caller's time.
/// Long enough for one lost SYN, which is sent again after a second.
pub(crate) const GIVE_UP_AFTER: Duration = Duration::from_secs(2);

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Begin to connect to this address.
    Start(SocketAddr),
    /// Close this attempt and report it as failed: its place is needed.
    GiveUp(SocketAddr),
    /// Nothing, until an attempt ends or this time comes.
    Wait(Option<Instant>),
    /// Nothing any more: all attempts have failed.
    Exhausted,
}

/// A race of connection attempts to the addresses of one host. `E` is what a failure is.
#[derive(Debug)]
pub(crate) struct Eyeballs<E> {
    untried: VecDeque<SocketAddr>,
    /// By their start, the oldest first.
    in_flight: Vec<(SocketAddr, Instant)>,
    failures: Vec<(SocketAddr, E)>,
    /// When the next attempt starts, unless one fails before.
    next_start: Option<Instant>,
}

impl<E> Eyeballs<E> {
    /// A race over the addresses in the order of preference of the resolver (RFC 6724): it decides
    /// the family that is tried first and the order within each family.
    pub(crate) fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Eyeballs {
            untried: interleaved(addresses),
            in_flight: Vec::new(),
            failures: Vec::new(),
            next_start: None,
        }
    }

    /// What to do now. To be called until it says to wait.
    pub(crate) fn step(&mut self, now: Instant) -> Step {
        let Some(&address) = self.untried.front() else {
            return if self.in_flight.is_empty() { Step::Exhausted } else { Step::Wait(None) };
        };
        let mut due = self.next_start.unwrap_or(now);
        if self.in_flight.len() >= MAX_IN_FLIGHT {
            if let Some(&(oldest, started)) = self.in_flight.first() {
                due = due.max(started + GIVE_UP_AFTER);
                if due <= now {
                    return Step::GiveUp(oldest);
                }
            }
        }
        if due > now {
            return Step::Wait(Some(due));
        }
        self.untried.pop_front();
        self.in_flight.push((address, now));
        self.next_start = Some(now + ATTEMPT_DELAY);
        Step::Start(address)
    }

    /// An attempt has failed or was given up. The next one starts at once.
    pub(crate) fn failed(&mut self, address: SocketAddr, error: E) {
        self.in_flight.retain(|(other, _)| *other != address);
        self.failures.push((address, error));
        self.next_start = None;
    }

    /// The failures themselves.
    pub(crate) fn take_failures(&mut self) -> Vec<(SocketAddr, E)> {
        std::mem::take(&mut self.failures)
    }
}

/// Each address once, the families taking turns (RFC 8305, 4, with a First Address Family Count of
/// 1), beginning with the family of the first.
fn interleaved(addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<SocketAddr> {
    let mut families = [VecDeque::new(), VecDeque::new()];
    let mut first_is_ipv6 = None;
    // What is looked at has a bound, too: all of one family may come before the first of the other.
    for address in addresses.into_iter().take(MAX_ADDRESSES * 16) {
        let second = *first_is_ipv6.get_or_insert(address.is_ipv6()) != address.is_ipv6();
        let [first_family, second_family] = &mut families;
        let family = if second { second_family } else { first_family };
        if family.len() < MAX_ADDRESSES && !family.contains(&address) {
            family.push_back(address);
        }
    }
    let [mut turn, mut other] = families;
    let mut order = VecDeque::new();
    while order.len() < MAX_ADDRESSES {
        if let Some(address) = turn.pop_front() {
            order.push_back(address);
        } else if other.is_empty() {
            break;
        }
        std::mem::swap(&mut turn, &mut other);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 443))
    }

    fn v6(last: u16) -> SocketAddr {
        SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 443))
    }

    /// A race whose time is ours.
    struct Race {
        eyeballs: Eyeballs<&'static str>,
        begun: Instant,
        now: Instant,
    }

    impl Race {
        fn new(addresses: impl IntoIterator<Item = SocketAddr>) -> Race {
            let now = Instant::now();
            Race { eyeballs: Eyeballs::new(addresses), begun: now, now }
        }

        fn step(&mut self) -> Step {
            self.eyeballs.step(self.now)
        }

        /// Milliseconds since the beginning at which there is something to do again.
        fn wait(&mut self) -> Option<u128> {
            match self.step() {
                Step::Wait(until) => until.map(|until| (until - self.begun).as_millis()),
                other => panic!("not waiting but {other:?}"),
            }
        }

        fn go_to(&mut self, milliseconds: u64) {
            self.now = self.begun + Duration::from_millis(milliseconds);
        }
    }

    fn order(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        interleaved(addresses).into()
    }

    #[test]
    fn families_take_turns_and_the_resolvers_first_begins() {
        assert_eq!(order([v6(1), v6(2), v6(3), v4(1), v4(2)]), [v6(1), v4(1), v6(2), v4(2), v6(3)]);
        assert_eq!(order([v4(1), v6(1), v6(2)]), [v4(1), v6(1), v6(2)]);
        assert_eq!(order([v4(1), v4(2), v4(3), v6(1)]), [v4(1), v6(1), v4(2), v4(3)]);
        assert_eq!(order([v4(2), v4(1)]), [v4(2), v4(1)]);
        assert_eq!(order([]), []);
    }

    #[test]
    fn an_address_is_tried_once() {
        assert_eq!(order([v4(1), v4(1), v6(1), v4(1), v6(1)]), [v4(1), v6(1)]);
    }

    #[test]
    fn addresses_are_bounded_and_both_families_kept() {
        let many = order((0..200).map(v6).chain((0..200).map(v4)));
        assert_eq!(many.len(), MAX_ADDRESSES);
        assert_eq!(many.iter().filter(|address| address.is_ipv4()).count(), MAX_ADDRESSES / 2);
        assert_eq!(order((0..200).map(v4)).len(), MAX_ADDRESSES);
    }

    #[test]
    fn no_address_is_exhausted_at_once() {
        assert_eq!(Race::new([]).step(), Step::Exhausted);
    }

    #[test]
    fn attempts_are_staggered() {
        let mut race = Race::new([v6(1), v4(1), v6(2)]);
        assert_eq!(race.step(), Step::Start(v6(1)));
        assert_eq!(race.wait(), Some(250));
        race.go_to(249);
        assert_eq!(race.wait(), Some(250));
        race.go_to(260);
        assert_eq!(race.step(), Step::Start(v4(1)));
        assert_eq!(race.wait(), Some(510));
        race.go_to(510);
        assert_eq!(race.step(), Step::Start(v6(2)));
        assert_eq!(race.wait(), None);
    }

    #[test]
    fn a_failure_starts_the_next_at_once() {
        let mut race = Race::new([v6(1), v4(1), v6(2)]);
        assert_eq!(race.step(), Step::Start(v6(1)));
        race.go_to(10);
        race.eyeballs.failed(v6(1), "refused");
        assert_eq!(race.step(), Step::Start(v4(1)));
        assert_eq!(race.wait(), Some(260));
    }

    #[test]
    fn the_last_failure_exhausts() {
        let mut race = Race::new([v4(1), v4(2)]);
        race.step();
        race.go_to(250);
        race.step();
        race.eyeballs.failed(v4(2), "unreachable");
        assert_eq!(race.wait(), None);
        race.eyeballs.failed(v4(1), "refused");
        assert_eq!(race.step(), Step::Exhausted);
        assert_eq!(race.eyeballs.take_failures(), [(v4(2), "unreachable"), (v4(1), "refused")]);
    }

    #[test]
    fn silent_addresses_do_not_eat_the_budget() {
        let mut race = Race::new((1..=10).map(v4));
        for attempt in 0..MAX_IN_FLIGHT {
            race.go_to(250 * attempt as u64);
            assert_eq!(race.step(), Step::Start(v4(attempt as u8 + 1)));
        }
        // All places are taken; the first is free when it has had its time.
        assert_eq!(race.wait(), Some(2000));
        race.go_to(2000);
        assert_eq!(race.step(), Step::GiveUp(v4(1)));
        assert_eq!(race.step(), Step::GiveUp(v4(1)), "until it is reported");
        race.eyeballs.failed(v4(1), "given up");
        assert_eq!(race.step(), Step::Start(v4(7)));
        assert_eq!(race.wait(), Some(2250));
        race.go_to(2250);
        assert_eq!(race.step(), Step::GiveUp(v4(2)));
    }

    #[test]
    fn young_attempts_are_not_given_up() {
        let mut race = Race::new((1..=12).map(v4));
        race.step();
        // The first five fail late, one after the other, so that all in flight are young.
        for attempt in 1..MAX_IN_FLIGHT {
            race.go_to(250 * attempt as u64);
            race.step();
        }
        race.go_to(1900);
        for attempt in 1..=5 {
            race.eyeballs.failed(v4(attempt), "refused");
            assert_eq!(race.step(), Step::Start(v4(attempt + 6)));
        }
        // v4(6), which started at 1250, is the oldest now.
        assert_eq!(race.wait(), Some(3250));
    }

    #[test]
    fn when_no_address_is_left_nothing_is_given_up() {
        let mut race = Race::new((1..=6).map(v4));
        for attempt in 0..6 {
            race.go_to(250 * attempt);
            race.step();
        }
        race.go_to(60_000);
        assert_eq!(race.wait(), None);
    }

    #[test]
    fn attempts_in_flight_are_bounded() {
        let mut race = Race::new((1..=16).map(v4));
        let mut in_flight = 0;
        for tick in 0..100 {
            race.go_to(tick * 100);
            loop {
                match race.step() {
                    Step::Start(_) => in_flight += 1,
                    Step::GiveUp(address) => {
                        in_flight -= 1;
                        race.eyeballs.failed(address, "given up");
                    }
                    _ => break,
                }
            }
            assert!(in_flight <= MAX_IN_FLIGHT);
        }
        assert_eq!(race.eyeballs.take_failures().len(), 16 - MAX_IN_FLIGHT);
    }
}
