//! The tasks of a session that have not completed.
//!
//! Lock: `state`. Nothing is called or dropped under it.

use crate::engine::watch::IdHasher;
use crate::sync::{Arc, Mutex, lock};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Weak;

/// See the module's documentation.
pub(crate) struct Registry<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    tasks: HashMap<u64, Entry<T>, BuildHasherDefault<IdHasher>>,
    invalidated: bool,
    /// Runs once, when the session is invalidated and its last task has ended.
    at_end: Option<Box<dyn FnOnce() + Send>>,
}

/// A task that nobody started is not kept alive by its session: nobody could start it.
enum Entry<T> {
    Unstarted(Weak<T>),
    Started(Arc<T>),
}

impl<T> Registry<T> {
    pub(crate) fn new() -> Self {
        Registry { state: Mutex::new(State { tasks: HashMap::default(), invalidated: false, at_end: None }) }
    }

    /// Takes a task in. False if the session takes no more.
    pub(crate) fn insert(&self, id: u64, task: &Arc<T>) -> bool {
        let mut state = lock(&self.state);
        if !state.invalidated {
            state.tasks.insert(id, Entry::Unstarted(Arc::downgrade(task)));
        }
        !state.invalidated
    }

    /// From now on the task lives until it is forgotten.
    pub(crate) fn keep(&self, id: u64, task: &Arc<T>) {
        if let Some(entry) = lock(&self.state).tasks.get_mut(&id) {
            *entry = Entry::Started(Arc::clone(task));
        }
    }

    /// The task has completed, or nobody can start it any more.
    pub(crate) fn forget(&self, id: u64) {
        let mut state = lock(&self.state);
        let entry = state.tasks.remove(&id);
        let at_end = state.ended();
        drop(state);
        drop(entry);
        if let Some(at_end) = at_end {
            at_end();
        }
    }

    /// The tasks, in the order in which they were made.
    pub(crate) fn tasks(&self) -> Vec<Arc<T>> {
        let state = lock(&self.state);
        let mut tasks: Vec<_> = state
            .tasks
            .iter()
            .filter_map(|(id, entry)| match entry {
                Entry::Unstarted(weak) => Some((*id, weak.upgrade()?)),
                Entry::Started(task) => Some((*id, Arc::clone(task))),
            })
            .collect();
        drop(state);
        tasks.sort_by_key(|(id, _)| *id);
        tasks.into_iter().map(|(_, task)| task).collect()
    }

    pub(crate) fn is_invalidated(&self) -> bool {
        lock(&self.state).invalidated
    }

    /// Takes no new tasks, and runs `at_end` when the last one has ended, unless it was so before.
    pub(crate) fn invalidate(&self, at_end: Box<dyn FnOnce() + Send>) {
        let mut state = lock(&self.state);
        if state.invalidated {
            return;
        }
        state.invalidated = true;
        state.at_end = Some(at_end);
        let at_end = state.ended();
        drop(state);
        if let Some(at_end) = at_end {
            at_end();
        }
    }
}

impl<T> State<T> {
    fn ended(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        if self.invalidated && self.tasks.is_empty() { self.at_end.take() } else { None }
    }
}
