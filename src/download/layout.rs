//! Which bytes of a file are there, which are on their way, and who brings which: the plan of a
//! download over several connections. Knows no files, no connections and no clock; times are
//! milliseconds since some beginning, and are given to it.
//!
//! A *part* is what one owner brings: it is there up to a position, and was asked for up to an end. What
//! is neither there nor part of a part is *free*. A newcomer takes what is free, else from the end of
//! the part that has most left, so that the slowest connection does not decide when all is there.

use std::ops::Range;

/// A part is not divided to pieces that are smaller, in bytes.
const PIECE: u64 = 128 * 1024;

/// What is left of a part is taken from an owner who has been at it for so long, in milliseconds, and
/// would need so much longer.
const PATIENCE: u64 = 1000;
const LONGEST: u64 = 4000;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    total: u64,
    /// In order, none empty, with gaps in between.
    done: Vec<Range<u64>>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    owner: u64,
    /// What comes next; up to `claimed` it is being written.
    at: u64,
    claimed: u64,
    end: u64,
    since: u64,
    brought: u64,
}

impl Layout {
    /// A file of so many bytes, some of which are there.
    pub(crate) fn new(total: u64, done: &[Range<u64>]) -> Self {
        let mut layout = Layout { total, done: Vec::new(), parts: Vec::new() };
        done.iter().for_each(|range| layout.add(range.start..range.end.min(total)));
        layout
    }

    /// Gives an owner what is missing from there on, as a part.
    pub(crate) fn begin(&mut self, owner: u64, at: u64, now: u64) {
        self.release(owner);
        let end = self.next_busy(at);
        self.add_part(owner, at..end, now);
    }

    /// Gives an owner a part: of `newcomers`, itself included, that want one. `None` if there is none to give.
    pub(crate) fn assign(&mut self, owner: u64, newcomers: u64, now: u64) -> Option<Range<u64>> {
        self.release(owner);
        let range = match self.free() {
            Some(free) => free,
            None => {
                let part = self.parts.iter_mut().max_by_key(|part| part.rest())?;
                let count = match part.rest() {
                    rest if rest >= 2 * PIECE => (rest / newcomers.saturating_add(1).max(2)).max(PIECE),
                    rest if part.is_slow(now) => rest,
                    _ => return None,
                };
                part.end -= count;
                part.end..part.end + count
            }
        };
        self.add_part(owner, range.clone(), now);
        Some(range)
    }

    /// Whether [`assign`](Layout::assign) would give something.
    pub(crate) fn has_more(&self, now: u64) -> bool {
        let divisible = |part: &Part| part.rest() >= 2 * PIECE || part.is_slow(now);
        self.free().is_some() || self.parts.iter().max_by_key(|part| part.rest()).is_some_and(divisible)
    }

    /// Some bytes have come, which are to be written: where, and how many of them.
    pub(crate) fn claim(&mut self, owner: u64, count: usize) -> (u64, usize) {
        let Some(part) = self.part(owner) else { return (0, 0) };
        let count = count.min(usize::try_from(part.end.saturating_sub(part.at)).unwrap_or(usize::MAX));
        part.claimed = part.at + count as u64;
        (part.at, count)
    }

    /// So many of them were written.
    pub(crate) fn advance(&mut self, owner: u64, count: usize) {
        let Some(part) = self.part(owner) else { return };
        let range = part.at..part.at.saturating_add(count as u64);
        part.at = range.end;
        part.claimed = part.claimed.max(range.end);
        part.brought += count as u64;
        self.add(range);
    }

    /// Moves the end of a part that has reached it on, if what comes next is free.
    pub(crate) fn extend(&mut self, owner: u64) -> bool {
        let Some(at) = self.parts.iter().find(|part| part.owner == owner).map(|part| part.end) else {
            return false;
        };
        let end = self.next_busy(at);
        match self.part(owner) {
            Some(part) if end > at => part.end = end,
            _ => return false,
        }
        true
    }

    /// Where an owner is.
    pub(crate) fn position(&self, owner: u64) -> Option<u64> {
        self.parts.iter().find(|part| part.owner == owner).map(|part| part.at)
    }

    /// Whether an owner has brought all of its part, or has none.
    pub(crate) fn is_over(&self, owner: u64) -> bool {
        self.parts.iter().find(|part| part.owner == owner).is_none_or(|part| part.at >= part.end)
    }

    /// The owner has no part any more. What is left of it is free.
    pub(crate) fn release(&mut self, owner: u64) {
        self.parts.retain(|part| part.owner != owner);
    }

    /// Nobody but the owner has a part any more.
    pub(crate) fn release_others(&mut self, owner: u64) {
        self.parts.retain(|part| part.owner == owner);
    }

    /// How many others have something left to bring.
    pub(crate) fn others(&self, owner: u64) -> usize {
        self.parts.iter().filter(|part| part.owner != owner && part.at < part.end).count()
    }

    /// How many have a part.
    pub(crate) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// What is there, in order and with gaps in between.
    pub(crate) fn done(&self) -> &[Range<u64>] {
        &self.done
    }

    /// How many bytes are there.
    pub(crate) fn bytes(&self) -> u64 {
        self.done.iter().map(|range| range.end - range.start).sum()
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.bytes() == self.total
    }

    fn part(&mut self, owner: u64) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.owner == owner)
    }

    fn add_part(&mut self, owner: u64, range: Range<u64>, now: u64) {
        let Range { start: at, end } = range;
        self.parts.push(Part { owner, at, claimed: at, end, since: now, brought: 0 });
    }

    /// What is there or on its way, in order.
    fn busy(&self) -> Vec<Range<u64>> {
        let mut busy = self.done.clone();
        busy.extend(self.parts.iter().map(|part| part.at..part.end).filter(|range| !range.is_empty()));
        busy.sort_by_key(|range| range.start);
        busy
    }

    /// The first range that is neither there nor on its way.
    fn free(&self) -> Option<Range<u64>> {
        let mut at = 0;
        for range in self.busy() {
            if range.start > at {
                return Some(at..range.start);
            }
            at = at.max(range.end);
        }
        Some(at..self.total).filter(|range| !range.is_empty())
    }

    /// Where what is there or on its way begins again, seen from a position.
    fn next_busy(&self, at: u64) -> u64 {
        let reaches = |range: &Range<u64>| range.end > at;
        let next = self.busy().into_iter().filter(reaches).map(|range| range.start.max(at)).min();
        next.unwrap_or(self.total).min(self.total.max(at))
    }

    /// These are there now.
    fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let from = self.done.partition_point(|done| done.end < range.start);
        let to = self.done.partition_point(|done| done.start <= range.end);
        let touched = self.done.get(from..to).unwrap_or_default();
        let start = touched.first().map_or(range.start, |first| first.start.min(range.start));
        let end = touched.last().map_or(range.end, |last| last.end.max(range.end));
        self.done.splice(from..to, std::iter::once(start..end));
    }
}

impl Part {
    /// What is left of it, and not being written just now.
    fn rest(&self) -> u64 {
        self.end.saturating_sub(self.claimed)
    }

    fn is_slow(&self, now: u64) -> bool {
        let time = now.saturating_sub(self.since);
        let foreseen = u128::from(self.rest()) * u128::from(time) / u128::from(self.brought.max(1));
        self.rest() > 0 && time >= PATIENCE && foreseen > u128::from(LONGEST)
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    const TOTAL: u64 = 100 * PIECE;

    fn bring(layout: &mut Layout, owner: u64, count: u64) -> u64 {
        let (_, count) = layout.claim(owner, count as usize);
        layout.advance(owner, count);
        count as u64
    }

    #[test]
    fn newcomers_get_equal_parts() {
        let mut layout = Layout::new(TOTAL, &[]);
        layout.begin(0, 0, 0);
        let parts: Vec<_> = (1..4).map(|owner| layout.assign(owner, 4 - owner, 0)).collect();
        let quarter = 25 * PIECE;
        let expected = [3, 2, 1].map(|from| Some(from * quarter..(from + 1) * quarter));
        assert_eq!(parts, expected);
        assert_eq!(bring(&mut layout, 0, u64::MAX), quarter);
        assert!(layout.is_over(0));
        assert!(!layout.extend(0), "what comes next is another's");
    }

    #[test]
    fn what_is_there_is_one_range_in_the_end() {
        let mut layout = Layout::new(TOTAL, &[10..20, 20..25, 40..50, 5..5]);
        assert_eq!(layout.done(), [10..25, 40..50]);
        assert_eq!(layout.bytes(), 25);
        for owner in 1..=3 {
            layout.assign(owner, 1, 0).expect("a part");
        }
        for owner in 1..=3 {
            bring(&mut layout, owner, u64::MAX);
        }
        assert_eq!(layout.done(), [0..TOTAL]);
        assert!(layout.is_complete());
        assert!(!layout.has_more(0));
        assert_eq!(layout.assign(4, 1, 0), None);
    }

    #[test]
    fn the_largest_rest_is_divided() {
        let mut layout = Layout::new(TOTAL, &[]);
        layout.begin(0, 0, 0);
        assert_eq!(layout.assign(1, 1, 0), Some(TOTAL / 2..TOTAL));
        bring(&mut layout, 1, TOTAL);
        bring(&mut layout, 0, 10 * PIECE);
        assert_eq!(layout.assign(1, 1, 0), Some(30 * PIECE..TOTAL / 2));
        assert_eq!(bring(&mut layout, 0, TOTAL), 20 * PIECE);
    }

    #[test]
    fn what_is_being_written_is_not_taken() {
        let mut layout = Layout::new(4 * PIECE, &[]);
        layout.begin(0, 0, 0);
        assert_eq!(layout.claim(0, 3 * PIECE as usize), (0, 3 * PIECE as usize));
        assert_eq!(layout.assign(1, 1, 0), None);
        layout.advance(0, 3 * PIECE as usize);
        assert_eq!(layout.done(), [0..3 * PIECE]);
    }

    #[test]
    fn a_free_range_goes_first_and_to_whoever_comes_by() {
        let mut layout = Layout::new(TOTAL, &[]);
        layout.begin(0, 0, 0);
        let second = layout.assign(1, 1, 0).expect("a part");
        bring(&mut layout, 1, PIECE);
        layout.release(1);
        let rest = second.start + PIECE..TOTAL;
        assert_eq!(layout.assign(2, 1, 0), Some(rest.clone()));
        layout.release(2);
        bring(&mut layout, 0, TOTAL);
        assert!(!layout.extend(0), "what comes next is there");
        let mut layout = Layout::new(TOTAL, &[]);
        layout.begin(0, 0, 0);
        layout.assign(1, 1, 0);
        layout.release(1);
        bring(&mut layout, 0, TOTAL);
        assert!(layout.extend(0));
        assert_eq!(bring(&mut layout, 0, TOTAL), TOTAL / 2);
        assert!(layout.is_complete());
    }

    #[test]
    fn the_rest_of_a_slow_one_is_taken_whole() {
        let mut layout = Layout::new(PIECE, &[]);
        layout.begin(0, 0, 0);
        bring(&mut layout, 0, 1000);
        assert_eq!(layout.assign(1, 1, PATIENCE - 1), None, "it may only have begun");
        assert!(layout.has_more(PATIENCE));
        assert_eq!(layout.assign(1, 1, PATIENCE), Some(1000..PIECE));
        assert!(layout.is_over(0));
        assert_eq!(bring(&mut layout, 0, 5), 0);
        let mut layout = Layout::new(PIECE, &[]);
        layout.begin(0, 0, 0);
        bring(&mut layout, 0, PIECE / 2);
        assert_eq!(layout.assign(1, 1, 2 * PATIENCE), None, "it is as good as there");
    }

    #[test]
    fn a_part_ends_where_something_is_there() {
        let mut layout = Layout::new(100, &[30..40, 60..70]);
        layout.begin(7, 10, 0);
        assert_eq!(bring(&mut layout, 7, 100), 20);
        assert_eq!(layout.position(7), Some(30));
        layout.begin(7, 70, 0);
        assert_eq!(bring(&mut layout, 7, 100), 30);
    }

    #[test]
    fn any_order_of_events_ends_with_all_of_it() {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |bound: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % bound
        };
        for _ in 0..200 {
            let start = random(TOTAL);
            let mut layout = Layout::new(TOTAL, &[start..start + random(TOTAL)]);
            let mut steps = 0u64;
            while !layout.is_complete() {
                steps += 1;
                assert!(steps < 100_000);
                let owner = random(5);
                match random(20) {
                    0 => layout.release(owner),
                    _ if layout.is_over(owner) => drop(layout.assign(owner, 1 + random(4), steps)),
                    _ => {
                        let before = layout.bytes();
                        let count = bring(&mut layout, owner, random(3 * PIECE));
                        assert!(layout.bytes() <= before + count);
                    }
                }
                assert!(layout.done().windows(2).all(|pair| pair[0].end < pair[1].start));
            }
            assert_eq!(layout.done(), [0..TOTAL]);
        }
    }
}
