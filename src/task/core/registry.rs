//! The tasks of a session that have not completed, and what those came to that have.
//!
//! Lock: `state`. Nothing is called or dropped under it.

use crate::engine::watch::IdHasher;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Weak;

/// See the module's documentation.
pub(crate) struct Registry<T> {
    state: Mutex<State<T>>,
    /// How many tasks were started and are here still, in the lower half; above it the number of
    /// their batch. A batch begins when a task is started while there is no other.
    running: AtomicU64,
}

/// Those of the latest batch that have completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Finished {
    batch: u64,
    pub(crate) tasks: usize,
    /// What they have moved.
    pub(crate) bytes: u64,
}

const BATCH: u64 = 1 << 32;

struct State<T> {
    finished: Finished,
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
        Registry {
            state: Mutex::new(State {
                finished: Finished::default(),
                tasks: HashMap::default(),
                invalidated: false,
                at_end: None,
            }),
            running: AtomicU64::new(0),
        }
    }

    /// A task was started, which takes no lock. Whether it is alone.
    pub(crate) fn begin(&self) -> bool {
        let alone = |running: u64| running % BATCH == 0;
        let begun = |running: u64| Some(running.wrapping_add(if alone(running) { BATCH + 1 } else { 1 }));
        let before = self.running.fetch_update(Ordering::AcqRel, Ordering::Acquire, begun);
        before.is_ok_and(alone)
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

    /// The task has completed, or nobody can start it any more. `moved`: it was started, and has moved
    /// so many bytes. If it was the last of its batch, `idle` runs.
    pub(crate) fn forget(&self, id: u64, moved: Option<u64>, idle: impl FnOnce()) {
        let mut state = lock(&self.state);
        let entry = state.tasks.remove(&id);
        let mut last = false;
        if let Some(bytes) = moved {
            let running = self.running.fetch_sub(1, Ordering::AcqRel);
            let batch = running / BATCH;
            last = running % BATCH == 1;
            let finished = state.finished.of(batch);
            state.finished = Finished {
                batch,
                tasks: finished.tasks.saturating_add(1),
                bytes: finished.bytes.saturating_add(bytes),
            };
        }
        let at_end = state.ended();
        drop(state);
        drop(entry);
        if last {
            idle();
        }
        if let Some(at_end) = at_end {
            at_end();
        }
    }

    /// The tasks, in the order in which they were made.
    pub(crate) fn tasks(&self) -> Vec<Arc<T>> {
        self.all().0
    }

    /// The same, and what those came to that are here no more: none is missing, none counts twice.
    pub(crate) fn all(&self) -> (Vec<Arc<T>>, Finished) {
        let state = lock(&self.state);
        let finished = state.finished.of(self.running.load(Ordering::Acquire) / BATCH);
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
        (tasks.into_iter().map(|(_, task)| task).collect(), finished)
    }

    /// Whether no task that was started is here.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.load(Ordering::Acquire) % BATCH == 0
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

impl Finished {
    /// What there is of that batch.
    fn of(self, batch: u64) -> Finished {
        if self.batch == batch { self } else { Finished { batch, ..Finished::default() } }
    }
}

impl<T> State<T> {
    fn ended(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        if self.invalidated && self.tasks.is_empty() { self.at_end.take() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(registry: &Registry<()>) -> (usize, u64) {
        let (_, finished) = registry.all();
        (finished.tasks, finished.bytes)
    }

    #[test]
    fn what_has_completed_counts_until_another_batch_begins() {
        let registry = Registry::<()>::new();
        assert!(registry.is_idle());
        registry.begin();
        registry.begin();
        assert!(!registry.is_idle());
        registry.forget(1, Some(10), || {});
        assert_eq!(finished(&registry), (1, 10));
        registry.begin();
        registry.forget(2, Some(5), || {});
        let mut idle = false;
        registry.forget(3, Some(1), || idle = true);
        assert!(idle);
        assert!(registry.is_idle());
        assert_eq!(finished(&registry), (3, 16), "the sum stays after the last");
        registry.begin();
        assert_eq!(finished(&registry), (0, 0), "another batch");
        registry.forget(4, Some(7), || {});
        assert_eq!(finished(&registry), (1, 7));
    }

    #[test]
    fn what_was_never_started_does_not_count() {
        let registry = Registry::<()>::new();
        registry.begin();
        registry.forget(1, None, || {});
        assert!(!registry.is_idle());
        assert_eq!(finished(&registry), (0, 0));
    }

    #[test]
    fn each_task_counts_once_in_all_threads() {
        let registry = Registry::<()>::new();
        registry.begin();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for id in 0..1000 {
                        registry.begin();
                        registry.forget(id, Some(3), || {});
                    }
                });
            }
        });
        registry.forget(0, Some(0), || {});
        assert_eq!(finished(&registry), (4001, 12_000));
    }
}
