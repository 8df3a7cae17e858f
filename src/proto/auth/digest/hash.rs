//! The hashes of Digest authentication. Without the feature `digest` there are none, and so there is no
//! challenge that could be answered.

#[cfg(feature = "digest")]
pub(crate) use with_hashes::{BodyHasher, Hash, client_nonce};
#[cfg(not(feature = "digest"))]
pub(crate) use without::{BodyHasher, Hash, client_nonce};

#[cfg(feature = "digest")]
mod with_hashes {
    use ring::digest::{Context, SHA256, SHA512_256};
    use ring::rand::{SecureRandom, SystemRandom};
    use std::fmt::Write;

    /// A hash algorithm, the weakest first.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) enum Hash {
        Md5,
        Sha256,
        Sha512Of256,
    }

    impl Hash {
        /// By its name in a challenge.
        pub(crate) fn named(name: &str) -> Option<Hash> {
            const NAMES: [(&str, Hash); 3] =
                [("MD5", Hash::Md5), ("SHA-256", Hash::Sha256), ("SHA-512-256", Hash::Sha512Of256)];
            NAMES.iter().find(|(other, _)| name.eq_ignore_ascii_case(other)).map(|(_, hash)| *hash)
        }

        /// The hash of all parts with a colon between any two, in hexadecimal.
        pub(crate) fn of(self, parts: &[&[u8]]) -> String {
            let mut hasher = BodyHasher::new(self);
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    hasher.update(b":");
                }
                hasher.update(part);
            }
            hasher.finish()
        }
    }

    /// Hashes a body piece by piece.
    pub(crate) struct BodyHasher(State);

    enum State {
        Md5(md5::Context),
        Sha2(Context),
    }

    impl BodyHasher {
        pub(crate) fn new(hash: Hash) -> Self {
            BodyHasher(match hash {
                Hash::Md5 => State::Md5(md5::Context::new()),
                Hash::Sha256 => State::Sha2(Context::new(&SHA256)),
                Hash::Sha512Of256 => State::Sha2(Context::new(&SHA512_256)),
            })
        }

        pub(crate) fn update(&mut self, bytes: &[u8]) {
            match &mut self.0 {
                State::Md5(context) => context.consume(bytes),
                State::Sha2(context) => context.update(bytes),
            }
        }

        /// In hexadecimal.
        pub(crate) fn finish(self) -> String {
            match self.0 {
                State::Md5(context) => hex(&context.finalize().0),
                State::Sha2(context) => hex(context.finish().as_ref()),
            }
        }
    }

    /// A nonce of our own, which nobody can guess. `None` if the system has no randomness.
    pub(crate) fn client_nonce() -> Option<String> {
        let mut bytes = [0; 16];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Some(hex(&bytes))
    }

    fn hex(bytes: &[u8]) -> String {
        let mut text = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(not(feature = "digest"))]
mod without {
    /// There is none.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) enum Hash {}

    impl Hash {
        pub(crate) fn named(_: &str) -> Option<Hash> {
            None
        }

        pub(crate) fn of(self, _: &[&[u8]]) -> String {
            match self {}
        }
    }

    /// Of nothing.
    pub(crate) struct BodyHasher(Hash);

    impl BodyHasher {
        pub(crate) fn new(hash: Hash) -> Self {
            BodyHasher(hash)
        }

        pub(crate) fn update(&mut self, _: &[u8]) {
            match self.0 {}
        }

        pub(crate) fn finish(self) -> String {
            match self.0 {}
        }
    }

    pub(crate) fn client_nonce() -> Option<String> {
        None
    }
}
