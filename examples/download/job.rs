//! The downloads: so many tasks of one session at once, and a thread that waits for what they report.

use crate::args::Options;
use crate::brake::Brake;
use crate::display::{self, Display, Row};
use crate::exit::{Exit, Failure};
use crate::{names, requests};
use indicatif::BinaryBytes;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use urlsession::{
    Configuration, DelegateQueue, DownloadRequest, DownloadTask, DownloadedFile, Request, Response, Result,
    RetryPolicy, Session,
};

/// How often what is shown is looked after while nothing happens.
const TICK: Duration = Duration::from_millis(250);

/// What the thread that waits is told.
pub enum Message {
    /// The download of that number has ended.
    Ended(usize, Result<Response<DownloadedFile>>),
    /// Ctrl-C.
    Interrupted,
}

/// All downloads.
pub struct Job {
    options: Options,
    session: Session,
    display: Display,
    brake: Option<Arc<Brake>>,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    running: Vec<Running>,
    /// The first thing that went wrong.
    exit: Exit,
    done: usize,
    interrupted: bool,
}

struct Running {
    number: usize,
    task: DownloadTask,
    row: Row,
    destination: PathBuf,
    /// Whether the user said how the file is to be called.
    named: bool,
    began: Instant,
}

impl Job {
    /// The job that the options describe.
    pub fn new(options: Options) -> std::result::Result<Job, Failure> {
        let retry = RetryPolicy::new(options.retry);
        let configuration = Configuration::ephemeral()
            .retry(retry)
            .maximum_connections_per_host(options.at_once.saturating_mul(options.segments));
        let configuration = requests::with_cleartext(configuration, options.allow_cleartext);
        let configuration = requests::trusting(configuration, options.insecure, options.cacert.as_deref())?;
        let configuration = requests::without_defaults(configuration, &options.headers);
        configuration.check().map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        let (sender, receiver) = mpsc::channel();
        Ok(Job {
            display: Display::new(options.quiet, options.urls.len() > 1),
            brake: options.limit_rate.map(|rate| Arc::new(Brake::new(rate))),
            options,
            // What happens is told on the threads at work: whoever is too fast is suspended there.
            session: Session::builder()
                .configuration(configuration)
                .delegate_queue(DelegateQueue::inline())
                .build(),
            sender,
            receiver,
            running: Vec::new(),
            exit: Exit::Success,
            done: 0,
            interrupted: false,
        })
    }

    /// Where to tell that the user has had enough.
    pub fn sender(&self) -> Sender<Message> {
        self.sender.clone()
    }

    /// Downloads everything. The code of the first that failed.
    pub fn run(&mut self) -> Exit {
        let mut waiting: Vec<_> = self.destinations().into_iter().enumerate().rev().collect();
        let all = waiting.len();
        loop {
            while self.running.len() < self.options.at_once && !self.interrupted {
                match waiting.pop() {
                    Some((number, Ok(destination))) => self.begin(number, destination),
                    Some((_, Err(failure))) => self.fail(&failure),
                    None => break,
                }
            }
            if self.running.is_empty() {
                break;
            }
            match self.next() {
                Some(Message::Ended(number, result)) => self.end(number, result),
                Some(Message::Interrupted) => self.interrupt(),
                None => self.running.iter().for_each(|running| running.row.refresh(&running.task.progress())),
            }
            self.display.sum(&self.session.progress(), self.done, all, !waiting.is_empty());
        }
        self.display.close();
        if !self.interrupted {
            return self.exit;
        }
        if all > 1 {
            let message = format!("interrupted; {} of {all} downloads are done", self.done);
            self.display.complain(&format!("download: {}", Failure::new(Exit::Interrupted, message)));
        }
        Exit::Interrupted
    }

    /// The file of each URL, as far as it is known beforehand.
    fn destinations(&self) -> Vec<std::result::Result<PathBuf, Failure>> {
        let mut taken = HashSet::new();
        let mut destination = |url: &String| {
            let path = match &self.options.output {
                Some(path) => self.options.directory.join(path),
                None => self.options.directory.join(names::provisional(url)?),
            };
            let why = if path.is_dir() {
                "is a directory; -d says in which one the file is to be"
            } else if path.exists() && !path.is_file() {
                "is a device, and a download is moved to its place; fetch writes to it"
            } else if !self.options.force && names::is_taken(&path) {
                "is there already; --force replaces it"
            } else if !taken.insert(path.clone()) {
                "is the file of another URL too; download them one by one, with -o"
            } else {
                return Ok(path);
            };
            Err(Failure::new(Exit::Write, format!("{} {why}", path.display())))
        };
        self.options.urls.iter().map(&mut destination).collect()
    }

    fn begin(&mut self, number: usize, destination: PathBuf) {
        let Some(url) = self.options.urls.get(number) else { return };
        let request = requests::with_headers(Request::get(url), &self.options.headers);
        let mut download = DownloadRequest::new(request).destination(&destination).resumable(true);
        download = download.segments(self.options.segments);
        if let Some(sha256) = &self.options.sha256 {
            download = download.sha256(sha256);
        }
        let task = self.session.download_task(download);
        let row = self.display.row(&shown(&destination));
        self.follow(&task, row.clone());
        let sender = self.sender.clone();
        task.on_completion(move |result| {
            let _ = sender.send(Message::Ended(number, result));
        });
        task.resume();
        self.running.push(Running {
            number,
            task,
            row,
            destination,
            named: self.options.output.is_some(),
            began: Instant::now(),
        });
    }

    fn follow(&self, task: &DownloadTask, row: Row) {
        task.on_progress(self.display.interval(), move |progress| row.show(&progress));
        if let Some(brake) = &self.brake {
            let (brake, same, mut before) = (Arc::clone(brake), task.clone(), 0);
            task.on_progress(Duration::ZERO, move |progress| {
                // A download that is tried again counts from the beginning.
                let new = progress.received.checked_sub(before).unwrap_or(progress.received);
                before = progress.received;
                brake.take(&same, new);
            });
        }
    }

    fn next(&self) -> Option<Message> {
        let until = Instant::now() + TICK;
        loop {
            let held = self.brake.as_ref().and_then(|brake| brake.release());
            let left = until.saturating_duration_since(Instant::now());
            // With a limit, somebody may come to be held at any time.
            let pause =
                if self.brake.is_some() { left.min(held.unwrap_or(Duration::from_millis(10))) } else { left };
            match self.receiver.recv_timeout(pause) {
                Ok(message) => return Some(message),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                Err(_) => return None,
            }
        }
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
        // Those that wait for a connection first: they are not to get one by the end of another.
        self.running.iter().rev().for_each(|running| running.task.cancel());
    }

    fn end(&mut self, number: usize, result: Result<Response<DownloadedFile>>) {
        let Some(at) = self.running.iter().position(|running| running.number == number) else { return };
        let running = self.running.swap_remove(at);
        running.row.remove();
        let ended = match result {
            Ok(response) => running.keep(&response, self.options.force),
            Err(error) => Err(running.failed(Failure::from(&error))),
        };
        match ended {
            Ok(line) => {
                self.done += 1;
                self.display.say(&line);
            }
            Err(failure) => self.fail(&failure),
        }
    }

    fn fail(&mut self, failure: &Failure) {
        self.display.complain(&format!("download: {failure}"));
        if self.exit == Exit::Success {
            self.exit = failure.exit;
        }
    }
}

impl Running {
    /// All of it is there. Says so.
    fn keep(&self, response: &Response<DownloadedFile>, force: bool) -> std::result::Result<String, Failure> {
        let head = response.head();
        if !head.status().is_success() {
            let mut url = head.url().clone();
            let _ = (url.set_username(""), url.set_password(None));
            url.set_query(None);
            let message = format!("the server answered {} to {url}", head.status());
            return Err(Failure::new(Exit::HttpStatus, message));
        }
        let file = response.body();
        let goal = match self.named {
            true => self.destination.clone(),
            false => self.destination.with_file_name(names::suggested(head)),
        };
        if goal != self.destination {
            let moved = if force { file.persist(&goal) } else { file.persist_new(&goal) };
            moved.map_err(|error| {
                let here = self.destination.display();
                let why = match names::is_taken(&goal) && !force {
                    true => format!("{} is there already", goal.display()),
                    false => error.to_string(),
                };
                Failure::new(Exit::Write, format!("{why}; the download is complete in {here}"))
            })?;
        }
        let result = display::result(file.len(), self.task.bytes_received(), self.began);
        Ok(format!("{}: {result}", goal.display()))
    }

    /// What is to be said besides the error: that it need not begin anew.
    fn failed(&self, failure: Failure) -> Failure {
        let mut part = OsString::from(&self.destination);
        part.push(".part");
        let part = Path::new(&part);
        // The file's length says nothing: over several connections it has holes.
        let progress = self.task.progress();
        let there = if part.exists() { progress.completed() } else { 0 };
        let message = match (failure.exit, there) {
            (Exit::Interrupted, 0) => {
                format!("interrupted; nothing is there of {}", self.destination.display())
            }
            (_, 0) => return failure,
            (exit, _) => {
                let of =
                    progress.total().map_or(String::new(), |total| format!(" of {}", BinaryBytes(total)));
                let what = if exit == Exit::Interrupted { "interrupted" } else { &failure.message };
                format!(
                    "{what}; {}{of} in {}: the same again goes on from there",
                    BinaryBytes(there),
                    part.display()
                )
            }
        };
        Failure::new(failure.exit, message)
    }
}

fn shown(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
