//! The reader of a body, to whom the work belongs between two reads.

use super::script::{Step, World, context, finish, task};
use crate::engine::events::Mode as LaneMode;
use crate::sync::{Arc, pick, thread};
use crate::task::core::{Opened, TaskCore};

const STEPS: [Step; 3] = [Step::Event(0), Step::Receive(1), Step::Body(4)];

fn peer(core: &Arc<TaskCore>, world: &Arc<World>) -> thread::JoinHandle<()> {
    let (core, world) = (Arc::clone(core), Arc::clone(world));
    thread::spawn(move || {
        world.happen(0, &core);
        for _ in 0..5 {
            world.socket.feed(1);
        }
    })
}

fn read_all(core: &Arc<TaskCore>) -> Result<usize, crate::Error> {
    let (mut sum, mut buffer) = (0, [0; 3]);
    loop {
        match core.read(&mut buffer)? {
            0 => return Ok(sum),
            count => sum += count,
        }
    }
}

fn opened(resumed: bool) {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    if resumed {
        core.resume();
    }
    let peer = peer(&core, &world);
    let other = Arc::clone(&core);
    let disturber = thread::spawn(move || {
        for priority in [1.0, 0.0, 0.5] {
            other.set_priority(priority);
            thread::yield_now();
        }
    });
    let other = Arc::clone(&core);
    let waiter = thread::spawn(move || other.wait(None).expect("no limit").is_ok());
    match core.open() {
        // Nobody else gets at the body: all of it is read here.
        Opened::Streaming => {
            let count = read_all(&core).expect("the body");
            // What had been collected before would come first.
            assert!(count <= 4, "{count} bytes");
            core.close_reader();
        }
        // A body that somebody else has collected before it was asked for.
        Opened::Outcome(outcome) => drop(outcome.expect("success")),
        Opened::Taken => panic!("nobody else opens it"),
    }
    assert!(waiter.join().expect("a waiter"));
    disturber.join().expect("the one who disturbs");
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// Neither notifications nor others who wait take the body away from its reader.
pub fn the_body_stays_with_its_reader() {
    opened(false);
}

/// Nor do workers that had begun to collect it.
pub fn the_reader_takes_the_body_from_the_workers() {
    opened(true);
}

/// To cancel ends a read that waits, and reading after the end says the same as all others hear.
pub fn cancel_ends_a_read() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    let peer = peer(&core, &world);
    let cancels = [(); 2].map(|()| {
        let core = Arc::clone(&core);
        thread::spawn(move || core.cancel())
    });
    match core.open() {
        Opened::Streaming => {
            if let Err(error) = read_all(&core) {
                assert!(error.is_cancelled(), "{error}");
            }
            core.close_reader();
        }
        Opened::Outcome(outcome) => drop(outcome),
        Opened::Taken => panic!("nobody else opens it"),
    }
    cancels.into_iter().for_each(|cancel| cancel.join().expect("a thread that cancels"));
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// A reader that goes away in the middle ends the task for everybody.
pub fn a_reader_that_goes_away() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    let peer = peer(&core, &world);
    let other = Arc::clone(&core);
    let waiter = thread::spawn(move || drop(other.wait(None).expect("no limit")));
    if let Opened::Streaming = core.open() {
        assert!(core.read(&mut [0; 2]).expect("a piece") > 0);
        core.close_reader();
        assert!(core.outcome().is_some());
    }
    waiter.join().expect("a waiter");
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// A read of a suspended task waits until it is resumed.
pub fn a_suspended_body() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let core = task(&context, &world, &STEPS);
    let peer = peer(&core, &world);
    if let Opened::Streaming = core.open() {
        let other = Arc::clone(&core);
        let suspender = thread::spawn(move || {
            other.suspend();
            thread::yield_now();
            other.resume();
        });
        let other = Arc::clone(&core);
        let waiter = thread::spawn(move || other.wait(None).expect("no limit").is_ok());
        assert_eq!(read_all(&core).expect("the body"), 4);
        core.close_reader();
        assert!(waiter.join().expect("a waiter"));
        suspender.join().expect("the one who suspends");
    }
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}

/// A reader whose work waits for an event and for its socket goes on when either is there.
pub fn a_reader_that_listens() {
    let (context, world) = (context(LaneMode::Inline, 2), World::new());
    let (by_event, cancels) = (pick(2) == 0, pick(2) == 0);
    let core = task(&context, &world, &[Step::Body(1), Step::Listen(0, None)]);
    if pick(2) == 0 {
        core.set_priority(1.0);
    }
    world.socket.feed(1);
    let Opened::Streaming = core.open() else { panic!("nobody else reads it") };
    assert_eq!(core.read(&mut [0; 3]).expect("a byte"), 1);
    let (told, happens) = (Arc::clone(&core), Arc::clone(&world));
    let peer = thread::spawn(move || match by_event {
        true => happens.happen(0, &told),
        false => happens.socket.feed(1),
    });
    let other = Arc::clone(&core);
    let canceller = thread::spawn(move || {
        other.suspend();
        other.resume();
        if cancels {
            other.cancel();
        }
    });
    match core.read(&mut [0; 3]) {
        Ok(count) => assert_eq!(count, 0),
        Err(_) => assert!(cancels),
    }
    core.close_reader();
    canceller.join().expect("the one who cancels");
    peer.join().expect("the peer");
    finish(context);
    world.assert_ended();
}
