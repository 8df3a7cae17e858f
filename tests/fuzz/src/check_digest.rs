use crate::checksum::{Checksum, ChecksumAlgorithm};
use crate::proto::digest_fields::{content_digest, repr_digest};
use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Whatever is in the fields, what is read out of them is a checksum of a length that its algorithm has,
/// is read again as it is written, and depends on no other field.
pub fn digest_fields(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n').take(20) {
        let Some((name, value)) = line.split_first_chunk::<2>() else { continue };
        let name = match name {
            b"c:" => HeaderName::from_static("content-digest"),
            b"r:" => HeaderName::from_static("repr-digest"),
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    let (content, repr) = (content_digest(&headers), repr_digest(&headers));
    content.iter().chain(&repr).for_each(check);
    headers.remove("content-digest");
    assert_eq!((content_digest(&headers), repr_digest(&headers)), (None, repr));
}

fn check(checksum: &Checksum) {
    let algorithm = checksum.algorithm();
    assert_eq!(checksum.bytes().len(), algorithm.length());
    let hex = checksum.to_string();
    assert_eq!(Checksum::from_hex(algorithm, &hex).as_ref(), Ok(checksum));
    assert_eq!(Checksum::from_hex(algorithm, hex.to_uppercase()).as_ref(), Ok(checksum));
    assert_eq!(hex.parse().as_ref(), Ok(checksum));
    let other = match algorithm {
        ChecksumAlgorithm::Sha256 => ChecksumAlgorithm::Sha512,
        _ => ChecksumAlgorithm::Sha256,
    };
    assert!(Checksum::from_hex(other, &hex).is_err());
}
