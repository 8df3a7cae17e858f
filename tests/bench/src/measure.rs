//! Time and processor time, medians, tables.

use crate::Result;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What one operation of a round took.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Seconds, the median of the operations where each is timed, else the mean.
    pub wall: f64,
    /// Seconds of processor time in this process, user and system.
    pub cpu: f64,
}

/// Processor time of this process so far.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Runs a round of so many operations.
pub fn together(operations: usize, run: impl FnOnce() -> Result<()>) -> Result<Sample> {
    let (cpu_before, begin) = (cpu(), Instant::now());
    run()?;
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu() - cpu_before);
    Ok(Sample { wall: wall / operations as f64, cpu: cpu / operations as f64 })
}

/// Runs a round of so many operations one after another.
pub fn one_by_one(operations: usize, mut run: impl FnMut() -> Result<()>) -> Result<Sample> {
    let mut times = Vec::with_capacity(operations);
    let cpu_before = cpu();
    for _ in 0..operations {
        let begin = Instant::now();
        run()?;
        times.push(begin.elapsed());
    }
    let cpu = (cpu() - cpu_before) / operations as f64;
    times.sort_unstable();
    Ok(Sample { wall: times.get(operations / 2).map_or(0.0, Duration::as_secs_f64), cpu })
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Four digits and a unit.
pub fn seconds(value: f64) -> String {
    let (value, unit) = match value {
        value if value < 1e-3 => (value * 1e6, "µs"),
        value if value < 1.0 => (value * 1e3, "ms"),
        value => (value, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}
