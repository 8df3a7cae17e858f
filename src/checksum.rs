//! Checksums: what one is, read and written, and the hashing, which is behind the feature `checksum`.
//! Knows no responses and no tasks.

mod file;
mod hasher;

pub(crate) use file::hash_part;
#[cfg(feature = "checksum")]
pub(crate) use file::{hash_file, verify_file};
pub(crate) use hasher::Hasher;

use crate::error::{Error, ErrorKind};
use std::fmt;
use std::str::FromStr;

/// How a [`Checksum`] is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChecksumAlgorithm {
    /// SHA-256 (FIPS 180-4): 32 bytes.
    Sha256,
    /// SHA-512 (FIPS 180-4): 64 bytes.
    Sha512,
}

impl ChecksumAlgorithm {
    /// How many bytes its checksums have.
    pub const fn length(self) -> usize {
        match self {
            ChecksumAlgorithm::Sha256 => 32,
            ChecksumAlgorithm::Sha512 => 64,
        }
    }

    /// Its name in `Content-Digest` and `Repr-Digest` (RFC 9530, section 5).
    pub const fn name(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Sha256 => "sha-256",
            ChecksumAlgorithm::Sha512 => "sha-512",
        }
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A checksum: what bytes have to be, or what they are.
///
/// It is read from hexadecimal digits of either case, as `sha256sum` prints them, and displayed as
/// such.
///
/// ```
/// use urlsession::{Checksum, ChecksumAlgorithm};
///
/// let of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// let checksum = Checksum::sha256(of_nothing)?;
/// assert_eq!(checksum, Checksum::of(ChecksumAlgorithm::Sha256, b""));
/// assert_eq!(checksum.to_string(), of_nothing);
///
/// assert!(Checksum::sha256("e3b0c442").is_err());
/// # Ok::<(), urlsession::ParseChecksumError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    /// As many as the algorithm's checksums have.
    bytes: Box<[u8]>,
}

impl Checksum {
    /// A SHA-256 in 64 hexadecimal digits.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn sha256(hex: impl AsRef<str>) -> Result<Checksum, ParseChecksumError> {
        Checksum::from_hex(ChecksumAlgorithm::Sha256, hex)
    }

    /// A SHA-512 in 128 hexadecimal digits.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn sha512(hex: impl AsRef<str>) -> Result<Checksum, ParseChecksumError> {
        Checksum::from_hex(ChecksumAlgorithm::Sha512, hex)
    }

    /// A checksum in hexadecimal digits.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_hex(
        algorithm: ChecksumAlgorithm,
        hex: impl AsRef<str>,
    ) -> Result<Checksum, ParseChecksumError> {
        let hex = hex.as_ref();
        let digit = |at: usize, byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
                .ok_or(ParseChecksumError::Digit { at })
        };
        let digits: Vec<u8> =
            hex.bytes().enumerate().map(|(at, byte)| digit(at, byte)).collect::<Result<_, _>>()?;
        let expected = algorithm.length() * 2;
        if digits.len() != expected {
            return Err(ParseChecksumError::Length { expected, found: digits.len() });
        }
        let bytes = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit));
        Ok(Checksum { algorithm, bytes: bytes.collect() })
    }

    /// A checksum by its bytes.
    ///
    /// # Errors
    /// [`ParseChecksumError::Length`], in bytes, if they are too few or too many.
    pub fn from_bytes(
        algorithm: ChecksumAlgorithm,
        bytes: impl AsRef<[u8]>,
    ) -> Result<Checksum, ParseChecksumError> {
        let bytes = bytes.as_ref();
        let (expected, found) = (algorithm.length(), bytes.len());
        if found != expected {
            return Err(ParseChecksumError::Length { expected, found });
        }
        Ok(Checksum { algorithm, bytes: bytes.into() })
    }

    /// The checksum of bytes.
    #[cfg(feature = "checksum")]
    pub fn of(algorithm: ChecksumAlgorithm, bytes: impl AsRef<[u8]>) -> Checksum {
        let mut hasher = Hasher::of(algorithm);
        hasher.update(bytes.as_ref());
        hasher.finish()
    }

    /// How it is made.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The error of what has another one. `what`: whose they are; `from`: who says how it has to be.
    pub(crate) fn mismatch(&self, what: &str, from: &str, found: &Checksum) -> Error {
        Error::new(
            ErrorKind::ChecksumMismatch,
            format!("the {} of {what} is {found}, and has to be {self} by {from}", self.algorithm),
        )
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({} {self})", self.algorithm)
    }
}

/// By the number of digits, which tells the algorithm.
impl FromStr for Checksum {
    type Err = ParseChecksumError;

    fn from_str(hex: &str) -> Result<Checksum, ParseChecksumError> {
        match hex.len() {
            128 => Checksum::sha512(hex),
            _ => Checksum::sha256(hex),
        }
    }
}

/// Why a text is no [`Checksum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseChecksumError {
    /// It has too few or too many digits, or bytes.
    Length {
        /// How many it has to have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// Something in it is no hexadecimal digit.
    Digit {
        /// At which byte, counted from 0.
        at: usize,
    },
}

impl fmt::Display for ParseChecksumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseChecksumError::Length { expected, found } => {
                write!(f, "a checksum of length {found}, which has to be {expected}")
            }
            ParseChecksumError::Digit { at } => {
                write!(f, "a checksum with something else than a hexadecimal digit at byte {at}")
            }
        }
    }
}

impl std::error::Error for ParseChecksumError {}

impl From<ParseChecksumError> for Error {
    fn from(error: ParseChecksumError) -> Error {
        Error::new(ErrorKind::BadUrl, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case() {
        let lower = "00ff".repeat(16);
        let checksum = Checksum::sha256(&lower).unwrap();
        assert_eq!(checksum.bytes(), [0, 255].repeat(16));
        assert_eq!(Checksum::sha256(lower.to_uppercase()), Ok(checksum.clone()));
        assert_eq!(lower.parse(), Ok(checksum.clone()));
        assert_eq!(checksum.to_string(), lower);
        assert_eq!(format!("{checksum:?}"), format!("Checksum(sha-256 {lower})"));
        let long: Checksum = "AB".repeat(64).parse().unwrap();
        assert_eq!((long.algorithm(), long.bytes()), (ChecksumAlgorithm::Sha512, &[0xab; 64][..]));
    }

    #[test]
    fn what_is_no_checksum_is_told() {
        use ParseChecksumError::{Digit, Length};
        assert_eq!(Checksum::sha256("abc"), Err(Length { expected: 64, found: 3 }));
        assert_eq!(Checksum::sha256(""), Err(Length { expected: 64, found: 0 }));
        assert_eq!(Checksum::sha512("00".repeat(32)), Err(Length { expected: 128, found: 64 }));
        assert_eq!(Checksum::sha256("0g".repeat(32)), Err(Digit { at: 1 }));
        assert_eq!(Checksum::sha256(format!(" {}", "00".repeat(32))), Err(Digit { at: 0 }));
        assert_eq!(Checksum::sha256("é"), Err(Digit { at: 0 }));
        let short = Checksum::from_bytes(ChecksumAlgorithm::Sha256, [0; 31]);
        assert_eq!(short, Err(Length { expected: 32, found: 31 }));
        let error = Error::from(Digit { at: 7 });
        assert_eq!(error.kind(), ErrorKind::BadUrl);
    }

    #[cfg(feature = "checksum")]
    #[test]
    fn known_answers() {
        // FIPS 180-2, appendices B.1 and C.1.
        let abc = |algorithm| Checksum::of(algorithm, "abc").to_string();
        assert_eq!(
            abc(ChecksumAlgorithm::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(abc(ChecksumAlgorithm::Sha512).starts_with("ddaf35a193617abacc417349ae204131"));
    }
}
