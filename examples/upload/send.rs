//! The upload: the task that is made of the options, and what comes of it.

use crate::args::Options;
use crate::bar::Bar;
use crate::exit::{Exit, Failure};
use crate::resumption::Resumption;
use crate::{forms, pace, requests};
use indicatif::BinaryBytes;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use urlsession::{
    Body, Configuration, DelegateQueue, Error, Request, ResumeData, RetryPolicy, Session, UploadTask,
};

/// How often the bar moves.
const INTERVAL: Duration = Duration::from_millis(100);
/// How long it has to end after Ctrl-C: whoever reads what is printed can take for ever.
const GRACE: Duration = Duration::from_secs(2);

/// Sends it, and prints the answer.
pub fn send(options: &Options) -> Result<(), Failure> {
    let request = request(options)?;
    let resumption = resumption(options, &request);
    let stored = resumption.as_ref().and_then(|(resumption, file)| resumption.load(file));
    let session = session(options)?;
    let task = task(&session, &request, stored);
    let cancelled = task.clone();
    let handler = ctrlc::set_handler(move || {
        cancelled.cancel_by_producing_resume_data();
        std::thread::sleep(GRACE);
        std::process::exit(Exit::Interrupted as i32);
    });
    handler.map_err(|error| Failure::new(Exit::Internal, format!("watching for Ctrl-C: {error}")))?;
    let began = Instant::now();
    let bar = Bar::new(&name(options), options.quiet);
    let shown = bar.clone();
    task.on_progress(INTERVAL, move |progress| shown.show(&progress));
    let answered = answer(&task, &bar);
    bar.close();
    let status = match answered {
        Ok(status) => status,
        Err(failure) => {
            let data = task.error().and_then(|error| error.resume_data().cloned());
            let data = data.or_else(|| task.cancel_by_producing_resume_data().wait().ok().flatten());
            return Err(broken(failure, &task, resumption.as_ref().zip(data)));
        }
    };
    if let Some((resumption, _)) = &resumption {
        resumption.forget();
    }
    let time = began.elapsed().as_secs_f64();
    let (sent, rate) = (task.bytes_sent(), task.bytes_sent() as f64 / time.max(1e-3));
    if !options.quiet {
        let (sent, rate) = (BinaryBytes(sent), BinaryBytes(rate as u64));
        eprintln!("{status}: {sent} sent in {time:.1} s, {rate}/s");
    }
    match status.is_client_error() || status.is_server_error() {
        true => Err(Failure::new(Exit::HttpStatus, format!("the server answered {status}"))),
        false => Ok(()),
    }
}

fn session(options: &Options) -> Result<Session, Failure> {
    let configuration = Configuration::ephemeral().retry(RetryPolicy::new(options.retry).any_method(true));
    let configuration = requests::with_cleartext(configuration, options.allow_cleartext);
    let configuration = requests::trusting(configuration, options.insecure, options.cacert.as_deref())?;
    let configuration = requests::without_defaults(configuration, &options.headers);
    configuration.check().map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    Ok(Session::builder().configuration(configuration).delegate_queue(DelegateQueue::inline()).build())
}

fn request(options: &Options) -> Result<Request, Failure> {
    let (method, url) = match &options.file {
        Some(path) => ("PUT", requests::upload_url(&options.url, path)),
        None => ("POST", options.url.clone()),
    };
    let method = options.method.as_deref().unwrap_or(method);
    let mut request = requests::with_headers(Request::new(method, url), &options.headers);
    let measured = options.limit_rate.is_some();
    request = match &options.file {
        Some(path) => request.body(forms::file(path, measured)?),
        None => request.multipart(forms::form(&options.form, measured)?),
    };
    if let Some(rate) = options.limit_rate {
        let body = request.get_body().clone();
        request = request.body(pace::slowed(body, rate));
    }
    if let Some(time) = options.max_time {
        // Whoever says how long it may take does not want it to end sooner.
        request = request.resource_timeout(time).timeout(Duration::MAX);
    }
    Ok(request.resumable_upload(options.resumable))
}

/// What an earlier run may have left, which it does for a file.
fn resumption<'a>(options: &'a Options, request: &Request) -> Option<(Resumption, &'a Path)> {
    let file = options.file.as_deref().filter(|path| options.resumable && path.is_file())?;
    Some((Resumption::of(file, request.get_url()?.as_str()), file))
}

fn task(session: &Session, request: &Request, stored: Option<ResumeData>) -> UploadTask {
    let body: Body = request.get_body().clone();
    match stored {
        Some(data) => {
            // Stored resume data has no credentials. The other headers it has, and they are the same.
            let data = data.map_request(|stored| stored.headers(request.get_headers().clone()));
            session.upload_task_with_resume_data(data, body)
        }
        None => session.upload_task(request, body),
    }
}

/// Waits for the answer and prints it as it comes.
fn answer(task: &UploadTask, bar: &Bar) -> Result<urlsession::http::StatusCode, Failure> {
    let mut response = task.open().map_err(|error| Failure::from(&error))?;
    // Everything that was to be sent is sent, or nobody wants it any more.
    bar.close();
    let status = response.status();
    let mut piece = vec![0; 64 * 1024];
    let mut stdout = io::stdout().lock();
    loop {
        let count = response.body_mut().read(&mut piece).map_err(|error| {
            match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(error) => Failure::from(error),
                None => Failure::new(Exit::Receive, error.to_string()),
            }
        })?;
        match piece.get(..count) {
            None | Some([]) => break,
            Some(piece) => stdout
                .write_all(piece)
                .and_then(|()| stdout.flush())
                .map_err(|error| Failure::write("standard output", &error))?,
        }
    }
    Ok(status)
}

/// What failed, and whether the next run can go on.
fn broken(failure: Failure, task: &UploadTask, kept: Option<(&(Resumption, &Path), ResumeData)>) -> Failure {
    let mut message = match failure.exit {
        Exit::Interrupted => format!("interrupted; {} were sent", BinaryBytes(task.bytes_sent())),
        _ => failure.message,
    };
    if let Some(((resumption, file), data)) = kept {
        match resumption.store(file, &data) {
            Ok(()) => {
                let path = resumption.path().display();
                message = format!("{message}; the same again goes on from there, thanks to {path}");
            }
            Err(other) => message = format!("{message}; {}", other.message),
        }
    }
    Failure::new(failure.exit, message)
}

fn name(options: &Options) -> String {
    match &options.file {
        None => "form".to_owned(),
        Some(path) if path.as_os_str() == "-" => "standard input".to_owned(),
        Some(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}
