//! The chapters of the tour, but for the one about errors.

use crate::print::{Printer, time};
use crate::support::process::{open_sockets, threads_named};
use crate::{BIG, Outcome, Stage, THINKING, expect};
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use urlsession::{
    Bytes, Delegate, Error, RedirectDecision, Request, ResponseDisposition, ResponseHead, Session, TaskEvent,
    TaskMetrics, wait_all,
};

const MANY: usize = 500;
const CONNECTIONS: usize = 100;
const SOON: Duration = Duration::from_secs(5);

/// How many threads the library has. 0 where that cannot be told.
fn threads() -> usize {
    threads_named("urlsession")
}

pub fn one_line(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("One line", "let page = urlsession::get(url)?;");
    let begin = Instant::now();
    let page = urlsession::get(stage.plain.url("/hello"))?;
    let took = begin.elapsed();
    printer.fact("answer", format_args!("{}: {}", page.status(), page.text()?));
    printer.fact("took", time(took));
    printer.fact("threads started", format_args!("{}: whoever waits, works", threads()));
    expect(page.bytes() == "Hello!" && threads() == 0, "one GET starts no thread")
}

pub fn many_at_once(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("Many at once, from one thread", "for result in wait_all(&tasks) { … }");
    let configuration = Stage::configuration(&stage.secure).maximum_connections_per_host(CONNECTIONS);
    let session = Session::new(configuration);
    let url = |number: usize| stage.secure.url(&format!("/think?{number}"));
    let accepted = stage.secure.accepted();
    let begin = Instant::now();
    let tasks: Vec<_> = (0..MANY).map(|number| session.data_task(url(number))).collect();
    for (number, result) in wait_all(&tasks).into_iter().enumerate() {
        expect(result?.text()? == number.to_string(), "each task has its own answer")?;
    }
    let (took, threads, connections) = (begin.elapsed(), threads(), stage.secure.accepted() - accepted);
    printer.fact("requests", format_args!("{MANY} over TLS, each answered after {}", time(THINKING)));
    printer.fact("took", time(took));
    printer.fact("one after the other", time(THINKING * MANY as u32));
    printer.fact("connections", connections);
    printer.fact("threads of the library", threads);
    session.finish_tasks_and_invalidate();
    expect(connections <= CONNECTIONS && threads <= 8, "the limits of the configuration hold")
}

pub fn a_body_as_it_comes(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("A body as it comes", "let mut body = session.data_task(url).open()?.into_body();");
    let before = resident();
    let begin = Instant::now();
    let mut response = stage.session.data_task(stage.secure.url("/big")).open()?;
    let mut buffer = vec![0; 256 * 1024];
    let (mut total, mut most, mut measured) = (0, before, 0);
    loop {
        let count = response.body_mut().read(&mut buffer)?;
        if count == 0 {
            break;
        }
        total += count;
        if total - measured > BIG / 16 {
            (most, measured) = (most.max(resident()), total);
        }
    }
    let took = begin.elapsed();
    let megabytes = |bytes: f64| format!("{:.1} MB", bytes / 1e6);
    printer.fact("read", format_args!("{} over TLS", megabytes(total as f64)));
    printer.fact("speed", format_args!("{}/s", megabytes(total as f64 / took.as_secs_f64())));
    if let (Some(before), Some(most)) = (before, most) {
        let more = most.saturating_sub(before);
        // The system does not count every page at once.
        let shown = if more < 1_000_000 { "less than 1 MB".to_owned() } else { megabytes(more as f64) };
        printer.fact("memory while reading", format_args!("{shown} more, server and all"));
        expect(more < BIG as u64 / 8, "the body is not held in memory")?;
    }
    expect(total == BIG, "all of the body arrives")
}

pub fn cancelling(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("Cancelling what is stuck", "task.cancel();");
    let heads = stage.secure.requests().len();
    let task = stage.session.data_task(stage.secure.url("/stuck"));
    let waiting = task.clone();
    let waiter = thread::spawn(move || (waiting.wait(), Instant::now()));
    stage.secure.wait_for_heads(heads + 1, SOON);
    let begin = Instant::now();
    task.cancel();
    let cancelled = begin.elapsed();
    let (result, woken) = waiter.join().map_err(|_| "the waiting thread panicked")?;
    let error = result.err().ok_or("a cancelled task has no response")?;
    printer.fact("cancel() took", time(cancelled));
    printer.fact("wait() returned after", time(woken.saturating_duration_since(begin)));
    printer.fact("with", &error);
    expect(error.is_cancelled(), "the error says that the task was cancelled")
}

pub fn a_callback(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("A callback", "session.data_task(url).on_completion(|result| …).resume();");
    let (sender, receiver) = mpsc::channel();
    let task = stage.session.data_task(stage.secure.url("/hello")).on_completion(move |result| {
        let name = thread::current().name().unwrap_or_default().to_owned();
        // Nobody listens any more if the main thread has given up.
        let _ = sender.send((result, name));
    });
    task.resume();
    let (result, thread) = receiver.recv_timeout(SOON)?;
    printer.fact("answer", result?.text()?);
    printer.fact("on the thread", thread);
    Ok(())
}

/// When, which event, and what it was about.
type Line = (Duration, &'static str, String);

/// Writes down what it is told, and when.
struct Diary {
    begin: Instant,
    lines: Arc<Mutex<Vec<Line>>>,
}

impl Diary {
    fn note(&self, event: &'static str, what: impl Into<String>) {
        let line = (self.begin.elapsed(), event, what.into());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Delegate for Diary {
    fn will_redirect(
        &self,
        _: &TaskEvent<'_>,
        response: &ResponseHead,
        request: Request,
    ) -> RedirectDecision {
        let path = request.get_url().map(|url| url.path().to_owned()).unwrap_or_default();
        self.note("will_redirect", format!("{} to {path}", response.status()));
        RedirectDecision::Follow(request)
    }

    fn did_receive_response(&self, _: &TaskEvent<'_>, response: &ResponseHead) -> ResponseDisposition {
        self.note("did_receive_response", response.status().to_string());
        ResponseDisposition::Allow
    }

    fn did_receive_data(&self, _: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        self.note("did_receive_data", format!("{} bytes, decoded", data.len()));
        None
    }

    fn did_finish_collecting(&self, _: &TaskEvent<'_>, metrics: &TaskMetrics) {
        self.note("did_finish_collecting", format!("{} transactions", metrics.transactions().len()));
    }

    fn did_complete(&self, _: &TaskEvent<'_>, error: Option<&Error>) {
        self.note("did_complete", error.map_or("without an error".to_owned(), Error::to_string));
    }

    fn did_become_invalid(&self, _: Option<&Error>) {
        self.note("did_become_invalid", "the session lets go of its delegate");
    }
}

pub fn a_delegate(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("A delegate", "impl Delegate for Diary { fn did_receive_data(…) … }");
    let lines = Arc::default();
    let diary = Diary { begin: Instant::now(), lines: Arc::clone(&lines) };
    let session =
        Session::builder().configuration(Stage::configuration(&stage.secure)).delegate(diary).build();
    session.data_task(stage.secure.url("/moved")).resume();
    session.finish_tasks_and_invalidate();
    let deadline = Instant::now() + SOON;
    // The session lets go of its delegate last, and with it of the second handle of the diary.
    while Arc::strong_count(&lines) > 1 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    for (at, event, what) in lines.iter() {
        printer.fact(event, format_args!("{:>8}  {what}", time(*at)));
    }
    let mut order: Vec<_> = lines.iter().map(|(_, event, _)| *event).collect();
    order.dedup();
    let expected = [
        "will_redirect",
        "did_receive_response",
        "did_receive_data",
        "did_finish_collecting",
        "did_complete",
        "did_become_invalid",
    ];
    expect(order == expected, "the events come in their order")
}

pub fn metrics(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("Where the time went", "println!(\"{}\", task.metrics().unwrap());");
    let session = Session::new(Stage::configuration(&stage.secure));
    let task = session.data_task(stage.secure.url("/moved"));
    task.wait()?;
    let metrics = task.metrics().ok_or("a task that has completed has metrics")?;
    printer.block(&metrics.to_string());
    session.finish_tasks_and_invalidate();
    expect(metrics.redirect_count() == 1 && metrics.transactions().len() == 2, "the redirect was measured")
}

pub fn nothing_is_left(stage: &Stage, printer: &mut Printer) -> Outcome {
    printer.chapter("The end", "session.finish_tasks_and_invalidate();");
    stage.session.finish_tasks_and_invalidate();
    Session::shared().flush();
    let deadline = Instant::now() + SOON;
    while threads() > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    stage.plain.wait_for_open_connections(0, SOON);
    stage.secure.wait_for_open_connections(0, SOON);
    printer.fact("threads of the library", threads());
    printer.fact("connections", 0);
    printer.fact("sockets", format_args!("{}: the two that listen", open_sockets()));
    expect(threads() == 0, "no thread is left")
}

/// The memory of this process, server and all; `None` where that cannot be told.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
