//! Buffers of bytes that are taken from their front: received ones, ciphertext or plaintext, and
//! ciphertext that is to be sent.
//!
//! They know nothing of sockets. Whoever owns one receives straight into the spare capacity, for
//! example with `recv(socket, spare_capacity(buffer.spare(16 * 1024)), flags)` of `rustix`, so no
//! byte is set to zero before it is received. Taking bytes moves an offset; what remains moves to
//! the front only when there is no room left behind it.

/// Bytes that were received and not yet taken.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    storage: Vec<u8>,
    /// Where the bytes that are not yet taken begin. Zero whenever `storage` is empty.
    start: usize,
}

impl Buffer {
    /// An empty buffer that owns no memory yet.
    pub(crate) const fn new() -> Self {
        Buffer { storage: Vec::new(), start: 0 }
    }

    /// Whether all that was received is taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.storage.len()
    }

    /// How many bytes are there to be taken.
    #[cfg(any(test, feature = "tls"))]
    pub(crate) fn len(&self) -> usize {
        self.storage.len().saturating_sub(self.start)
    }

    /// How many bytes of memory the buffer holds on to.
    pub(crate) fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// The bytes that are not yet taken.
    pub(crate) fn filled(&self) -> &[u8] {
        self.storage.get(self.start..).unwrap_or_default()
    }

    /// The bytes that are not yet taken, for decryption in place.
    #[cfg(any(test, feature = "tls"))]
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        self.storage.get_mut(self.start..).unwrap_or_default()
    }

    /// Takes `count` bytes from the front, or all if there are fewer.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count);
        if self.is_empty() {
            self.clear();
        }
    }

    /// Forgets all bytes and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.storage.clear();
        self.start = 0;
    }

    /// Appends a copy of `bytes`.
    #[cfg(any(test, feature = "tls"))]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.spare(bytes.len()).extend_from_slice(bytes);
    }

    /// The storage, with room for at least `at_least` bytes more, to which the caller may append
    /// and do nothing else.
    pub(crate) fn spare(&mut self, at_least: usize) -> &mut Vec<u8> {
        if self.storage.capacity() - self.storage.len() < at_least {
            self.compact();
            self.storage.reserve(at_least);
        }
        &mut self.storage
    }

    /// The bytes that are not yet taken, as a vector that begins with them. Leaves an empty buffer.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.compact();
        std::mem::take(&mut self.storage)
    }

    /// Moves the bytes that are not yet taken to the front of the storage.
    fn compact(&mut self) {
        let start = self.start.min(self.storage.len());
        self.storage.drain(..start);
        self.start = 0;
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(storage: Vec<u8>) -> Self {
        Buffer { storage, start: 0 }
    }
}

/// Bytes that are to be sent. What its memory once held is written over, so that only memory which is
/// new to it is set to zero.
#[cfg(feature = "tls")]
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    /// All of it may be written to.
    storage: Vec<u8>,
    /// The bytes that are to be sent. Both are zero when there are none.
    start: usize,
    end: usize,
}

#[cfg(feature = "tls")]
impl SendBuffer {
    /// An empty buffer that owns no memory yet.
    pub(crate) const fn new() -> Self {
        SendBuffer { storage: Vec::new(), start: 0, end: 0 }
    }

    /// Whether there is nothing to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// How many bytes are to be sent.
    pub(crate) fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether some of what was appended last has been sent and some has not.
    pub(crate) fn is_begun(&self) -> bool {
        self.start > 0
    }

    /// How many bytes of memory the buffer holds on to.
    pub(crate) fn capacity(&self) -> usize {
        self.storage.capacity()
    }

    /// The bytes that are to be sent.
    pub(crate) fn filled(&self) -> &[u8] {
        self.storage.get(self.start..self.end).unwrap_or_default()
    }

    /// Room for so many bytes more, with whatever is there. How many of them are to be sent is for
    /// [`append`](SendBuffer::append) to say.
    pub(crate) fn room(&mut self, count: usize) -> &mut [u8] {
        let end = self.end.saturating_add(count);
        if self.storage.len() < end {
            self.storage.resize(end, 0);
        }
        self.storage.get_mut(self.end..end).unwrap_or_default()
    }

    /// So many bytes from the front of the [`room`](SendBuffer::room) are to be sent.
    pub(crate) fn append(&mut self, count: usize) {
        self.end = self.end.saturating_add(count).min(self.storage.len());
    }

    /// So many bytes from the front were sent.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count);
        if self.is_empty() {
            self.start = 0;
            self.end = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "tls")]
    #[test]
    fn what_is_to_be_sent_is_what_was_appended_and_not_consumed() {
        let mut buffer = SendBuffer::new();
        assert!(buffer.is_empty());
        assert_eq!(buffer.capacity(), 0);
        buffer.room(8)[..3].copy_from_slice(b"abc");
        assert!(buffer.is_empty());
        buffer.append(3);
        buffer.room(2).copy_from_slice(b"de");
        buffer.append(2);
        assert_eq!(buffer.filled(), b"abcde");
        assert!(!buffer.is_begun());
        buffer.consume(2);
        assert!(buffer.is_begun());
        assert_eq!((buffer.filled(), buffer.len()), (&b"cde"[..], 3));
        buffer.consume(3);
        assert!(buffer.is_empty() && !buffer.is_begun());
        // Its memory is used again as it is.
        assert_eq!(buffer.room(8), b"abcde\0\0\0");
        buffer.append(usize::MAX);
        assert_eq!(buffer.len(), 8);
        buffer.consume(usize::MAX);
        assert_eq!(buffer.filled(), b"");
    }

    #[test]
    fn bytes_come_out_in_order() {
        let mut buffer = Buffer::new();
        buffer.extend(b"hello ");
        buffer.extend(b"world");
        buffer.consume(3);
        assert_eq!(buffer.filled(), b"lo world");
        buffer.filled_mut()[0] = b'L';
        buffer.extend(b"!");
        assert_eq!(buffer.filled(), b"Lo world!");
        assert_eq!(buffer.len(), 9);
        buffer.consume(usize::MAX);
        assert!(buffer.is_empty());
        assert_eq!(buffer.filled(), b"");
        assert_eq!(buffer.filled_mut(), b"");
    }

    #[test]
    fn room_is_made_by_moving_before_it_is_made_by_allocating() {
        let mut buffer = Buffer::from(Vec::with_capacity(100));
        let capacity = buffer.capacity();
        buffer.extend(&vec![1; capacity]);
        buffer.consume(capacity - 10);
        for _ in 0..50 {
            buffer.extend(&[2; 30]);
            buffer.consume(30);
        }
        assert_eq!(buffer.capacity(), capacity);
        assert_eq!(buffer.filled(), [2; 10]);
    }

    #[test]
    fn an_idle_buffer_owns_no_memory() {
        let mut buffer = Buffer::new();
        buffer.extend(b"12345");
        buffer.consume(2);
        assert_eq!(buffer.take(), b"345");
        assert!(buffer.is_empty());
        assert_eq!(buffer.capacity(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_receives_into_the_spare_capacity() {
        use rustix::buffer::spare_capacity;
        use rustix::net::{RecvFlags, recv};
        use std::io::Write;

        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
        ours.write_all(b"received").expect("a write");
        let mut buffer = Buffer::from(b"and ".to_vec());
        let (_, count) = recv(&theirs, spare_capacity(buffer.spare(64)), RecvFlags::empty()).expect("bytes");
        assert_eq!(count, 8);
        assert_eq!(buffer.filled(), b"and received");
    }
}
