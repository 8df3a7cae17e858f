//! What once went wrong with bodies that are sent, downloads, progress and own protocols; one test each.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::harness::eventually;
use support::{At, Directory, Fault, Gate, PATIENCE, Received, Reply, Resource, Server, pattern};
use urlsession::{
    Body, Configuration, Delegate, DelegateQueue, DownloadRequest, DownloadedFile, Error, ErrorKind,
    Protocol, ProtocolClient, Request, ResponseDisposition, ResponseHead, RetryPolicy, Session, TaskEvent,
};

fn configuration() -> Configuration {
    Configuration::ephemeral().retry(RetryPolicy::new(1).initial_delay(Duration::from_millis(1)))
}

/// A server whose answers are numbered.
fn numbered(answer: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |request| answer(count.fetch_add(1, Ordering::SeqCst), request))
}

// the page of a try that failed stays where the file of the next one goes.
#[test]
fn a_page_that_broke_off_is_no_part_of_the_file() {
    let server = numbered(|number, _| match number {
        0 => Reply::status(404).body(vec![b'x'; 1000]).then(Fault::CloseAt(At::After(500))),
        _ => Reply::ok("the file"),
    });
    let directory = Directory::new();
    let session = Session::new(configuration());
    let destination = directory.join("file");
    let download = DownloadRequest::new(server.url("/")).destination(&destination).resumable(true);
    let response = session.download_task(download).wait().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(fs::read(&destination).unwrap(), b"the file");
    drop(response);
    assert_eq!(directory.names(), ["file"]);
}

// a protocol that waits for more of a body waits for ever when its task is over.
struct Reads(mpsc::SyncSender<std::io::Result<usize>>);
impl Protocol for Reads {
    fn can_handle(&self, _: &Request) -> bool {
        true
    }

    fn start(&self, request: Request, _client: ProtocolClient) {
        let mut body = request.get_body().open().unwrap();
        let mut buffer = [0; 10];
        self.0.send(body.read(&mut buffer)).unwrap();
        self.0.send(body.read(&mut buffer)).unwrap();
    }
}
#[test]
fn a_protocol_that_reads_a_body_hears_of_the_end_of_its_task() {
    let (sender, receiver) = mpsc::sync_channel(2);
    let session = Session::new(Configuration::ephemeral().protocol(Reads(sender)));
    let (mut writer, body) = Body::writer();
    writer.write_all(b"some").unwrap();
    let task = session.upload_task(Request::post("http://stub.test/"), body);
    task.resume();
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap().unwrap(), 4);
    task.cancel();
    let error = receiver.recv_timeout(PATIENCE).expect("the end").expect_err("nobody writes more");
    assert!(error.to_string().contains("cancelled"), "{error}");
    assert!(writer.write_all(b"more").is_err());
}

// an inline queue runs the events of one task on the thread that carries another one on, which is
// waited for there for ever.
type Tried = (Option<ErrorKind>, Option<ErrorKind>);
struct Waits {
    other: Arc<Mutex<Option<urlsession::DownloadTask>>>,
    gate: Gate,
    sender: mpsc::SyncSender<Tried>,
}
impl Delegate for Waits {
    fn did_receive_response(&self, _: &TaskEvent<'_>, _: &ResponseHead) -> ResponseDisposition {
        ResponseDisposition::BecomeDownload
    }

    fn did_write_data(&self, _: &TaskEvent<'_>, _: u64, _: u64, _: Option<u64>) {
        self.gate.pass();
    }

    fn did_complete(&self, event: &TaskEvent<'_>, _: Option<&Error>) {
        let other = self.other.lock().unwrap().clone().unwrap();
        if event.task().id() != other.id() {
            let waited = other.wait().err().map(|error| error.kind());
            let cancelled = other.cancel_by_producing_resume_data().wait().err().map(|error| error.kind());
            self.sender.send((waited, cancelled)).unwrap();
        }
    }
}
#[test]
fn nobody_waits_for_what_their_own_thread_carries_on() {
    let server = Server::start(|_| Reply::ok(pattern(1000)).then(Fault::StallAt(At::After(500))));
    let (sender, receiver) = mpsc::sync_channel(1);
    let (other, gate) = (Arc::default(), Gate::new());
    let delegate = Waits { other: Arc::clone(&other), gate: gate.clone(), sender };
    let session = Session::builder()
        .configuration(Configuration::ephemeral())
        .delegate(delegate)
        .delegate_queue(DelegateQueue::inline())
        .build();
    let download = session.download_task(server.url("/"));
    *other.lock().unwrap() = Some(download.clone());
    download.resume();
    gate.wait_until_reached();
    // Its end is reported behind what the worker of the download is in.
    session.data_task(server.url("/")).cancel();
    gate.open();
    let tried = receiver.recv_timeout(PATIENCE).expect("an end of the waiting");
    assert_eq!(tried, (Some(ErrorKind::ResourceUnavailable), Some(ErrorKind::ResourceUnavailable)));
    assert_eq!(download.wait().unwrap_err().kind(), ErrorKind::Cancelled);
}

// a handler takes the response of a download, and the delegate is told that it is there all the same.
struct Finished(Arc<AtomicUsize>);
impl Delegate for Finished {
    fn did_finish_downloading(&self, _: &TaskEvent<'_>, _: &DownloadedFile) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
#[test]
fn a_handler_takes_the_file_in_the_delegates_place() {
    let server = Server::start(|_| Reply::ok("the file"));
    let count = Arc::new(AtomicUsize::new(0));
    let session = Session::builder()
        .configuration(Configuration::ephemeral())
        .delegate(Finished(Arc::clone(&count)))
        .build();
    let (sender, receiver) = mpsc::sync_channel(1);
    let task = session.download_task(server.url("/"));
    task.on_completion(move |result| sender.send(result.unwrap().body().len()).unwrap()).resume();
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), 8);
    assert_eq!(count.load(Ordering::SeqCst), 0);
    session.download_task(server.url("/")).wait().unwrap();
    eventually("the delegate's turn", || count.load(Ordering::SeqCst) == 1);
}

// a server that sends a byte a response keeps a download busy, and its memory grows with each.
#[test]
fn a_download_does_not_come_in_crumbs() {
    const LENGTH: usize = 1_000_000;
    let server = numbered(|number, request| {
        let reply = match number {
            0 => Reply::ok(pattern(LENGTH)).then(Fault::CloseAt(At::After(1000))),
            _ => {
                let first: usize =
                    request.header("range").unwrap()[6..].trim_end_matches('-').parse().unwrap();
                let byte = pattern(first + 1).split_off(first);
                Reply::status(206)
                    .header("content-range", &format!("bytes {first}-{first}/{LENGTH}"))
                    .body(byte)
            }
        };
        reply.header("etag", "\"v1\"")
    });
    let directory = Directory::new();
    let session = Session::new(configuration().download_directory(directory.path()));
    let error = session.download_task(server.url("/")).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
    assert!(server.requests().len() < 10_000);
}

// a download that starts over writes another version to the file that resume data is about.
#[test]
fn resume_data_is_of_one_version_only() {
    const LENGTH: usize = 300_000;
    let first = Resource::pattern(LENGTH).etag("\"v1\"").cut_at([100_000]);
    let server = numbered(move |number, request| match number {
        1 => Reply::ok(vec![b'x'; LENGTH]).then(Fault::CloseAt(At::After(50_000))),
        _ => first.answer(request),
    });
    let directory = Directory::new();
    let session = Session::new(Configuration::ephemeral().download_directory(directory.path()));
    let error = session.download_task(server.url("/")).wait().unwrap_err();
    let data = error.resume_data().expect("resume data").clone();
    let again = || session.download_task_with_resume_data(data.clone()).wait();
    assert!(again().unwrap_err().resume_data().is_none());
    let response = again().unwrap();
    assert!(fs::read(response.body().path()).unwrap() == pattern(LENGTH), "two versions in one file");
}

// the beginning of what cannot be gone on with stays beside the destination for ever.
#[test]
fn what_cannot_be_gone_on_with_is_not_left() {
    let server = Server::start(|_| {
        Reply::ok(pattern(1000)).then(Fault::CloseAt(At::After(500))).without_header("etag")
    });
    let directory = Directory::new();
    let session = Session::new(Configuration::ephemeral());
    let download = DownloadRequest::new(server.url("/")).destination(directory.join("file")).resumable(true);
    let error = session.download_task(download).wait().unwrap_err();
    assert!(error.resume_data().is_none());
    assert_eq!(directory.names(), [""; 0]);
}

// what is planted in the place of the record of a download is read to its end, which may never come.
#[cfg(unix)]
#[test]
fn a_record_that_is_no_file_is_not_read() {
    use support::harness::aside;
    let server = Server::start(|_| Reply::ok("the file"));
    let directory = Directory::new();
    let planted = directory.join("file.part.resume");
    assert!(std::process::Command::new("mkfifo").arg(&planted).status().unwrap().success());
    let session = Session::new(Configuration::ephemeral());
    let download = DownloadRequest::new(server.url("/")).destination(directory.join("file")).resumable(true);
    let task = session.download_task(download);
    assert_eq!(aside(move || task.wait()).join().unwrap().status(), 200);
    assert_eq!(directory.names(), ["file"]);
}
