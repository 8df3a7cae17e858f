//! A task from its start to its end, by workers and by threads that lend themselves.

use super::script::{Step, World, completed, context, finish, task};
use crate::engine::events::{Mode as LaneMode, Subject};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Instant, Ticker, pick, thread};
use crate::task::core::TaskCore;
use std::time::Duration;

const STEPS: [Step; 5] = [Step::Event(0), Step::Receive(3), Step::Yield, Step::Event(1), Step::Body(2)];

/// Does what the steps wait for.
fn peer(core: &Arc<TaskCore>, world: &Arc<World>) -> thread::JoinHandle<()> {
    let (core, world) = (Arc::clone(core), Arc::clone(world));
    thread::spawn(move || {
        world.happen(0, &core);
        world.socket.feed(1);
        world.socket.feed(2);
        world.happen(1, &core);
        world.socket.feed(2);
    })
}

/// Workers carry a task on, whatever it waits for, and whenever that happens.
pub fn workers_carry_it_to_its_end() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    core.resume();
    let peer = peer(&core, &world);
    completed(&core).expect("success");
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// Threads that wait carry it on themselves, one at a time, and all of them see the end.
pub fn lenders_carry_it_to_its_end() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    let peer = peer(&core, &world);
    let other = Arc::clone(&core);
    let other = thread::spawn(move || other.wait(None).expect("no limit").is_ok());
    assert!(core.wait(None).expect("no limit").is_ok());
    assert!(other.join().expect("a waiter"));
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// Who waits for a task that runs already takes it over or sleeps, and never for ever.
pub fn a_lender_joins_the_workers() {
    let (context, world) = (context(LaneMode::Inline, 1), World::new());
    let core = task(&context, &world, &STEPS);
    core.resume();
    let peer = peer(&core, &world);
    assert!(core.wait(None).expect("no limit").is_ok());
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// Those who wait while the workers have much to do leave the task to them, and hear of the end.
pub fn a_lender_leaves_it_to_busy_workers() {
    let context = context(LaneMode::Inline, 2);
    let others = [(); 5].map(|()| World::new());
    let parked: Vec<_> = others.iter().map(|world| task(&context, world, &[Step::Receive(1)])).collect();
    parked.iter().for_each(TaskCore::resume);
    let world = World::new();
    let core = task(&context, &world, &STEPS);
    if pick(2) == 0 {
        core.resume();
    }
    let ticker = Ticker::start(20);
    let peer = peer(&core, &world);
    let other = Arc::clone(&core);
    let until = (pick(2) == 0).then(|| Instant::now() + Duration::from_secs(1));
    let other = thread::spawn(move || drop(other.wait(until)));
    assert!(core.wait(None).expect("no limit").is_ok());
    other.join().expect("a waiter");
    peer.join().expect("the peer");
    drop(ticker);
    others.iter().for_each(|world| world.socket.feed(1));
    parked.iter().for_each(|core| drop(completed(core).expect("success")));
    finish(context);
    world.assert_ended();
    others.iter().for_each(|world| world.assert_ended());
}

/// A thread whose time is up leaves the task to the workers, with whatever came or was due.
pub fn a_lender_that_leaves_hands_over() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    let ticker = Ticker::start(40);
    let peer = peer(&core, &world);
    let other = Arc::clone(&core);
    let other = thread::spawn(move || drop(other.wait(Some(Instant::now() + Duration::from_secs(2)))));
    for seconds in 1..3 {
        if let Some(outcome) = core.wait(Some(Instant::now() + Duration::from_secs(seconds))) {
            outcome.expect("success");
        }
    }
    completed(&core).expect("success");
    other.join().expect("a waiter");
    peer.join().expect("the peer");
    drop(ticker);
    finish(context);
    world.assert_ended();
}

/// A deadline that nobody announces is kept by a worker, by a lender, and after a lender has left.
pub fn deadlines_are_kept() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let ticker = Ticker::start(60);
    let at = Instant::now() + Duration::from_secs(5);
    let steps = [Step::Until(at), Step::Until(at + Duration::from_secs(1))];
    let worlds = [(); 3].map(|()| World::new());
    let [worked, lent, left] = [0, 1, 2].map(|n: usize| task(&context, &worlds[n], &steps));
    worked.resume();
    let lender = Arc::clone(&lent);
    let lender = thread::spawn(move || lender.wait(None).expect("no limit").is_ok());
    if let Some(outcome) = left.wait(Some(Instant::now() + Duration::from_secs(1))) {
        outcome.expect("success");
    }
    completed(&left).expect("success");
    completed(&worked).expect("success");
    assert!(lender.join().expect("a waiter"));
    drop(ticker);
    drop(world);
    finish(context);
    worlds.iter().for_each(|world| world.assert_ended());
}

fn cancelled(start: fn(&Arc<TaskCore>)) {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    start(&core);
    let peer = peer(&core, &world);
    let cancels = [(); 2].map(|()| {
        let core = Arc::clone(&core);
        thread::spawn(move || {
            core.cancel();
            core.outcome().expect("settled").is_ok()
        })
    });
    let waited = core.wait(None).expect("no limit").is_ok();
    for cancel in cancels {
        assert_eq!(cancel.join().expect("a thread that cancels"), waited, "there is one outcome");
    }
    assert_eq!(completed(&core).is_ok(), waited);
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// There is one outcome, whoever comes first: the end, or one of two who cancel.
pub fn a_task_of_workers_is_settled_once() {
    cancelled(|core| core.resume());
}

/// The same for one that is carried on by the thread that waits.
pub fn a_lent_task_is_settled_once() {
    cancelled(|_| {});
}

/// A task that hears nothing any more ends when it is cancelled, wherever it waits.
pub fn cancel_reaches_it_wherever_it_waits() {
    let (context, world) = (context(LaneMode::Inline, 1), World::new());
    let ticker = Ticker::start(30);
    let late = Instant::now() + Duration::from_secs(1000);
    for steps in [
        [Step::Event(0)],
        [Step::Receive(1)],
        [Step::Until(late)],
        [Step::Listen(0, None)],
        [Step::Listen(0, Some(late))],
    ] {
        let world = World::new();
        let core = task(&context, &world, &steps);
        let canceller = Arc::clone(&core);
        let canceller = thread::spawn(move || canceller.cancel());
        if pick(2) == 0 {
            core.resume();
        }
        let lender = Arc::clone(&core);
        let until = (pick(2) == 0).then(|| Instant::now() + Duration::from_secs(1));
        let lender = thread::spawn(move || drop(lender.wait(until)));
        drop(completed(&core));
        lender.join().expect("a waiter");
        canceller.join().expect("the one who cancels");
    }
    drop((ticker, world));
    finish(context);
}

/// Work that waits for an event and for its socket goes on when either is there, whoever carries it on.
pub fn either_is_heard_by_who_listens() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &[Step::Listen(0, None), Step::Event(1), Step::Listen(2, None)]);
    let (worked, by_event) = (pick(2) == 0, pick(2) == 0);
    if worked {
        core.resume();
    }
    let (told, happens) = (Arc::clone(&core), Arc::clone(&world));
    let peer = thread::spawn(move || {
        match by_event {
            true => happens.happen(0, &told),
            false => happens.socket.feed(1),
        }
        happens.happen(1, &told);
        match by_event {
            // The first wait may have taken one.
            true => happens.socket.feed(2),
            false => happens.happen(2, &told),
        }
    });
    let ticker = Ticker::start(20);
    let other = Arc::clone(&core);
    let until = (pick(2) == 0).then(|| Instant::now() + Duration::from_secs(1));
    let other = thread::spawn(move || drop(other.wait(until)));
    if !worked && pick(2) == 0 {
        // Whoever leaves hands it over.
        drop(core.wait(Some(Instant::now() + Duration::from_secs(2))));
    } else {
        assert!(core.wait(None).expect("no limit").is_ok());
    }
    completed(&core).expect("success");
    other.join().expect("a waiter");
    peer.join().expect("the peer");
    drop(ticker);
    finish(context);
    world.assert_ended();
}

/// The deadline of who listens is kept, by a worker and by a thread that waits.
pub fn the_deadline_of_who_listens_is_kept() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let ticker = Ticker::start(40);
    let at = Instant::now() + Duration::from_secs(5);
    let core = task(&context, &world, &[Step::Listen(0, Some(at)), Step::Yield, Step::Listen(0, Some(at))]);
    if pick(2) == 0 {
        core.resume();
    }
    if pick(2) == 0 {
        drop(core.wait(Some(Instant::now() + Duration::from_secs(2))));
    }
    let disturbed = Arc::clone(&core);
    let disturber = thread::spawn(move || disturbed.set_priority(1.0));
    assert!(core.wait(None).expect("no limit").is_ok());
    disturber.join().expect("the one who disturbs");
    drop(ticker);
    finish(context);
    world.assert_ended();
}

/// Who asks for what a cancelled task leaves behind gets it when the work is gone, wherever it was.
pub fn what_is_left_behind_is_there_at_the_end() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &[Step::Listen(0, None), Step::Receive(2), Step::Event(1), Step::Fail]);
    if pick(2) == 0 {
        core.resume();
    }
    let (told, happens) = (Arc::clone(&core), Arc::clone(&world));
    let peer = thread::spawn(move || {
        happens.happen(0, &told);
        happens.socket.feed(2);
        happens.happen(1, &told);
    });
    let other = Arc::clone(&core);
    let lender = thread::spawn(move || drop(other.wait(None)));
    let cancels = [(); 2].map(|()| {
        let (core, world) = (Arc::clone(&core), Arc::clone(&world));
        thread::spawn(move || {
            core.cancel_to_resume();
            let error = completed(&core).expect_err("it failed, or was cancelled");
            assert!(core.has_ended() && world.ended.load(Ordering::SeqCst) == 1, "the work is gone");
            let left = if error.is_cancelled() { core.resume_data() } else { error.resume_data().cloned() };
            assert!(left.is_some(), "what it left is there");
        })
    });
    for thread in cancels.into_iter().chain([lender, peer]) {
        thread.join().expect("a thread");
    }
    finish(context);
    world.assert_ended();
}

/// Who follows a task is told of its end, once and last, whenever it began to follow, and by one thread
/// at a time.
pub fn who_follows_hears_of_the_end_once_and_last() {
    let mode = match pick(2) {
        0 => LaneMode::Inline,
        _ => LaneMode::Serial,
    };
    let (context, world) = (context(mode, 2), World::new());
    let core = task(&context, &world, &[Step::Move, Step::Event(0), Step::Move, Step::Yield, Step::Move]);
    let (sender, receiver) = shuttle::sync::mpsc::channel();
    let follow = move |core: &Arc<TaskCore>, sender: shuttle::sync::mpsc::Sender<()>| {
        let (told, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let handler = move |_: &Arc<TaskCore>, last: bool| {
            assert_eq!(told.fetch_add(1, Ordering::SeqCst), 0, "one call at a time");
            thread::yield_now();
            assert_eq!(ended.load(Ordering::SeqCst), 0, "nothing comes after the end");
            if last {
                ended.fetch_add(1, Ordering::SeqCst);
                sender.send(()).expect("a receiver");
            }
            told.fetch_sub(1, Ordering::SeqCst);
        };
        core.follow(Duration::ZERO, Box::new(handler));
    };
    follow(&core, sender.clone());
    if pick(2) == 0 {
        core.resume();
    }
    let late = Arc::clone(&core);
    let follower = thread::spawn(move || follow(&late, sender));
    let (told, happens) = (Arc::clone(&core), Arc::clone(&world));
    let peer = thread::spawn(move || happens.happen(0, &told));
    let canceller = Arc::clone(&core);
    let cancels = pick(2) == 0;
    let canceller = thread::spawn(move || {
        if cancels {
            canceller.cancel();
        }
    });
    assert!(core.wait(None).expect("no limit").is_ok() || cancels);
    for thread in [follower, peer, canceller] {
        thread.join().expect("a thread");
    }
    for _ in 0..2 {
        receiver.recv().expect("an end for each");
    }
    assert!(receiver.recv().is_err(), "and no other");
    while !context.registry.tasks().is_empty() {
        thread::yield_now();
    }
    finish(context);
    world.assert_ended();
}

/// Suspending stops it between two steps, and resuming is not forgotten.
pub fn suspend_and_resume() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    core.resume();
    let peer = peer(&core, &world);
    let other = Arc::clone(&core);
    let other = thread::spawn(move || {
        other.suspend();
        thread::yield_now();
        other.resume();
    });
    core.suspend();
    core.resume();
    assert!(core.wait(None).expect("no limit").is_ok());
    other.join().expect("the one who suspends");
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// The end of a session comes once: after its last task, also if nobody ever started that one.
pub fn invalidation_comes_after_the_last_task() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    let never = task(&context, &World::new(), &STEPS);
    core.resume();
    let peer = peer(&core, &world);
    let dropped = thread::spawn(move || drop(never));
    let ends = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = shuttle::sync::mpsc::channel();
    let others = [(); 2].map(|()| {
        let (context, ends, sender) = (Arc::clone(&context), Arc::clone(&ends), sender.clone());
        thread::spawn(move || {
            context.registry.invalidate(Box::new(move || {
                ends.fetch_add(1, Ordering::SeqCst);
                sender.send(()).expect("a receiver");
            }));
        })
    });
    receiver.recv().expect("an end");
    assert!(core.outcome().is_some(), "it comes after the last task");
    others.into_iter().for_each(|other| other.join().expect("the one who invalidates"));
    dropped.join().expect("the one who drops");
    peer.join().expect("the peer");
    assert_eq!(ends.load(Ordering::SeqCst), 1, "and once");
    let late = World::new();
    assert!(completed(&task(&context, &late, &STEPS)).is_err());
    drop(core);
    finish(context);
    world.assert_ended();
    late.assert_ended();
}

fn asking(mode: LaneMode) {
    let (context, world) = (context(mode, 2), World::new());
    let steps = [Step::Ask(0), Step::Receive(1), Step::Ask(1)];
    let core = task(&context, &world, &steps);
    let feeder = Arc::clone(&world);
    let feeder = thread::spawn(move || feeder.socket.feed(1));
    let other = Arc::clone(&core);
    let other = thread::spawn(move || other.wait(None).expect("no limit").is_ok());
    assert!(core.wait(None).expect("no limit").is_ok());
    assert!(other.join().expect("a waiter"));
    feeder.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// A thread that waits turns a lane that nobody else turns.
pub fn waiting_turns_a_manual_lane() {
    asking(LaneMode::Manual);
}

/// Answers come from the lane's own thread.
pub fn waiting_for_answers_of_a_serial_lane() {
    asking(LaneMode::Serial);
}

/// To wait for a task in a callback of its lane runs the callbacks that the task waits for.
pub fn waiting_inside_a_callback() {
    let (context, world) = (context(LaneMode::Serial, 2), World::new());
    let core = task(&context, &world, &[Step::Ask(0), Step::Ask(1)]);
    core.resume();
    let (inside, (sender, receiver)) = (Arc::clone(&core), shuttle::sync::mpsc::channel());
    context.lane.post(
        Subject::NONE,
        Box::new(move || {
            let done = inside.wait(None).expect("no limit").is_ok();
            sender.send(done).expect("a receiver");
        }),
    );
    assert!(receiver.recv().expect("the callback runs"));
    finish(context);
    world.assert_ended();
}

/// Several tasks, of which the first that ends is taken, and then all.
pub fn the_first_of_several() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let cores = [(); 2].map(|()| task(&context, &world, &[Step::Event(0)]));
    cores.iter().for_each(TaskCore::start);
    let (waker, cloned) = (Arc::clone(&world), cores.clone());
    let waker = thread::spawn(move || cloned.iter().for_each(|core| waker.happen(0, core)));
    let mut sleeper = cores[0].sleeper();
    loop {
        if cores.iter().any(|core| core.outcome().is_some()) {
            break;
        }
        cores.iter().for_each(|core| core.on_change(sleeper.waker()));
        if cores.iter().any(|core| core.outcome().is_some()) {
            break;
        }
        sleeper.sleep();
    }
    for core in &cores {
        assert!(core.wait(None).expect("no limit").is_ok());
    }
    waker.join().expect("the one who wakes");
    finish(context);
}
