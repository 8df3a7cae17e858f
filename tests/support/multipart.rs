//! `multipart/form-data` read by the letter of RFC 7578 and RFC 2046, names unescaped as the HTML
//! standard has it. What a lenient server would let pass is an error here.

use super::Received;
use bytes::Bytes;

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// The name of its file, if it is one.
    pub filename: Option<String>,
    /// Its `Content-Type`.
    pub content_type: Option<String>,
    /// Its bytes.
    pub body: Bytes,
}

impl Received {
    /// The fields of the form in the body.
    ///
    /// # Panics
    ///
    /// When it is none, or not well formed.
    #[track_caller]
    pub fn multipart(&self) -> Vec<Part> {
        let content_type = self.header("content-type").expect("a Content-Type");
        multipart(content_type, &self.body()).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Reads a form: the value of `Content-Type`, and the body.
pub fn multipart(content_type: &str, body: &Bytes) -> Result<Vec<Part>, String> {
    let delimiter = format!("\r\n--{}", boundary(content_type)?);
    // The first delimiter has no line before it: a preamble has no place in a form.
    let first = delimiter.strip_prefix("\r\n").unwrap_or(&delimiter);
    if !body.starts_with(first.as_bytes()) {
        return Err(format!("the body does not begin with {first:?}"));
    }
    let mut at = first.len();
    let mut parts = Vec::new();
    loop {
        let rest = &body[at..];
        if rest == b"--\r\n" || rest == b"--" {
            return Ok(parts);
        }
        if !rest.starts_with(b"\r\n") {
            return Err(format!("neither a line's end nor the body's after a delimiter at {at}"));
        }
        let start = at + 2;
        if body[start..].starts_with(b"\r\n") {
            return Err(format!("the part at {start} has no header"));
        }
        let head_end = start + find(&body[start..], b"\r\n\r\n").ok_or("a part's header without an end")?;
        let body_start = head_end + 4;
        let length =
            find(&body[body_start..], delimiter.as_bytes()).ok_or("a part without a delimiter after it")?;
        parts.push(part(&body[start..head_end], body.slice(body_start..body_start + length))?);
        at = body_start + length + delimiter.len();
    }
}

fn boundary(content_type: &str) -> Result<&str, String> {
    let (kind, parameter) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(format!("{content_type:?} is not multipart/form-data"));
    }
    let value =
        parameter.trim().strip_prefix("boundary=").ok_or(format!("no boundary in {content_type:?}"))?;
    let is_quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
    let boundary = if is_quoted { &value[1..value.len() - 1] } else { value };
    // RFC 2046 section 5.1.1; what is no token has to be quoted (RFC 9110 section 5.6.6).
    let allowed = |byte: u8| {
        let extra: &[u8] = if is_quoted { b"'()+_,-./:=? " } else { b"'+_-." };
        byte.is_ascii_alphanumeric() || extra.contains(&byte)
    };
    if boundary.is_empty() || boundary.len() > 70 || boundary.ends_with(' ') || !boundary.bytes().all(allowed)
    {
        return Err(format!("not a boundary: {value:?}"));
    }
    Ok(boundary)
}

fn part(head: &[u8], body: Bytes) -> Result<Part, String> {
    let head = std::str::from_utf8(head).map_err(|error| format!("a part's header is not UTF-8: {error}"))?;
    let mut disposition = None;
    let mut content_type = None;
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(": ").ok_or(format!("malformed header line {line:?}"))?;
        if value.contains(['\r', '\n', '\0']) {
            return Err(format!("a control character in {line:?}"));
        }
        // RFC 7578 section 4.8 allows no third.
        let slot = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut disposition,
            "content-type" => &mut content_type,
            _ => return Err(format!("{name:?} has no place in a form")),
        };
        if slot.replace(value.to_owned()).is_some() {
            return Err(format!("{name:?} twice"));
        }
    }
    let disposition = disposition.ok_or("a part without Content-Disposition")?;
    let mut rest =
        disposition.strip_prefix("form-data").ok_or(format!("{disposition:?} is not form-data"))?;
    let mut name = None;
    let mut filename = None;
    while !rest.is_empty() {
        let malformed = || format!("malformed {disposition:?}");
        let (parameter, after) =
            rest.strip_prefix("; ").and_then(|rest| rest.split_once("=\"")).ok_or_else(malformed)?;
        let (value, after) = after.split_once('"').ok_or_else(malformed)?;
        let slot = match parameter {
            "name" => &mut name,
            "filename" => &mut filename,
            // Of `filename*`, RFC 7578 section 4.2 says that it must not be used.
            _ => return Err(format!("the parameter {parameter:?} in {disposition:?}")),
        };
        if slot.replace(unescaped(value)).is_some() {
            return Err(format!("{parameter:?} twice in {disposition:?}"));
        }
        rest = after;
    }
    let name = name.ok_or(format!("no name in {disposition:?}"))?;
    Ok(Part { name, filename, content_type, body })
}

/// Undoes the three escapes of the HTML standard ("multipart form data").
fn unescaped(value: &str) -> String {
    value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
