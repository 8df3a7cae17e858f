//! The worker threads and the watch: every job runs, none is forgotten, and all threads end once the
//! pool is dropped, or the checker reports a deadlock.

use crate::engine::pool::{Job, Pool, Shared};
use crate::sync::{Arc, Condvar, Instant, Mutex, Ticker, lock, next_alarm, thread};
use crate::sys::{Interest, Socket};
use std::time::Duration;

/// Counts, with a way to wait for one.
#[derive(Default)]
struct Count(Mutex<usize>, Condvar);

impl Count {
    fn add(&self) {
        *lock(&self.0) += 1;
        self.1.notify_all();
    }

    fn get(&self) -> usize {
        *lock(&self.0)
    }

    fn wait(&self, count: usize) {
        let mut now = lock(&self.0);
        while *now < count {
            now = self.1.wait(now).expect("no poison");
        }
    }
}

/// A job that only counts.
struct Tally(Arc<Count>);

impl Job for Tally {
    fn run(self: Arc<Self>) {
        self.0.add();
    }

    fn notify(&self) -> bool {
        true
    }
}

fn pool(maximum: usize) -> (Pool, Arc<Count>) {
    let idle = Arc::new(Count::default());
    let counted = Arc::clone(&idle);
    (Pool::new(maximum, Box::new(move || counted.add())), idle)
}

fn park(pool: &Arc<Shared>, id: u64, job: &Arc<Tally>, socket: &Socket, deadline: Option<Instant>) {
    let job = Arc::clone(job) as Arc<dyn Job>;
    pool.watch.park(id, job, &mut |each| each(socket, Interest::READ), deadline).expect("a watch");
}

/// A job runs as often as it is pushed.
pub fn every_job_runs() {
    let (pool, _) = pool(2);
    let count = Arc::new(Count::default());
    let pusher = || {
        let (pool, count) = (Arc::clone(pool.shared()), Arc::clone(&count));
        thread::spawn(move || (0..2).for_each(|_| pool.push(Arc::new(Tally(Arc::clone(&count))))))
    };
    let pushers = [pusher(), pusher()];
    count.wait(4);
    pushers.into_iter().for_each(|pusher| pusher.join().expect("one who pushes"));
    assert!(thread::workers() <= 2);
    drop(pool);
    assert_eq!(count.get(), 4);
}

/// The same while threads may end for lack of work at any time.
pub fn every_job_runs_while_threads_end() {
    let ticker = Ticker::start(30);
    every_job_runs();
    drop(ticker);
}

/// A job that waits for another one in `blocking` gets it, though all threads are stuck.
pub fn what_is_stuck_holds_up_nobody() {
    let (pool, _) = pool(1);
    let (count, later) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for _ in 0..2 {
        let (count, later) = (Arc::clone(&count), Arc::clone(&later));
        pool.shared().call(Box::new(move || {
            later.wait(1);
            count.add();
        }));
    }
    pool.shared().push(Arc::new(Tally(Arc::clone(&later))));
    count.wait(2);
    drop(pool);
    assert_eq!((count.get(), later.get()), (2, 1));
}

/// A parked job runs when its socket is ready, though the only other thread is stuck until then.
pub fn the_watch_is_held_while_others_are_stuck() {
    let (pool, _) = pool(1);
    let (count, readied, stuck) = (Arc::new(Count::default()), Arc::new(Count::default()), Socket::new());
    let (blocked, until) = (Arc::clone(&count), Arc::clone(&readied));
    pool.shared().call(Box::new(move || {
        until.wait(1);
        blocked.add();
    }));
    park(pool.shared(), 1, &Arc::new(Tally(Arc::clone(&readied))), &stuck, None);
    pool.shared().ensure_watch();
    let feeder = thread::spawn(move || stuck.feed(1));
    count.wait(1);
    feeder.join().expect("the peer");
    drop(pool);
}

/// Whoever parks a job and leaves, and whenever the threads go: somebody is in the watch.
fn parked(ticks: usize, deadline: bool) {
    let ticker = (ticks > 0).then(|| Ticker::start(ticks));
    let (pool, _) = pool(2);
    let count = Arc::new(Count::default());
    let lender = |id: u64| {
        let (pool, count) = (Arc::clone(pool.shared()), Arc::clone(&count));
        thread::spawn(move || {
            let socket = Socket::new();
            let at = deadline.then(|| Instant::now() + Duration::from_secs(id));
            park(&pool, id, &Arc::new(Tally(count)), &socket, at);
            pool.ensure_watch();
            if !deadline {
                thread::yield_now();
                socket.feed(1);
            }
        })
    };
    let lenders = [lender(1), lender(2)];
    pool.shared().push(Arc::new(Tally(Arc::clone(&count))));
    count.wait(3);
    lenders.into_iter().for_each(|lender| lender.join().expect("a lender"));
    assert!(pool.watch().is_empty());
    drop(ticker);
    drop(pool);
    assert_eq!(count.get(), 3, "once each");
}

/// What is parked runs when its socket is ready.
pub fn what_is_parked_is_watched() {
    parked(0, false);
}

/// The same while threads may end for lack of work at any time.
pub fn what_is_parked_is_watched_while_threads_end() {
    parked(40, false);
}

/// What is parked runs when its deadline passes.
pub fn deadlines_of_what_is_parked() {
    parked(usize::MAX, true);
}

/// A deadline that is earlier than all others has the watch sleep less long.
pub fn an_earlier_deadline_is_noticed() {
    let (pool, _) = pool(1);
    let (count, socket) = (Arc::new(Count::default()), Socket::new());
    for (id, seconds) in [(1, 8), (2, 2)] {
        let at = Instant::now() + Duration::from_secs(seconds);
        park(pool.shared(), id, &Arc::new(Tally(Arc::clone(&count))), &socket, Some(at));
        pool.shared().ensure_watch();
        // Time stands still; a thread that is asleep has set its alarm.
        while next_alarm() != Some(at) {
            thread::yield_now();
        }
    }
    drop(pool);
}

/// Jobs that are parked and pushed by workers, with more to do than threads.
pub fn workers_park_and_push() {
    let (pool, _) = pool(2);
    let count = Arc::new(Count::default());
    let sockets = [Socket::new(), Socket::new()];
    for (id, socket) in (1..).zip(&sockets) {
        let (shared, count, socket) = (Arc::clone(pool.shared()), Arc::clone(&count), Arc::clone(socket));
        pool.shared().push(Arc::new(Once(Mutex::new(Some(Box::new(move || {
            park(&shared, id, &Arc::new(Tally(Arc::clone(&count))), &socket, None);
            shared.push(Arc::new(Tally(count)));
        }))))));
    }
    let feeder = thread::spawn(move || sockets.iter().for_each(|socket| socket.feed(1)));
    count.wait(4);
    feeder.join().expect("the peer");
    drop(pool);
    assert_eq!(count.get(), 4);
}

/// A job that runs a closure once.
struct Once(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Job for Once {
    fn run(self: Arc<Self>) {
        let run = lock(&self.0).take().expect("it runs once");
        run();
    }

    fn notify(&self) -> bool {
        true
    }
}

/// The last thread that ends says so, and nothing that comes at that moment is forgotten.
pub fn the_last_thread_says_so() {
    let ticker = Ticker::start(usize::MAX);
    let (pool, idle) = pool(2);
    let count = Arc::new(Count::default());
    for round in 1..3 {
        pool.shared().push(Arc::new(Tally(Arc::clone(&count))));
        count.wait(round);
        idle.wait(round);
    }
    drop(ticker);
    drop(pool);
}

/// To close it while jobs come and go: what was pushed still runs, and all threads end.
pub fn closing_ends_all_threads() {
    let (pool, _) = pool(2);
    let count = Arc::new(Count::default());
    let socket = Socket::new();
    pool.shared().push(Arc::new(Tally(Arc::clone(&count))));
    let (shared, counted) = (Arc::clone(pool.shared()), Arc::clone(&count));
    let pusher = thread::spawn(move || {
        park(&shared, 1, &Arc::new(Tally(Arc::clone(&counted))), &socket, None);
        shared.ensure_watch();
        shared.push(Arc::new(Tally(counted)));
    });
    drop(pool);
    pusher.join().expect("one who pushes");
    count.wait(2);
}
