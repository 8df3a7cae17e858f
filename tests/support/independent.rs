//! A server that others wrote, `tiny_http`, with a few fixed pages: what works with it does not only
//! work with our own idea of a server.
//!
//! | path | answer |
//! |---|---|
//! | `/`, `/hello` | `hello` |
//! | `/echo` | method, target, headers and body as JSON |
//! | `/body` | the request's body, with its `Content-Type` |
//! | `/bytes/N` | N bytes of [`pattern`](super::pattern()) |
//! | `/gzip` | `hello` a thousand times, compressed |
//! | `/chunked` | 100,000 bytes of the pattern, chunked |
//! | `/redirect/N` | N redirects in a row, the last to `/hello` |
//! | `/status/N` | that status |

use super::worker::{Stop, Worker};
use super::{gzip, pattern};
use std::io::{Cursor, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use tiny_http::{Header, Request, Response};

/// A running `tiny_http` server; see [`independent`].
pub struct Independent {
    server: Option<Arc<tiny_http::Server>>,
    address: SocketAddr,
    workers: Vec<Worker>,
}

const WORKERS: usize = 4;

/// Starts a server on 127.0.0.1 that stops to listen when dropped. `tiny_http` joins none of its own
/// threads: they are named `tiny-http` and end some seconds later, those of connections not before
/// their clients go away.
pub fn independent() -> Independent {
    // On Linux a thread without a name has that of the thread that started it: so do tiny_http's.
    let starter = std::thread::Builder::new().name("tiny-http".to_owned());
    let starter = starter.spawn(|| tiny_http::Server::http("127.0.0.1:0")).expect("a thread");
    let server = starter.join().expect("a thread that starts tiny_http").expect("a tiny_http server");
    let stop = Stop::default();
    let server = Arc::new(server);
    let address = server.server_addr().to_ip().expect("an IP address");
    let worker = |_| {
        let server = server.clone();
        Worker::spawn("tiny", &stop, move || server.incoming_requests().for_each(answer))
    };
    let workers = (0..WORKERS).map(worker).collect();
    Independent { server: Some(server), address, workers }
}

impl Independent {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// A URL.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Independent {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.workers.iter().for_each(|_| server.unblock());
        }
        self.workers.drain(..).for_each(|worker| drop(worker.join()));
    }
}

fn answer(mut request: Request) {
    let path = request.url().split('?').next().unwrap_or_default().to_owned();
    let (page, argument) = match path[1.min(path.len())..].split_once('/') {
        Some((page, argument)) => (page.to_owned(), argument.parse::<usize>().unwrap_or(0)),
        None => (path.trim_start_matches('/').to_owned(), 0),
    };
    // A client that left before its answer is no concern here.
    let _ = match page.as_str() {
        "" | "hello" => request.respond(Response::from_string("hello")),
        "echo" => {
            let page = echo(&mut request);
            request
                .respond(Response::from_string(page).with_header(header("Content-Type", "application/json")))
        }
        "body" => {
            let of_request = |header: &&Header| header.field.equiv("Content-Type");
            let kind = request.headers().iter().find(of_request).cloned();
            let mut body = Vec::new();
            let _ = request.as_reader().read_to_end(&mut body);
            let mut response = Response::from_data(body);
            kind.into_iter().for_each(|kind| response.add_header(kind));
            request.respond(response)
        }
        "bytes" => request.respond(Response::from_data(pattern(argument)).with_chunked_threshold(usize::MAX)),
        "gzip" => {
            let body = gzip("hello".repeat(1000).as_bytes());
            request.respond(Response::from_data(body).with_header(header("Content-Encoding", "gzip")))
        }
        "chunked" => {
            let body = Cursor::new(pattern(100_000));
            request.respond(Response::new(200.into(), Vec::new(), body, None, None))
        }
        "redirect" => {
            let next = match argument {
                0 | 1 => "/hello".to_owned(),
                more => format!("/redirect/{}", more - 1),
            };
            request.respond(Response::empty(302).with_header(header("Location", &next)))
        }
        "status" => request.respond(Response::empty(u16::try_from(argument).unwrap_or(500))),
        _ => request.respond(Response::from_string("no such page").with_status_code(404)),
    };
}

fn echo(request: &mut Request) -> String {
    let mut body = Vec::new();
    let complete = request.as_reader().read_to_end(&mut body).is_ok();
    let headers = request.headers().iter();
    let headers: Vec<[&str; 2]> =
        headers.map(|one| [one.field.as_str().as_str(), one.value.as_str()]).collect();
    serde_json::json!({
        "method": request.method().as_str(),
        "target": request.url(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
        "complete": complete,
    })
    .to_string()
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("a header")
}
