//! `--limit-rate`: no more than so many bytes a second, by waiting. Who waits does not read, which
//! holds back the server or whoever else would send.

// Not every program has a use for all of it.
#![allow(dead_code)]

use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};
use urlsession::Body;

/// The longest time nobody looks whether to go on.
const STEP: Duration = Duration::from_millis(100);

/// What has been taken so far, against the clock.
pub struct Pace {
    rate: u64,
    due: Instant,
}

impl Pace {
    /// A limit in bytes a second.
    pub fn new(rate: u64) -> Pace {
        Pace { rate: rate.max(1), due: Instant::now() }
    }

    /// How much to take at once, so that there is a piece ten times a second.
    pub fn piece(&self) -> usize {
        usize::try_from(self.rate / 10).unwrap_or(usize::MAX).max(1)
    }

    /// Waits until so many bytes may be taken, unless there is a reason to stop.
    pub fn take(&mut self, bytes: usize, stop: impl Fn() -> bool) {
        let time = Duration::try_from_secs_f64(bytes as f64 / self.rate as f64).unwrap_or(Duration::MAX);
        // Time in which nothing came is not made up for.
        let due = self.due.max(Instant::now());
        self.due = due.checked_add(time).unwrap_or(due);
        loop {
            let left = self.due.saturating_duration_since(Instant::now());
            if left.is_zero() || stop() {
                return;
            }
            thread::sleep(left.min(STEP));
        }
    }
}

/// A body that is read no faster.
pub fn slowed(body: Body, rate: u64) -> Body {
    let length = body.len();
    let slow = Body::from_fn(move || {
        let reader = body.open().map_err(io::Error::other)?;
        Ok(Slow { reader, pace: Pace::new(rate) })
    });
    match length {
        Some(length) => slow.with_length(length),
        None => slow,
    }
}

struct Slow<R> {
    reader: R,
    pace: Pace,
}

impl<R: Read> Read for Slow<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.pace.piece());
        let count = match buffer.get_mut(..most) {
            Some(piece) => self.reader.read(piece)?,
            None => 0,
        };
        self.pace.take(count, || false);
        Ok(count)
    }
}
