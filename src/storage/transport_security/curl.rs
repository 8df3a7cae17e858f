//! The form of curl's `--hsts` file. Knows lines, and no files.

use super::HstsHost;
use crate::proto::date::{date_of, seconds_of};
use std::io::{self, BufRead, Read, Write};
use std::time::{Duration, SystemTime};

/// How long a line may be. What is longer is passed over.
const LONGEST_LINE: u64 = 4096;

/// How many lines are looked at.
const MOST_LINES: usize = 100_000;

/// Reads what there is, host by host.
pub(super) fn read(mut reader: impl BufRead, each: &mut dyn FnMut(HstsHost)) -> io::Result<()> {
    let mut line = Vec::new();
    for _ in 0..MOST_LINES {
        line.clear();
        if reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
            skip_line(&mut reader)?;
            continue;
        }
        if let Some(host) = std::str::from_utf8(&line).ok().and_then(parse) {
            each(host);
        }
    }
    Ok(())
}

/// Writes hosts.
pub(super) fn write(mut writer: impl Write, hosts: &[HstsHost]) -> io::Result<()> {
    writeln!(writer, "# HTTP Strict Transport Security, in the form of curl's --hsts file")?;
    for host in hosts {
        let dot = if host.include_subdomains { "." } else { "" };
        let (day, month, year) = date_of(host.expires / 86_400);
        let second = host.expires % 86_400;
        if year > 9_999 {
            writeln!(writer, "{dot}{} \"unlimited\"", host.name)?;
            continue;
        }
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let month = month + 1;
        writeln!(
            writer,
            "{dot}{} \"{year:04}{month:02}{day:02} {hour:02}:{minute:02}:{second:02}\"",
            host.name
        )?;
    }
    writer.flush()
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(buffer.len(), |at| at + 1);
        reader.consume(count);
        if end.is_some() || count == 0 {
            return Ok(());
        }
    }
}

fn parse(line: &str) -> Option<HstsHost> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let (name, time) = line.split_once([' ', '\t'])?;
    let time = time.trim().strip_prefix('"')?.strip_suffix('"')?;
    let expires = if time == "unlimited" { u64::MAX } else { seconds(time)? };
    let (include_subdomains, name) = match name.strip_prefix('.') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let host = HstsHost::new(name, SystemTime::UNIX_EPOCH + Duration::ZERO).ok()?;
    Some(HstsHost { include_subdomains, expires, ..host })
}

/// `20301231 23:59:59`, which is UTC.
fn seconds(time: &str) -> Option<u64> {
    let bytes = time.as_bytes();
    if bytes.len() != 17 || bytes[8] != b' ' || bytes[11] != b':' || bytes[14] != b':' {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = time.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let date = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let time = (number(9, 11)?, number(12, 14)?, number(15, 17)?);
    u64::try_from(seconds_of(date, time)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str) -> Vec<(String, bool, u64)> {
        let mut hosts = Vec::new();
        read(file.as_bytes(), &mut |host| hosts.push((host.name, host.include_subdomains, host.expires)))
            .unwrap();
        hosts
    }

    #[test]
    fn lines_of_curls_are_read() {
        let file = "# Your HSTS cache. https://curl.se/docs/hsts.html\n\
                    example.com \"20301231 23:59:59\"\r\n\
                    .Example.ORG. \"19700102 00:00:01\"\n\
                    \n\
                    ever.test\t\"unlimited\"";
        let expected = [
            ("example.com".to_owned(), false, 1_924_991_999),
            ("example.org".to_owned(), true, 86_401),
            ("ever.test".to_owned(), false, u64::MAX),
        ];
        assert_eq!(found(file), expected);
    }

    #[test]
    fn other_lines_are_passed_over() {
        let long = format!("{}.test \"20301231 23:59:59\"", "x".repeat(10_000));
        for line in [
            "example.com",
            "example.com 20301231 23:59:59",
            "example.com \"20301231 23:59:59",
            "example.com \"20301331 23:59:59\"",
            "example.com \"20300231 23:59:59\"",
            "example.com \"20301231 24:59:59\"",
            "example.com \"2030-1231 23:59:5\"",
            "example.com \"+0301231 23:59:59\"",
            "127.0.0.1 \"20301231 23:59:59\"",
            "[::1] \"20301231 23:59:59\"",
            "localhost \"20301231 23:59:59\"",
            ". \"20301231 23:59:59\"",
            "..a.test \"20301231 23:59:59\"",
            "a b \"20301231 23:59:59\"",
            "\u{fffd}é\0 \"20301231 23:59:59\"",
            &long,
        ] {
            assert_eq!(found(&format!("{line}\nlast.test \"unlimited\"\n")).len(), 1, "{line}");
        }
        assert_eq!(found(&"x".repeat(100_000)), []);
        let mut hosts = 0;
        read(b"\xff\na.test \"unlimited\"".as_slice(), &mut |_| hosts += 1).unwrap();
        assert_eq!(hosts, 1);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let hosts: Vec<_> =
            [("a.test", true, 1_924_991_999), ("b.test", false, 951_782_399), ("c.test", false, u64::MAX)]
                .into_iter()
                .map(|(name, include_subdomains, expires)| HstsHost {
                    name: name.to_owned(),
                    include_subdomains,
                    expires,
                })
                .collect();
        let mut file = Vec::new();
        write(&mut file, &hosts).unwrap();
        let mut again = Vec::new();
        read(file.as_slice(), &mut |host| again.push(host)).unwrap();
        assert_eq!(again, hosts);
    }
}
