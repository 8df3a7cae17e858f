//! The keys that a server has to have: `--pinnedpubkey`. Reads the file if there is one.

use crate::exit::{Exit, Failure};
use crate::requests::read;
use crate::values::Usage;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use std::path::PathBuf;
use urlsession::{Checksum, ChecksumAlgorithm, Error, ErrorKind, PinnedKeys};

/// What the option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pins {
    /// Keys by their SHA-256.
    Keys(PinnedKeys),
    /// A file with a key.
    File(PathBuf),
}

impl Pins {
    /// `sha256//BASE64`, several with `;` between them, or a file.
    pub fn parse(text: &str) -> Result<Pins, Usage> {
        if !text.starts_with("sha256/") {
            return Ok(Pins::File(text.into()));
        }
        let keys = text.parse().map_err(|error: Error| Usage(format!("--pinnedpubkey: {error}")))?;
        Ok(Pins::Keys(keys))
    }

    /// The keys.
    pub fn read(&self) -> Result<PinnedKeys, Failure> {
        let path = match self {
            Pins::Keys(keys) => return Ok(keys.clone()),
            Pins::File(path) => path,
        };
        let bytes = read(path, Exit::ReadInput)?;
        // DER begins with the tag of a sequence, and PEM with a line of text.
        let der = match bytes.first() {
            Some(0x30) => bytes,
            _ => match SubjectPublicKeyInfoDer::from_pem_slice(&bytes) {
                Ok(key) => key.to_vec(),
                Err(error) => {
                    let message = format!("{}: there is no public key in it ({error})", path.display());
                    return Err(Failure::new(Exit::ReadInput, message));
                }
            },
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(Checksum::of(ChecksumAlgorithm::Sha256, &der).bytes());
        Ok(PinnedKeys::from_sha256([hash]))
    }
}

/// Whether a server was refused for its key, where keys were pinned: there is nothing else that is wrong
/// with it, or that would have counted.
pub fn is_about_key(error: &Error, insecure: bool) -> bool {
    error.kind() == ErrorKind::ServerCertificateUntrusted
        && (insecure || error.server_trust().is_some_and(|trust| trust.evaluate().is_ok()))
}
