//! The other side: a session that fits a server, and the ways in which a task's result can be had.
//!
//! Each way is another path through the library: the waiting thread or a worker does the work, the
//! body goes to memory, to a reader or past a delegate. What a test says is to hold for all of them.

use super::{PATIENCE, Received, Reply, Server, Tls};
use std::fmt;
use std::io::{self, Read};
use std::time::Duration;
use urlsession::{Bytes, Certificate, Configuration, DataTask, Delegate, Error, Request, Response, Session};

/// How the result of a task is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `wait()` at once: the calling thread does the work.
    Lent,
    /// `resume()`, and a completion handler: a worker does it all.
    Worker,
    /// `resume()` and then `wait()`, which takes over where the worker stands.
    Taken,
    /// `open()`, and the body read in pieces that fit nothing.
    Reader,
    /// `wait()` with a delegate who lets every piece of the body pass by.
    Delegate,
}

/// All of them.
pub const WAYS: [Way; 5] = [Way::Lent, Way::Worker, Way::Taken, Way::Reader, Way::Delegate];

/// A server, a session for it, and a way to use it.
pub struct Client<'a> {
    /// The server.
    pub server: &'a Server,
    /// The session, which trusts the server.
    pub session: Session,
    /// The way.
    pub way: Way,
}

impl<'a> Client<'a> {
    /// A client with the usual configuration.
    pub fn new(server: &'a Server, way: Way) -> Client<'a> {
        Client { server, session: Session::new(configuration_for(server)), way }
    }

    /// Whether the server speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.server.is_tls
    }

    /// GETs a path.
    pub fn get(&self, path: &str) -> Result<Response<Bytes>, Error> {
        self.send(self.server.url(path))
    }

    /// Carries a request out.
    pub fn send(&self, request: impl Into<Request>) -> Result<Response<Bytes>, Error> {
        result_by(self.way, &self.session.data_task(request))
    }
}

impl fmt::Display for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} over {}", self.way, if self.is_tls() { "TLS" } else { "TCP" })
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.session.invalidate_and_cancel();
    }
}

/// A configuration that trusts the server, and in which nothing hangs for ever.
pub fn configuration_for(server: &Server) -> Configuration {
    let configuration = Configuration::ephemeral().timeout_for_request(PATIENCE);
    if !server.is_tls {
        return configuration;
    }
    configuration.add_root_certificate(Certificate::from_der(server.ca_der()))
}

/// The result of a task that has not been started.
pub fn result_by(way: Way, task: &DataTask) -> Result<Response<Bytes>, Error> {
    match way {
        Way::Lent => task.wait(),
        Way::Worker => {
            let (sender, receiver) = std::sync::mpsc::channel();
            task.on_completion(move |result| drop(sender.send(result))).resume();
            receiver.recv_timeout(3 * PATIENCE).expect("a completion handler is called")
        }
        Way::Taken => {
            task.resume();
            task.wait()
        }
        Way::Reader => {
            let mut response = task.open()?;
            let body = read_in_pieces(response.body_mut()).map_err(error_within)?;
            Ok(response.map(|_| body))
        }
        Way::Delegate => {
            struct Bystander;
            impl Delegate for Bystander {}
            assert!(task.set_delegate(Bystander), "the task has not been started");
            task.wait()
        }
    }
}

/// The library's error in that of a reader.
#[track_caller]
pub fn error_within(error: io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    inner.unwrap_or_else(|| panic!("an error without the library's in it: {error}")).clone()
}

fn read_in_pieces(reader: &mut impl Read) -> io::Result<Bytes> {
    let mut body = Vec::new();
    let mut piece = [0; 1013];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(body.into()),
            count => body.extend_from_slice(&piece[..count]),
        }
    }
}

/// Runs a test over TCP and over TLS.
pub fn over_both(
    handler: impl Fn(&Received) -> Reply + Clone + Send + Sync + 'static,
    test: impl Fn(&Server, &Session),
) {
    for server in [Server::start(handler.clone()), Server::tls(handler)] {
        let session = Session::new(configuration_for(&server));
        eprintln!("-- over {}", if server.is_tls { "TLS" } else { "TCP" });
        test(&server, &session);
        session.invalidate_and_cancel();
    }
}

/// Runs a test over TCP and over TLS in each [`Way`], with a server and a session of its own.
pub fn every_way(
    handler: impl Fn(&Received) -> Reply + Clone + Send + Sync + 'static,
    test: impl Fn(&Client<'_>),
) {
    for way in WAYS {
        for tls in [false, true] {
            let builder = Server::builder();
            let builder = if tls { builder.tls(Tls::new()) } else { builder };
            let server = builder.start(handler.clone());
            let client = Client::new(&server, way);
            // Shown when the test fails.
            eprintln!("-- {client}");
            test(&client);
        }
    }
}

/// Looks again and again until something is so: for what cannot be waited for.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "after {PATIENCE:?} still not: {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
}
