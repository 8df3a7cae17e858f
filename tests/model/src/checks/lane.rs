//! Delegate lanes: events one at a time, in order, none lost, whoever runs them.

use crate::engine::events::{Event, Lane, Mode, Subject};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Instant, Mutex, Ticker, lock, pick, thread};
use std::time::Duration;

const POSTERS: usize = 2;
const EVENTS: usize = 3;

/// What was run, and whether anything is being run.
#[derive(Default)]
struct Record {
    busy: AtomicBool,
    wrong: AtomicBool,
    ran: Mutex<Vec<(usize, usize)>>,
    changed: Condvar,
}

impl Record {
    fn event(self: &Arc<Self>, poster: usize, number: usize) -> Event {
        let record = Arc::clone(self);
        Box::new(move || {
            // A lane contains panics, so what is wrong is noted.
            if record.busy.swap(true, Ordering::SeqCst) {
                record.wrong.store(true, Ordering::SeqCst);
            }
            thread::yield_now();
            lock(&record.ran).push((poster, number));
            record.busy.store(false, Ordering::SeqCst);
            record.changed.notify_all();
        })
    }

    fn wait_until(&self, condition: impl Fn(&[(usize, usize)]) -> bool) {
        let mut ran = lock(&self.ran);
        while !condition(&ran) {
            ran = self.changed.wait(ran).expect("no poison");
        }
    }

    fn wait(&self) {
        self.wait_until(|ran| ran.len() == POSTERS * EVENTS);
    }

    fn check(&self) {
        assert!(!self.wrong.load(Ordering::SeqCst), "two events ran at once");
        let ran = lock(&self.ran);
        assert_eq!(ran.len(), POSTERS * EVENTS, "each event runs once");
        for poster in 0..POSTERS {
            let numbers = ran.iter().filter(|(by, _)| *by == poster).map(|(_, number)| *number);
            assert!(numbers.eq(0..EVENTS), "in the order in which they were posted");
        }
    }
}

/// Posts events. `slowly`: often not the next one before the last one has run, so that it comes just
/// when there seems to be nothing more to do.
fn post(lane: &Arc<Lane>, record: &Arc<Record>, slowly: bool) -> Vec<thread::JoinHandle<()>> {
    let poster = |poster| {
        let (lane, record) = (Arc::clone(lane), Arc::clone(record));
        thread::spawn(move || {
            for number in 0..EVENTS {
                lane.post(Subject::NONE, record.event(poster, number));
                if slowly && pick(3) > 0 {
                    record.wait_until(|ran| ran.contains(&(poster, number)));
                }
            }
        })
    };
    (0..POSTERS).map(poster).collect()
}

fn run(mode: Mode) {
    let (lane, record) = (Lane::new(mode), Arc::new(Record::default()));
    let posters = post(&lane, &record, true);
    record.wait();
    posters.into_iter().for_each(|poster| poster.join().expect("a poster"));
    lane.close();
    record.check();
}

/// A thread of the lane's own.
pub fn serial() {
    run(Mode::Serial);
}

/// The same while its thread may end for lack of work at any time, and is started anew.
pub fn serial_with_a_thread_that_ends() {
    let ticker = Ticker::start(20);
    run(Mode::Serial);
    drop(ticker);
}

/// Whoever posts.
pub fn inline() {
    run(Mode::Inline);
}

/// An executor that runs what it gets on threads of its own, in any order.
pub fn executor() {
    run(Mode::Executor(Box::new(|run| drop(thread::spawn(run)))));
}

/// Two threads of the program's that turn the lane until all is done.
pub fn manual() {
    let (lane, record) = (Lane::new(Mode::Manual), Arc::new(Record::default()));
    let posters = post(&lane, &record, true);
    let left = Arc::new(AtomicUsize::new(POSTERS * EVENTS));
    let turner = || {
        let (lane, left) = (Arc::clone(&lane), Arc::clone(&left));
        move || {
            let mut seen = lane.seen();
            while left.load(Ordering::SeqCst) > 0 {
                let ran;
                (seen, ran) = lane.turn(seen, None);
                if ran && left.fetch_sub(1, Ordering::SeqCst) == 1 {
                    // The other one sleeps until it is told.
                    lane.waker().wake();
                }
            }
        }
    };
    let other = thread::spawn(turner());
    turner()();
    other.join().expect("a turner");
    posters.into_iter().for_each(|poster| poster.join().expect("a poster"));
    record.check();
}

/// A thread that runs one event and has other things to do then leaves the others to whoever waits.
pub fn manual_with_one_that_leaves() {
    let (lane, record) = (Lane::new(Mode::Manual), Arc::new(Record::default()));
    let posters = post(&lane, &record, true);
    let (leaver, noted) = (Arc::clone(&lane), Arc::clone(&record));
    let leaver = thread::spawn(move || {
        let mut seen = leaver.seen();
        let mut ran = false;
        while !ran && lock(&noted.ran).len() < POSTERS * EVENTS {
            (seen, ran) = leaver.turn(seen, None);
        }
        // Of this one the other must not be told, unless it was the last.
        if lock(&noted.ran).len() == POSTERS * EVENTS {
            leaver.waker().wake();
        }
    });
    let mut seen = lane.seen();
    while lock(&record.ran).len() < POSTERS * EVENTS {
        (seen, _) = lane.turn(seen, None);
    }
    lane.waker().wake();
    leaver.join().expect("the one who leaves");
    posters.into_iter().for_each(|poster| poster.join().expect("a poster"));
    record.check();
}

/// A turn with a limit ends, and leaves the events to others.
pub fn manual_with_a_limit() {
    let (lane, record) = (Lane::new(Mode::Manual), Arc::new(Record::default()));
    let ticker = Ticker::start(50);
    let posters = post(&lane, &record, false);
    let impatient = Arc::clone(&lane);
    let impatient = thread::spawn(move || {
        let (mut seen, until) = (impatient.seen(), Instant::now() + Duration::from_secs(1));
        while Instant::now() < until {
            (seen, _) = impatient.turn(seen, Some(until));
        }
    });
    impatient.join().expect("the impatient one");
    posters.into_iter().for_each(|poster| poster.join().expect("a poster"));
    drop(ticker);
    // What is left is run by whoever comes next.
    while lane.turn(lane.seen(), Some(Instant::now())).1 {}
    record.check();
}

/// An event that waits for a later one runs it itself, and events that others post do not slip in
/// between on another thread.
pub fn nested() {
    for mode in [Mode::Serial, Mode::Inline, Mode::Executor(Box::new(|run| drop(thread::spawn(run))))] {
        let (lane, record) = (Lane::new(mode), Arc::new(Record::default()));
        let (inner, noted) = (Arc::clone(&lane), Arc::clone(&record));
        let done = Arc::new(AtomicBool::new(false));
        let outer = Arc::clone(&done);
        lane.post(
            Subject::NONE,
            Box::new(move || {
                let posters = post(&inner, &noted, true);
                let mut seen = inner.seen();
                while lock(&noted.ran).len() < POSTERS * EVENTS {
                    (seen, _) = inner.turn(seen, None);
                }
                posters.into_iter().for_each(|poster| poster.join().expect("a poster"));
                outer.store(true, Ordering::SeqCst);
                noted.changed.notify_all();
            }),
        );
        record.wait();
        lane.close();
        record.check();
    }
}
