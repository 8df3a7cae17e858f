//! The body of a request. Knows what is to be sent and how long it is, not how it is sent.
//!
//! A [`Body`] is a description that can be cloned. When its turn has come it is opened, and is a
//! [`Source`] then, which gives out pieces. What may block in the user's code runs elsewhere, and is
//! joined to the source by a bounded pipe.

mod file;
mod multipart;
mod pipe;
mod reader;
mod section;
mod source;
mod stream;
mod writer;

pub use multipart::{Multipart, Part};
pub(crate) use section::Section;
pub(crate) use source::{Host, Next, Source};
pub(crate) use stream::exhausted;
pub use writer::BodyWriter;

use crate::error::Error;
use crate::sync::{Arc, Mutex};
use bytes::Bytes;
use file::FileBody;
use pipe::Pipe;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use stream::Stream;

/// The body of a [`Request`](crate::Request). Cloning is cheap: the bytes are shared.
///
/// | made by | length | can be sent again |
/// |---|---|---|
/// | [`bytes`](Body::bytes), `From` strings and vectors | known | yes |
/// | [`file`](Body::file), [`file_range`](Body::file_range) | taken from the open file | yes |
/// | [`from_fn`](Body::from_fn) | [`with_length`](Body::with_length), or chunked | yes |
/// | `From` a [`Multipart`] form | known if that of each part is | if each part can |
/// | [`reader`](Body::reader), [`writer`](Body::writer) | [`with_length`](Body::with_length), or chunked | no |
///
/// A body is sent again when a redirect keeps it (307, 308), and when a kept-alive connection turns
/// out to be closed. One that cannot be is asked of the delegate
/// ([`Delegate::need_new_body_stream`](crate::Delegate::need_new_body_stream)), and without one the
/// task fails with [`RequestBodyStreamExhausted`](crate::ErrorKind::RequestBodyStreamExhausted).
///
/// Nothing is held in memory but what is on its way: 256 KiB of a stream or a file.
///
/// ```
/// use urlsession::Body;
///
/// assert_eq!(Body::from("hello").len(), Some(5));
/// assert!(Body::empty().is_empty());
/// assert_eq!(Body::reader(std::io::stdin()).len(), None);
/// ```
#[derive(Clone, Default)]
pub struct Body {
    pub(crate) kind: BodyKind,
    /// The length that a stream is said to have.
    declared: Option<u64>,
}

/// Where the bytes of a body come from.
#[derive(Clone, Default)]
pub(crate) enum BodyKind {
    /// There is no body, which is also what an absent one is.
    #[default]
    Empty,
    Bytes(Bytes),
    /// A file, and how it is read if it is one that has no length.
    File(FileBody, Arc<Stream>),
    Stream(Arc<Stream>),
    /// Several, one after the other.
    Parts(Arc<[Body]>),
    /// The delegate has it.
    Asked,
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Body { kind: BodyKind::Empty, declared: None }
    }

    /// A body of bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Body::of(BodyKind::Bytes(bytes.into()))
    }

    /// A file. It is opened when sending begins, anew each time it is sent, and its length is fixed
    /// then: a file that becomes shorter or longer meanwhile fails the task.
    ///
    /// What is no regular file, such as a FIFO or `/dev/stdin`, is sent as [`reader`](Body::reader)
    /// would send it.
    ///
    /// The task fails with [`FileDoesNotExist`](crate::ErrorKind::FileDoesNotExist),
    /// [`FileIsDirectory`](crate::ErrorKind::FileIsDirectory) or
    /// [`NoPermissionsToReadFile`](crate::ErrorKind::NoPermissionsToReadFile) if it cannot be opened, and
    /// with [`RequestBodyFailed`](crate::ErrorKind::RequestBodyFailed) if it changes.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Body::file_range(path, ..)
    }

    /// A part of a file, in bytes. The file has to have all of it, or the task fails with
    /// [`RequestBodyFailed`](crate::ErrorKind::RequestBodyFailed).
    ///
    /// ```
    /// # use urlsession::Body;
    /// assert_eq!(Body::file_range("disk.img", 100..300).len(), Some(200));
    /// let rest = Body::file_range("disk.img", 300..);
    /// ```
    pub fn file_range(path: impl AsRef<Path>, range: impl RangeBounds<u64>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => Some(last.saturating_add(1)),
            Bound::Excluded(end) => Some(*end),
            Bound::Unbounded => None,
        };
        let path: Arc<Path> = Arc::from(path.as_ref());
        let reader = Lazily(Arc::clone(&path), None);
        let stream = Stream::Once(Mutex::new(Some(Box::new(reader))));
        Body::of(BodyKind::File(FileBody { path, start, end }, Arc::new(stream)))
    }

    /// What a reader gives, once. It is read on a thread of the session, so that it may block for as
    /// long as it likes: cancelling, time limits and an early answer are noticed meanwhile. What it
    /// takes does not count for the request's idle timeout.
    ///
    /// Without [`with_length`](Body::with_length) it is sent chunked. Clones of the body share the
    /// reader: whichever is sent first has it.
    ///
    /// The task fails with [`RequestBodyFailed`](crate::ErrorKind::RequestBodyFailed) if the reader does.
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        Body::stream(Stream::Once(Mutex::new(Some(Box::new(reader)))))
    }

    /// What a reader gives that is made anew each time the body is sent. Both the function and the
    /// reader may block, as for [`reader`](Body::reader).
    ///
    /// ```
    /// use std::fs::File;
    /// use urlsession::Body;
    ///
    /// let body = Body::from_fn(|| {
    ///     let (first, second) = (File::open("header")?, File::open("data")?);
    ///     Ok(std::io::Read::chain(first, second))
    /// });
    /// ```
    pub fn from_fn<R, F>(open: F) -> Self
    where
        R: Read + Send + 'static,
        F: Fn() -> io::Result<R> + Send + Sync + 'static,
    {
        Body::stream(Stream::Open(Box::new(move || Ok(Box::new(open()?)))))
    }

    /// A body that is written while it is sent, and who writes it. See [`BodyWriter`].
    pub fn writer() -> (BodyWriter, Body) {
        let pipe = Arc::new(Pipe::default());
        let writer = BodyWriter::new(Arc::clone(&pipe));
        (writer, Body::stream(Stream::Written(pipe, Mutex::new(false))))
    }

    /// Says how long a stream is, so that it goes out with `Content-Length`. A `Content-Length` header
    /// of the request does the same. Bodies that know their own length take no notice.
    ///
    /// A stream that ends sooner or has more fails the task with
    /// [`RequestBodyFailed`](crate::ErrorKind::RequestBodyFailed), and breaks the message off, so that
    /// the server cannot take it for complete. To find out, its end is waited for: use
    /// [`Read::take`] for a reader that does not end there.
    pub fn with_length(mut self, length: u64) -> Self {
        self.declared = Some(length);
        self
    }

    /// The length in bytes; `None` where it is known only when it is sent.
    pub fn len(&self) -> Option<u64> {
        match &self.kind {
            BodyKind::Empty => Some(0),
            BodyKind::Bytes(bytes) => Some(bytes.len() as u64),
            BodyKind::File(file, _) => file.len(),
            BodyKind::Stream(_) => self.declared,
            BodyKind::Parts(parts) => parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.len()?)),
            BodyKind::Asked => None,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The bytes, if the body is in memory.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.kind {
            BodyKind::Empty => Some(&[]),
            BodyKind::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Several bodies, one after the other.
    pub(crate) fn parts(parts: Vec<Body>) -> Self {
        Body::of(BodyKind::Parts(parts.into()))
    }

    /// A body that the delegate is asked for.
    pub(crate) fn asked() -> Self {
        Body::of(BodyKind::Asked)
    }

    pub(crate) fn is_asked(&self) -> bool {
        matches!(self.kind, BodyKind::Asked)
    }

    /// Whether there is none: a stream of no bytes is a body.
    pub(crate) fn is_absent(&self) -> bool {
        match &self.kind {
            BodyKind::Empty => true,
            BodyKind::Bytes(bytes) => bytes.is_empty(),
            _ => false,
        }
    }

    /// Whether another one is needed to send anything.
    pub(crate) fn is_spent(&self) -> bool {
        match &self.kind {
            BodyKind::Empty | BodyKind::Bytes(_) => false,
            BodyKind::File(_, stream) | BodyKind::Stream(stream) => stream.is_spent(),
            BodyKind::Parts(parts) => parts.iter().any(Body::is_spent),
            BodyKind::Asked => true,
        }
    }

    /// Whether it can be sent as often as need be.
    pub(crate) fn is_repeatable(&self) -> bool {
        match &self.kind {
            // One that is no regular file is rare; then it is asked for, as others are.
            BodyKind::Empty | BodyKind::Bytes(_) | BodyKind::File(..) => true,
            BodyKind::Stream(stream) => matches!(**stream, Stream::Open(_)),
            BodyKind::Parts(parts) => parts.iter().all(Body::is_repeatable),
            BodyKind::Asked => false,
        }
    }

    /// Its task is over: whoever still writes it is told why.
    pub(crate) fn close(&self, reason: &dyn Fn() -> Error) {
        match &self.kind {
            BodyKind::Stream(stream) if matches!(**stream, Stream::Written(..)) => stream.close(&reason()),
            BodyKind::Parts(parts) => parts.iter().for_each(|part| part.close(reason)),
            _ => {}
        }
    }

    const fn of(kind: BodyKind) -> Self {
        Body { kind, declared: None }
    }

    fn stream(stream: Stream) -> Self {
        Body::of(BodyKind::Stream(Arc::new(stream)))
    }
}

/// A file that is opened when it is first read, which may block.
struct Lazily(Arc<Path>, Option<File>);

impl Read for Lazily {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.1 {
            Some(file) => file.read(buffer),
            none => none.insert(File::open(&self.0)?).read(buffer),
        }
    }
}

impl fmt::Debug for Body {
    /// The kind and length of the body, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            BodyKind::Empty => f.write_str("Body(empty)"),
            BodyKind::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            BodyKind::File(file, _) => write!(f, "Body({})", file.path.display()),
            BodyKind::Stream(stream) => write!(f, "Body({stream:?})"),
            BodyKind::Parts(parts) => write!(f, "Body({} parts)", parts.len()),
            BodyKind::Asked => f.write_str("Body(of the delegate)"),
        }
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Body::empty()
    }
}

macro_rules! from_bytes {
    ($($type:ty),*) => { $(
        impl From<$type> for Body {
            fn from(bytes: $type) -> Self {
                Body::bytes(bytes)
            }
        }
    )* };
}

from_bytes!(Bytes, Vec<u8>, String, &'static str, &'static [u8], Box<[u8]>);

impl<const N: usize> From<&'static [u8; N]> for Body {
    fn from(bytes: &'static [u8; N]) -> Self {
        Body::bytes(bytes.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (body, len) in [
            (Body::empty(), 0),
            (Body::from(()), 0),
            (Body::from("abc"), 3),
            (Body::from(String::from("abcd")), 4),
            (Body::from(vec![1, 2]), 2),
            (Body::from(b"12345"), 5),
            (Body::bytes(Bytes::new()), 0),
        ] {
            assert_eq!(body.len(), Some(len));
            assert_eq!(body.is_empty(), len == 0);
            assert_eq!(body.as_bytes().map(<[u8]>::len), Some(len as usize));
        }
    }

    #[test]
    fn cloning_shares_the_bytes() {
        let body = Body::from(vec![0; 100]);
        assert_eq!(body.as_bytes().map(<[u8]>::as_ptr), body.clone().as_bytes().map(<[u8]>::as_ptr));
    }

    #[test]
    fn debug_does_not_print_the_bytes() {
        assert_eq!(format!("{:?}", Body::from("password=1")), "Body(10 bytes)");
    }
}
