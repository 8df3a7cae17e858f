//! The transfers: one after the other, read by this thread as their bodies come; or many at once
//! (`-Z`), as tasks whose events this thread runs. Either way a body is in memory a piece at a time.

use crate::args::{ContinueAt, Options, Output, Target};
use crate::exit::{Exit, Failure};
use crate::output::{self, Opening, Sink};
use crate::pace::Pace;
use crate::pins;
use crate::progress::Progress;
use crate::setup::{self, Sent};
use crate::verbose;
use indicatif::BinaryBytes;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use urlsession::{
    AnyTask, Bytes, Challenge, ChallengeDisposition, DataTask, Delegate, Error, RedirectDecision, Request,
    ResponseDisposition, ResponseHead, Session, TaskEvent, Url,
};

/// How much of a body is in memory.
const PIECE: usize = 256 * 1024;

/// What all transfers share.
pub struct Job {
    options: Options,
    sent: Option<Sent>,
    /// With `-Z` all transfers together keep to the limit.
    pace: Mutex<Option<Pace>>,
    progress: Progress,
    interrupted: AtomicBool,
    turns: Mutex<Turns>,
    ended: Mutex<Vec<Exit>>,
}

/// Who may write to standard output. Bodies do not mix: whoever comes second is suspended, and its
/// server held back, until the first is through.
#[derive(Default)]
struct Turns {
    taken: bool,
    waiting: VecDeque<AnyTask>,
}

/// One transfer.
struct Transfer {
    job: Arc<Job>,
    target: Target,
    /// Where the transfer goes on (`-C`).
    offset: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What goes to the output before the body.
    heads: String,
    sink: Option<Sink>,
    /// What went wrong on our side; the task is cancelled then.
    failure: Option<Failure>,
    has_turn: bool,
}

impl Job {
    /// The job that the options describe, with the body they give.
    pub fn new(options: Options, sent: Option<Sent>) -> Job {
        let at_once = options.is_at_once().then_some(options.targets.len());
        let shown =
            !options.silent && options.verbose == 0 && options.targets.iter().all(output::is_out_of_sight);
        Job {
            progress: Progress::new(shown, at_once),
            pace: Mutex::new(options.limit_rate.map(Pace::new)),
            options,
            sent,
            interrupted: AtomicBool::new(false),
            turns: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// What was asked for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Ends all transfers, and begins no more.
    pub fn interrupt(&self, session: &Session) {
        self.interrupted.store(true, Ordering::SeqCst);
        // Those that wait for a connection first: they are not to get one by the end of another.
        session.all_tasks().iter().rev().for_each(AnyTask::cancel);
    }

    /// Runs all transfers. The code of the first that failed.
    pub fn run(self: &Arc<Self>, session: &Session) -> Exit {
        if self.options.is_at_once() {
            self.run_at_once(session);
        } else {
            self.run_in_turn(session);
        }
        self.progress.close();
        let ended = lock(&self.ended).clone();
        if !self.is_interrupted() {
            return ended.into_iter().find(|exit| *exit != Exit::Success).unwrap_or(Exit::Success);
        }
        let (all, done) =
            (self.options.targets.len(), ended.iter().filter(|exit| **exit == Exit::Success).count());
        if all > 1 {
            self.tell(&Failure::new(
                Exit::Interrupted,
                format!("interrupted; {done} of {all} transfers are done"),
            ));
        }
        Exit::Interrupted
    }

    fn run_in_turn(self: &Arc<Self>, session: &Session) {
        for target in &self.options.targets {
            if self.is_interrupted() {
                return;
            }
            let transfer = Transfer::new(self, target);
            let task = transfer.task(session);
            let result = transfer.stream(&task);
            transfer.end(&task, result);
        }
    }

    fn run_at_once(self: &Arc<Self>, session: &Session) {
        let queue = session.delegate_queue();
        let mut targets = self.options.targets.iter();
        let mut started = 0;
        loop {
            let running = started - lock(&self.ended).len();
            if running < self.options.parallel_max && !self.is_interrupted() {
                if let Some(target) = targets.next() {
                    Transfer::new(self, target).task(session).resume();
                    started += 1;
                    continue;
                }
            }
            if running == 0 {
                return;
            }
            queue.run_next(Duration::from_secs(60));
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Tells the user, if that is wanted.
    pub fn tell(&self, failure: &Failure) {
        if self.options.tells_errors() && !failure.message.is_empty() {
            self.progress.say(&format!("fetch: {failure}"));
        }
    }
}

impl Transfer {
    fn new(job: &Arc<Job>, target: &Target) -> Arc<Transfer> {
        let offset = match job.options.continue_at {
            None => None,
            Some(ContinueAt::Offset(offset)) => Some(offset),
            Some(ContinueAt::End) => Some(output::present(target)),
        };
        let offset = offset.filter(|offset| *offset > 0);
        Arc::new(Transfer { job: Arc::clone(job), target: target.clone(), offset, state: Mutex::default() })
    }

    /// The task of this transfer, which is told to this transfer.
    fn task(self: &Arc<Self>, session: &Session) -> DataTask {
        let job = &self.job;
        let request = setup::request(&job.options, &self.target, job.sent.as_ref(), self.offset);
        self.say(|| verbose::request(&request));
        let sends = !request.get_body().is_empty() && job.progress.is_for_each();
        let task = session.data_task(request);
        task.set_delegate(Arc::clone(self));
        if sends {
            self.show_sending(&task);
        }
        // Who interrupts sets the flag first and cancels what there is afterwards.
        if job.is_interrupted() {
            task.cancel();
        }
        task
    }

    /// Reads the body on this thread.
    fn stream(&self, task: &DataTask) -> Result<(), Failure> {
        let mut response = task.open().map_err(|error| self.failure(&error))?;
        let head = Arc::clone(response.head());
        self.begin(&head, task.bytes_expected_to_receive())?;
        let mut pace = self.job.options.limit_rate.map(Pace::new);
        let mut buffer = vec![0; pace.as_ref().map_or(PIECE, |pace| pace.piece().min(PIECE))];
        let mut before = 0;
        loop {
            let count = response.body_mut().read(&mut buffer).map_err(|error| self.failed_within(&error))?;
            let received = task.bytes_received();
            self.job.progress.advance(received - before);
            before = received;
            match buffer.get(..count) {
                None | Some([]) => return Ok(()),
                Some(piece) => self.write(piece)?,
            }
            if let Some(pace) = &mut pace {
                pace.take(count, || self.job.is_interrupted());
            }
        }
    }

    /// The head of the response is there.
    fn begin(&self, head: &ResponseHead, expected: Option<u64>) -> Result<(), Failure> {
        let options = &self.job.options;
        self.say(|| verbose::response(head));
        if options.fail && head.status().as_u16() >= 400 {
            let message = format!("the server answered {} to {}", head.status(), shown(head));
            return Err(Failure::new(Exit::HttpStatus, message));
        }
        if let (Some(offset), true) = (self.offset, head.status().as_u16() >= 300) {
            return ended_before(offset, head);
        }
        self.goes_on(head)?;
        let opening = Opening {
            append: self.offset.is_some(),
            create_dirs: options.create_dirs,
            name: options.remote_header_name.then(|| head.suggested_filename()),
        };
        let sink = Sink::open(&self.target, &opening)?;
        self.job.progress.begin(&sink.name(), expected);
        let mut state = lock(&self.state);
        state.sink = Some(sink);
        if options.shows_head() {
            state.heads.push_str(&verbose::head(head));
        }
        Ok(())
    }

    /// With `-C`: whether it is the part that is missing.
    fn goes_on(&self, head: &ResponseHead) -> Result<(), Failure> {
        let Some(offset) = self.offset else { return Ok(()) };
        let start = head.header("content-range").and_then(|range| {
            let (start, _) = range.trim().strip_prefix("bytes ")?.split_once('-')?;
            start.trim().parse::<u64>().ok()
        });
        let message = match (head.status().as_u16(), start) {
            (206, Some(start)) if offset == start => return Ok(()),
            (206, Some(start)) => format!("-C: asked for byte {offset} on, the server sends byte {start} on"),
            _ => format!("-C: the server does not send from byte {offset} on, but everything"),
        };
        Err(Failure::new(Exit::Range, message))
    }

    /// Until there is a response, the bar is about what is sent.
    fn show_sending(self: &Arc<Self>, task: &DataTask) {
        let (transfer, mut before) = (Arc::clone(self), None);
        task.on_progress(Duration::from_millis(100), move |progress| {
            if progress.received > 0 || lock(&transfer.state).sink.is_some() || progress.is_finished() {
                return;
            }
            let bar = &transfer.job.progress;
            if before.is_none() {
                bar.begin("sending", progress.expected_to_send);
            }
            // What is sent again counts again.
            bar.advance(progress.sent.saturating_sub(before.unwrap_or(0)));
            before = Some(progress.sent);
        });
    }

    fn failure(&self, error: &Error) -> Failure {
        let failure = Failure::from(error);
        match &self.job.options.pinned_key {
            Some(pins) if pins::is_about_key(error, pins) => {
                // What the library advises is for programmers.
                let message = failure.message.split("; if one").next().unwrap_or_default();
                Failure::new(Exit::PinnedKey, message)
            }
            _ => failure,
        }
    }

    /// The error of the task within one of its reader.
    fn failed_within(&self, error: &io::Error) -> Failure {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => self.failure(error),
            None => Failure::new(Exit::Receive, error.to_string()),
        }
    }

    fn write(&self, piece: &[u8]) -> Result<(), Failure> {
        let mut state = lock(&self.state);
        let heads = std::mem::take(&mut state.heads);
        match &mut state.sink {
            None => Ok(()),
            Some(sink) => {
                if !heads.is_empty() {
                    sink.write_text(&heads)?;
                }
                if piece.is_empty() { Ok(()) } else { sink.write(piece) }
            }
        }
    }

    /// The transfer is over.
    fn end(&self, task: &DataTask, result: Result<(), Failure>) {
        let job = &self.job;
        let result = result.and_then(|()| self.write(&[]));
        let (failure, written) = {
            let mut state = lock(&self.state);
            let written = state.sink.as_ref().map_or(0, Sink::written);
            (state.failure.take().or(result.err()), written)
        };
        job.progress.end(failure.is_none());
        if let Some(metrics) = task.metrics() {
            self.say(|| verbose::metrics(&metrics));
        }
        let failure = match failure {
            Some(failure) if failure.exit == Exit::Interrupted => self.interrupted(task, written),
            other => other,
        };
        let mut exit = failure.as_ref().map_or(Exit::Success, |failure| failure.exit);
        failure.iter().for_each(|failure| job.tell(failure));
        if let Some(format) = &job.options.write_out {
            let text = verbose::write_out(format, task, exit as u8, written);
            if let (Err(failure), Exit::Success) = (output::print(&text), exit) {
                job.tell(&failure);
                exit = failure.exit;
            }
        }
        lock(&self.state).sink = None;
        lock(&job.ended).push(exit);
    }

    /// What an interruption leaves behind: what was written stays, as it is.
    fn interrupted(&self, task: &DataTask, written: u64) -> Option<Failure> {
        let state = lock(&self.state);
        let message = match (&state.sink, task.bytes_expected_to_receive()) {
            // Of many, those that left something are worth a line.
            _ if written == 0 && self.job.options.is_at_once() => String::new(),
            (None, _) => "interrupted; nothing was written".to_owned(),
            (Some(sink), Some(expected)) => {
                let (written, expected) = (BinaryBytes(written), BinaryBytes(expected));
                format!("interrupted; {written} of {expected} written to {}", sink.name())
            }
            (Some(sink), None) => format!("interrupted; {} written to {}", BinaryBytes(written), sink.name()),
        };
        Some(Failure::new(Exit::Interrupted, message))
    }

    fn say(&self, text: impl FnOnce() -> String) {
        if self.job.options.verbose > 0 {
            self.job.progress.say(&text());
        }
    }

    /// Standard output is for one transfer at a time.
    fn take_turn(&self, task: &AnyTask) {
        if !matches!(self.target.output, Output::Stdout | Output::StdoutAnyhow) {
            return;
        }
        let mut turns = lock(&self.job.turns);
        if turns.taken {
            task.suspend();
            turns.waiting.push_back(task.clone());
        }
        turns.taken = true;
        lock(&self.state).has_turn = true;
    }

    fn pass_turn(&self, task: &AnyTask) {
        if !std::mem::take(&mut lock(&self.state).has_turn) {
            return;
        }
        let mut turns = lock(&self.job.turns);
        let before = turns.waiting.len();
        turns.waiting.retain(|other| other != task);
        // One that ended while it waited has none to pass.
        if turns.waiting.len() < before {
            return;
        }
        match turns.waiting.pop_front() {
            Some(next) => next.resume(),
            None => turns.taken = false,
        }
    }
}

/// What happens to a transfer. With a reader (one after the other), only redirects and challenges are told
/// here.
impl Delegate for Transfer {
    fn will_redirect(
        &self,
        _: &TaskEvent<'_>,
        response: &ResponseHead,
        request: Request,
    ) -> RedirectDecision {
        if !self.job.options.location {
            return RedirectDecision::Stop;
        }
        self.say(|| format!("{}\n{}", verbose::response(response), verbose::request(&request)));
        if self.job.options.shows_head() {
            lock(&self.state).heads.push_str(&verbose::head(response));
        }
        RedirectDecision::Follow(request)
    }

    fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        match Url::parse(&self.target.url) {
            Ok(url) => self.job.options.identity.answer(&url, challenge),
            Err(_) => ChallengeDisposition::PerformDefaultHandling,
        }
    }

    fn did_receive_response(&self, event: &TaskEvent<'_>, response: &ResponseHead) -> ResponseDisposition {
        match self.begin(response, event.task().bytes_expected_to_receive()) {
            Ok(()) => {
                self.take_turn(event.task());
                ResponseDisposition::Allow
            }
            Err(failure) => {
                lock(&self.state).failure = Some(failure);
                ResponseDisposition::Cancel
            }
        }
    }

    fn did_receive_data(&self, event: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        self.job.progress.advance(data.len() as u64);
        // Whoever waits here is told of nothing else meanwhile, so nothing else is read.
        if let Some(pace) = lock(&self.job.pace).as_mut() {
            pace.take(data.len(), || self.job.is_interrupted());
        }
        if let Err(failure) = self.write(&data) {
            lock(&self.state).failure.get_or_insert(failure);
            event.task().cancel();
        }
        None
    }

    fn did_complete(&self, event: &TaskEvent<'_>, error: Option<&Error>) {
        if let Some(task) = event.task().as_data() {
            self.end(&task, error.map_or(Ok(()), |error| Err(self.failure(error))));
        }
        self.pass_turn(event.task());
    }
}

/// With `-C`, a status that has no part of the body with it. That there is no more is no failure.
fn ended_before(offset: u64, head: &ResponseHead) -> Result<(), Failure> {
    let status = head.status();
    let all = head
        .header("content-range")
        .and_then(|range| range.trim().strip_prefix("bytes */")?.parse::<u64>().ok());
    if status.as_u16() == 416 {
        return match all {
            Some(all) if offset == all => Ok(()),
            _ => Err(Failure::new(Exit::Range, format!("-C: there is no byte {offset} ({status})"))),
        };
    }
    let message = format!("-C: the server answered {status} to {}, and nothing was written", shown(head));
    Err(Failure::new(Exit::HttpStatus, message))
}

/// A response's URL without what may be secret in it.
fn shown(head: &ResponseHead) -> String {
    let mut url = head.url().clone();
    let _ = (url.set_username(""), url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
