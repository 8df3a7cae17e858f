use crate::error::{Error, ErrorKind};
use crate::library::proto::resumable_upload::{
    MAX_ATTEMPTS, MAX_REDIRECTS, Next, Upload, add_append_fields, headers_for_resource,
};
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// Enough to see every path.
const MOST_EVENTS: usize = 200;

const NAMES: [&str; 6] = [
    "location",
    "upload-offset",
    "upload-complete",
    "upload-length",
    "upload-limit",
    "upload-draft-interop-version",
];

/// The steps of an upload, whatever a server answers: only to http and https and never to http after
/// https; nothing is sent that the server has or that there is not; limits are kept; what is in vain
/// ends; and an end is one.
///
/// The first byte says how the upload begins. Each line after that is an event: a byte that chooses
/// it, and fields, each a byte that chooses its name and a value, divided by a NUL.
pub fn resumable_upload(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let total = (how & 1 == 0).then_some(u64::from(how >> 3));
    let scheme = if how & 2 == 0 { "https" } else { "http" };
    let url = Url::parse(&format!("{scheme}://user:secret@example.com/files?q")).expect("a URL");
    let resource = Url::parse(&format!("{scheme}://example.com/uploads/1")).expect("a URL");
    let mut upload = match how & 4 {
        0 => Upload::new(url.clone(), total),
        _ => Upload::resume(url.clone(), resource, total, u64::from(how >> 5)),
    };
    let mut watch = Watch { url, total, sent: 0, acknowledged: upload.acknowledged(), vain: 0, ended: false };
    let first = upload.start();
    watch.step(&upload, &first);
    let mut current = first;
    for event in rest.split(|&byte| byte == b'\n').take(MOST_EVENTS) {
        let Some((&kind, fields)) = event.split_first() else { continue };
        let headers = fields_of(fields);
        let next = match kind {
            b'i' => upload.handle_informational(status(104), &headers),
            b's' => {
                // More of the body is sent, at most what was asked for.
                if let Some(offset) = watch.send(&current, fields.len() as u64) {
                    upload.handle_sent(offset);
                }
                None
            }
            b'e' => {
                if watch.total.is_none() {
                    watch.total = Some(watch.sent);
                    upload.handle_end(watch.sent);
                }
                None
            }
            b'l' => Some(upload.handle_lost(lost())),
            b'x' => Some(upload.cannot_supply(lost())),
            kind => Some(upload.handle_response(status(code(kind)), &headers)),
        };
        assert!(upload.acknowledged() >= watch.acknowledged, "what was acknowledged stays so");
        watch.moved(upload.acknowledged());
        if let Some(next) = next {
            watch.step(&upload, &next);
            current = next;
        }
    }
}

/// What is known of an upload without looking into it.
struct Watch {
    url: Url,
    total: Option<u64>,
    /// Up to where the body was sent by the step that is under way, or is to be.
    sent: u64,
    acknowledged: u64,
    /// How many steps there were since the offset moved.
    vain: u32,
    ended: bool,
}

impl Watch {
    fn step(&mut self, upload: &Upload, next: &Next) {
        if self.ended {
            assert!(matches!(next, Next::Fail(_)), "{next:?} after the end");
            return;
        }
        self.vain += 1;
        assert!(self.vain <= 3 * (MAX_ATTEMPTS + MAX_REDIRECTS + 3), "in vain without end");
        match next {
            Next::Create => {}
            Next::QueryOffset { url, attempt } => {
                self.check_url(url);
                assert!(*attempt < MAX_ATTEMPTS);
            }
            Next::Append { url, offset, length, complete } => {
                self.check_url(url);
                assert_eq!(*offset, upload.acknowledged());
                self.sent = *offset;
                self.check_append(upload, *offset, *length, *complete);
                let mut headers = headers_for_resource(&asked(), &self.url, url);
                let same = url.origin() == self.url.origin();
                assert_eq!(headers.contains_key("authorization"), same);
                add_append_fields(&mut headers, *offset, *complete).expect("room");
                assert!(headers.get("upload-offset").is_some_and(|value| value.len() <= 15));
            }
            Next::Deliver => self.ended = true,
            Next::Fail(error) => self.end(error),
            Next::Cancel { url, error } => {
                self.check_url(url);
                self.end(error);
            }
        }
    }

    fn end(&mut self, error: &Error) {
        use ErrorKind::*;
        self.ended = true;
        assert!(matches!(error.kind(), BadServerResponse | NetworkConnectionLost | DataLengthExceedsMaximum));
        let text = error.to_string();
        assert!(!text.contains("secret") && !text.contains(|c: char| c.is_control()), "{text}");
    }

    fn check_append(&self, upload: &Upload, offset: u64, length: Option<u64>, complete: bool) {
        let limits = upload.limits();
        let end = length.map(|length| offset.checked_add(length).expect("no overflow"));
        match self.total {
            Some(total) => {
                assert!(offset <= total && end.is_some_and(|end| end <= total));
                assert_eq!(complete, end == Some(total));
            }
            None => assert_eq!(complete, end.is_none()),
        }
        if let Some(most) = limits.max_append_size {
            assert!(length.is_some_and(|length| length <= most));
        }
        if !complete {
            assert!(length > Some(0) && length >= limits.min_append_size);
        }
        if let Some(total) = self.total {
            assert!(limits.max_size.is_none_or(|most| total <= most));
            assert!(limits.min_size.is_none_or(|least| total >= least));
        }
    }

    fn check_url(&self, url: &Url) {
        assert!(self.url.scheme() == "http" || url.scheme() == "https");
        assert!(matches!(url.scheme(), "http" | "https"));
        assert!(url.host_str().is_some_and(|host| !host.is_empty()));
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    }

    /// Sends more of the body, if a step is under way that does.
    fn send(&mut self, current: &Next, count: u64) -> Option<u64> {
        let end = match current {
            Next::Create => self.total,
            Next::Append { offset, length, .. } => length.map(|length| offset + length),
            _ => return None,
        };
        let most = end.unwrap_or(u64::MAX).min(self.total.unwrap_or(u64::MAX));
        self.sent = (self.sent + count).min(most);
        Some(self.sent)
    }

    fn moved(&mut self, acknowledged: u64) {
        if acknowledged > self.acknowledged {
            self.acknowledged = acknowledged;
            self.vain = 0;
        }
    }
}

fn fields_of(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in bytes.split(|&byte| byte == 0).take(16) {
        let Some((&name, value)) = field.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(name) % NAMES.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    headers
}

fn asked() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("secret"));
    headers
}

fn code(kind: u8) -> u16 {
    const CODES: [u16; 16] = [200, 201, 204, 301, 307, 308, 400, 404, 409, 410, 413, 415, 500, 502, 503, 599];
    CODES[usize::from(kind) % CODES.len()]
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).expect("a status")
}

fn lost() -> Error {
    Error::new(ErrorKind::NetworkConnectionLost, "gone")
}
