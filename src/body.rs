//! The body of a request. Knows what is to be sent and how long it is, not how it is sent.

use bytes::Bytes;
use std::fmt;

/// The body of a [`Request`](crate::Request). Cloning is cheap: the bytes are shared.
///
/// ```
/// use urlsession::Body;
///
/// assert_eq!(Body::from("hello").len(), Some(5));
/// assert!(Body::empty().is_empty());
/// ```
#[derive(Clone, Default)]
pub struct Body {
    pub(crate) kind: BodyKind,
}

/// Where the bytes of a body come from.
#[derive(Clone, Default)]
pub(crate) enum BodyKind {
    /// There is no body, which is also what an absent one is.
    #[default]
    Empty,
    Bytes(Bytes),
}

impl Body {
    /// No body.
    pub const fn empty() -> Self {
        Body { kind: BodyKind::Empty }
    }

    /// A body of bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Body { kind: BodyKind::Bytes(bytes.into()) }
    }

    /// The length in bytes; `None` where it is known only at the end.
    pub fn len(&self) -> Option<u64> {
        match &self.kind {
            BodyKind::Empty => Some(0),
            BodyKind::Bytes(bytes) => Some(bytes.len() as u64),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The bytes, shared, if the body is in memory.
    pub(crate) fn to_bytes(&self) -> Bytes {
        match &self.kind {
            BodyKind::Empty => Bytes::new(),
            BodyKind::Bytes(bytes) => bytes.clone(),
        }
    }

    /// The bytes, if the body is in memory.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.kind {
            BodyKind::Empty => Some(&[]),
            BodyKind::Bytes(bytes) => Some(bytes),
        }
    }
}

impl fmt::Debug for Body {
    /// The kind and length of the body, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            BodyKind::Empty => f.write_str("Body(empty)"),
            BodyKind::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
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
