//! Draws [`TaskMetrics`] for a terminal: a block for each transaction, in it a row for each phase,
//! and in the row a bar on a time axis that all transactions share. No line is wider than 80
//! columns; bars are placed to half a column. The bar of a phase that did not come to its end is
//! dashed, up to where the transaction was given up.

use super::{ResourceFetchType, TaskMetrics, TransactionMetrics};
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

const WIDTH: usize = 80;
const INDENT: &str = "  ";
/// The columns of the names of the phases, of the bars and of the durations, each with a space
/// after it: 2 + 10 + 56 + 1 + 9 is within the width.
const LABEL: usize = 10;
const BAR: usize = 56;
const DURATION: usize = 9;

pub(super) fn draw(metrics: &TaskMetrics, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let count = metrics.transactions.len();
    write!(f, "{}, {count} transaction{}", Time(metrics.duration), plural(count))?;
    if let redirects @ 1.. = metrics.redirect_count as usize {
        write!(f, ", {redirects} redirect{}", plural(redirects))?;
    }
    let Some(axis) = Axis::of(&metrics.transactions) else { return Ok(()) };
    for transaction in &metrics.transactions {
        f.write_str("\n\n")?;
        heading(transaction, f)?;
        details(transaction, f)?;
        for phase in phases(transaction) {
            axis.row(&phase, f)?;
        }
    }
    axis.ruler(f)
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Method, status, URL.
fn heading(transaction: &TransactionMetrics, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut line = format!("{} ", transaction.request_method);
    match transaction.status {
        Some(status) => write!(line, "{}", status.as_u16())?,
        None => line.push_str("(no response)"),
    }
    if let Some(url) = transaction.url() {
        write!(line, " {url}")?;
    }
    // URLs are ASCII and so are methods: a character is a column.
    if line.chars().count() > WIDTH {
        line = line.chars().take(WIDTH - 1).chain(['…']).collect();
    }
    f.write_str(&line)
}

/// How it was carried and how large it was, in as many lines as it needs.
fn details(transaction: &TransactionMetrics, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut items = Vec::new();
    items.extend(transaction.network_protocol_name.map(str::to_owned));
    items.extend(transaction.tls_version_name().map(str::to_owned));
    match transaction.resource_fetch_type {
        ResourceFetchType::LocalCache => items.push("from the cache".to_owned()),
        ResourceFetchType::ServerPush => items.push("pushed by the server".to_owned()),
        _ if transaction.is_reused_connection => items.push("reused connection".to_owned()),
        _ if transaction.connect_end.is_some() => items.push("new connection".to_owned()),
        _ => {}
    }
    if transaction.is_proxy_connection {
        items.push("through a proxy".to_owned());
    }
    if transaction.request_header_bytes.max(transaction.request_body_bytes) != 0 {
        items.push(sizes("sent", transaction.request_header_bytes, transaction.request_body_bytes));
    }
    let (head, body) = (transaction.response_header_bytes, transaction.response_body_bytes);
    if head.max(body) != 0 {
        let mut received = sizes("received", head, body);
        let decoded = transaction.response_body_bytes_decoded;
        if decoded != body && decoded != 0 {
            write!(received, " ({} decoded)", Size(decoded))?;
        }
        items.push(received);
    }
    let mut column = WIDTH;
    for item in items {
        let (width, separator) = (item.chars().count(), " · ");
        if column + separator.chars().count() + width > WIDTH {
            write!(f, "\n{INDENT}{item}")?;
            column = INDENT.len() + width;
        } else {
            write!(f, "{separator}{item}")?;
            column += separator.chars().count() + width;
        }
    }
    Ok(())
}

fn sizes(what: &str, head: u64, body: u64) -> String {
    match body {
        0 => format!("{what} {}", Size(head)),
        _ => format!("{what} {} + {} body", Size(head), Size(body)),
    }
}

/// A phase that was reached.
struct Phase {
    name: &'static str,
    start: Instant,
    /// `None` if the transaction ended before the phase did.
    end: Option<Instant>,
    /// When an unfinished phase was given up, as far as is known.
    given_up: Option<Instant>,
}

fn phases(transaction: &TransactionMetrics) -> impl Iterator<Item = Phase> + '_ {
    let t = transaction;
    [
        ("dns", t.domain_lookup_start, t.domain_lookup_end),
        ("connect", t.connect_start, t.secure_connection_start.or(t.connect_end)),
        ("tls", t.secure_connection_start, t.secure_connection_end),
        ("request", t.request_start, t.request_end),
        ("waiting", t.request_end, t.response_start),
        ("receiving", t.response_start, t.response_end),
    ]
    .into_iter()
    .filter_map(|(name, start, end)| Some(Phase { name, start: start?, end, given_up: t.failed_at }))
    // A response that overtakes the end of its request was not waited for.
    .filter(|phase| phase.name != "waiting" || phase.end.is_none_or(|end| end > phase.start))
}

/// The time that the bars span.
struct Axis {
    start: Instant,
    span: Duration,
}

impl Axis {
    fn of(transactions: &[TransactionMetrics]) -> Option<Axis> {
        let start = transactions.iter().map(|transaction| transaction.fetch_start).min()?;
        let ends = transactions.iter().flat_map(|transaction| {
            let given_up = transaction.failed_at.into_iter();
            phases(transaction).flat_map(|phase| [Some(phase.start), phase.end]).flatten().chain(given_up)
        });
        let end = ends.max().unwrap_or(start);
        Some(Axis { start, span: end.saturating_duration_since(start) })
    }

    /// Where an instant is, in half columns.
    fn place(&self, instant: Instant) -> usize {
        let (offset, span) = (instant.saturating_duration_since(self.start), self.span.as_nanos());
        let halves = 2 * BAR as u128;
        // Rounded to the nearest.
        let place = (offset.as_nanos() * halves + span / 2).checked_div(span).unwrap_or(0);
        place.min(halves) as usize
    }

    fn row(&self, phase: &Phase, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = phase.end.or(phase.given_up).unwrap_or(phase.start);
        // However short, a phase is seen.
        let from = self.place(phase.start).min(2 * BAR - 1);
        let to = self.place(end).max(from + 1);
        let (left, full, right) =
            if phase.end.is_some() { ('╺', '━', '╸') } else { ('╍', '╍', '╍') };
        let bar: String = (0..BAR)
            .map(|column| {
                match (from <= 2 * column && 2 * column < to, from <= 2 * column + 1 && 2 * column + 1 < to) {
                    (true, true) => full,
                    (true, false) => right,
                    (false, true) => left,
                    (false, false) => ' ',
                }
            })
            .collect();
        let time = match (phase.end, phase.given_up) {
            (None, None) => "cut short".to_owned(),
            _ => Time(end.saturating_duration_since(phase.start)).to_string(),
        };
        write!(f, "\n{INDENT}{:<LABEL$}{bar} {time:>DURATION$}", phase.name)
    }

    fn ruler(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.span.is_zero() {
            return Ok(());
        }
        let half = "─".repeat(BAR / 2 - 1);
        let time = Time(self.span).to_string();
        write!(f, "\n\n{INDENT}{:>width$} ├{half}┼{half}┤ {time:>8}", 0, width = LABEL - 1)
    }
}

/// A duration with three digits.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            0 => f.write_str("0 s"),
            1..1_000 => write!(f, "{nanos} ns"),
            1_000..999_500 => three_digits(nanos, 1_000, "µs", f),
            999_500..999_500_000 => three_digits(nanos, 1_000_000, "ms", f),
            999_500_000..599_500_000_000 => three_digits(nanos, 1_000_000_000, "s", f),
            599_500_000_000..35_970_000_000_000 => three_digits(nanos, 60_000_000_000, "min", f),
            _ => three_digits(nanos, 3_600_000_000_000, "h", f),
        }
    }
}

/// A number of bytes with three digits.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 10, "KiB"), (1 << 20, "MiB"), (1 << 30, "GiB"), (1 << 40, "TiB")];
        // The first unit of which it is less than a thousand, as far as there are larger ones.
        let unit = units.into_iter().find(|(unit, _)| u128::from(self.0) < 1000 * unit);
        match (self.0, unit) {
            (0..1000, _) => write!(f, "{} B", self.0),
            (bytes, Some((unit, name))) => three_digits(bytes.into(), unit, name, f),
            (bytes, None) => three_digits(bytes.into(), 1 << 40, "TiB", f),
        }
    }
}

/// A value in a unit: `1.23`, `12.3`, `123` and whatever is larger.
fn three_digits(value: u128, unit: u128, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let rounded = |scale: u128| (value * scale + unit / 2) / unit;
    match (rounded(100), rounded(10)) {
        (hundredths @ 0..1000, _) => write!(f, "{}.{:02} {name}", hundredths / 100, hundredths % 100),
        (_, tenths @ 0..1000) => write!(f, "{}.{} {name}", tenths / 10, tenths % 10),
        _ => write!(f, "{} {name}", rounded(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::TransactionMetrics;
    use super::*;
    use http::{Method, StatusCode};
    use url::Url;

    /// A transaction whose phases begin and end so many microseconds after a base, in order.
    fn transaction(
        base: Instant,
        url: &str,
        status: u16,
        fetch: u64,
        times: [u64; 10],
    ) -> TransactionMetrics {
        let at = |micros: u64| (micros != 0).then(|| base + Duration::from_micros(micros));
        let mut transaction = TransactionMetrics::new(base + Duration::from_micros(fetch), Method::GET);
        transaction.url.0 = Url::parse(url).ok();
        transaction.status = StatusCode::from_u16(status).ok();
        transaction.network_protocol_name = Some("http/1.1");
        transaction.resource_fetch_type = ResourceFetchType::NetworkLoad;
        (transaction.request_header_bytes, transaction.response_header_bytes) = (143, 512);
        let t = &mut transaction;
        for (field, micros) in [
            &mut t.domain_lookup_start,
            &mut t.domain_lookup_end,
            &mut t.connect_start,
            &mut t.secure_connection_start,
            &mut t.secure_connection_end,
            &mut t.connect_end,
            &mut t.request_start,
            &mut t.request_end,
            &mut t.response_start,
            &mut t.response_end,
        ]
        .into_iter()
        .zip(times)
        {
            *field = at(micros);
        }
        transaction
    }

    fn task(redirect_count: u32, millis: u64, transactions: Vec<TransactionMetrics>) -> String {
        let duration = Duration::from_millis(millis);
        TaskMetrics { created: Instant::now(), duration, redirect_count, transactions }.to_string()
    }

    fn compare(drawn: &str, expected: &str) {
        assert!(drawn.lines().all(|line| line.chars().count() <= WIDTH), "too wide:\n{drawn}");
        assert!(drawn == expected.trim_matches('\n'), "drawn:\n{drawn}\nexpected:\n{expected}");
    }

    #[test]
    fn the_drawing_in_the_documentation() {
        let base = Instant::now();
        let old = [150, 9_000, 9_100, 0, 0, 21_000, 21_050, 21_080, 33_500, 33_600];
        let new = [0, 0, 33_900, 46_100, 71_000, 71_020, 71_100, 71_190, 130_000, 184_000];
        let old = transaction(base, "http://user:pw@example.com/items?key=secret", 301, 0, old);
        let mut new = transaction(base, "https://example.com/items?key=secret", 200, 33_700, new);
        new.network_protocol_name = Some("h2");
        (new.tls_version, new.response_body_bytes, new.response_body_bytes_decoded) =
            (Some(0x0304), 46_387, 184_000);
        compare(&task(1, 185, vec![old, new]), include_str!("example.txt"));
    }

    #[test]
    fn a_redirect_with_reuse() {
        let base = Instant::now();
        let first = [100, 9_000, 9_100, 0, 0, 21_000, 21_050, 21_080, 48_000, 48_100];
        let second = [0, 0, 0, 0, 0, 0, 48_300, 48_340, 61_000, 61_020];
        let mut second = transaction(base, "http://example.com/new", 200, 48_200, second);
        second.is_reused_connection = true;
        second.is_proxy_connection = true;
        let first = transaction(base, "http://example.com/old", 301, 0, first);
        compare(&task(1, 62, vec![first, second]), REUSE);
    }

    #[test]
    fn a_failure_with_missing_phases() {
        let base = Instant::now();
        let times = [20, 2_000_000, 2_000_100, 0, 0, 0, 0, 0, 0, 0];
        let mut t = transaction(base, "https://example.com/", 0, 0, times);
        (t.network_protocol_name, t.request_header_bytes, t.response_header_bytes) = (None, 0, 0);
        t.failed_at = Some(base + Duration::from_secs(32));
        compare(&task(0, 32_000, vec![t]), FAILURE);
    }

    #[test]
    fn what_took_no_time_and_what_never_began() {
        let base = Instant::now();
        let mut cached = transaction(base, "https://example.com/logo.png", 200, 0, [0; 10]);
        cached.resource_fetch_type = ResourceFetchType::LocalCache;
        (cached.request_header_bytes, cached.response_header_bytes) = (0, 0);
        let drawn = task(0, 0, vec![cached]);
        compare(
            &drawn,
            "0 s, 1 transaction\n\nGET 200 https://example.com/logo.png\n  http/1.1 · from the cache",
        );
        compare(&task(0, 5, vec![]), "5.00 ms, 0 transactions");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let base = Instant::now();
        let far = 1_000_000_000_000_000;
        let url = format!("https://example.com/{}", "long/".repeat(100));
        let mut t = transaction(base, &url, 200, 0, [1, 2, 3, 4, 5, 6, 7, 8, 9, far]);
        (t.request_body_bytes, t.response_body_bytes, t.response_body_bytes_decoded) =
            (u64::MAX / 2, u64::MAX / 2, u64::MAX / 2 - 1);
        (t.is_proxy_connection, t.tls_version) = (true, Some(0x0304));
        let drawn = task(3, 1 << 40, vec![t.clone(), t]);
        assert!(drawn.lines().all(|line| line.chars().count() <= WIDTH), "{drawn}");
        assert!(drawn.contains("long/l…\n"), "{drawn}");
    }

    #[test]
    fn units_are_sensible() {
        let times = [
            (0, "0 s"),
            (999, "999 ns"),
            (1_500, "1.50 µs"),
            (45_678, "45.7 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (9_999_999, "10.0 ms"),
            (123_456_789, "123 ms"),
            (999_500_000, "1.00 s"),
            (4_000_000_000_000, "66.7 min"),
            (36_000_000_000_000, "10.0 h"),
        ];
        for (nanos, expected) in times {
            assert_eq!(Time(Duration::from_nanos(nanos)).to_string(), expected);
        }
        let sizes =
            [(0, "0 B"), (999, "999 B"), (1000, "0.98 KiB"), (46_387, "45.3 KiB"), (3 << 30, "3.00 GiB")];
        for (bytes, expected) in sizes {
            assert_eq!(Size(bytes).to_string(), expected);
        }
        assert_eq!(Size(u64::MAX).to_string(), "16777216 TiB");
    }

    const REUSE: &str = "
62.0 ms, 2 transactions, 1 redirect

GET 301 http://example.com/old
  http/1.1 · new connection · sent 143 B · received 512 B
  dns       ━━━━━━━━╸                                                  8.90 ms
  connect           ╺━━━━━━━━━━╸                                       11.9 ms
  request                      ╺                                       30.0 µs
  waiting                      ╺━━━━━━━━━━━━━━━━━━━━━━━━               26.9 ms
  receiving                                             ╸               100 µs

GET 200 http://example.com/new
  http/1.1 · reused connection · through a proxy · sent 143 B · received 512 B
  request                                               ╺              40.0 µs
  waiting                                               ╺━━━━━━━━━━━   12.7 ms
  receiving                                                        ╺   20.0 µs

          0 ├───────────────────────────┼───────────────────────────┤  61.0 ms
";

    const FAILURE: &str = "
32.0 s, 1 transaction

GET (no response) https://example.com/
  dns       ━━━╸                                                        2.00 s
  connect      ╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍╍    30.0 s

          0 ├───────────────────────────┼───────────────────────────┤   32.0 s
";
}
