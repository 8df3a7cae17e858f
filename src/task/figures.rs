//! What a progress bar shows: how much of how much, how fast, how long still. As numbers and in words.

use std::fmt;
use std::time::Duration;

/// What takes longer than this is not foreseen.
const FORESEEABLE: Duration = Duration::from_secs(100 * 24 * 3600);

/// See the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Figures {
    pub(super) completed: u64,
    pub(super) total: Option<u64>,
    pub(super) rate: Option<f64>,
    pub(super) finished: bool,
}

impl Figures {
    pub(super) fn fraction(&self) -> Option<f64> {
        match self.total? {
            0 => Some(1.0),
            total => Some((self.completed as f64 / total as f64).min(1.0)),
        }
    }

    pub(super) fn time_left(&self) -> Option<Duration> {
        if self.finished {
            return Some(Duration::ZERO);
        }
        let left = self.total?.saturating_sub(self.completed);
        if left == 0 {
            return Some(Duration::ZERO);
        }
        let time = Duration::try_from_secs_f64(left as f64 / self.rate?).ok()?;
        Some(time).filter(|time| *time <= FORESEEABLE)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Size(self.completed as f64))?;
        if let (Some(total), Some(fraction)) = (self.total, self.fraction()) {
            // Not 100 before it is.
            let percent = (fraction * 1000.0).floor() / 10.0;
            write!(f, " of {} ({percent:.1} %)", Size(total as f64))?;
        }
        if self.finished {
            return Ok(());
        }
        if let Some(rate) = self.rate {
            write!(f, ", {}/s", Size(rate))?;
        }
        match self.time_left() {
            Some(left) if !left.is_zero() => write!(f, ", {} left", Time(left)),
            _ => Ok(()),
        }
    }
}

/// A number of bytes, to one decimal of the largest unit.
struct Size(f64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
        let (mut number, mut unit) = (self.0.round(), None);
        // What would be rounded to 1024.0 is 1.0 of the next unit.
        while number >= 1023.95 {
            let Some(next) = units.next() else { break };
            (number, unit) = (number / 1024.0, Some(next));
        }
        match unit {
            None => write!(f, "{number:.0} B"),
            Some(unit) => write!(f, "{number:.1} {unit}"),
        }
    }
}

/// A time, in seconds that are rounded up, by the two largest units.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0));
        let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, _, _) => write!(f, "{hours} h {} min", minutes % 60),
            _ => write!(f, "{days} d {} h", hours % 24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn figures(completed: u64, total: Option<u64>, rate: Option<f64>) -> Figures {
        Figures { completed, total, rate, finished: false }
    }

    #[test]
    fn in_words() {
        let mib = MIB as f64;
        for (figures, words) in [
            (
                figures(12_897_485, Some(50 * MIB), Some(8.1 * mib)),
                "12.3 MiB of 50.0 MiB (24.6 %), 8.1 MiB/s, 5 s left",
            ),
            (figures(0, None, None), "0 B"),
            (figures(999, None, Some(10.4)), "999 B, 10 B/s"),
            (figures(0, Some(2000), None), "0 B of 2.0 KiB (0.0 %)"),
            (figures(1000, Some(2000), Some(0.0)), "1000 B of 2.0 KiB (50.0 %), 0 B/s"),
            (figures(9999, Some(10_000), Some(1.0)), "9.8 KiB of 9.8 KiB (99.9 %), 1 B/s, 1 s left"),
            (figures(5, Some(5), Some(1.0)), "5 B of 5 B (100.0 %), 1 B/s"),
            (figures(0, Some(0), None), "0 B of 0 B (100.0 %)"),
            (Figures { finished: true, ..figures(5, Some(5), Some(1.0)) }, "5 B of 5 B (100.0 %)"),
            (Figures { finished: true, ..figures(5, Some(10), Some(1.0)) }, "5 B of 10 B (50.0 %)"),
        ] {
            assert_eq!(figures.to_string(), words);
        }
    }

    #[test]
    fn sizes() {
        for (size, words) in [
            (1023.0, "1023 B"),
            (1024.0, "1.0 KiB"),
            (1536.0, "1.5 KiB"),
            (1024.0 * 1023.96, "1.0 MiB"),
            (MIB as f64 * 1023.9, "1023.9 MiB"),
            (u64::MAX as f64, "16.0 EiB"),
            (1e30, "867361737988.4 EiB"),
        ] {
            assert_eq!(Size(size).to_string(), words);
        }
    }

    #[test]
    fn times() {
        for (milliseconds, words) in [
            (1, "1 s"),
            (1000, "1 s"),
            (1001, "2 s"),
            (59_000, "59 s"),
            (59_001, "1 min 0 s"),
            (3_599_000, "59 min 59 s"),
            (3_600_000, "1 h 0 min"),
            (86_400_000, "1 d 0 h"),
            (200_000_000, "2 d 7 h"),
        ] {
            assert_eq!(Time(Duration::from_millis(milliseconds)).to_string(), words);
        }
    }

    #[test]
    fn what_cannot_be_foreseen() {
        assert_eq!(figures(10, Some(30), Some(10.0)).time_left(), Some(Duration::from_secs(2)));
        for rate in [None, Some(0.0), Some(1e-300), Some(f64::MIN_POSITIVE), Some(1e-7)] {
            assert_eq!(figures(0, Some(u64::MAX), rate).time_left(), None, "{rate:?}");
        }
        assert_eq!(figures(7, None, Some(1.0)).time_left(), None);
        assert_eq!(figures(7, Some(7), None).time_left(), Some(Duration::ZERO));
    }

    #[test]
    fn fractions_are_between_none_and_all() {
        assert_eq!(figures(0, None, None).fraction(), None);
        assert_eq!(figures(0, Some(0), None).fraction(), Some(1.0));
        assert_eq!(figures(1, Some(4), None).fraction(), Some(0.25));
        assert_eq!(figures(9, Some(4), None).fraction(), Some(1.0));
    }
}
