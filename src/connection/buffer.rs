//! A buffer of received bytes that are taken from its front: ciphertext or plaintext.
//!
//! It knows nothing of sockets. Whoever owns one receives straight into the spare capacity, for
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

#[cfg(test)]
mod tests {
    use super::*;

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
