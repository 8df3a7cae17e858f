//! Servers that are a closure over the socket, for what goes wrong at one place of the wire.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use urlsession::{Bytes, Request};

/// Serves each connection in a thread of its own by that function, which gets its number, as long as
/// the process lives. Returns the URL.
pub fn serve(run: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    serve_on(listener, run);
    url
}

/// The same with a listener that is there already.
pub fn serve_on(listener: TcpListener, run: impl Fn(usize, TcpStream) + Send + Sync + 'static) {
    let run = Arc::new(run);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let run = run.clone();
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || run(number, stream));
        }
    });
}

/// Reads the head of a request. `None` when the client has gone.
pub fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Answers 200 with that body.
pub fn ok(stream: &mut TcpStream, body: &str) {
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
}

/// Says nothing more until the client goes away.
pub fn hold(stream: &mut TcpStream) {
    while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
}

/// Waits until it is so.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + super::PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bytes that keep a mark.
struct Owned(#[allow(dead_code)] Arc<()>);
impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        b"body"
    }
}
/// A request, and a mark of which there is one copy more as long as the task is in memory.
pub fn marked(url: &str) -> (Request, Arc<()>) {
    let mark = Arc::new(());
    let body = Bytes::from_owner(Owned(mark.clone()));
    (Request::post(url).body(body), mark)
}
