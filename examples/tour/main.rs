//! `tour`: what this library does, shown on a server that the program brings along.
//!
//! ```text
//! cargo run --release --example tour
//! ```
//!
//! It needs no network, takes a few seconds, and ends with an exit code other than 0 if something
//! does not go as it says.

mod chapters;
mod errors;
mod print;
#[path = "../../tests/support/mod.rs"]
mod support;

use print::Printer;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::{At, Fault, Reply, Server};
use urlsession::{Bytes, Certificate, Configuration, Session};

/// What went wrong in a chapter.
type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The size of the body that is streamed, and how long the server thinks before some answers.
const BIG: usize = 256 << 20;
const THINKING: Duration = Duration::from_millis(50);

/// The servers that the chapters talk to, and a session that trusts them.
struct Stage {
    plain: Server,
    secure: Server,
    session: Session,
}

impl Stage {
    fn new() -> Stage {
        let (plain, secure) = (Server::start(pages()), Server::tls(pages()));
        let session = Session::new(Stage::configuration(&secure));
        Stage { plain, secure, session }
    }

    /// A configuration that trusts the servers' certificate authority, which was made just now.
    fn configuration(server: &Server) -> Configuration {
        Configuration::ephemeral().add_root_certificate(Certificate::from_der(server.ca_der()))
    }
}

fn pages() -> impl Fn(&support::Received) -> Reply + Send + Sync + 'static {
    let big = Bytes::from(vec![b'x'; BIG]);
    let text =
        Bytes::from(support::gzip("All work and no play makes Jack a dull boy.\n".repeat(5000).as_bytes()));
    move |request| match request.path() {
        "/hello" => Reply::ok("Hello!"),
        "/think" => {
            let thinking = Fault::Delay { at: At::BeforeHead, time: THINKING };
            Reply::ok(request.query().unwrap_or_default().to_owned()).then(thinking)
        }
        "/big" => Reply::ok(big.clone()),
        "/stuck" => Reply::ok("never").then(Fault::Stall),
        "/moved" => Reply::redirect(301, "/text"),
        "/loop" => Reply::redirect(302, "/loop"),
        "/text" => {
            let thinking = Fault::Delay { at: At::BeforeHead, time: Duration::from_millis(10) };
            Reply::ok(text.clone()).header("content-encoding", "gzip").then(thinking)
        }
        "/cut" => Reply::head(200).header("content-length", "1000000").then(Fault::CloseAfter(1234)),
        "/damaged" => Reply::ok("no gzip at all").header("content-encoding", "gzip"),
        _ => Reply::status(404),
    }
}

fn main() -> ExitCode {
    let begin = Instant::now();
    let mut printer = Printer::new();
    let stage = Stage::new();
    println!("A server listens on {} and {}.", stage.plain.url("/"), stage.secure.url("/"));
    let chapters: [fn(&Stage, &mut Printer) -> Outcome; 9] = [
        chapters::one_line,
        chapters::many_at_once,
        chapters::a_body_as_it_comes,
        chapters::cancelling,
        chapters::a_callback,
        chapters::a_delegate,
        chapters::metrics,
        errors::what_went_wrong,
        chapters::nothing_is_left,
    ];
    let mut failures = 0;
    for chapter in chapters {
        if let Err(error) = chapter(&stage, &mut printer) {
            failures += 1;
            printer.failed(&error.to_string());
        }
    }
    printer.end(failures, begin.elapsed());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Checks what a chapter says.
fn expect(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}
