//! What the tests share: the servers' addresses, which `run` gives by environment variables, and
//! sessions that trust their authority.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use urlsession::{Certificate, Configuration, Identity, Session};

/// How long a test waits for what has to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A variable that `run` sets.
pub fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: start the tests with tests/interop/run"))
}

/// A URL on a server, such as `url("NGINX", "/hello")`.
pub fn url(server: &str, path: &str) -> String {
    variable(&format!("INTEROP_{server}")) + path
}

/// A file of this run.
pub fn path(file: &str) -> PathBuf {
    PathBuf::from(variable("INTEROP_DIR")).join(file)
}

/// The contents of a file of this run.
pub fn contents(file: &str) -> Vec<u8> {
    std::fs::read(path(file)).unwrap()
}

/// A configuration that trusts the authority of this run, and only that. What it loads comes from the
/// server: it has no cache.
pub fn configuration() -> Configuration {
    let authority = Certificate::from_pem(contents("certificates/ca.crt")).unwrap();
    Configuration::ephemeral().timeout_for_request(PATIENCE).root_certificates(authority).cache(None)
}

/// A session of that configuration.
pub fn session() -> Session {
    Session::new(configuration())
}

/// The identity of a client: `client`, or `stranger`.
pub fn identity(name: &str) -> Identity {
    let certificate = contents(&format!("certificates/{name}.crt"));
    Identity::from_pem(certificate, contents(&format!("certificates/{name}.key"))).unwrap()
}

/// Text of a GET.
pub fn text(session: &Session, url: &str) -> String {
    let response = session.data_task(url).wait().unwrap();
    assert_eq!(response.status(), 200, "{url}");
    response.text().unwrap().into_owned()
}

/// Waits until the peer of a connection of this process has closed it: the kernel has it in
/// CLOSE_WAIT then.
pub fn await_close_by_peer(local: SocketAddr) {
    const CLOSE_WAIT: &str = "08";
    let port = format!(":{:04X}", local.port());
    let end = Instant::now() + PATIENCE;
    loop {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let closed = table.lines().any(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields[1].ends_with(&port) && fields[3] == CLOSE_WAIT
        });
        if closed {
            return;
        }
        assert!(Instant::now() < end, "the server did not close {local}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
