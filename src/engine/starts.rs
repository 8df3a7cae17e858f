//! Where protocols are started: on threads of the session's pool, since a protocol may block, and on so
//! many of them at most.
//!
//! Lock: `state`. Nothing is called under it.

use super::pool;
use crate::sync::{Arc, Mutex, lock};
use std::collections::VecDeque;

/// How many run at once. A protocol that answers slowly would else take a thread a task.
const MAXIMUM: usize = 256;

type Start = Box<dyn FnOnce() + Send>;

/// See the module's documentation.
#[derive(Clone, Default)]
pub(crate) struct Starts(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    running: usize,
    waiting: VecDeque<Start>,
}

impl Starts {
    /// Runs it on a thread of the pool, when it is its turn. It does not panic.
    pub(crate) fn start(&self, pool: &Arc<pool::Shared>, start: Start) {
        let mut state = lock(&self.0);
        if state.running == MAXIMUM {
            state.waiting.push_back(start);
            return;
        }
        state.running += 1;
        drop(state);
        let starts = self.clone();
        pool.call(Box::new(move || starts.run(start)));
    }

    fn run(&self, start: Start) {
        let mut next = Some(start);
        while let Some(start) = next {
            start();
            let mut state = lock(&self.0);
            next = state.waiting.pop_front();
            state.running -= usize::from(next.is_none());
        }
    }
}
