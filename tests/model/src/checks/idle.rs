//! Permits of an origin: so many and no more, none lost, the most urgent first, and no connection
//! from before a flush.

use crate::connection::idle::{Acquired, Origin, Origins, Permit, Want};
use crate::connection::transport::{Asker, Connection};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Instant, Mutex, lock, pick, thread};
use std::task::{Wake, Waker};
use std::time::Duration;

fn want(priority: f32) -> Want {
    Want { priority, certain: false, fresh: false, now: Instant::now(), asker: Asker::default() }
}

struct World {
    origins: Origins,
    origin: Arc<Origin>,
    limit: usize,
    out: AtomicUsize,
    open: Arc<AtomicUsize>,
    /// Flushes that have begun, and those that have ended.
    flushing: AtomicU64,
    flushed: AtomicU64,
}

impl World {
    fn new(limit: usize) -> Arc<World> {
        World::keeping(limit, limit)
    }

    fn keeping(limit: usize, maximum_idle: usize) -> Arc<World> {
        let origins = Origins::new(limit, Duration::from_secs(60), maximum_idle);
        let origin = origins.get("http://example.com");
        Arc::new(World {
            origins,
            origin,
            limit,
            out: AtomicUsize::new(0),
            open: Arc::default(),
            flushing: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
        })
    }

    /// Uses a connection and puts it back, or closes it.
    fn exchange(&self, flushed: u64, connection: Option<Box<Connection>>, permit: Permit) {
        let out = self.out.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(out <= self.limit, "{out} permits are out");
        let connection = match connection {
            Some(connection) => {
                assert!(connection.generation >= flushed, "a connection from before a flush");
                connection
            }
            None => Box::new(Connection {
                generation: self.flushing.load(Ordering::SeqCst),
                exchanges: 0,
                clean: true,
                is_personal: false,
                alive: Arc::new(AtomicBool::new(true)),
            }),
        };
        thread::yield_now();
        self.out.fetch_sub(1, Ordering::SeqCst);
        match pick(3) {
            0 => drop((connection, permit)),
            _ => permit.put_back(connection, Instant::now()),
        }
    }

    /// All permits are there again: they can be taken without waiting, and no more than these.
    fn assert_all_there(&self) {
        let waker = || Waker::noop().clone();
        let mut permits = Vec::new();
        for number in 0..self.limit as u64 {
            match self.origin.acquire(100 + number, want(0.5), &waker) {
                Acquired::Open(permit) | Acquired::Reused(_, permit) => permits.push(permit),
                Acquired::Wait(_) => panic!("a permit is lost"),
            }
        }
        assert!(
            matches!(self.origin.acquire(1000, want(0.5), &waker), Acquired::Wait(_)),
            "a permit too many"
        );
    }
}

/// Sleeps until it is woken.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: crate::sync::Condvar,
}

impl Bell {
    fn wait(&self) {
        let mut rung = lock(&self.rung);
        while !std::mem::take(&mut *rung) {
            rung = self.changed.wait(rung).expect("no poison");
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *lock(&self.rung) = true;
        self.changed.notify_all();
    }
}

/// Gets a permit and uses it, or gives up while it waits.
fn visit(world: &World, number: u64, patience: usize) {
    let bell = Arc::new(Bell::default());
    let waker = || Waker::from(Arc::clone(&bell));
    // Whatever is handed out after this must not be older.
    let mut flushed = world.flushed.load(Ordering::SeqCst);
    let mut acquired = world.origin.acquire(number, want(0.5), &waker);
    for _ in 0..patience {
        match acquired {
            Acquired::Reused(connection, permit) => return world.exchange(flushed, Some(connection), permit),
            Acquired::Open(permit) => return world.exchange(flushed, None, permit),
            Acquired::Wait(ticket) => {
                bell.wait();
                flushed = world.flushed.load(Ordering::SeqCst);
                acquired = ticket.again(want(0.7), &waker);
            }
        }
    }
    // Gone without having looked: whatever was granted goes on to the next.
}

fn visitors(world: &Arc<World>, count: u64, patience: fn(u64) -> usize) -> Vec<thread::JoinHandle<()>> {
    let visitor = |number| {
        let world = Arc::clone(world);
        thread::spawn(move || (0..2).for_each(|n| visit(&world, number * 2 + n, patience(number))))
    };
    (0..count).map(visitor).collect()
}

/// Everybody who waits gets a permit, and there are never too many of them.
pub fn everybody_gets_a_permit() {
    let world = World::new(1 + pick(2));
    visitors(&world, 3, |_| usize::MAX).into_iter().for_each(|visitor| visitor.join().expect("a visitor"));
    world.assert_all_there();
}

/// Those who go away at any point, also with a permit that they have not fetched, strand nobody.
pub fn who_gives_up_strands_nobody() {
    let world = World::new(1);
    visitors(&world, 4, |number| if number % 2 == 0 { usize::MAX } else { pick(2) })
        .into_iter()
        .for_each(|visitor| visitor.join().expect("a visitor"));
    world.assert_all_there();
}

/// After a flush nobody gets a connection from before it: not one that lay idle, not one that was
/// granted and not fetched, not one that was being looked at, not one that was in use.
pub fn a_flush_leaves_no_old_connection() {
    let world = World::new(1 + pick(2));
    let visitors = visitors(&world, 3, |_| usize::MAX);
    let pruned = Arc::clone(&world);
    let pruner = thread::spawn(move || pruned.origins.prune());
    for _ in 0..2 {
        world.flushing.fetch_add(1, Ordering::SeqCst);
        world.origins.flush();
        world.flushed.fetch_add(1, Ordering::SeqCst);
        thread::yield_now();
    }
    visitors.into_iter().for_each(|visitor| visitor.join().expect("a visitor"));
    pruner.join().expect("the one who prunes");
    world.assert_all_there();
}

/// Looking after the idle connections loses none, and keeps no more than are allowed.
pub fn pruning_keeps_what_is_good() {
    let world = World::keeping(2, 1);
    let visitors = visitors(&world, 2, |_| usize::MAX);
    world.origins.prune();
    visitors.into_iter().for_each(|visitor| visitor.join().expect("a visitor"));
    world.origins.prune();
    let waker = || Waker::noop().clone();
    let acquired = [0, 1].map(|number| world.origin.acquire(200 + number, want(0.5), &waker));
    let idle = acquired.iter().filter(|acquired| matches!(acquired, Acquired::Reused(..))).count();
    assert!(idle <= 1, "{idle} idle connections");
    drop(acquired);
    world.assert_all_there();
}

/// Who waits gets its turn by priority, and among equals by time.
pub fn the_most_urgent_comes_first() {
    let world = World::new(1);
    let waker = || Waker::noop().clone();
    let Acquired::Open(permit) = world.origin.acquire(0, want(0.5), &waker) else { panic!("the first") };
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tickets = Vec::new();
    for (number, priority) in [(1, 0.5), (2, 0.25), (3, 1.0), (4, 0.5)] {
        let Acquired::Wait(ticket) = world.origin.acquire(number, want(priority), &waker) else {
            panic!("a permit too many")
        };
        tickets.push((number, priority, ticket));
    }
    let releaser = thread::spawn(move || drop(permit));
    let mut held: Option<Permit> = None;
    while !tickets.is_empty() {
        for (number, priority, ticket) in std::mem::take(&mut tickets) {
            match ticket.again(want(priority), &waker) {
                Acquired::Open(permit) => {
                    lock(&order).push(number);
                    held = Some(permit);
                }
                Acquired::Wait(ticket) => tickets.push((number, priority, ticket)),
                Acquired::Reused(..) => panic!("nothing was put back"),
            }
        }
        drop(held.take());
        thread::yield_now();
    }
    releaser.join().expect("the one who releases");
    assert_eq!(*lock(&order), [3, 1, 4, 2]);
    world.assert_all_there();
}
