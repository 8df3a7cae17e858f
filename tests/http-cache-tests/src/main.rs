//! A session behind somebody else's `fetch`: reads requests from standard input, one JSON object a
//! line, and writes what came of each to standard output, in the order in which they end.
//!
//! ```text
//! {"id": 1, "method": "GET", "url": "http://…", "headers": [["Accept", "text/plain"]],
//!  "body": null, "cache": "default", "redirect": "follow"}
//! {"id": 1, "status": 200, "url": "http://…", "headers": [["date", "…"]], "body": "aGVsbG8=", "source": "urlsession; hit"}
//! {"id": 2, "error": "connecting to …"}
//! ```
//!
//! Headers and the request's body are text in which each character is one byte (Latin-1), so that
//! whatever a server sends comes through; the response's body is base64. All requests are in flight
//! at once. The program ends when standard input does and every request has its answer.
//!
//! The session's cache is in memory, or in the directory that is the only argument.

mod wire;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, channel};
use urlsession::{
    Bytes, Cache, CachePolicy, Configuration, DataTask, Delegate, RedirectDecision, Request, Response,
    ResponseHead, Result, Session, TaskEvent,
};
use wire::{Answer, Mode, Order, Redirect, base64, from_latin1, to_latin1};

/// The cache has room for everything.
const CAPACITY: u64 = 64 << 20;

fn main() -> ExitCode {
    env_logger::init();
    let cache = match std::env::args_os().nth(1) {
        None => Ok(Cache::in_memory(CAPACITY)),
        // What is asked for is to come from there, and not from memory.
        Some(directory) => Cache::in_directory(directory, 0, CAPACITY),
    };
    let session = match cache {
        Ok(cache) => Session::new(Configuration::ephemeral().cache(cache)),
        Err(error) => return failed(&error.to_string()),
    };
    let (answers, ended) = channel();
    let writer = std::thread::spawn(move || write(&ended));
    for line in io::stdin().lock().lines() {
        let line = match line {
            Ok(line) => line,
            Err(error) => return failed(&format!("reading standard input: {error}")),
        };
        match serde_json::from_str::<Order>(&line) {
            Ok(order) => start(&session, order, answers.clone()),
            Err(error) => return failed(&format!("a line that is no request: {error}")),
        }
    }
    // The writer ends with the last request.
    drop(answers);
    match writer.join() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failed(&format!("writing standard output: {error}")),
        Err(_) => ExitCode::FAILURE,
    }
}

fn failed(message: &str) -> ExitCode {
    eprintln!("client: {message}");
    ExitCode::FAILURE
}

fn start(session: &Session, order: Order, answers: Sender<Answer>) {
    let mut request = Request::new(&order.method, order.url.as_str()).cache_policy(policy(order.cache));
    for (name, value) in &order.headers {
        request = request.add_header(name, from_latin1(value).as_slice());
    }
    if let Some(body) = &order.body {
        request = request.body(from_latin1(body));
    }
    let task = session.data_task(request);
    if matches!(order.redirect, Redirect::Manual) {
        task.set_delegate(Stop);
    }
    let (id, same) = (order.id, task.clone());
    task.on_completion(move |result| {
        // Nobody to tell is no reason to panic: the writer has said why it ended.
        let _ = answers.send(answer(id, &same, result));
    })
    .resume();
}

/// What the library calls it.
fn policy(mode: Mode) -> CachePolicy {
    match mode {
        Mode::Default => CachePolicy::UseProtocol,
        // Whether the answer is stored is for its headers to say.
        Mode::NoStore | Mode::Reload => CachePolicy::ReloadIgnoringLocal,
        Mode::NoCache => CachePolicy::ReloadRevalidating,
        Mode::ForceCache => CachePolicy::ReturnCacheElseLoad,
        Mode::OnlyIfCached => CachePolicy::ReturnCacheDontLoad,
    }
}

fn answer(id: u64, task: &DataTask, result: Result<Response<Bytes>>) -> Answer {
    let response = match result {
        Ok(response) => response,
        Err(error) => return Answer::Failed { id, error: error.to_string() },
    };
    let headers = response.headers().iter();
    Answer::Ended {
        id,
        status: response.status().as_u16(),
        url: response.url().to_string(),
        headers: headers.map(|(name, value)| (name.to_string(), to_latin1(value.as_bytes()))).collect(),
        body: base64(response.body()),
        source: source(task),
    }
}

/// Where the response came from, for those who read: what `Cache-Status` would say (RFC 9211).
fn source(task: &DataTask) -> String {
    let metrics = task.metrics();
    let last = metrics.as_ref().and_then(|metrics| metrics.transactions().last());
    last.and_then(|last| last.cache_status()).map_or("no cache".to_owned(), |status| status.to_string())
}

fn write(answers: &Receiver<Answer>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for answer in answers {
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()?;
    }
    Ok(())
}

/// What `redirect: "manual"` asks for: the redirect itself.
struct Stop;

impl Delegate for Stop {
    fn will_redirect(&self, _: &TaskEvent<'_>, _: &ResponseHead, _: Request) -> RedirectDecision {
        RedirectDecision::Stop
    }
}
