//! The form of a journal: a header, and records behind it. Sans I/O; knows bytes and what became of
//! them, not whose records they are.
//!
//! ```text
//! header, 32 bytes    magic 8 │ version 4 │ kind 4 │ compacted length 8 │ xxh64 of the 24 before 8
//! record              length 4 │ check of the length 4 │ xxh64 of the bytes 8 │ bytes
//! ```
//!
//! Numbers are little-endian. The length has a check of its own, so that a damaged one is not taken for
//! a record whose end has not been written yet: what follows it would be lost.

use crate::proto::xxh64::xxh64;
use bytes::Bytes;

/// How long the header is.
pub(crate) const HEADER: usize = 32;

/// How long a record may be. What is longer is not written, and not believed when it is read.
pub(crate) const MOST_RECORD: usize = 64 * 1024;

/// How long a journal may be.
pub(crate) const MOST_JOURNAL: u64 = 16 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"\x89urlses\n";
const VERSION: u32 = 1;
const RECORD_HEAD: usize = 16;

/// Whose journal it is: one of cookies is not read as one of something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) [u8; 4]);

/// What the beginning of a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// A header. `compacted` is how long the journal was when it held nothing twice.
    Header { compacted: u64 },
    /// As far as it goes it could be one.
    Torn,
    /// Of a version that is not known here.
    Version(u32),
    /// No header, or one of another kind.
    Foreign,
}

/// What is behind the last good record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing.
    Nothing,
    /// A record that was not written to its end, or is just being written.
    Torn,
    /// Something that is no record, and more behind it.
    Damaged,
}

/// The records of a piece of a journal.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) records: Vec<Bytes>,
    /// How long they are together.
    pub(crate) len: usize,
    pub(crate) rest: Rest,
}

/// The header of a journal that is so long without anything twice.
pub(crate) fn header(kind: Kind, compacted: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&kind.0);
    header[16..24].copy_from_slice(&compacted.to_le_bytes());
    let sum = xxh64(&header[..24]);
    header[24..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// What the journal begins with.
pub(crate) fn beginning(bytes: &[u8], kind: Kind) -> Beginning {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        let whole = self::header(kind, 0);
        let known = bytes.len().min(16);
        // After a loss of power there may be zeros where something was to be.
        let torn = bytes[..known] == whole[..known] || is_zero(bytes);
        return if torn { Beginning::Torn } else { Beginning::Foreign };
    };
    let compacted = u64_at(header, 16);
    if *header == self::header(kind, compacted) {
        return Beginning::Header { compacted };
    }
    if is_zero(bytes) {
        return Beginning::Torn;
    }
    let version = u32_at(header, 8);
    if header.starts_with(&MAGIC) && version != VERSION && xxh64(&header[..24]) == u64_at(header, 24) {
        return Beginning::Version(version);
    }
    Beginning::Foreign
}

/// Writes a record behind what is there. False, and nothing written, if it is too long for one.
#[must_use]
pub(crate) fn write_record(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let Some(len) = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MOST_RECORD) else {
        return false;
    };
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&check_of(len).to_le_bytes());
    out.extend_from_slice(&xxh64(bytes).to_le_bytes());
    out.extend_from_slice(bytes);
    true
}

/// How long a record of so many bytes is in the journal.
pub(crate) fn record_len(bytes: usize) -> usize {
    RECORD_HEAD.saturating_add(bytes)
}

/// The records at the beginning of what is behind the header, or behind records that were read before.
pub(crate) fn records(bytes: &Bytes) -> Records {
    let mut found = Records { records: Vec::new(), len: 0, rest: Rest::Nothing };
    while found.len < bytes.len() {
        match record(&bytes[found.len..]) {
            Ok(len) => {
                let end = found.len + RECORD_HEAD + len;
                found.records.push(bytes.slice(found.len + RECORD_HEAD..end));
                found.len = end;
            }
            Err(rest) => {
                found.rest = rest;
                break;
            }
        }
    }
    found
}

/// How many bytes the record has that this begins with.
fn record(bytes: &[u8]) -> Result<usize, Rest> {
    let damaged_unless = |torn: bool| if torn { Rest::Torn } else { Rest::Damaged };
    let Some(lengths) = bytes.first_chunk::<8>() else { return Err(Rest::Torn) };
    let len = u32_at(lengths, 0);
    if u32_at(lengths, 4) != check_of(len) || len as usize > MOST_RECORD {
        return Err(damaged_unless(is_zero(bytes)));
    }
    let end = RECORD_HEAD + len as usize;
    let Some(record) = bytes.get(..end) else { return Err(Rest::Torn) };
    if xxh64(&record[RECORD_HEAD..]) != u64_at(record, 8) {
        // The last one may have got its length before its bytes.
        return Err(damaged_unless(is_zero(&bytes[end..])));
    }
    Ok(len as usize)
}

fn check_of(len: u32) -> u32 {
    xxh64(&len.to_le_bytes()) as u32
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |number| u32::from_le_bytes(*number))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |number| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind(*b"test");

    fn written(records: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| assert!(write_record(&mut bytes, record)));
        bytes
    }

    fn read(bytes: Vec<u8>) -> (Vec<Bytes>, Rest) {
        let read = records(&Bytes::from(bytes));
        (read.records, read.rest)
    }

    #[test]
    fn what_was_written_is_read() {
        let long = vec![7; MOST_RECORD];
        let (records, rest) = read(written(&[b"one", b"", &long]));
        assert_eq!(records, [b"one".as_slice(), b"", &long]);
        assert_eq!(rest, Rest::Nothing);
        assert!(!write_record(&mut Vec::new(), &vec![7; MOST_RECORD + 1]));
        assert_eq!(beginning(&header(KIND, 77), KIND), Beginning::Header { compacted: 77 });
    }

    #[test]
    fn cut_anywhere_it_is_torn_and_no_record_before_is_lost() {
        let (one, two) = (written(&[b"one"]).len(), written(&[b"one", b"two"]).len());
        let whole = written(&[b"one", b"two", b"three"]);
        for cut in 0..whole.len() {
            let (records, rest) = read(whole[..cut].to_vec());
            let expected = usize::from(cut >= one) + usize::from(cut >= two);
            assert_eq!(records.len(), expected, "cut to {cut}");
            let at_an_end = [0, one, two].contains(&cut);
            assert_eq!(rest, if at_an_end { Rest::Nothing } else { Rest::Torn }, "cut to {cut}");
        }
        let whole = header(KIND, 0);
        for cut in 0..whole.len() {
            assert_eq!(beginning(&whole[..cut], KIND), Beginning::Torn, "cut to {cut}");
        }
    }

    #[test]
    fn no_flipped_bit_gives_a_record_that_was_not_written() {
        let (one, two) = (written(&[b"one"]).len(), written(&[b"one", b"two"]).len());
        let whole = written(&[b"one", b"two", b"three"]);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (records, rest) = read(bytes);
            let good = usize::from(bit / 8 >= one) + usize::from(bit / 8 >= two);
            assert_eq!(records, [b"one".as_slice(), b"two"][..good], "bit {bit}");
            // The bytes of the last one may just be on their way; its length may not be wrong.
            let is_last = bit / 8 >= two + 8;
            assert_eq!(rest, if is_last { Rest::Torn } else { Rest::Damaged }, "bit {bit}");
        }
        let whole = header(KIND, 99);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(beginning(&bytes, KIND), Beginning::Foreign, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_what_a_loss_of_power_left() {
        let mut bytes = written(&[b"one"]);
        let len = bytes.len();
        bytes.resize(len + 4096, 0);
        assert_eq!(read(bytes.clone()).1, Rest::Torn);
        bytes.truncate(len);
        bytes[16] = 0;
        bytes.resize(len + 4096, 0);
        assert_eq!(read(bytes), (Vec::new(), Rest::Torn));
        assert_eq!(beginning(&[0; 4096], KIND), Beginning::Torn);
        assert_eq!(beginning(&[0; 7], KIND), Beginning::Torn);
    }

    #[test]
    fn what_is_not_ours_is_told_from_what_is_newer() {
        assert_eq!(beginning(&header(Kind(*b"else"), 0), KIND), Beginning::Foreign);
        assert_eq!(beginning(b"# Netscape HTTP Cookie File\n# and more", KIND), Beginning::Foreign);
        assert_eq!(beginning(b"#", KIND), Beginning::Foreign);
        let mut newer = header(KIND, 0);
        newer[8] = 2;
        let sum = xxh64(&newer[..24]);
        newer[24..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(beginning(&newer, KIND), Beginning::Version(2));
    }
}
