//! The checksum of a file, read in pieces.

use super::{Checksum, ChecksumAlgorithm, Hasher};
use crate::error::{Error, ErrorKind, Result};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// How much is read at once.
pub(crate) const PIECE: usize = 256 * 1024;

/// Hashes a file from `at` on, up to so many bytes of it. Returns how many that were: fewer are all
/// there were.
pub(crate) fn hash_part(file: &File, hasher: &mut Hasher, at: u64, most: u64) -> io::Result<u64> {
    let mut piece = vec![0; PIECE];
    let mut hashed = 0;
    while hashed < most {
        let room = usize::try_from(most - hashed).unwrap_or(PIECE).min(PIECE);
        match file.read_at(piece.get_mut(..room).unwrap_or_default(), at + hashed) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(piece.get(..count).unwrap_or_default());
                hashed += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hashed)
}

/// The checksum of all of a file. `cancelled` is asked again and again whether to go on.
pub(crate) fn hash_file(
    file: &File,
    algorithm: ChecksumAlgorithm,
    cancelled: &mut dyn FnMut() -> bool,
) -> Result<Checksum> {
    let Some(mut hasher) = Hasher::new(algorithm) else {
        return Err(Error::new(ErrorKind::Unknown, "this library was built without checksums"));
    };
    let mut at = 0;
    loop {
        if cancelled() {
            return Err(Error::cancelled());
        }
        let hashed = hash_part(file, &mut hasher, at, TURN).map_err(|error| {
            Error::new(ErrorKind::CannotOpenFile, "reading a file for its checksum").with_source(error)
        })?;
        at += hashed;
        if hashed < TURN {
            return Ok(hasher.finish());
        }
    }
}

/// Whether all of a file has that checksum.
///
/// Fails with [`ErrorKind::ChecksumMismatch`] if it has another.
pub(crate) fn verify_file(
    file: &File,
    checksum: &Checksum,
    cancelled: &mut dyn FnMut() -> bool,
) -> Result<()> {
    let found = hash_file(file, checksum.algorithm(), cancelled)?;
    if found == *checksum { Ok(()) } else { Err(checksum.mismatch("the file", "what was given", &found)) }
}

/// How much is hashed before a look at whether anybody still wants it.
const TURN: u64 = 4 * 1024 * 1024;
