//! Those who want to know how far something is, and when each is told next. Knows neither what they
//! are told nor where.

use std::time::Duration;

/// Is called on the delegate lane with what it follows. `true`: that has ended.
pub(crate) type Follow<T> = Box<dyn FnMut(&T, bool) + Send>;

/// See the module's documentation. Times are nanoseconds since some beginning.
pub(crate) struct Followers<T> {
    list: Vec<Follower<T>>,
}

struct Follower<T> {
    interval: u64,
    next: Next,
    /// Not here while it runs.
    handler: Option<Follow<T>>,
}

/// When a follower is told next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    At(u64),
    /// It is on its way.
    Queued,
    /// It is there, and something that it has to know may have happened since it looked.
    Again,
}

impl<T> Default for Followers<T> {
    fn default() -> Self {
        Followers { list: Vec::new() }
    }
}

impl<T> Followers<T> {
    pub(crate) fn add(&mut self, interval: Duration, handler: Follow<T>) {
        let interval = nanoseconds(interval);
        self.list.push(Follower { interval, next: Next::At(0), handler: Some(handler) });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// When the first of them is due, of those that are not on their way.
    pub(crate) fn due(&self) -> u64 {
        let due = self.list.iter().filter_map(|follower| match follower.next {
            Next::At(next) => Some(next),
            Next::Queued | Next::Again => None,
        });
        due.min().unwrap_or(u64::MAX)
    }

    /// Whose time has come, or all. The caller has them on their way.
    pub(crate) fn call(&mut self, at: u64, all: bool) -> Vec<usize> {
        let mut called = Vec::new();
        for (index, follower) in self.list.iter_mut().enumerate() {
            match follower.next {
                Next::At(next) if all || at >= next => {
                    follower.next = Next::Queued;
                    called.push(index);
                }
                Next::Queued if all && follower.handler.is_none() => follower.next = Next::Again,
                _ => {}
            }
        }
        called
    }

    /// One that was on its way is there, and runs.
    pub(crate) fn take(&mut self, index: usize) -> Option<Follow<T>> {
        self.list.get_mut(index)?.handler.take()
    }

    /// It has run, from that time on. Whether it has to be called again at once.
    pub(crate) fn put_back(&mut self, index: usize, handler: Follow<T>, ran_at: u64) -> bool {
        // Another one may have come to its place after the end.
        let gone = |follower: &&mut Follower<T>| follower.handler.is_none();
        let Some(follower) = self.list.get_mut(index).filter(gone) else { return false };
        follower.handler = Some(handler);
        let again = follower.next == Next::Again;
        follower.next = if again { Next::Queued } else { Next::At(ran_at.saturating_add(follower.interval)) };
        again
    }

    /// All that do not run, for the last time.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Follow<T>> + use<T> {
        std::mem::take(&mut self.list).into_iter().filter_map(|follower| follower.handler)
    }
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followers(intervals: &[u64]) -> Followers<()> {
        let mut followers = Followers::default();
        for interval in intervals {
            followers.add(Duration::from_nanos(*interval), Box::new(|(), _| {}));
        }
        followers
    }

    #[test]
    fn each_is_called_in_its_own_time() {
        let mut followers = followers(&[10, 25]);
        assert_eq!(followers.due(), 0);
        assert_eq!(followers.call(5, false), [0, 1], "at first at once");
        assert_eq!(followers.due(), u64::MAX);
        for index in [0, 1] {
            let handler = followers.take(index).unwrap();
            assert!(!followers.put_back(index, handler, 7));
        }
        assert_eq!(followers.due(), 17);
        assert!(followers.call(16, false).is_empty());
        assert_eq!(followers.call(17, false), [0]);
        assert_eq!(followers.due(), 32);
        assert_eq!(followers.call(32, false), [1]);
    }

    #[test]
    fn none_is_on_its_way_twice() {
        let mut followers = followers(&[0]);
        assert_eq!(followers.call(0, false), [0]);
        assert!(followers.call(1, false).is_empty());
        assert!(followers.call(1, true).is_empty());
        let handler = followers.take(0).unwrap();
        assert!(followers.call(2, false).is_empty(), "nor while it runs");
        assert!(!followers.put_back(0, handler, 2), "what it saw when it ran was all");
        assert_eq!(followers.call(3, false), [0]);
    }

    #[test]
    fn who_runs_when_all_are_called_is_called_again() {
        let mut followers = followers(&[1000]);
        assert_eq!(followers.call(0, false), [0]);
        let handler = followers.take(0).unwrap();
        assert!(followers.call(1, true).is_empty());
        assert!(followers.put_back(0, handler, 0));
        assert_eq!(followers.due(), u64::MAX, "it is on its way");
        let handler = followers.take(0).unwrap();
        assert!(!followers.put_back(0, handler, 2));
        assert_eq!(followers.due(), 1002);
    }

    #[test]
    fn nobody_is_left_after_the_end() {
        let mut followers = followers(&[1, 2, 3]);
        assert_eq!(followers.call(0, false), [0, 1, 2]);
        let running = followers.take(1).unwrap();
        assert_eq!(followers.take_all().count(), 2);
        assert!(followers.is_empty() && followers.take(0).is_none());
        assert!(!followers.put_back(1, running, 1));
        assert_eq!(followers.due(), u64::MAX);
        let late = || -> Follow<()> { Box::new(|(), _| panic!("it is gone")) };
        followers.add(Duration::ZERO, Box::new(|(), _| {}));
        assert!(!followers.put_back(0, late(), 1));
        assert_eq!(followers.call(0, false), [0]);
        (followers.take(0).unwrap())(&(), false);
    }
}
