//! The claim alone, with as few threads as show something, and with all their schedules.

use crate::engine::claim::{Claim, Leave, Lend, Notify, Rest, Terms};
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Arc, Instant, Ticker, thread};
use std::time::Duration;

/// Cannot be cloned: the type system sees to it that one thread has it.
struct Token;

struct World {
    claim: Claim<Token, usize>,
    happened: AtomicBool,
    concluded: AtomicUsize,
}

/// The outcome of a run that came to its end.
const DONE: usize = 0;

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            claim: Claim::new(Token),
            happened: AtomicBool::new(false),
            concluded: AtomicUsize::new(0),
        })
    }

    /// As a worker or a lender does: until the event has happened, or there is an outcome.
    fn run(&self, mut token: Token, rest: Rest) {
        loop {
            if self.claim.is_settled() {
                return self.conclude(token, None);
            }
            if self.happened.load(Ordering::SeqCst) {
                return self.conclude(token, Some(DONE));
            }
            match self.claim.give_back(token, rest) {
                Some(back) => token = back,
                None => return,
            }
        }
    }

    fn conclude(&self, token: Token, outcome: Option<usize>) {
        let Token = token;
        self.concluded.fetch_add(1, Ordering::SeqCst);
        if let Some(outcome) = outcome {
            self.claim.settle(outcome);
        }
        self.claim.finish();
    }

    /// Notifies, and is the worker itself if one is wanted.
    fn notify(&self) {
        if self.claim.notify() == Notify::Enqueue {
            self.work();
        }
    }

    fn work(&self) {
        if let Some(token) = self.claim.claim_queued() {
            self.run(token, Rest::Waiting(None));
        }
    }

    fn cancel(&self, outcome: usize) -> bool {
        let first = self.claim.settle(outcome);
        if first {
            if let Some(token) = self.claim.claim_any() {
                self.conclude(token, None);
            }
        }
        first
    }

    fn lend(&self, until: Option<Instant>) -> Option<usize> {
        self.claim.enter();
        let outcome = loop {
            match self.claim.lend(Terms { until, reader: false, take_over: true }) {
                Lend::Work(token) => self.run(token, Rest::Waiting(None)),
                Lend::Outcome(outcome) => break Some(outcome),
                Lend::Expired => break None,
            }
        };
        if self.claim.leave() == Leave::Enqueue {
            self.work();
        }
        outcome
    }

    fn assert_concluded(&self) {
        assert!(self.claim.outcome().is_some(), "there is an outcome");
        assert_eq!(self.concluded.load(Ordering::SeqCst), 1, "the work is concluded exactly once");
    }
}

fn spawn<T: Send + 'static>(
    world: &Arc<World>,
    run: impl FnOnce(&World) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let world = Arc::clone(world);
    thread::spawn(move || run(&world))
}

/// The event happens, and is told.
fn happen(world: &World) {
    world.happened.store(true, Ordering::SeqCst);
    world.notify();
}

/// A notification that races with a run and its end leads to another look, or to another run.
pub fn no_notification_is_lost() {
    let world = World::new();
    let first = spawn(&world, World::notify);
    happen(&world);
    first.join().expect("a worker");
    world.assert_concluded();
}

/// One of two who cancel, or the run, sets the outcome, and one of the three ends the work.
pub fn it_is_settled_and_concluded_once() {
    let world = World::new();
    let cancel = spawn(&world, |world| world.cancel(1));
    let other = spawn(&world, |world| world.cancel(2));
    happen(&world);
    let firsts = [cancel, other].map(|cancel| cancel.join().expect("one who cancels"));
    let outcome = world.claim.outcome().expect("an outcome");
    assert_eq!(firsts, [outcome == 1, outcome == 2]);
    world.assert_concluded();
}

/// A lender that sleeps is woken by what happens.
pub fn a_lender_hears_of_what_happens() {
    let world = World::new();
    let lender = spawn(&world, |world| world.lend(None));
    happen(&world);
    assert_eq!(lender.join().expect("a lender"), Some(DONE));
    world.assert_concluded();
}

/// A lender that sleeps is woken by who cancels.
pub fn a_lender_hears_of_the_end() {
    let world = World::new();
    let lender = spawn(&world, |world| world.lend(None));
    world.cancel(1);
    assert_eq!(lender.join().expect("a lender"), Some(1));
    world.assert_concluded();
}

/// Of two lenders both come to an end, whoever runs it, and while a worker does.
pub fn lenders_hear_of_each_other() {
    let world = World::new();
    let lenders = [(); 2].map(|()| spawn(&world, |world| world.lend(None)));
    let worker = spawn(&world, World::notify);
    happen(&world);
    for lender in lenders {
        assert_eq!(lender.join().expect("a lender"), Some(DONE));
    }
    worker.join().expect("a worker");
    world.assert_concluded();
}

/// A lender whose time is up hands over, also what was notified while it went.
pub fn leaving_hands_over() {
    let world = World::new();
    let ticker = Ticker::start(20);
    let impatient = [1, 2].map(|seconds| {
        spawn(&world, move |world| world.lend(Some(Instant::now() + Duration::from_secs(seconds))))
    });
    happen(&world);
    impatient.into_iter().for_each(|lender| {
        lender.join().expect("a lender");
    });
    drop(ticker);
    world.assert_concluded();
}

/// What is held for a reader is given to nobody but the reader, and the one who cancels.
pub fn what_is_held_is_not_stolen() {
    let world = World::new();
    let token = world.claim.claim_any().expect("nobody has it");
    let thief = spawn(&world, |world| {
        assert_eq!(world.claim.notify(), Notify::Nothing);
        assert!(world.claim.claim_queued().is_none());
    });
    let waiter = spawn(&world, |world| world.lend(None));
    let mut held = Some(token);
    while let Some(token) = held.take() {
        held = world.claim.give_back(token, Rest::Held);
    }
    let token = world.claim.claim_any().expect("it is where it was left");
    world.conclude(token, Some(DONE));
    thief.join().expect("a thief");
    assert_eq!(waiter.join().expect("a lender"), Some(DONE));
    world.assert_concluded();
}

/// The same when it is cancelled between two reads.
pub fn what_is_held_can_be_cancelled() {
    let world = World::new();
    let token = world.claim.claim_any().expect("nobody has it");
    let cancel = spawn(&world, |world| world.cancel(1));
    let mut held = Some(token);
    while let Some(token) = held.take() {
        if world.claim.is_settled() {
            world.conclude(token, None);
        } else {
            held = world.claim.give_back(token, Rest::Held);
        }
    }
    // Gone only if it was cancelled.
    match world.claim.claim_any() {
        Some(token) if world.claim.is_settled() => world.conclude(token, None),
        Some(token) => world.conclude(token, Some(DONE)),
        None => assert_eq!(world.claim.outcome(), Some(1)),
    }
    cancel.join().expect("one who cancels");
    world.assert_concluded();
}
