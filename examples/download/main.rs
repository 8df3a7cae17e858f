//! `download`: URLs to files, several at once, with progress bars; what is interrupted, by Ctrl-C, by
//! the network or by `kill -9`, goes on where it was the next time.
//!
//! ```text
//! cargo run --example download -- https://example.com/disk.img
//! cargo run --example download -- -d images https://example.com/{1..20}.png
//! ```
//!
//! Each download is a task with a destination that is `resumable`; there is no thread for each. Bars
//! are fed by `Task::on_progress` and `Session::progress`.

mod args;
mod brake;
mod display;
#[path = "../shared/exit.rs"]
mod exit;
mod job;
mod names;
#[path = "../shared/requests.rs"]
mod requests;
#[path = "../shared/values.rs"]
mod values;

use args::Command;
use exit::{Exit, Failure, code, help, text};
use job::{Job, Message};
use std::process::ExitCode;
use std::time::Duration;
use values::Usage;

const HELP: &str = "\
Usage: download [options] URL...

Downloads URLs to files. What is not complete is in FILE.part: the same command
again goes on from there, unless the resource has changed meanwhile. A file that
is there already is not replaced. A URL without a scheme is one of https, or of
http if its host is this machine or near it.

Output
  -o, --output FILE       writes to FILE; otherwise the server says how the file
                          is called, or else the last part of the URL's path
  -d, --directory DIR     puts files there, not in the working directory
  -f, --force             replaces files that are there already
  -q, --quiet             shows nothing but errors

Transfer
  -j, --jobs N            downloads N files at once, 4 by default
  -s, --segments N        gets each file over up to N connections, 16 at most,
                          if the server can send parts of it; 1 by default
      --retry N           tries N times more what may go better then, 3 by
                          default, with growing pauses
      --sha256 HEX        of one URL: a file with another checksum is removed;
                          what the server says of its checksum counts anyhow
      --limit-rate RATE   takes no more than so many bytes a second altogether;
                          k, m and g stand for 1024 and its powers

Request
  -H, --header HEADER     'Name: value' adds a header, 'Name:' leaves one out
  -k, --insecure          trusts any certificate
      --allow-cleartext   loads by http from any host, and not only near by
      --cacert FILE       trusts the certificates in FILE (PEM) and no others

  -h, --help
  -V, --version

The exit code is that of the first download that failed, or 130 after Ctrl-C:
";

/// How long downloads have to end after Ctrl-C; a disk can take for ever.
const GRACE: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let options = match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Download(options)) => *options,
        Ok(Command::Help) => return text(&help(HELP)),
        Ok(Command::Version) => {
            return text(concat!("download ", env!("CARGO_PKG_VERSION"), " (urlsession)\n"));
        }
        Err(Usage(message)) => {
            eprintln!("download: {message}\ndownload: try 'download --help'");
            return code(Exit::Usage);
        }
    };
    let run = || {
        let mut job = Job::new(options)?;
        let sender = job.sender();
        let handler = ctrlc::set_handler(move || {
            let _ = sender.send(Message::Interrupted);
            std::thread::sleep(GRACE);
            std::process::exit(Exit::Interrupted as i32);
        });
        handler.map_err(|error| Failure::new(Exit::Internal, format!("watching for Ctrl-C: {error}")))?;
        Ok(job.run())
    };
    code(run().unwrap_or_else(|failure: Failure| {
        eprintln!("download: {failure}");
        failure.exit
    }))
}
