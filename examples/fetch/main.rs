//! `fetch`: gets URLs, with curl's option names and exit codes where curl has them.
//!
//! ```text
//! cargo run --example fetch -- https://example.com/
//! cargo run --example fetch -- -O https://example.com/disk.img
//! cargo run --example fetch -- -Z --remote-name-all https://example.com/{1..200}.png
//! ```
//!
//! One transfer after the other is read by the main thread as its body comes (`DataTask::open`). With
//! `-Z` all are tasks of one session, and the main thread runs their delegates' methods
//! (`DelegateQueue::manual`). Ctrl-C cancels the tasks; the rest follows from that.

mod args;
mod data;
#[path = "../shared/exit.rs"]
mod exit;
#[path = "../shared/forms.rs"]
mod forms;
mod identity;
mod output;
#[path = "../shared/pace.rs"]
mod pace;
mod pins;
mod progress;
#[path = "../shared/prompt.rs"]
mod prompt;
#[path = "../shared/requests.rs"]
mod requests;
mod setup;
mod state;
mod transfer;
#[path = "../shared/values.rs"]
mod values;
mod verbose;

use args::{Command, Options};
use exit::{Exit, Failure, code, help, text};
use state::State;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use transfer::Job;
use urlsession::{DelegateQueue, Session};
use values::Usage;

const HELP: &str = "\
Usage: fetch [options] URL...

Gets URLs, and writes their bodies to standard output or to files. Follows
redirects, and decodes bodies as their Content-Encoding says. A URL without a
scheme is one of https, or of http if its host is this machine or near it.

Request
  -X, --request METHOD    uses this method, not GET, HEAD (-I), POST (-d, -F) or
                          PUT (-T)
  -H, --header HEADER     'Name: value' adds a header, 'Name:' leaves one out,
                          'Name;' sends one without a value
  -d, --data DATA         sends a body as a form does; @FILE reads it, without
                          its line ends, and @- reads standard input; several
                          are joined with &
      --data-binary DATA  the same, with files as they are
  -F, --form FIELD        sends a form with files: NAME=TEXT, NAME=@FILE, or
                          NAME=<FILE for the text in FILE; ;type=TYPE and
                          ;filename=NAME may be behind it
      --form-string NAME=TEXT
                          the same, whatever is in TEXT
  -T, --upload-file FILE  sends FILE, or standard input for -; its name is added
                          to a URL that ends in /; the first one goes with the
                          first URL, and so on
  -r, --range RANGE       asks for these bytes: 0-499, 500- or -500
  -A, --user-agent NAME
  -e, --referer URL
  -u, --user USER[:PASSWORD]
                          says who you are; without a password, it is asked for
      --basic, --digest   only in this way: with Basic, which is the usual one,
                          user and password go out at once and readable, with
                          Digest they are proved once the server asks
      --anyauth           in the strongest of these that the server offers
  -n, --netrc             takes user and password from $NETRC or ~/.netrc, by
                          host, when a server asks for them
      --netrc-file FILE   from this file
      --oauth2-bearer TOKEN
                          shows this token
  -b, --cookie COOKIES    sends these, as in 'name=value; other=value', or those
                          of a file in curl's or Netscape's format, if there is
                          no = in it; the file is only read
  -c, --cookie-jar FILE   writes all cookies to FILE when all is done, or to
                          standard output for -; with this or a file for -b,
                          those that servers set are sent back to them

Output
  -o, --output FILE       writes to FILE, or to standard output for -; the first
                          one goes with the first URL, and so on
  -O, --remote-name       writes to a file in the working directory, named by
                          the last part of the URL's path
      --remote-name-all   does so for every URL without an output of its own
  -J, --remote-header-name
                          with -O: the server says how the file is called; none
                          that is there is replaced
  -C, --continue-at OFFSET
                          appends what comes from there on; for -, from where
                          the output's file ends
      --create-dirs       makes the directories of -o
  -i, --include           writes the head of the response too
  -I, --head              asks for the head only
  -f, --fail              takes a status of 400 or above for an error, and does
                          not write the body that comes with it
  -w, --write-out FORMAT  writes this afterwards, with %{http_code},
                          %{size_download}, %{time_total}, %{url_effective},
                          %{num_redirects}, %{content_type}, %{remote_ip}, ...
  -s, --silent            shows neither progress nor errors
  -S, --show-error        shows errors, though silent
  -v, --verbose           tells what is sent, received and measured, without
                          credentials; -vv logs what happens, -vvv all of it

Connection
      --no-location       follows no redirects (-L, --location: follows them)
      --max-redirs N      follows N at most, any number for -1; 50 by default
  -m, --max-time SECONDS  limits each transfer; without it, 60 seconds in which
                          nothing arrives end one
      --connect-timeout SECONDS
      --limit-rate RATE   sends and receives no more bytes a second, with -Z by
                          all transfers together; k, m and g stand for 1024 and
                          its powers
      --retry N           tries N times more what may go better then: no
                          connection, a time limit, 408, 429, 500, 502 to 504;
                          after a second, and twice as long each time
      --retry-delay SECONDS
                          always waits that long
      --retry-max-time SECONDS
                          waits no longer than that altogether
  -k, --insecure          trusts any certificate
      --cacert FILE       trusts the certificates in FILE (PEM) and no others
  -E, --cert FILE         shows this certificate to servers (PEM)
      --key FILE          its private key, if that is in another file
      --pinnedpubkey KEYS trusts only servers with one of these public keys:
                          sha256//BASE64, several with ; between them, or a file
                          with the key itself (PEM or DER)
      --hsts FILE         uses https with the hosts that have asked for it, and
                          keeps in FILE who they are
      --allow-cleartext   sends to any host by http, and follows redirects to it
                          from https; without this it does so only near by
      --compressed        decodes bodies, which it does anyhow; not to decode
                          them, say -H 'Accept-Encoding:'

Many URLs
  -Z, --parallel          transfers them at once instead of one after the other;
                          bodies do not mix on standard output
      --parallel-max N    N at once, 50 by default; of these 6 to one host

  -h, --help
  -V, --version

What was written of a body stays when its transfer fails or is interrupted. The
exit code is that of the first transfer that failed, or 130 after Ctrl-C:
";

/// How long transfers have to end after Ctrl-C; writing to a reader that does not read can take
/// for ever.
const GRACE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Fetch(options)) => *options,
        Ok(Command::Help) => return text(&help(HELP)),
        Ok(Command::Version) => return text(concat!("fetch ", env!("CARGO_PKG_VERSION"), " (urlsession)\n")),
        Err(Usage(message)) => {
            eprintln!("fetch: {message}\nfetch: try 'fetch --help'");
            return code(Exit::Usage);
        }
    };
    let tells_errors = options.tells_errors();
    log_to_stderr(options.verbose);
    run(options).map_or_else(
        |failure| {
            if tells_errors {
                eprintln!("fetch: {failure}");
            }
            code(failure.exit)
        },
        code,
    )
}

fn run(mut options: Options) -> Result<Exit, Failure> {
    let running = Arc::new(OnceLock::new());
    watch_for_interrupts(&running)?;
    setup::ask_password(&mut options)?;
    let state = State::read(&options)?;
    let configuration = state.configure(setup::configuration(&options)?);
    let sent = setup::sent(&options)?;
    // One after the other, events happen on the thread that reads; at once, on the one that waits.
    let queue = if options.is_at_once() { DelegateQueue::manual() } else { DelegateQueue::inline() };
    let session = Session::builder().configuration(configuration).delegate_queue(queue).build();
    let job = Arc::new(Job::new(options, sent));
    let _ = running.set((Arc::clone(&job), session.clone()));
    let exit = job.run(&session);
    // Whatever became of the transfers, as curl does it; what went wrong first counts.
    match state.write(job.options()) {
        Err(failure) if exit == Exit::Success => Err(failure),
        Err(failure) => {
            job.tell(&failure);
            Ok(exit)
        }
        Ok(()) => Ok(exit),
    }
}

/// Ctrl-C ends what is running, if anything is by then.
fn watch_for_interrupts(running: &Arc<OnceLock<(Arc<Job>, Session)>>) -> Result<(), Failure> {
    let running = Arc::clone(running);
    let handler = ctrlc::set_handler(move || {
        prompt::restore();
        if let Some((job, session)) = running.get() {
            job.interrupt(session);
            std::thread::sleep(GRACE);
        }
        std::process::exit(Exit::Interrupted as i32);
    });
    handler.map_err(|error| Failure::new(Exit::Internal, format!("watching for Ctrl-C: {error}")))
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 | 1 => return,
        2 => log::LevelFilter::Debug,
        _ => log::LevelFilter::Trace,
    };
    env_logger::Builder::new().filter_module("urlsession", level).init();
}
