//! `upload`: a file, standard input, or a form with files, with a progress bar.
//!
//! ```text
//! cargo run --example upload -- disk.img https://example.com/images/
//! tar c . | cargo run --example upload -- -X POST - https://example.com/backup
//! cargo run --example upload -- -F title=Holidays -F picture=@beach.jpg https://example.com/trips
//! ```
//!
//! What is sent is a `Body`, which is read while it is sent; the kernel sends files by itself where it
//! can. The main thread waits for the answer, and so does the work.

mod args;
mod bar;
#[path = "../shared/exit.rs"]
mod exit;
#[path = "../shared/forms.rs"]
mod forms;
#[path = "../shared/pace.rs"]
mod pace;
#[path = "../shared/requests.rs"]
mod requests;
mod resumption;
mod send;
#[path = "../shared/values.rs"]
mod values;

use args::Command;
use exit::{Exit, code, help, text};
use std::process::ExitCode;
use values::Usage;

const HELP: &str = "\
Usage: upload [options] FILE URL
       upload [options] -F FIELD... URL

Sends FILE, or standard input for -, to a URL, and prints the answer. The name
of a file is added to a URL that ends in /. A URL without a scheme is one of
https, or of http if its host is this machine or near it.

Request
  -X, --request METHOD    uses this method, not PUT, or POST for a form
  -F, --form FIELD        sends a form with files: NAME=TEXT, NAME=@FILE, or
                          NAME=<FILE for the text in FILE; ;type=TYPE and
                          ;filename=NAME may be behind it
      --form-string NAME=TEXT
                          the same, whatever is in TEXT
  -H, --header HEADER     'Name: value' adds a header, 'Name:' leaves one out

Transfer
      --resumable         offers the server a resumable upload: it goes on where
                          it was after the connection is lost, and after Ctrl-C
                          by the same command, for which FILE.upload is kept
      --retry N           tries N times more what may go better then, with
                          growing pauses
      --limit-rate RATE   sends no more bytes a second; k, m and g stand for
                          1024 and its powers
  -m, --max-time SECONDS  limits all of it; without it, 60 seconds in which
                          nothing moves end it
  -k, --insecure          trusts any certificate
      --allow-cleartext   sends by http to any host, and not only near by
      --cacert FILE       trusts the certificates in FILE (PEM) and no others

  -q, --quiet             shows nothing but the answer and errors
  -h, --help
  -V, --version

The exit code says what went wrong, or 130 for Ctrl-C:
";

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Upload(options)) => *options,
        Ok(Command::Help) => return text(&help(HELP)),
        Ok(Command::Version) => {
            return text(concat!("upload ", env!("CARGO_PKG_VERSION"), " (urlsession)\n"));
        }
        Err(Usage(message)) => {
            eprintln!("upload: {message}\nupload: try 'upload --help'");
            return code(Exit::Usage);
        }
    };
    match send::send(&options) {
        Ok(()) => code(Exit::Success),
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("upload: {failure}");
            }
            code(failure.exit)
        }
    }
}
