//! `login`: logs in to a server, and is still logged in when it runs the next time.
//!
//! ```text
//! cargo run --example login
//! cargo run --example login
//! cargo run --example login -- --forget
//! ```
//!
//! The server comes with the program, so that it works without a network. It has a form, whose answer
//! is a cookie, and an area with Digest, for which the delegate gives a credential that is to be kept. The
//! rest is done by the session: it is given a name (`Configuration::application`) or a directory, and with
//! that it remembers.

mod args;
#[path = "../shared/prompt.rs"]
mod prompt;
mod remembered;
mod server;
mod visit;

use args::{Command, Options};
use std::process::ExitCode;
use urlsession::{Configuration, Session};
use visit::Visitor;

const HELP: &str = "\
Usage: login [options]

Logs in to a server that is part of this program, looks at a page that wants a
login and at one that wants a proof of the password, and shows what it remembers
of that. When it runs again, it need not ask. The server knows one user: ada,
whose password is lovelace.

  -u, --user NAME:PASSWORD  does not ask for them
  -d, --directory DIR       remembers in DIR, and not among what this user's
                            programs remember
  -p, --port PORT           where the server listens (127.0.0.1, 47810)
      --forget              forgets everything, and logs in nowhere
  -h, --help
  -V, --version

The exit code is 1 if that did not work, 2 for wrong options, and 130 after
Ctrl-C.
";

/// What this program is called where sessions keep what they remember.
const APPLICATION: &str = "org.example.urlsession-login";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Login(options)) => options,
        Ok(Command::Help) => return print(HELP),
        Ok(Command::Version) => {
            return print(concat!("login ", env!("CARGO_PKG_VERSION"), " (urlsession)\n"));
        }
        Err(error) => {
            eprintln!("login: {error}\nlogin: try 'login --help'");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("login: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    ctrlc::set_handler(|| {
        prompt::restore();
        std::process::exit(130);
    })?;
    let configuration = match &options.directory {
        Some(directory) => Configuration::default().storage_directory(directory),
        None => Configuration::default().application(APPLICATION),
    };
    let visitor = Visitor::new(options.user);
    // A directory that cannot be used is told here, and not by each task.
    let session = Session::builder().configuration(configuration).delegate(visitor.clone()).try_build()?;
    if options.forget {
        remembered::show(&session);
        session.reset();
        println!("Forgotten.");
        return Ok(());
    }
    let address = server::start(options.port).map_err(|error| {
        format!(
            "the server cannot listen on port {}: {error}; another one can be given with -p",
            options.port
        )
    })?;
    println!("A server that is part of this program listens on http://{address}/.");
    remembered::show(&session);
    visitor.visit(&session, &format!("http://{address}"))?;
    remembered::show(&session);
    Ok(())
}

fn print(text: &str) -> ExitCode {
    // Whoever has closed standard output does not want it.
    match std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
