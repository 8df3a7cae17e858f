//! A queue by priority: who waits for a turn, the highest priority first, the longest wait first
//! among equals.

use std::collections::{BTreeMap, HashMap};

/// See the module's documentation.
pub(crate) struct Queue<T> {
    order: BTreeMap<(u32, u64), T>,
    places: HashMap<u64, u32>,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Queue { order: BTreeMap::new(), places: HashMap::new() }
    }

    /// Adds a waiter, or moves it if its priority changed. It keeps its place in time by its number.
    pub(crate) fn put(&mut self, number: u64, priority: f32, waiter: T) {
        let rank = rank(priority);
        if let Some(old) = self.places.insert(number, rank) {
            self.order.remove(&(old, number));
        }
        self.order.insert((rank, number), waiter);
    }

    /// Takes a waiter out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let rank = self.places.remove(&number)?;
        self.order.remove(&(rank, number))
    }

    /// The next one.
    pub(crate) fn pop(&mut self) -> Option<(u64, T)> {
        let ((_, number), waiter) = self.order.pop_first()?;
        self.places.remove(&number);
        Some((number, waiter))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// Orders priorities from 1.0 down to 0.0. What is outside is taken as the nearest.
fn rank(priority: f32) -> u32 {
    let priority = if priority.is_nan() { 0.5 } else { priority.clamp(0.0, 1.0) };
    // Non-negative floats order as their bits do.
    u32::MAX - priority.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_priority_then_by_time() {
        let mut queue = Queue::new();
        queue.put(1, 0.5, "first");
        queue.put(2, 0.5, "second");
        queue.put(3, 0.75, "urgent");
        queue.put(4, 0.0, "whenever");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!(order, ["urgent", "first", "second", "whenever"]);
    }

    #[test]
    fn a_change_of_priority_moves_and_keeps_the_time() {
        let mut queue = Queue::new();
        queue.put(1, 0.25, "low");
        queue.put(2, 0.5, "other");
        queue.put(1, 0.5, "raised");
        assert_eq!(queue.pop(), Some((1, "raised")));
        assert_eq!(queue.remove(2), Some("other"));
        assert!(queue.is_empty() && queue.pop().is_none());
    }
}
