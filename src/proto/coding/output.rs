//! Where decoded bytes go: a slice, or the spare capacity of a vector, which need not be zeroed.

/// Room for decoded bytes. It never grows: when it is full the caller takes what is there.
pub(super) enum Output<'a> {
    /// A slice and how much of it is filled.
    Slice(&'a mut [u8], usize),
    /// The spare capacity of a vector.
    Spare(&'a mut Vec<u8>),
}

impl Output<'_> {
    /// How many bytes still fit.
    pub(super) fn room(&self) -> usize {
        match self {
            Output::Slice(slice, filled) => slice.len().saturating_sub(*filled),
            Output::Spare(vec) => vec.capacity() - vec.len(),
        }
    }

    /// A mark to ask [`since`](Output::since) with.
    pub(super) fn mark(&self) -> usize {
        match self {
            Output::Slice(_, filled) => *filled,
            Output::Spare(vec) => vec.len(),
        }
    }

    /// What was written since the mark.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    pub(super) fn since(&self, mark: usize) -> &[u8] {
        match self {
            Output::Slice(slice, filled) => slice.get(mark..*filled).unwrap_or_default(),
            Output::Spare(vec) => vec.get(mark..).unwrap_or_default(),
        }
    }

    /// Lets `write` fill some of the room and say how much it wrote. For decoders that want
    /// initialized memory; they get it in pieces that are still in the cache when they are used.
    #[cfg(any(feature = "brotli", feature = "zstd"))]
    pub(super) fn fill<R>(&mut self, write: impl FnOnce(&mut [u8]) -> (usize, R)) -> R {
        const PIECE: usize = 64 * 1024;
        match self {
            Output::Slice(slice, filled) => {
                let (written, result) = write(slice.get_mut(*filled..).unwrap_or_default());
                *filled = filled.saturating_add(written).min(slice.len());
                result
            }
            Output::Spare(vec) => {
                let start = vec.len();
                let piece = (vec.capacity() - start).min(PIECE);
                vec.resize(start + piece, 0);
                let (written, result) = write(&mut vec[start..]);
                vec.truncate(start + written.min(piece));
                result
            }
        }
    }
}
