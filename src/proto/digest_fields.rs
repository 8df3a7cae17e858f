//! `Content-Digest` and `Repr-Digest` (RFC 9530): the checksum of a response's content, and of the
//! representation that it is, or is a part of.
//!
//! A recipient may ignore any of them (section 2). Ignored are algorithms that we do not know or that
//! are not fit for the purpose, and fields that are malformed, as RFC 9651 section 4.2 has it: a
//! checksum that cannot be read says nothing about the bytes.

use super::structured::{self, Value};
use crate::checksum::{Checksum, ChecksumAlgorithm};
use http::header::{HeaderMap, HeaderName};

/// The checksum in a `Content-Digest`: of what this message brings, as it comes.
pub(crate) fn content_digest(headers: &HeaderMap) -> Option<Checksum> {
    digest(headers, &HeaderName::from_static("content-digest"))
}

/// The checksum in a `Repr-Digest`: of all of the representation, content coding included.
pub(crate) fn repr_digest(headers: &HeaderMap) -> Option<Checksum> {
    digest(headers, &HeaderName::from_static("repr-digest"))
}

/// Of several that we know one is enough. The first of them is the faster one where the processor
/// has instructions for it.
const KNOWN: [ChecksumAlgorithm; 2] = [ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Sha512];

fn digest(headers: &HeaderMap, name: &HeaderName) -> Option<Checksum> {
    let members = match structured::dictionary(headers, name) {
        Ok(members) => members?,
        Err(error) => {
            log::debug!("{name} {error}, and is ignored");
            return None;
        }
    };
    KNOWN.into_iter().find_map(|algorithm| match members.get(algorithm.name())? {
        Value::Bytes(bytes) => match Checksum::from_bytes(algorithm, bytes) {
            Ok(checksum) => Some(checksum),
            Err(error) => {
                log::debug!("{name} has for {algorithm} {error}, and is ignored");
                None
            }
        },
        _ => {
            log::debug!("{name} has for {algorithm} something else than bytes, and is ignored");
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const SHA256: &str = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    const HEX256: &str = "44aff4ab2d7c3250525675a08f0cfa9591168cffe51791c5f5bbc417c15a6c38";
    const SHA512: &str = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/\
                          WkppmM44T3qg==:";

    fn read(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("repr-digest", HeaderValue::from_str(line).expect("a value"));
        }
        assert_eq!(content_digest(&headers), None);
        repr_digest(&headers).map(|checksum| format!("{} {checksum}", checksum.algorithm()))
    }

    #[test]
    fn one_of_those_we_know() {
        let sha256 = Some(format!("sha-256 {HEX256}"));
        assert_eq!(read(&[SHA256]), sha256);
        assert_eq!(read(&[&SHA256.replace("=:", ":").replace("sha-256:", "sha-256=:")]), sha256);
        assert_eq!(read(&[SHA512, SHA256]), sha256);
        assert_eq!(read(&[&format!("md5=:AAAA:, {SHA256};a=1, unixsum=:AA==:")]), sha256);
        assert!(read(&[SHA512]).is_some_and(|read| read.starts_with("sha-512 60c01a9b9d49cff8")));
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["md5=:AAAA:"]), None);
        // The last of several with the same name counts (RFC 9651 section 4.2.2).
        assert_eq!(read(&["sha-256=:AAAA:", SHA256]), sha256);
    }

    #[test]
    fn what_is_malformed_is_ignored() {
        for text in [
            "sha-256",
            "sha-256=?1",
            "sha-256=\"RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=\"",
            "sha-256=:AAAA:",
            "sha-256=::",
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=",
            "SHA-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
            "sha-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=",
        ] {
            assert_eq!(read(&[text]), None, "{text}");
        }
        // All of the field is, if a part of it is no structured field.
        assert_eq!(read(&[SHA256, "a="]), None);
        // Where one cannot be used, another may.
        assert!(read(&["sha-256=:AAAA:", SHA512]).is_some());
    }
}
