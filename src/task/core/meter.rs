//! How fast bytes move: a recent rate, smoothed, from samples of a count that grows.
//!
//! Knows no clock: times are nanoseconds since some beginning, and are given to it. Looking changes
//! nothing, so that any number of threads may look at any time and see the same.

/// Samples are not closer together than this.
pub(crate) const SAMPLE_EVERY: u64 = 100_000_000;

/// After so long the weight of what was has fallen to 1/e: what moved in the last few seconds counts,
/// and a stall shows within about ten.
const MEMORY: f64 = 3.0e9;

/// See the module's documentation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    begun: u64,
    last: Option<Sample>,
    average: Average,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: u64,
    bytes: u64,
}

/// An exponential average over time. The weight is what a rate that never changed would have
/// gathered so far, by which the sum is to be divided: else every transfer would begin slowly.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    sum: f64,
    weight: f64,
}

impl Meter {
    /// By then so many bytes had moved. What had moved by the first sample is where the meter begins.
    /// Fewer than before means that the transfer starts over.
    pub(crate) fn sample(&mut self, at: u64, bytes: u64) {
        match self.last {
            Some(last) if bytes >= last.bytes => {
                if at > last.at {
                    self.average = self.average.after(at - last.at, bytes - last.bytes);
                    self.last = Some(Sample { at, bytes });
                }
            }
            _ => *self = Meter { begun: at, last: Some(Sample { at, bytes }), average: Average::default() },
        }
    }

    /// Bytes per second, if by now so many have moved. `None` until enough time has passed to tell.
    pub(crate) fn rate(&self, now: u64, bytes: u64) -> Option<f64> {
        let last = self.last?;
        if now.saturating_sub(self.begun) < SAMPLE_EVERY {
            return None;
        }
        self.average.after(now.saturating_sub(last.at), bytes.saturating_sub(last.bytes)).value()
    }
}

impl Average {
    fn after(self, nanoseconds: u64, bytes: u64) -> Average {
        if nanoseconds == 0 {
            return self;
        }
        let elapsed = nanoseconds as f64;
        let kept = (-elapsed / MEMORY).exp();
        let rate = bytes as f64 * 1e9 / elapsed;
        Average { sum: self.sum * kept + rate * (1.0 - kept), weight: self.weight * kept + (1.0 - kept) }
    }

    fn value(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const TENTH: u64 = SECOND / 10;

    /// A meter that was told of a steady rate, in bytes a second, from `from` for so many tenths.
    fn steady(meter: &mut Meter, from: (u64, u64), rate: u64, tenths: u64) -> (u64, u64) {
        let mut end = from;
        for tenth in 0..=tenths {
            end = (from.0 + tenth * TENTH, from.1 + tenth * rate / 10);
            meter.sample(end.0, end.1);
        }
        end
    }

    fn assert_near(rate: Option<f64>, expected: f64) {
        let rate = rate.expect("a rate");
        assert!((rate - expected).abs() <= expected * 1e-6, "{rate} and not {expected}");
    }

    #[test]
    fn nothing_is_known_at_first() {
        let mut meter = Meter::default();
        assert_eq!(meter.rate(5 * SECOND, 1000), None);
        meter.sample(5 * SECOND, 1000);
        assert_eq!(meter.rate(5 * SECOND, 1000), None);
        assert_eq!(meter.rate(5 * SECOND + TENTH - 1, 2000), None);
        assert_near(meter.rate(5 * SECOND + TENTH, 2000), 10_000.0);
    }

    #[test]
    fn a_steady_rate_is_told_from_the_beginning() {
        for tenths in [1, 2, 10, 600] {
            let mut meter = Meter::default();
            let (now, bytes) = steady(&mut meter, (7 * SECOND, 123), 5_000_000, tenths);
            assert_near(meter.rate(now, bytes), 5_000_000.0);
            assert_near(meter.rate(now + TENTH / 2, bytes + 250_000), 5_000_000.0);
        }
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let mut meter = Meter::default();
        let (now, bytes) = steady(&mut meter, (0, 40 << 30), 1000, 10);
        assert_near(meter.rate(now, bytes), 1000.0);
    }

    #[test]
    fn it_falls_towards_nothing_when_nothing_moves() {
        let mut meter = Meter::default();
        let (now, bytes) = steady(&mut meter, (0, 0), 1_000_000, 100);
        let mut before = meter.rate(now, bytes).unwrap();
        for second in 1..=30 {
            let rate = meter.rate(now + second * SECOND, bytes).unwrap();
            assert!(rate < before, "{rate} after {before}");
            before = rate;
        }
        assert!(before < 100.0, "{before}");
        let ages = meter.rate(now + (1 << 60), bytes).unwrap();
        assert!((0.0..1e-9).contains(&ages), "{ages}");
    }

    #[test]
    fn it_forgets_what_was_long_ago() {
        let mut meter = Meter::default();
        let end = steady(&mut meter, (0, 0), 1_000_000, 600);
        let (now, bytes) = steady(&mut meter, end, 2_000_000, 10);
        let rate = meter.rate(now, bytes).unwrap();
        assert!((1_200_000.0..1_500_000.0).contains(&rate), "{rate} a second after the change");
        let (now, bytes) = steady(&mut meter, (now, bytes), 2_000_000, 200);
        let rate = meter.rate(now, bytes).unwrap();
        assert!((1_990_000.0..2_000_001.0).contains(&rate), "{rate} long after it");
    }

    #[test]
    fn bursts_are_smoothed() {
        // A megabyte a second, all of it in the first tenth of each.
        let mut meter = Meter::default();
        let mut rates = Vec::new();
        for tenth in 0..300 {
            meter.sample(tenth * TENTH, tenth.div_ceil(10) * 1_000_000);
            if tenth > 100 {
                rates.extend(meter.rate(tenth * TENTH, tenth.div_ceil(10) * 1_000_000));
            }
        }
        assert!(rates.iter().all(|rate| (700_000.0..1_400_000.0).contains(rate)), "{rates:?}");
    }

    #[test]
    fn looking_changes_nothing() {
        let mut meter = Meter::default();
        let (now, bytes) = steady(&mut meter, (0, 0), 1000, 20);
        let first = meter.rate(now + SECOND, bytes);
        for later in 0..50 {
            let _ = meter.rate(now + later * TENTH, bytes + later);
        }
        assert_eq!(meter.rate(now + SECOND, bytes), first);
    }

    #[test]
    fn samples_of_one_moment_lose_nothing() {
        let mut meter = Meter::default();
        meter.sample(0, 0);
        meter.sample(SECOND, 500);
        meter.sample(SECOND, 1000);
        // Of another thread's clock, a little behind.
        meter.sample(SECOND - 5, 1500);
        meter.sample(2 * SECOND, 2000);
        let even = {
            let mut even = Meter::default();
            even.sample(0, 0);
            even.sample(SECOND, 500);
            even.sample(2 * SECOND, 2000);
            even
        };
        assert_eq!(meter.rate(2 * SECOND, 2000), even.rate(2 * SECOND, 2000));
    }

    #[test]
    fn a_transfer_that_starts_over_is_measured_anew() {
        let mut meter = Meter::default();
        let (now, _) = steady(&mut meter, (0, 0), 1_000_000, 50);
        meter.sample(now + SECOND, 10);
        assert_eq!(meter.rate(now + SECOND, 10), None);
        let (now, bytes) = steady(&mut meter, (now + SECOND, 10), 500, 10);
        assert_near(meter.rate(now, bytes), 500.0);
    }

    #[test]
    fn numbers_without_measure() {
        let mut meter = Meter::default();
        meter.sample(0, 0);
        meter.sample(1, u64::MAX);
        let rate = meter.rate(u64::MAX, u64::MAX).unwrap();
        assert!(rate.is_finite() && rate >= 0.0, "{rate}");
    }
}
