//! The HTTP server of the tests: [`Server`] listens, starts a thread for each connection, and keeps
//! the record that tests look at and wait for.
//!
//! Dropping it ends everything: gates and pauses let go, sockets are shut down, threads joined.

use super::builder::{Acceptor, Builder};
use super::shared::{Shared, State};
use super::tls::{Handshake, Tls};
use super::{Received, Reply, ca};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A running server. Dropped, it is gone: no thread, no socket is left.
///
/// # Panics
///
/// On drop when a handler has panicked: what it asserted did not hold.
pub struct Server {
    pub(super) address: SocketAddr,
    pub(super) is_tls: bool,
    pub(super) acceptor: Option<Acceptor>,
    pub(super) shared: Arc<Shared>,
}

impl Server {
    /// A server on 127.0.0.1, without TLS.
    pub fn start(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Server {
        Server::builder().start(handler)
    }

    /// A server on 127.0.0.1 with a certificate by [`ca`].
    pub fn tls(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Server {
        Server::builder().tls(Tls::new()).start(handler)
    }

    /// A server that gives these replies to one request after the other, on whatever connection.
    pub fn script(replies: impl IntoIterator<Item = Reply>) -> Server {
        Server::builder().script(replies)
    }

    /// A server that is told more.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// A URL, by address.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme(), self.address)
    }

    /// A URL, by a name: `localhost`, or one that the client is told how to resolve.
    pub fn url_of_host(&self, host: &str, path: &str) -> String {
        format!("{}://{host}:{}{path}", self.scheme(), self.port())
    }

    /// The certificate to trust, as PEM.
    pub fn ca_pem(&self) -> String {
        ca().pem()
    }

    /// The certificate to trust, as DER.
    pub fn ca_der(&self) -> Vec<u8> {
        ca().der().to_vec()
    }

    /// All requests so far, in the order their heads came; bodies may be on their way.
    pub fn requests(&self) -> Vec<Arc<Received>> {
        self.shared.look(|state| state.requests.clone())
    }

    /// The request that came as number `index`.
    ///
    /// # Panics
    ///
    /// When there were fewer.
    #[track_caller]
    pub fn request(&self, index: usize) -> Arc<Received> {
        let requests = self.requests();
        let count = requests.len();
        requests.into_iter().nth(index).unwrap_or_else(|| panic!("request {index} of {count}"))
    }

    /// How many connections were accepted.
    pub fn accepted(&self) -> usize {
        self.shared.look(|state| state.accepted)
    }

    /// How many of them the server has not closed.
    pub fn open_connections(&self) -> usize {
        self.shared.look(State::open)
    }

    /// The handshakes that were completed.
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.shared.look(|state| state.handshakes.clone())
    }

    /// How many of them took up a former session.
    pub fn resumed_handshakes(&self) -> usize {
        self.handshakes().iter().filter(|handshake| handshake.is_resumed()).count()
    }

    /// Why others were not.
    pub fn failed_handshakes(&self) -> Vec<String> {
        self.shared.look(|state| state.failed_handshakes.clone())
    }

    /// What clients sent that HTTP/1.1 forbids.
    pub fn protocol_errors(&self) -> Vec<String> {
        self.shared.look(|state| state.protocol_errors.clone())
    }

    /// Waits until `count` requests are there with their bodies, or as much of these as will be
    /// read, and gives all requests.
    ///
    /// # Panics
    ///
    /// When that did not happen within `timeout`; so do the other waits.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> Vec<Arc<Received>> {
        self.wait(&format!("{count} requests"), timeout, |state| state.settled >= count);
        self.requests()
    }

    /// Waits until the heads of `count` requests are there.
    #[track_caller]
    pub fn wait_for_heads(&self, count: usize, timeout: Duration) -> Vec<Arc<Received>> {
        self.wait(&format!("{count} heads"), timeout, |state| state.requests.len() >= count);
        self.requests()
    }

    /// Waits until `count` bytes of the bodies of all requests together are there.
    #[track_caller]
    pub fn wait_for_body_bytes(&self, count: u64, timeout: Duration) {
        let arrived = |state: &State| state.requests.iter().map(|request| request.body_length()).sum::<u64>();
        self.wait(&format!("{count} bytes of bodies"), timeout, |state| arrived(state) >= count);
    }

    /// Waits until `count` connections have been accepted, in all.
    #[track_caller]
    pub fn wait_for_accepts(&self, count: usize, timeout: Duration) {
        self.wait(&format!("{count} connections"), timeout, |state| state.accepted >= count);
    }

    /// Waits until exactly `count` connections are open.
    #[track_caller]
    pub fn wait_for_open_connections(&self, count: usize, timeout: Duration) {
        self.wait(&format!("{count} open connections"), timeout, |state| state.open() == count);
    }

    /// Waits until `count` handshakes have been completed or have failed.
    #[track_caller]
    pub fn wait_for_handshakes(&self, count: usize, timeout: Duration) {
        let ended = |state: &State| state.handshakes.len() + state.failed_handshakes.len();
        self.wait(&format!("{count} handshakes"), timeout, |state| ended(state) >= count);
    }

    /// Closes the listening socket: connects are refused from here on, open connections go on.
    pub fn stop_listening(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.stop(self.address);
        }
    }

    /// Shuts all open connections down without a word: what a crash of the server looks like.
    pub fn cut_connections(&self) {
        self.shared.update(|state| state.shut_down_all());
    }

    fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    #[track_caller]
    fn wait(&self, what: &str, timeout: Duration, done: impl Fn(&State) -> bool) {
        self.shared.wait(what, timeout, done);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.begin_to_stop();
        self.stop_listening();
        let panics = self.shared.join_all();
        if panics > 0 && !std::thread::panicking() {
            panic!("{panics} handlers of the test server panicked; see above");
        }
    }
}
