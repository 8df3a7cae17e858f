//! A part of a body that is being sent: from some byte on, so many. What of the source did not go out
//! stays with it, so that what can be read only once can go on in another request.

use super::pipe::failed;
use super::source::{Next, Source};
use crate::error::{Error, Result};
use bytes::Bytes;
use std::task::Waker;

/// How much is passed over before others have a turn.
const TURN: u64 = 1024 * 1024;

/// See the module's documentation.
pub(crate) struct Section {
    source: Box<Source>,
    /// Bytes of the source that are passed over before anything is given out.
    skip: u64,
    /// What was taken from the source and not given out.
    held: Bytes,
    /// How much is to be given out at the most.
    left: Option<u64>,
    /// How much that is in all, if it is known.
    length: Option<u64>,
    waker: Waker,
}

impl Section {
    /// A part of what the source has still to give: `skip` bytes on, at the most `left` bytes. `length`
    /// is how long that is for sure.
    pub(crate) fn of(
        source: Source,
        skip: u64,
        left: Option<u64>,
        length: Option<u64>,
        waker: Waker,
    ) -> Result<Source> {
        Ok(match source {
            Source::Bytes(bytes) => {
                let begin = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
                let most = left.and_then(|left| usize::try_from(left).ok()).unwrap_or(usize::MAX);
                let end = begin.saturating_add(most).min(bytes.len());
                Source::Bytes(bytes.slice(begin..end))
            }
            Source::File(file) => Source::File(file.section(skip, left)?),
            // One that went on before.
            Source::Section(section) => {
                let Section { source, held, skip: before, .. } = *section;
                let held_skip = usize::try_from(skip).unwrap_or(usize::MAX).min(held.len());
                let skip = before + (skip - held_skip as u64);
                let held = held.slice(held_skip..);
                Source::Section(Box::new(Section { source, skip, held, left, length, waker }))
            }
            source => Source::Section(Box::new(Section {
                source: Box::new(source),
                skip,
                held: Bytes::new(),
                left,
                length,
                waker,
            })),
        })
    }

    /// What is left of a source of which these bytes were taken that did not go out.
    pub(crate) fn rest(source: Source, unsent: Bytes) -> Source {
        match source {
            Source::Section(mut section) => {
                if !unsent.is_empty() {
                    section.held = Bytes::from([unsent, section.held].concat());
                }
                section.left = None;
                section.length = None;
                Source::Section(section)
            }
            source => Source::Section(Box::new(Section {
                source: Box::new(source),
                skip: 0,
                held: unsent,
                left: None,
                length: None,
                waker: Waker::noop().clone(),
            })),
        }
    }

    pub(crate) fn len(&self) -> Option<u64> {
        self.length
    }

    /// The next piece, if there is one.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Next> {
        let mut passed = 0;
        loop {
            if self.left == Some(0) {
                return Ok(Next::End);
            }
            if self.skip == 0 && !self.held.is_empty() {
                let held = std::mem::take(&mut self.held);
                return Ok(Next::Bytes(self.within_limit(held)));
            }
            if passed >= TURN {
                self.waker.wake_by_ref();
                return Ok(Next::Nothing);
            }
            let (bytes, last) = match self.source.next(buffer)? {
                Next::Nothing => return Ok(Next::Nothing),
                Next::End if self.skip > 0 => {
                    return Err(failed(&format!(
                        "sending the rest of the body: it ends {} bytes before that begins",
                        self.skip
                    )));
                }
                Next::End => return Ok(Next::End),
                Next::Buffer { last } if self.skip == 0 && self.fits(buffer.len()) => {
                    self.count(buffer.len());
                    return Ok(Next::Buffer { last });
                }
                Next::Buffer { last } => (Bytes::copy_from_slice(buffer), last),
                Next::Bytes(bytes) => (bytes, false),
            };
            let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= skipped as u64;
            passed += skipped as u64;
            self.held = bytes.slice(skipped..);
            if last && self.skip == 0 && self.held.is_empty() {
                return Ok(Next::End);
            }
        }
    }

    /// Nobody wants the rest, for this reason.
    pub(crate) fn stop(&mut self, reason: &Error) {
        self.source.stop(reason);
        self.held = Bytes::new();
    }

    fn fits(&self, count: usize) -> bool {
        self.left.is_none_or(|left| count as u64 <= left)
    }

    fn count(&mut self, count: usize) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
    }

    /// As much of it as may be given out. The rest is held.
    fn within_limit(&mut self, mut bytes: Bytes) -> Bytes {
        if let Some(most) = self.left.and_then(|left| usize::try_from(left).ok()) {
            if most < bytes.len() {
                self.held = bytes.split_off(most);
            }
        }
        self.count(bytes.len());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Body, Host};
    use crate::sync::Arc;

    fn open(body: &Body) -> Source {
        let host =
            || Host { waker: Waker::noop().clone(), spawn: Arc::new(|run: Box<dyn FnOnce() + Send>| run()) };
        Source::open(body, None, &host).expect("a source")
    }

    fn section(source: Source, skip: u64, left: Option<u64>) -> Source {
        Section::of(source, skip, left, left, Waker::noop().clone()).expect("a section")
    }

    fn all(source: &mut Source) -> Vec<u8> {
        let (mut all, mut buffer) = (Vec::new(), Vec::new());
        loop {
            match source.next(&mut buffer).expect("a piece") {
                Next::Bytes(bytes) => all.extend_from_slice(&bytes),
                Next::Buffer { .. } => all.append(&mut buffer),
                Next::Nothing => {}
                Next::End => return all,
            }
        }
    }

    fn bodies() -> [Body; 3] {
        let stream = || Body::from_fn(|| Ok(&b"0123456789"[..]));
        // Ten digits somewhere in this file, as far as it is read: `0123456789`.
        let [here, included] =
            ["", "/../.."].map(|up| format!("{}{up}/src/body/section.rs", env!("CARGO_MANIFEST_DIR")));
        let path = if std::path::Path::new(&here).exists() { here } else { included };
        let at = include_str!("section.rs").find(concat!("01234", "56789")).expect("the digits") as u64;
        [stream(), Body::bytes("0123456789"), Body::file_range(path, at..at + 10)]
    }

    #[test]
    fn parts_of_every_kind_of_body() {
        for body in bodies() {
            for (skip, left, expected) in [
                (0, None, "0123456789"),
                (4, None, "456789"),
                (4, Some(3), "456"),
                (10, None, ""),
                (0, Some(0), ""),
                (7, Some(3), "789"),
            ] {
                let mut part = section(open(&body), skip, left);
                assert_eq!(all(&mut part), expected.as_bytes(), "{body:?} {skip} {left:?}");
            }
        }
    }

    #[test]
    fn what_was_held_goes_on_in_the_next_part() {
        let [stream, ..] = bodies();
        let mut first = section(open(&stream), 2, Some(3));
        assert_eq!(all(&mut first), b"234");
        let rest = Section::rest(first, Bytes::new());
        let mut second = section(rest, 1, Some(2));
        assert_eq!(all(&mut second), b"67");
        let rest = Section::rest(second, Bytes::from_static(b"7"));
        assert_eq!(all(&mut section(rest, 0, None)), b"789");
    }

    #[test]
    fn a_body_that_ends_before_its_part_begins() {
        let [stream, _, file] = bodies();
        let mut part = section(open(&stream), 11, None);
        let (mut buffer, mut failed) = (Vec::new(), None);
        while failed.is_none() {
            match part.next(&mut buffer) {
                Err(error) => failed = Some(error),
                Ok(Next::Nothing) => {}
                Ok(other) => panic!("{other:?}"),
            }
        }
        assert!(Section::of(open(&file), 11, None, None, Waker::noop().clone()).is_err());
    }
}
