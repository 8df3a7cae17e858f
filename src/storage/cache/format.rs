//! How an entry stands in its file. Knows bytes, and nothing of where they come from.
//!
//! ```text
//! magic 8 │ version 4 │ length of URL 4 │ of metadata 4 │ zero 4 │ of body 8 │ sum of body 8 │ sum of head 8
//! URL │ metadata │ body │ a sum of 8 for each block of the body, if there are several
//! ```
//!
//! Numbers are little-endian, sums are XXH64. The sum of the head is over all that is before it, the URL
//! and the metadata. The body is summed in blocks, so that one that is too long to be read at once can be
//! believed block by block; the sum of the body is over those sums. A file is written once and never
//! changed: whoever has it open has all of it.

use crate::proto::caching::stored::{MAX_ENCODED, Stored};
use crate::proto::xxh64::{Xxh64, xxh64};

/// With a line's end, so that a transfer as text is found out.
const MAGIC: &[u8; 8] = b"CACHED\r\n";
const VERSION: u32 = 1;
/// The length of what stands before the URL, and of that without its sum.
pub(crate) const FIXED: usize = 48;
const SUMMED: usize = 40;
/// How much of a body is believed at a time.
pub(crate) const BLOCK: usize = 128 * 1024;
/// The longest URL that is stored.
pub(crate) const MOST_URL: usize = 64 * 1024;
/// The longest body: far from where lengths overflow.
const MOST_BODY: u64 = 1 << 48;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It does not begin as an entry does, or is one of another version.
    NotAnEntry,
    /// It is longer or shorter than it says, or what it says cannot be.
    Length,
    /// A checksum differs.
    Checksum,
    /// The metadata says nothing that is understood.
    Metadata,
}

/// Where everything is in a file, as its first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    url: usize,
    metadata: usize,
    pub(crate) body: u64,
    pub(crate) body_sum: u64,
    head_sum: u64,
}

/// The head of an entry, checked.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) url: &'a str,
    pub(crate) stored: Stored,
}

impl Layout {
    /// Reads the first [`FIXED`] bytes.
    pub(crate) fn read(bytes: &[u8]) -> Result<Layout, Damage> {
        let mut rest = bytes.get(..FIXED).ok_or(Damage::Length)?;
        if take(&mut rest) != Some(*MAGIC) || number(&mut rest) != VERSION {
            return Err(Damage::NotAnEntry);
        }
        let (url, metadata, zero) = (number(&mut rest), number(&mut rest), number(&mut rest));
        let layout = Layout {
            url: url as usize,
            metadata: metadata as usize,
            body: long(&mut rest),
            body_sum: long(&mut rest),
            head_sum: long(&mut rest),
        };
        let fits = layout.url <= MOST_URL && layout.metadata <= MAX_ENCODED && layout.body <= MOST_BODY;
        if fits && zero == 0 { Ok(layout) } else { Err(Damage::Length) }
    }

    /// Where the body begins.
    pub(crate) fn head_len(&self) -> usize {
        FIXED + self.url + self.metadata
    }

    /// Where the sums of the blocks begin.
    pub(crate) fn sums_begin(&self) -> u64 {
        self.head_len() as u64 + self.body
    }

    /// How long they are.
    pub(crate) fn sums_len(&self) -> u64 {
        match self.body.div_ceil(BLOCK as u64) {
            0 | 1 => 0,
            blocks => blocks * 8,
        }
    }

    /// How long the file is.
    pub(crate) fn file_len(&self) -> u64 {
        self.sums_begin() + self.sums_len()
    }

    /// Reads the head, which these bytes begin with.
    pub(crate) fn head(self, bytes: &[u8]) -> Result<Head<'_>, Damage> {
        let text = bytes.get(FIXED..self.head_len()).ok_or(Damage::Length)?;
        let mut sum = Xxh64::new();
        sum.update(bytes.get(..SUMMED).unwrap_or_default());
        sum.update(text);
        if sum.sum() != self.head_sum {
            return Err(Damage::Checksum);
        }
        let (url, metadata) = text.split_at_checked(self.url).ok_or(Damage::Length)?;
        let url = std::str::from_utf8(url).map_err(|_| Damage::Metadata)?;
        let stored = Stored::decode(metadata).ok_or(Damage::Metadata)?;
        if stored.body_length != self.body {
            return Err(Damage::Metadata);
        }
        Ok(Head { url, stored })
    }

    /// Whether this is the body, and these are the sums behind it.
    pub(crate) fn check_body(&self, body: &[u8], sums: &[u8]) -> Result<(), Damage> {
        if body.len() as u64 != self.body || sums.len() as u64 != self.sums_len() {
            return Err(Damage::Length);
        }
        let computed = Sums::of(body);
        let behind = if computed.0.len() > 8 { &computed.0[..] } else { &[] };
        if computed.sum() == self.body_sum && behind == sums { Ok(()) } else { Err(Damage::Checksum) }
    }

    /// The sums of the blocks, from the bytes that stand behind a body of several.
    pub(crate) fn sums(&self, bytes: Vec<u8>) -> Result<Sums, Damage> {
        let sums = Sums(bytes);
        let right = sums.0.len() as u64 == self.sums_len() && sums.sum() == self.body_sum;
        if right { Ok(sums) } else { Err(Damage::Checksum) }
    }
}

/// The sums of the blocks of a body, as they stand in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums(Vec<u8>);

impl Sums {
    /// Those of a body that is there as a whole.
    pub(crate) fn of(body: &[u8]) -> Sums {
        let mut sums = Sums::default();
        body.chunks(BLOCK).for_each(|block| sums.0.extend_from_slice(&xxh64(block).to_le_bytes()));
        sums
    }

    /// Adds that of the next block.
    pub(crate) fn push(&mut self, sum: u64) {
        self.0.extend_from_slice(&sum.to_le_bytes());
    }

    /// Whether a block is the one of that number.
    pub(crate) fn is_right(&self, number: u64, block: &[u8]) -> bool {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_mul(8));
        let sum = at.and_then(|at| self.0.get(at..)).and_then(|sums| sums.first_chunk::<8>());
        sum.is_some_and(|sum| u64::from_le_bytes(*sum) == xxh64(block))
    }

    /// The sum of the body.
    fn sum(&self) -> u64 {
        xxh64(&self.0)
    }

    /// What stands behind the body.
    pub(crate) fn behind(&self) -> &[u8] {
        if self.0.len() > 8 { &self.0 } else { &[] }
    }
}

/// What stands before a body. It is as long whatever the length and the sums of the body are. `None` if
/// the URL or the metadata is longer than it may be.
pub(crate) fn head(url: &str, stored: &Stored, sums: &Sums) -> Option<Vec<u8>> {
    head_with(url, stored, sums.sum())
}

/// What stands before the body of an entry that keeps it under other metadata.
pub(crate) fn updated_head(url: &str, stored: &Stored, body: &Layout) -> Option<Vec<u8>> {
    head_with(url, stored, body.body_sum).filter(|_| stored.body_length == body.body)
}

fn head_with(url: &str, stored: &Stored, body_sum: u64) -> Option<Vec<u8>> {
    let metadata = stored.encode()?;
    if url.len() > MOST_URL || stored.body_length > MOST_BODY {
        return None;
    }
    let mut head = Vec::with_capacity(FIXED + url.len() + metadata.len());
    head.extend_from_slice(MAGIC);
    for number in [VERSION, u32::try_from(url.len()).ok()?, u32::try_from(metadata.len()).ok()?, 0] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.extend_from_slice(&stored.body_length.to_le_bytes());
    head.extend_from_slice(&body_sum.to_le_bytes());
    let mut sum = Xxh64::new();
    sum.update(&head);
    sum.update(url.as_bytes());
    sum.update(&metadata);
    head.extend_from_slice(&sum.sum().to_le_bytes());
    head.extend_from_slice(url.as_bytes());
    head.extend_from_slice(&metadata);
    Some(head)
}

/// Reads an entry that is there as a whole: its head, and where its body is in the bytes.
pub(crate) fn whole(bytes: &[u8]) -> Result<(Head<'_>, std::ops::Range<usize>), Damage> {
    let layout = Layout::read(bytes)?;
    if layout.file_len() != bytes.len() as u64 {
        return Err(Damage::Length);
    }
    let head = layout.head(bytes)?;
    let body = layout.head_len()..usize::try_from(layout.sums_begin()).map_err(|_| Damage::Length)?;
    layout.check_body(
        bytes.get(body.clone()).ok_or(Damage::Length)?,
        bytes.get(body.end..).ok_or(Damage::Length)?,
    )?;
    Ok((head, body))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (array, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*array)
}

// What is cut off is found out before any number is read.
fn number(rest: &mut &[u8]) -> u32 {
    take(rest).map_or(0, u32::from_le_bytes)
}

fn long(rest: &mut &[u8]) -> u64 {
    take(rest).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
    use std::time::SystemTime;

    /// Metadata with that entity tag.
    pub(in super::super) fn stored(tag: &str) -> Stored {
        let headers = [("etag", tag), ("content-type", "text/plain")];
        let headers = headers.map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        });
        Stored {
            status: StatusCode::OK,
            version: Version::HTTP_11,
            headers: HeaderMap::from_iter(headers),
            selecting: Vec::new(),
            request_time: SystemTime::now(),
            response_time: SystemTime::now(),
            body_length: 0,
        }
    }

    fn file(url: &str, body: &[u8]) -> Vec<u8> {
        let sums = Sums::of(body);
        let stored = Stored { body_length: body.len() as u64, ..stored("\"v1\"") };
        [&head(url, &stored, &sums).expect("a head"), body, sums.behind()].concat()
    }

    #[test]
    fn there_and_back() {
        for length in [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5] {
            let body: Vec<u8> = (0..length).map(|at| (at * 7 / 3) as u8).collect();
            let file = file("http://example.com/", &body);
            let (head, at) = whole(&file).expect("its own");
            assert_eq!((head.url, &file[at]), ("http://example.com/", &body[..]));
            assert_eq!(Layout::read(&file).map(|layout| layout.file_len()), Ok(file.len() as u64));
            assert_eq!(head.stored.headers["etag"], "\"v1\"");
        }
    }

    #[test]
    fn every_bit_counts() {
        let file = file("http://example.com/", &[7; 100]);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut other = file.clone();
                other[at] ^= 1 << bit;
                assert!(whole(&other).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn bits_of_a_long_body_count() {
        let file = file("http://example.com/", &vec![7; 2 * BLOCK + 100]);
        let step = 4099;
        for at in (0..file.len()).step_by(step).chain(file.len() - 40..file.len()) {
            let mut other = file.clone();
            other[at] ^= 0x10;
            assert!(whole(&other).is_err(), "byte {at}");
        }
    }

    #[test]
    fn what_is_cut_or_longer_is_no_entry() {
        let file = file("http://example.com/", b"hello");
        for length in 0..file.len() {
            assert!(whole(&file[..length]).is_err(), "{length}");
        }
        assert_eq!(whole(&[&file[..], b"x"].concat()).err(), Some(Damage::Length));
        assert_eq!(whole(b"<html>").err(), Some(Damage::Length));
        assert_eq!(whole(&[b' '; 100]).err(), Some(Damage::NotAnEntry));
    }

    #[test]
    fn lengths_cost_nothing() {
        let mut file = file("http://example.com/", b"hello");
        for at in [12, 16, 24] {
            let before = file.clone();
            file[at..at + 4].fill(0xff);
            assert_eq!(whole(&file).err(), Some(Damage::Length));
            file = before;
        }
        assert!(head(&"x".repeat(MOST_URL + 1), &stored("a"), &Sums::default()).is_none());
    }

    #[test]
    fn blocks_are_believed_one_by_one() {
        let body: Vec<u8> = (0..BLOCK + 10).map(|at| (at / 5) as u8).collect();
        let sums = Sums::of(&body);
        assert!(sums.is_right(0, &body[..BLOCK]) && sums.is_right(1, &body[BLOCK..]));
        assert!(!sums.is_right(1, &body[..BLOCK]) && !sums.is_right(2, b"") && !sums.is_right(u64::MAX, b""));
    }
}
