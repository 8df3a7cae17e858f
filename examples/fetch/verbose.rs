//! What `-i`, `-v` and `-w` say of requests and responses. Makes text and writes none.

use std::fmt::Write;
use std::time::Duration;
use urlsession::http::header::{self, HeaderMap, HeaderName};
use urlsession::http::{StatusCode, Version};
use urlsession::{DataTask, Request, ResponseHead, TaskMetrics, TransactionMetrics};

/// Headers by which somebody could pass for the user.
const SECRET: [HeaderName; 4] =
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE, header::SET_COOKIE];

/// The head of a response as `-i` shows it.
pub fn head(head: &ResponseHead) -> String {
    let mut text = format!("{}\r\n", status_line(head.version(), head.status()));
    for (name, value) in head.headers() {
        let _ = write!(text, "{}: {}\r\n", title_case(name), String::from_utf8_lossy(value.as_bytes()));
    }
    text + "\r\n"
}

/// A request with `> ` before each line, without credentials. What the library adds to every
/// request is not in it, but for `Host`.
pub fn request(request: &Request) -> String {
    let Some(url) = request.get_url() else { return String::new() };
    let query = url.query().map_or(String::new(), |query| format!("?{query}"));
    let mut text = format!("> {} {}{query} HTTP/1.1\n", request.get_method(), url.path());
    if !request.get_headers().contains_key(header::HOST) {
        let port = url.port().map_or(String::new(), |port| format!(":{port}"));
        let _ = writeln!(text, "> Host: {}{port}", url.host_str().unwrap_or_default());
    }
    if !url.username().is_empty() && !request.get_headers().contains_key(header::AUTHORIZATION) {
        let _ = writeln!(text, "> Authorization: [redacted]");
    }
    fields(&mut text, '>', request.get_headers());
    if let Some(length @ 1..) = request.get_body().len() {
        let _ = writeln!(text, "> Content-Length: {length}");
    }
    text + ">"
}

/// The head of a response with `< ` before each line, without credentials.
pub fn response(head: &ResponseHead) -> String {
    let mut text = format!("< {}\n", status_line(head.version(), head.status()));
    fields(&mut text, '<', head.headers());
    text + "<"
}

/// What was measured: connections and TLS, and the waterfall, with `* ` before each line.
pub fn metrics(metrics: &TaskMetrics) -> String {
    let mut text = String::new();
    for transaction in metrics.transactions() {
        if let Some(line) = connection(transaction) {
            let _ = writeln!(text, "* {line}");
        }
    }
    for line in metrics.to_string().lines() {
        let _ = writeln!(text, "* {line}");
    }
    text.trim_end().to_owned()
}

/// The text of `-w`, with its variables filled in; those that are not known stay as they are.
pub fn write_out(format: &str, task: &DataTask, exit: u8, written: u64) -> String {
    let metrics = task.metrics();
    let last = metrics.as_ref().and_then(|metrics| metrics.transactions().last());
    let total = metrics.as_ref().map_or(Duration::ZERO, |metrics| metrics.task_interval().duration());
    let seconds = |time: Option<Duration>| format!("{:.6}", time.unwrap_or_default().as_secs_f64());
    let head = task.response();
    let value = |name: &str| {
        Some(match name {
            "exitcode" => exit.to_string(),
            "http_code" | "response_code" => {
                format!("{:03}", head.as_ref().map_or(0, |head| head.status().as_u16()))
            }
            "content_type" => head.as_ref()?.header("content-type").unwrap_or_default().to_owned(),
            "url_effective" => task.current_request().get_url().map(ToString::to_string).unwrap_or_default(),
            "num_redirects" => metrics.as_ref().map_or(0, |metrics| metrics.redirect_count()).to_string(),
            "remote_ip" => last.and_then(|last| last.remote_address()).map(|at| at.ip().to_string())?,
            "size_download" => written.to_string(),
            "size_header" => last.map_or(0, |last| last.response_header_bytes()).to_string(),
            "size_upload" => task.bytes_sent().to_string(),
            "speed_download" => format!("{:.0}", written as f64 / total.as_secs_f64().max(1e-9)),
            "time_total" => seconds(Some(total)),
            "time_starttransfer" => {
                seconds(last.and_then(|last| Some(last.response_start()?.duration_since(last.fetch_start()))))
            }
            _ => return None,
        })
    };
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['%', '\\']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let variable = rest.strip_prefix("%{").and_then(|inner| inner.split_once('}'));
        let (piece, length) = match variable {
            Some((name, _)) => (value(name), name.len() + 3),
            None => (escape(rest).map(str::to_owned), 2),
        };
        match piece {
            Some(piece) => {
                text.push_str(&piece);
                rest = &rest[length..];
            }
            None => {
                text.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
    }
    text + rest
}

fn escape(text: &str) -> Option<&'static str> {
    match text.get(..2)? {
        "\\n" => Some("\n"),
        "\\r" => Some("\r"),
        "\\t" => Some("\t"),
        "%%" => Some("%"),
        _ => None,
    }
}

fn connection(transaction: &TransactionMetrics) -> Option<String> {
    let (local, remote) = (transaction.local_address()?, transaction.remote_address()?);
    let verb = if transaction.is_reused_connection() { "kept the connection" } else { "connected" };
    let mut line = format!("{verb} to {remote} from {local}");
    if let Some(version) = transaction.tls_version_name() {
        let suite = transaction.tls_cipher_suite_name().unwrap_or("an uncommon cipher suite");
        let _ = write!(line, ", {version} with {suite}");
    }
    Some(line)
}

fn fields(text: &mut String, mark: char, headers: &HeaderMap) {
    for (name, value) in headers {
        let value = match SECRET.contains(name) {
            true => "[redacted]".into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        let _ = writeln!(text, "{mark} {}: {value}", title_case(name));
    }
}

/// The reason phrase is the usual one: what the server said there is not kept.
fn status_line(version: Version, status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or_default();
    format!("{version:?} {} {reason}", status.as_u16()).trim_end().to_owned()
}

/// As names of headers are written over HTTP/1.1.
fn title_case(name: &HeaderName) -> String {
    let mut first = true;
    let letters = name.as_str().chars().map(|letter| {
        let letter = if first { letter.to_ascii_uppercase() } else { letter };
        first = letter == '-';
        letter
    });
    letters.collect()
}
