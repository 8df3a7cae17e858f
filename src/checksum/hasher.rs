//! The hashing itself. Without the feature `checksum` there is none, and nobody who could ask for it.

use super::{Checksum, ChecksumAlgorithm};

#[cfg(feature = "checksum")]
pub(crate) use with_ring::Hasher;
#[cfg(not(feature = "checksum"))]
pub(crate) use without::Hasher;

#[cfg(feature = "checksum")]
mod with_ring {
    use super::{Checksum, ChecksumAlgorithm};
    use ring::digest::{Context, SHA256, SHA512};

    /// Makes the checksum of what it is given piece by piece.
    #[derive(Clone)]
    pub(crate) struct Hasher {
        algorithm: ChecksumAlgorithm,
        context: Context,
    }

    impl Hasher {
        /// Without anything as yet. `None` if this library was built without hashing.
        pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Option<Hasher> {
            Some(Hasher::of(algorithm))
        }

        pub(crate) fn of(algorithm: ChecksumAlgorithm) -> Hasher {
            let context = Context::new(match algorithm {
                ChecksumAlgorithm::Sha256 => &SHA256,
                ChecksumAlgorithm::Sha512 => &SHA512,
            });
            Hasher { algorithm, context }
        }

        pub(crate) fn algorithm(&self) -> ChecksumAlgorithm {
            self.algorithm
        }

        pub(crate) fn update(&mut self, bytes: &[u8]) {
            self.context.update(bytes);
        }

        pub(crate) fn finish(self) -> Checksum {
            Checksum { algorithm: self.algorithm, bytes: self.context.finish().as_ref().into() }
        }
    }
}

#[cfg(not(feature = "checksum"))]
mod without {
    use super::{Checksum, ChecksumAlgorithm};

    /// There is none.
    #[derive(Clone)]
    pub(crate) enum Hasher {}

    impl Hasher {
        pub(crate) fn new(_: ChecksumAlgorithm) -> Option<Hasher> {
            None
        }

        pub(crate) fn algorithm(&self) -> ChecksumAlgorithm {
            match *self {}
        }

        pub(crate) fn update(&mut self, _: &[u8]) {
            match *self {}
        }

        pub(crate) fn finish(self) -> Checksum {
            match self {}
        }
    }
}
