//! How resume data is written: as bytes of a version, whole or not at all.
//!
//! ```text
//! magic 8 │ version 2 │ length of the facts 4 │ facts │ CRC-32 of all before 4
//! ```
//!
//! Numbers are big-endian. In the facts, what has a variable length has it before it in 4 bytes, and
//! what may be missing has a byte 0 or 1 before it. Version 1 stays as it is: a later release that
//! has more to say writes version 2, and reads both.

use super::facts::{DownloadFacts, Facts, MOST_HEADERS, MOST_RANGES, UploadFacts, bad};
use crate::error::Result;
use crate::header::{self, quoted};
use crate::proto::validator::Validator;
use http::Method;
use http::header::{HeaderMap, HeaderValue};
use url::Url;

/// With a line's end, so that a transfer as text is found out before anything else.
const MAGIC: &[u8; 8] = b"RESUME\r\n";
const VERSION: u16 = 1;

/// The most bytes that are read. What the facts allow is less.
pub(crate) const MOST_BYTES: usize = 1024 * 1024;

const DOWNLOAD: u8 = 1;
const UPLOAD: u8 = 2;
const ETAG: u8 = 1;
const LAST_MODIFIED: u8 = 2;

/// The bytes of facts that have been checked.
pub(crate) fn encode(facts: &Facts) -> Vec<u8> {
    let mut body = Writer(Vec::new());
    match facts {
        Facts::Download(facts) => {
            body.byte(DOWNLOAD);
            body.bytes(facts.url.as_str().as_bytes());
            body.headers(&facts.headers);
            body.optional(facts.total);
            body.byte(match &facts.validator {
                Validator::ETag(_) => ETAG,
                Validator::LastModified(_) => LAST_MODIFIED,
            });
            body.bytes(facts.validator.value().as_bytes());
            body.bytes(facts.file_name.as_bytes());
            body.count(facts.ranges.len());
            for range in &facts.ranges {
                body.number(range.start);
                body.number(range.end);
            }
        }
        Facts::Upload(facts) => {
            body.byte(UPLOAD);
            body.bytes(facts.url.as_str().as_bytes());
            body.headers(&facts.headers);
            body.optional(facts.total);
            body.bytes(facts.resource.as_str().as_bytes());
            body.bytes(facts.method.as_str().as_bytes());
            body.number(u64::from(facts.interop));
        }
    }
    sealed(&body.0)
}

/// What stands around the facts: whatever they are, its length and checksum are right.
pub(crate) fn sealed(body: &[u8]) -> Vec<u8> {
    let mut all = Writer(MAGIC.to_vec());
    all.0.extend(VERSION.to_be_bytes());
    all.bytes(body);
    let sum = crc32(&all.0);
    all.0.extend(sum.to_be_bytes());
    all.0
}

/// The facts that bytes tell, which may be from anywhere.
///
/// # Errors
///
/// `CannotParseResumeData` with what is wrong.
pub(crate) fn decode(bytes: &[u8]) -> Result<Facts> {
    if bytes.len() > MOST_BYTES {
        return Err(bad("it is larger than 1 MiB"));
    }
    let mut all = Reader(bytes);
    if all.array().ok() != Some(*MAGIC) {
        return Err(bad("it does not begin as resume data does"));
    }
    let version = u16::from_be_bytes(all.array()?);
    if version != VERSION {
        return Err(bad(format!("it is of version {version}, and this release reads version {VERSION}")));
    }
    let mut body = Reader(all.bytes()?);
    let summed = bytes.len().saturating_sub(all.0.len());
    let sum = u32::from_be_bytes(all.array()?);
    all.end()?;
    if bytes.get(..summed).map(crc32) != Some(sum) {
        return Err(bad("it is damaged, its checksum does not match"));
    }
    let facts = body.facts()?;
    body.end()?;
    facts.checked()
}

/// As in zlib and PNG: reflected, polynomial 0x04C11DB7.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }

    fn count(&mut self, count: usize) {
        // Checked facts are far from what does not fit.
        self.0.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }

    fn optional(&mut self, number: Option<u64>) {
        self.byte(u8::from(number.is_some()));
        if let Some(number) = number {
            self.number(number);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    fn headers(&mut self, headers: &HeaderMap) {
        self.count(headers.len());
        for (name, value) in headers {
            self.bytes(name.as_str().as_bytes());
            self.bytes(value.as_bytes());
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(cut)?;
        self.0 = rest;
        Ok(*array)
    }

    fn byte(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn number(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn count(&mut self) -> Result<usize> {
        let count = u32::from_be_bytes(self.array()?);
        usize::try_from(count).map_err(|_| cut())
    }

    fn optional(&mut self) -> Result<Option<u64>> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.number().map(Some),
            _ => Err(bad("something is neither there nor missing")),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(count).ok_or_else(cut)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| bad("a text is not UTF-8"))
    }

    fn url(&mut self) -> Result<Url> {
        Url::parse(self.text()?).map_err(|reason| bad(format!("its URL is none: {reason}")))
    }

    fn headers(&mut self) -> Result<HeaderMap> {
        let count = self.count()?;
        if count > MOST_HEADERS {
            return Err(bad(format!("it has more than {MOST_HEADERS} headers")));
        }
        let mut headers = HeaderMap::with_capacity(count);
        for _ in 0..count {
            let (name, value) = (self.bytes()?, self.bytes()?);
            let (name, value) = header::field(name, value)
                .map_err(|error| bad("it has a malformed header").with_source(error))?;
            header::append(&mut headers, name, value).map_err(|_| bad("it has too many headers"))?;
        }
        Ok(headers)
    }

    fn validator(&mut self) -> Result<Validator> {
        let tag = self.byte()?;
        let value = HeaderValue::from_bytes(self.bytes()?).ok();
        let validator = match tag {
            ETAG => value.as_ref().and_then(Validator::etag),
            LAST_MODIFIED => value.as_ref().and_then(Validator::last_modified),
            _ => None,
        };
        validator.ok_or_else(|| bad("it has no strong validator"))
    }

    fn facts(&mut self) -> Result<Facts> {
        let kind = self.byte()?;
        let (url, headers, total) = (self.url()?, self.headers()?, self.optional()?);
        match kind {
            DOWNLOAD => {
                let validator = self.validator()?;
                let file_name = self.text()?.to_owned();
                let count = self.count()?;
                if count > MOST_RANGES {
                    return Err(bad(format!("it has more than {MOST_RANGES} ranges of bytes")));
                }
                let mut ranges = Vec::with_capacity(count);
                for _ in 0..count {
                    ranges.push(self.number()?..self.number()?);
                }
                Ok(Facts::Download(DownloadFacts { url, headers, validator, total, file_name, ranges }))
            }
            UPLOAD => {
                let resource = self.url()?;
                let text = self.text()?;
                let method = Method::from_bytes(text.as_bytes())
                    .map_err(|_| bad(format!("{} is not a method", quoted(text))))?;
                let interop =
                    u32::try_from(self.number()?).map_err(|_| bad("its interop version is too large"))?;
                Ok(Facts::Upload(UploadFacts { resource, url, method, headers, total, interop }))
            }
            _ => Err(bad(format!("it is of kind {kind}, which is neither download nor upload"))),
        }
    }

    fn end(&self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(bad("something stands behind its end")) }
    }
}

#[cold]
fn cut() -> crate::error::Error {
    bad("it is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Written by version 1. Never to be changed: every later release has to read them.
    const DOWNLOAD_1: &[u8] = include_bytes!("download.v1");
    const UPLOAD_1: &[u8] = include_bytes!("upload.v1");

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn download() -> DownloadFacts {
        DownloadFacts {
            url: url("https://example.com/big.iso?mirror=2"),
            headers: headers(&[("accept", "text/plain"), ("x-thing", "one"), ("x-thing", "two")]),
            validator: Validator::ETag(HeaderValue::from_static("\"5f3e-a1\"")),
            total: Some(50 << 20),
            file_name: "big.iso.part".to_owned(),
            ranges: vec![0..6 << 20, 25 << 20..26 << 20],
        }
    }

    fn upload() -> UploadFacts {
        UploadFacts {
            resource: url("https://uploads.example.com/7f"),
            url: url("https://example.com/items"),
            method: Method::POST,
            headers: headers(&[("content-type", "video/mp4")]),
            total: None,
            interop: 8,
        }
    }

    fn refused(bytes: &[u8], part: &str) {
        let error = decode(bytes).expect_err(part);
        assert_eq!(error.kind(), ErrorKind::CannotParseResumeData);
        assert!(error.to_string().contains(part), "{error} has no {part}");
        assert!(error.to_string().len() < 500);
    }

    fn body(bytes: &[u8]) -> &[u8] {
        &bytes[14..bytes.len() - 4]
    }

    /// Facts that were never checked.
    fn forged_download(change: impl FnOnce(&mut DownloadFacts)) -> Vec<u8> {
        let mut facts = download();
        change(&mut facts);
        encode(&Facts::Download(facts))
    }

    #[test]
    fn the_checksum_is_the_common_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn version_1_is_read_for_ever() {
        assert_eq!(decode(DOWNLOAD_1).expect("version 1"), Facts::Download(download()));
        assert_eq!(decode(UPLOAD_1).expect("version 1"), Facts::Upload(upload()));
    }

    #[test]
    fn version_1_is_what_is_written() {
        assert_eq!(encode(&Facts::Download(download())), DOWNLOAD_1);
        assert_eq!(encode(&Facts::Upload(upload())), UPLOAD_1);
    }

    #[test]
    fn the_largest_fits() {
        let mut facts = download();
        facts.url = url(&format!("https://example.com/{}", "x".repeat(65_000)));
        facts.headers = (0..100)
            .map(|i| {
                let name = format!("x-{i}").try_into().expect("a name");
                (name, HeaderValue::try_from("v".repeat(2_600)).expect("a value"))
            })
            .collect();
        facts.ranges = (0..4096).map(|i| i * 100..i * 100 + 1).collect();
        let facts = Facts::Download(facts).checked().expect("within limits");
        assert_eq!(decode(&encode(&facts)).expect("its own bytes"), facts);
    }

    #[test]
    fn nothing_that_was_cut_or_changed_is_read() {
        for whole in [DOWNLOAD_1, UPLOAD_1] {
            for end in 0..whole.len() {
                assert!(decode(&whole[..end]).is_err(), "cut at {end}");
            }
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut bytes = whole.to_vec();
                    bytes[at] ^= 1 << bit;
                    assert!(decode(&bytes).is_err(), "bit {bit} of byte {at}");
                }
            }
            refused(&[whole, b"\n"].concat(), "behind its end");
            refused(&[whole, whole].concat(), "behind its end");
            // The same with a length and a checksum that are right.
            for end in 0..body(whole).len() {
                refused(&sealed(&body(whole)[..end]), "");
            }
            refused(&sealed(&[body(whole), b"x"].concat()), "behind its end");
        }
        refused(&whole_of_zeros(), "larger than 1 MiB");
    }

    fn whole_of_zeros() -> Vec<u8> {
        vec![0; MOST_BYTES + 1]
    }

    #[test]
    fn what_is_not_resume_data_is_told() {
        refused(b"", "does not begin");
        refused(b"RESUME\n\0\x01", "does not begin");
        refused(&DOWNLOAD_1[..20], "cut short");
        let mut bytes = DOWNLOAD_1.to_vec();
        bytes[9] = 2;
        refused(&bytes, "version 2, and this release reads version 1");
        bytes[9] = 1;
        bytes[30] ^= 1;
        refused(&bytes, "damaged");
        refused(&sealed(&[&[3], &body(DOWNLOAD_1)[1..]].concat()), "kind 3");
    }

    #[test]
    fn forged_file_names() {
        for name in [
            "",
            ".",
            "..",
            "/etc/a.part",
            "../a.part",
            "a/../b.part",
            "a.part/",
            "./a.part",
            "a\\b.part",
            "..\\a.part",
            "a.part\0",
            "a\n.part",
            " a.part",
            "a.part ",
            "a.part.",
            ".bashrc",
            "a.PART",
        ] {
            refused(&forged_download(|facts| facts.file_name = name.to_owned()), "unfinished download");
        }
        refused(
            &forged_download(|facts| facts.file_name = format!("{}.part", "x".repeat(251))),
            "unfinished download",
        );
        for name in
            [".part", ".a.part", "a b.part", "..a.part", "ä.part", &format!("{}.part", "x".repeat(250))]
        {
            assert!(decode(&forged_download(|facts| facts.file_name = name.to_owned())).is_ok(), "{name}");
        }
        let mut bytes = body(DOWNLOAD_1).to_vec();
        let at = bytes.windows(7).position(|part| part == b"big.iso").expect("the name");
        bytes[at] = 0xff;
        refused(&sealed(&bytes), "");
    }

    #[test]
    fn forged_headers() {
        let with = |name: &[u8], value: &[u8]| {
            let mut body = Writer(vec![DOWNLOAD]);
            body.bytes(b"http://a.test/");
            body.count(1);
            body.bytes(name);
            body.bytes(value);
            sealed(&body.0)
        };
        for value in ["a\r\nx-admin: 1", "a\n", "a\0b"] {
            refused(&with(b"x-thing", value.as_bytes()), "x-thing");
        }
        refused(&with(b"a\r\nb", b"1"), "malformed header");
        refused(&with(b"", b"1"), "malformed header");
        for name in ["host", "content-length", "transfer-encoding", "connection", "range", "if-range"] {
            refused(&forged_download(|facts| facts.headers = headers(&[(name, "1")])), name);
        }
        for name in ["authorization", "proxy-authorization", "cookie"] {
            refused(&forged_download(|facts| facts.headers = headers(&[(name, "1")])), name);
        }
        let many = (0..101).map(|i| (format!("x-{i}").try_into().expect("a name"), HeaderValue::from(i)));
        refused(&forged_download(|facts| facts.headers = many.collect()), "more than 100 headers");
        let large = (0..90).map(|i| {
            (
                format!("x-{i}").try_into().expect("a name"),
                HeaderValue::try_from("v".repeat(4096)).expect("a value"),
            )
        });
        refused(&forged_download(|facts| facts.headers = large.collect()), "larger than 256 KiB");
    }

    #[test]
    fn forged_urls() {
        for (text, part) in [
            ("file:///etc/passwd", "neither http nor https"),
            ("data:,x", "neither http nor https"),
            ("https://me@a.test/", "user name"),
            ("https://:secret@a.test/", "user name"),
            ("https://a.test/#b", "fragment"),
        ] {
            refused(&forged_download(|facts| facts.url = url(text)), part);
            let facts = UploadFacts { resource: url(text), ..upload() };
            refused(&encode(&Facts::Upload(facts)), part);
        }
        let long = format!("http://a.test/{}", "x".repeat(70_000));
        refused(&forged_download(|facts| facts.url = url(&long)), "64 KiB");
        let mut body = Writer(vec![DOWNLOAD]);
        body.bytes(b"nothing");
        refused(&sealed(&body.0), "its URL is none");
    }

    #[allow(clippy::single_range_in_vec_init)]
    #[test]
    fn forged_ranges_and_numbers() {
        let with = |ranges: &[std::ops::Range<u64>]| forged_download(|facts| facts.ranges = ranges.to_vec());
        refused(&with(&[]), "no byte is there");
        refused(&with(&[0..0]), "empty");
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 5..4;
        refused(&with(&[reversed]), "empty");
        refused(&with(&[0..5, 4..9]), "overlap");
        refused(&with(&[0..5, 5..9]), "touch");
        refused(&with(&[6..9, 0..5]), "out of order");
        refused(&with(&[0..5, 0..5]), "overlap");
        refused(&with(&[0..(50 << 20) + 1]), "beyond the end");
        assert!(decode(&with(&[0..50 << 20])).is_ok());
        let huge = u64::MAX;
        refused(&with(&[0..huge]), "beyond the end");
        refused(&forged_download(|facts| facts.total = Some(huge)), "larger than any file");
        let endless = forged_download(|facts| {
            facts.total = None;
            facts.ranges = vec![0..huge, huge - 1..huge];
        });
        refused(&endless, "beyond the end");
        let many: Vec<_> = (0..4097).map(|i| i * 2..i * 2 + 1).collect();
        refused(&with(&many), "more than 4096 ranges");
        // Counts that promise more than is there make no room for it.
        let mut bytes = body(DOWNLOAD_1).to_vec();
        let at = bytes.len() - 2 * 16 - 4;
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        refused(&sealed(&bytes), "more than 4096 ranges");
    }

    #[test]
    fn forged_validators_and_methods() {
        for value in ["W/\"a\"", "a", "", "\"a\", \"b\""] {
            let value = HeaderValue::from_static(value);
            refused(&forged_download(|facts| facts.validator = Validator::ETag(value.clone())), "validator");
            refused(&forged_download(|facts| facts.validator = Validator::LastModified(value)), "validator");
        }
        let long = HeaderValue::try_from(format!("\"{}\"", "x".repeat(9_000))).expect("a value");
        refused(&forged_download(|facts| facts.validator = Validator::ETag(long)), "validator");
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(decode(&forged_download(|facts| facts.validator = Validator::LastModified(date))).is_ok());
        let connect = UploadFacts { method: Method::CONNECT, ..upload() };
        refused(&encode(&Facts::Upload(connect)), "uploads nothing");
        let mut bytes = body(UPLOAD_1).to_vec();
        let at = bytes.windows(4).position(|part| part == b"POST").expect("the method");
        bytes[at] = b' ';
        refused(&sealed(&bytes), "is not a method");
        let at = bytes.len() - 8;
        bytes[at - 4] = b'P';
        bytes[at - 8..at - 4].copy_from_slice(&4u32.to_be_bytes());
        bytes[at] = 1;
        refused(&sealed(&bytes), "interop version");
    }
}
