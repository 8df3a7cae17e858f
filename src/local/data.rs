//! `data:` URLs (RFC 2397, in the reading of WHATWG's Fetch): media type and bytes out of the URL
//! itself.

use super::{Contents, Found};
use crate::error::{Error, ErrorKind, Result};
use data_url::DataUrl;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;

/// What a URL without a media type has, and one whose media type is none (RFC 2397, section 2).
const DEFAULT_TYPE: &str = "text/plain;charset=US-ASCII";

/// The contents of a `data:` URL. The body is at most as long as the URL.
pub(super) fn find(url: &Url) -> Result<Found> {
    let malformed = |reason: &str| Error::new(ErrorKind::BadUrl, format!("reading the data: URL: {reason}"));
    let data = DataUrl::process(url.as_str())
        .map_err(|_| malformed("there is no comma between the media type and the data"))?;
    let mut body = Vec::new();
    data.decode(|piece| {
        if body.capacity() == 0 {
            // Pieces are short where much is encoded; growing would copy them again and again.
            body.reserve_exact(url.as_str().len());
        }
        body.extend_from_slice(piece);
        Ok::<(), std::convert::Infallible>(())
    })
    .map_err(|_| malformed("the data is not base64, which it says it is"))?;
    body.shrink_to_fit();
    let media_type = HeaderValue::from_str(&data.mime_type().to_string())
        .unwrap_or(HeaderValue::from_static(DEFAULT_TYPE));
    Ok(Found {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, media_type)]),
        length: Some(body.len() as u64),
        body: Contents::Memory(body.into()),
        scheme: "data",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> (String, Vec<u8>) {
        let found = find(&Url::parse(url).expect("a URL")).expect(url);
        let media_type = found.headers[CONTENT_TYPE].to_str().expect("text").to_owned();
        match found.body {
            Contents::Memory(bytes) => {
                assert_eq!(found.length, Some(bytes.len() as u64));
                (media_type, bytes.to_vec())
            }
            Contents::File(_) => panic!("a file"),
        }
    }

    #[test]
    fn media_type_and_bytes() {
        let default = || DEFAULT_TYPE.to_owned();
        assert_eq!(read("data:,Hello%2C%20World!"), (default(), b"Hello, World!".to_vec()));
        assert_eq!(read("data:,"), (default(), Vec::new()));
        assert_eq!(read("data:;base64,AAEC/w=="), (default(), vec![0, 1, 2, 255]));
        assert_eq!(read("data:nonsense,x"), (default(), b"x".to_vec()));
        assert_eq!(
            read("data:text/html;charset=utf-8,<p>"),
            ("text/html;charset=utf-8".into(), b"<p>".to_vec())
        );
        assert_eq!(read("data:;charset=utf-8,%C3%A4").0, "text/plain;charset=utf-8");
        assert_eq!(read("DATA:image/PNG;base64,QQ").0, "image/png");
        assert_eq!(read("data:,a#b").1, b"a", "the fragment is none of it");
        assert_eq!(read("data:,a?b").1, b"a?b");
        assert_eq!(read("data:,%zz%4").1, b"%zz%4");
    }

    #[test]
    fn no_header_is_smuggled_in() {
        let (media_type, _) = read("data:text/plain;a=\"x%0D%0Aset-cookie:b\",x");
        assert!(!media_type.contains('\n'), "{media_type}");
    }

    #[test]
    fn what_is_malformed_is_named_and_not_shown() {
        for url in ["data:secret", "data:text/plain;base64", "data:;base64,secret!", "data:a#,secret"] {
            let error = find(&Url::parse(url).expect("a URL")).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::BadUrl);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
