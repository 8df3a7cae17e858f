//! Resumable uploads against a server of the draft: each of its mishaps, with each kind of body, over TCP
//! and TLS, carried out by a worker and by who waits (SPEC U9 to U13).
#![cfg(feature = "tls")]

mod support;

use std::io::Cursor;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use support::harness::{
    Runner, Transport, assert_cancelled, configuration, eventually, in_all_ways, over_both,
};
use support::{Directory, Gate, Mishap, PATIENCE, Received, Reply, Resumable, Server, pattern};
use urlsession::{
    Body, Bytes, Delegate, Error, ErrorKind, Request, Response, ResponseHead, Result, ResumeData,
    RetryPolicy, Session, TaskEvent, UploadTask,
};

/// More than the buffers of the client and of the sockets between have room for.
const LENGTH: usize = 3_000_000;

/// The body, made once: the tests need it often.
fn content() -> Bytes {
    static CONTENT: OnceLock<Bytes> = OnceLock::new();
    CONTENT.get_or_init(|| Bytes::from(pattern(LENGTH))).clone()
}

/// What the body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bytes,
    File,
    FromFn,
    FromFnChunked,
    Reader,
    ReaderChunked,
    Parts,
}

const KINDS: [Kind; 7] = [
    Kind::Bytes,
    Kind::File,
    Kind::FromFn,
    Kind::FromFnChunked,
    Kind::Reader,
    Kind::ReaderChunked,
    Kind::Parts,
];

impl Kind {
    fn body(self, directory: &Directory) -> Body {
        let path = directory.join("body");
        if !path.exists() {
            std::fs::write(&path, content()).unwrap();
        }
        let reader = || Cursor::new(content());
        match self {
            Kind::Bytes => Body::bytes(content()),
            Kind::File => Body::file(&path),
            Kind::FromFn => Body::from_fn(move || Ok(reader())).with_length(LENGTH as u64),
            Kind::FromFnChunked => Body::from_fn(move || Ok(reader())),
            Kind::Reader => Body::reader(reader()).with_length(LENGTH as u64),
            Kind::ReaderChunked => Body::reader(reader()),
            Kind::Parts => Body::file_range(&path, ..LENGTH as u64),
        }
    }

    fn is_once(self) -> bool {
        matches!(self, Kind::Reader | Kind::ReaderChunked)
    }
}

/// What a delegate is told, and from where on it was asked for the body.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    asked: Vec<u64>,
    sent: Vec<(u64, u64, Option<u64>)>,
    interim: Vec<u16>,
}

impl Told {
    fn record<T>(&self, look: impl FnOnce(&mut Record) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

impl Delegate for Told {
    fn need_new_body_stream_from(&self, _: &TaskEvent<'_>, offset: u64) -> Option<Body> {
        self.record(|record| record.asked.push(offset));
        let rest = content().slice(offset as usize..);
        Some(Body::reader(Cursor::new(rest)))
    }

    fn did_send_body_data(&self, _: &TaskEvent<'_>, bytes: u64, total: u64, expected: Option<u64>) {
        self.record(|record| record.sent.push((bytes, total, expected)));
    }

    fn did_receive_informational(&self, _: &TaskEvent<'_>, response: &ResponseHead) {
        self.record(|record| record.interim.push(response.status().as_u16()));
    }
}

struct Scene {
    uploads: Resumable,
    server: Server,
    session: Session,
    directory: Directory,
    told: Told,
}

/// Pauses that a test can wait for.
fn quick() -> RetryPolicy {
    RetryPolicy::new(1).initial_delay(Duration::from_millis(1))
}

impl Scene {
    fn new(transport: Transport, uploads: Resumable) -> Scene {
        let handler = uploads.handler();
        Scene::with(transport, uploads, handler)
    }

    fn with(
        transport: Transport,
        uploads: Resumable,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Scene {
        let told = Told::default();
        let session = Session::builder().configuration(configuration().retry(quick())).delegate(told.clone());
        Scene {
            server: transport.builder().start(handler),
            uploads,
            session: session.build(),
            directory: Directory::new(),
            told,
        }
    }

    fn request(&self) -> Request {
        Request::post(self.server.url("/files?a=b"))
            .header("x-kept", "1")
            .header("content-type", "image/x-pattern")
            .resumable_upload(true)
    }

    fn task(&self, kind: Kind) -> UploadTask {
        self.session.upload_task(self.request(), kind.body(&self.directory))
    }

    fn upload(&self, kind: Kind, runner: Runner) -> Result<Response<Bytes>> {
        result(&self.task(kind), runner)
    }

    /// Checks that the whole of the body arrived, by requests as they should be.
    #[track_caller]
    fn assert_complete(&self, response: Result<Response<Bytes>>) {
        let log = self.uploads.log();
        let response = response.unwrap_or_else(|error| panic!("{error}\n{log:?}"));
        let upload = self.uploads.uploads().pop().expect("an upload");
        assert!(upload.content == content(), "{log:?}");
        assert!(upload.complete && !upload.cancelled);
        if response.status().as_u16() == 200 {
            assert_eq!(response.bytes(), format!("{LENGTH} bytes").as_str());
        } else {
            // By HEAD.
            assert_eq!((response.status().as_u16(), response.bytes().len()), (204, 0));
        }
        self.assert_lawful();
    }

    #[track_caller]
    fn assert_lawful(&self) {
        assert_eq!(self.uploads.violations(), [""; 0], "{:?}", self.uploads.log());
        for request in self.server.requests() {
            assert_eq!(request.header("upload-draft-interop-version"), Some("8"));
            assert_eq!(request.header("x-kept"), Some("1"));
            let content_type = match request.method.as_str() {
                "POST" => Some("image/x-pattern"),
                "PATCH" => Some("application/partial-upload"),
                _ => None,
            };
            assert_eq!(request.header("content-type"), content_type, "{}", request.method);
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.session.invalidate_and_cancel();
    }
}

fn result(task: &UploadTask, runner: Runner) -> Result<Response<Bytes>> {
    match runner {
        Runner::Lender => task.wait(),
        Runner::Worker => {
            let (sender, receiver) = std::sync::mpsc::channel();
            task.on_completion(move |result| drop(sender.send(result))).resume();
            receiver.recv_timeout(PATIENCE).expect("an end")
        }
    }
}

#[test]
fn nothing_happens() {
    in_all_ways(|transport, runner| {
        for kind in KINDS {
            let scene = Scene::new(transport, Resumable::new().tell_progress());
            let task = scene.task(kind);
            scene.assert_complete(result(&task, runner));
            assert_eq!(scene.uploads.log(), ["create!"], "{kind:?}");
            let known = !matches!(kind, Kind::FromFnChunked | Kind::ReaderChunked);
            assert_eq!(scene.uploads.uploads()[0].length, Some(LENGTH as u64));
            let announced = scene.server.request(0).header("upload-length").map(str::to_owned);
            assert_eq!(announced, known.then(|| LENGTH.to_string()), "{kind:?}");
            assert_eq!(task.bytes_sent(), LENGTH as u64);
            assert_eq!(task.metrics().unwrap().transactions().len(), 1);
            eventually("the delegate to be told", || {
                scene.told.record(|record| record.interim == [104, 104])
            });
        }
    });
}

#[test]
fn cut_at_every_kind_of_place() {
    in_all_ways(|transport, runner| {
        for kind in KINDS {
            for after in [0, 1, 65_536, 1_000_000, LENGTH as u64 - 1] {
                let scene = Scene::new(transport, Resumable::new().then(Mishap::CutAfter(after)));
                let task = scene.task(kind);
                scene.assert_complete(result(&task, runner));
                let log = scene.uploads.log();
                assert_eq!(log[..2], ["create!", "query"], "{kind:?} {after} {log:?}");
                assert!(log[2].starts_with(&format!("append {after}+")) && log.len() == 3, "{log:?}");
                // From there on, and to the end.
                assert_eq!(task.bytes_sent(), LENGTH as u64);
                if kind.is_once() {
                    // What was not used is still there to be sent.
                    let asked = scene.told.record(|record| std::mem::take(&mut record.asked));
                    assert!(asked == [after] || (after == 0 && asked.is_empty()), "{asked:?} {after}");
                }
                let metrics = task.metrics().unwrap();
                let transactions = metrics.transactions();
                assert_eq!(transactions.len(), 3);
                assert_eq!(transactions[2].request_body_bytes(), LENGTH as u64 - after);
            }
        }
    });
}

#[test]
fn cut_again_and_again() {
    in_all_ways(|transport, runner| {
        for kind in KINDS {
            let cuts = (0..12).map(|_| Mishap::CutAfter(200_000));
            let scene = Scene::new(transport, cuts.fold(Resumable::new(), Resumable::then));
            scene.assert_complete(scene.upload(kind, runner));
            assert_eq!(scene.uploads.log().len(), 25, "{:?}", scene.uploads.log());
        }
    });
}

/// Each mishap that an upload gets over.
#[test]
fn mishaps() {
    use Mishap::*;
    in_all_ways(|transport, runner| {
        for kind in [Kind::Bytes, Kind::File, Kind::FromFnChunked, Kind::Reader] {
            for mishaps in [
                vec![LoseAnswer],
                vec![CutAfter(1000), LoseAnswer],
                vec![CutAfter(1000), AppendAnswer(503)],
                vec![CutAfter(1000), AppendAnswer(500), AppendAnswer(502), AppendAnswer(504)],
                vec![CutAfter(1000), AppendAnswer(409)],
                vec![CutAfter(1000), QueryAnswer(500), QueryAnswer(503)],
                vec![CutAfter(1000), QueryRedirect(307)],
                vec![CutAfter(1000), QueryRedirect(308), CutAfter(2000)],
                vec![CutAfter(1000), Base("/other".to_owned())],
            ] {
                let what = format!("{mishaps:?} {kind:?}");
                let uploads = mishaps.into_iter().fold(Resumable::new(), Resumable::then);
                let scene = Scene::new(transport, uploads);
                eprintln!("-- {what}");
                scene.assert_complete(scene.upload(kind, runner));
                assert_eq!(scene.uploads.uploads().len(), 1);
            }
        }
    });
}

/// The server takes no more than so much at once.
#[test]
fn in_parts() {
    in_all_ways(|transport, runner| {
        for kind in KINDS {
            let uploads = Resumable::new().max_append_size(500_000).min_append_size(1000);
            let scene = Scene::new(transport, uploads.then(Mishap::CutAfter(500)));
            let known = !matches!(kind, Kind::FromFnChunked | Kind::ReaderChunked);
            if !known {
                // It could not know, and the server counts content that has a length.
                continue;
            }
            scene.assert_complete(scene.upload(kind, runner));
            let log = scene.uploads.log();
            let parts = log.iter().filter(|line| line.starts_with("append ")).count();
            assert!((6..=8).contains(&parts), "{kind:?} {log:?}");
            // What was not used of a reader need not be asked for.
            scene.told.record(|record| assert!(record.asked.len() <= 2, "{:?} {log:?}", record.asked));
        }
    });
}

#[test]
fn a_server_that_knows_nothing_of_it() {
    in_all_ways(|transport, runner| {
        for kind in KINDS {
            let uploads = Resumable::new();
            let handler = |request: &Received| Reply::ok(format!("plain {}", request.body().len()));
            let scene = Scene::with(transport, uploads, handler);
            let response = scene.upload(kind, runner).unwrap();
            assert_eq!(response.bytes(), format!("plain {LENGTH}").as_str());
            assert_eq!(scene.server.requests().len(), 1);
            scene.assert_lawful();
        }
    });
}

/// Without 104, or with one of another version, there is no resumption and no resume data.
#[test]
fn what_was_not_announced_is_not_resumed() {
    over_both(|transport| {
        for mishap in [
            Mishap::NoInterim,
            Mishap::InteropVersion(None),
            Mishap::InteropVersion(Some("9".to_owned())),
            Mishap::Base("ftp://localhost".to_owned()),
        ] {
            let scene = Scene::new(transport, Resumable::new().then(mishap).then(Mishap::CutAfter(1000)));
            let error = scene.upload(Kind::Bytes, Runner::Lender).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
            assert!(error.resume_data().is_none());
            assert_eq!(scene.uploads.log(), ["create!"]);
        }
    });
}

/// Not asked for: not offered.
#[test]
fn on_request_only() {
    let scene = Scene::new(Transport::Tcp, Resumable::new());
    let request = Request::post(scene.server.url("/files"));
    scene.session.upload_task(request, pattern(1000)).wait().unwrap();
    assert_eq!(scene.uploads.plain_uploads(), 1);
    let empty = scene.request().body(());
    scene.session.data_task(empty).wait().unwrap();
    assert_eq!(scene.uploads.plain_uploads(), 2);
    for request in scene.server.requests() {
        assert!(!request.headers.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("upload-")));
    }
}

/// A server that says what cannot be: the upload is cancelled there, and fails.
#[test]
fn lies_end_the_upload() {
    in_all_ways(|transport, runner| {
        for (mishaps, kind) in [
            (vec![Mishap::CutAfter(1000), Mishap::OffsetSaid("9000000".to_owned())], Kind::Bytes),
            (vec![Mishap::SecondLocation], Kind::File),
        ] {
            let scene = Scene::new(transport, mishaps.into_iter().fold(Resumable::new(), Resumable::then));
            let error = scene.upload(kind, runner).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
            assert!(error.resume_data().is_none(), "it is gone");
            assert_eq!(scene.uploads.log().last().unwrap(), "cancel");
            scene.assert_lawful();
        }
        let scene = Scene::new(transport, Resumable::new().max_size(1000));
        let error = scene.upload(Kind::FromFn, runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum, "{error}");
        // Requests without end.
        let scene = Scene::new(transport, Resumable::new().max_append_size(100));
        let error = scene.upload(Kind::FromFn, runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
        assert_eq!(scene.uploads.log(), ["create!", "query"]);
        // It does not say how far the upload is.
        let uploads = Resumable::new().then(Mishap::CutAfter(1000)).then(Mishap::OffsetSaid("?1".to_owned()));
        let scene = Scene::new(transport, uploads);
        let error = scene.upload(Kind::Bytes, runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
        assert!(error.resume_data().is_some());
    });
}

/// 4xx is an answer.
#[test]
fn refusals_are_delivered() {
    in_all_ways(|transport, runner| {
        let uploads = Resumable::new().then(Mishap::CutAfter(1000)).then(Mishap::AppendAnswer(403));
        let scene = Scene::new(transport, uploads);
        assert_eq!(scene.upload(Kind::Bytes, runner).unwrap().status().as_u16(), 403);
        let uploads = Resumable::new().then(Mishap::CutAfter(1000)).then(Mishap::QueryAnswer(404));
        let scene = Scene::new(transport, uploads);
        let error = scene.upload(Kind::Bytes, runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
        assert!(error.resume_data().is_none(), "it is gone");
    });
}

#[test]
fn in_vain_too_often() {
    in_all_ways(|transport, runner| {
        let uploads = (0..20).fold(Resumable::new().then(Mishap::CutAfter(1000)), |uploads, _| {
            uploads.then(Mishap::QueryAnswer(503))
        });
        let scene = Scene::new(transport, uploads);
        let error = scene.upload(Kind::Bytes, runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
        assert_eq!(error.response().map(|head| head.status().as_u16()), Some(503));
        assert!(error.resume_data().is_some_and(ResumeData::is_upload));
        assert!(scene.uploads.log().len() < 10, "{:?}", scene.uploads.log());
        scene.assert_lawful();
    });
}

/// A reader of which more was used than the server has, and nobody who gives another: the error has what
/// it takes to go on with another body.
#[test]
fn a_reader_that_is_used_up() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new(transport, Resumable::new().then(Mishap::CutAfter(100_000)));
        let silent = Session::new(configuration());
        for kind in [Kind::Reader, Kind::ReaderChunked] {
            let uploads = Resumable::new().then(Mishap::CutAfter(100_000));
            let scene = Scene::new(transport, uploads);
            let task = silent.upload_task(scene.request(), kind.body(&scene.directory));
            let error = result(&task, runner).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RequestBodyStreamExhausted, "{error}");
            assert_eq!(scene.uploads.log(), ["create!", "query"], "nothing is taken back");
            let data = error.resume_data().expect("resume data").clone();
            let again = silent.upload_task_with_resume_data(data, kind.body(&scene.directory));
            scene.assert_complete(result(&again, runner));
            assert_eq!(again.bytes_sent(), LENGTH as u64);
        }
        drop(scene);
    });
}

/// U5: the counts go on from where the server is.
#[test]
fn what_the_delegate_is_told() {
    in_all_ways(|transport, runner| {
        let scene = Scene::new(transport, Resumable::new().then(Mishap::CutAfter(1_000_000)));
        scene.assert_complete(scene.upload(Kind::File, runner));
        let is_told =
            || scene.told.record(|record| record.sent.last().is_some_and(|last| last.1 == LENGTH as u64));
        eventually("the delegate to be told", is_told);
        scene.told.record(|record| {
            let mut before = 0;
            for &(bytes, total, expected) in &record.sent {
                assert_eq!(expected, Some(LENGTH as u64));
                assert!(
                    bytes > 0 && (before + bytes == total || 1_000_000 + bytes == total),
                    "{:?}",
                    record.sent
                );
                before = total;
            }
            assert_eq!(record.interim, [104]);
        });
    });
}

/// A server whose request of some kind waits at a gate.
fn gated(uploads: &Resumable, method: &'static str, gate: &Gate) -> impl Fn(&Received) -> Reply + use<> {
    let (serve, gate) = (uploads.handler(), gate.clone());
    move |request| {
        if request.method == method {
            gate.pass();
        }
        serve(request)
    }
}

/// A server whose first request of some kind waits at a gate, and is not taken up after that: who sent it
/// has given up.
fn stuck(uploads: &Resumable, method: &'static str, gate: &Gate) -> impl Fn(&Received) -> Reply + use<> {
    let (serve, gate, first) = (uploads.handler(), gate.clone(), Mutex::new(true));
    move |request| {
        if request.method == method && std::mem::take(&mut *first.lock().unwrap()) {
            gate.pass();
            return Reply::status(503).close();
        }
        serve(request)
    }
}

/// Cancelled in every state; with what it takes to go on, by a session that knows only the bytes.
#[test]
fn cancelled_and_resumed() {
    in_all_ways(|transport, runner| {
        for (method, kind) in [("HEAD", Kind::Bytes), ("PATCH", Kind::File), ("HEAD", Kind::FromFnChunked)] {
            for produce in [true, false] {
                let (uploads, gate) = (Resumable::new().then(Mishap::CutAfter(300_000)), Gate::new());
                let handler = stuck(&uploads, method, &gate);
                let scene = Scene::with(transport, uploads, handler);
                let task = scene.task(kind);
                let waiting = match runner {
                    Runner::Lender => {
                        let task = task.clone();
                        Some(std::thread::spawn(move || task.wait()))
                    }
                    Runner::Worker => {
                        task.resume();
                        None
                    }
                };
                gate.wait_until_reached();
                let data = if produce {
                    task.cancel_by_producing_resume_data().wait().unwrap()
                } else {
                    task.cancel();
                    None
                };
                let ended = waiting.map_or_else(|| task.wait(), |waiting| waiting.join().unwrap());
                assert_cancelled(ended);
                gate.open();
                if !produce {
                    scene.server.wait_for_open_connections(0, PATIENCE);
                    let log = scene.uploads.log();
                    assert!(!log.contains(&"cancel".to_owned()), "nothing is taken back: {log:?}");
                    continue;
                }
                let data = ResumeData::from_bytes(&data.expect("resume data").to_bytes()).unwrap();
                assert!(data.is_upload());
                let other = Session::new(configuration());
                let again = other.upload_task_with_resume_data(data, kind.body(&scene.directory));
                let response = result(&again, runner).unwrap();
                assert_eq!(response.bytes(), format!("{LENGTH} bytes").as_str());
                let upload = scene.uploads.uploads().pop().unwrap();
                assert!(scene.uploads.uploads().len() == 1 && upload.complete);
                assert!(upload.content == content());
                assert_eq!(scene.uploads.violations(), [""; 0]);
                assert_eq!(again.original_request().get_method(), "POST");
            }
        }
    });
}

/// In the middle of its creation, while it pauses, and before it was announced.
#[test]
fn cancelled_elsewhere() {
    over_both(|transport| {
        let scene = Scene::new(transport, Resumable::new());
        // Before it was started, and when it was over.
        let task = scene.task(Kind::Bytes);
        assert!(task.cancel_by_producing_resume_data().wait().unwrap().is_none());
        let task = scene.task(Kind::Bytes);
        task.wait().unwrap();
        assert!(task.cancel_by_producing_resume_data().wait().unwrap().is_none());
        assert!(task.error().is_none());

        // While the body goes out.
        let scene = Scene::new(transport, Resumable::new());
        let (mut writer, body) = Body::writer();
        let task = scene.session.upload_task(scene.request(), body);
        task.resume();
        std::io::Write::write_all(&mut writer, &pattern(1000)).unwrap();
        std::io::Write::flush(&mut writer).unwrap();
        eventually("104", || scene.told.record(|record| record.interim == [104]));
        let data = task.cancel_by_producing_resume_data().wait().unwrap().expect("resume data");
        assert!(std::io::Write::write_all(&mut writer, &pattern(1000)).is_err(), "nobody takes it");
        let body = Kind::Reader.body(&scene.directory);
        scene.assert_complete(scene.session.upload_task_with_resume_data(data, body).wait());

        // While it waits to try again.
        let gate = Gate::new();
        gate.open();
        let uploads = Resumable::new().then(Mishap::CutAfter(1000));
        let serve = uploads.handler();
        let passes = gate.clone();
        let scene = Scene::with(transport, uploads, move |request| match request.method.as_str() {
            "HEAD" if request.header("x-slow").is_some() && passes.pass() => {
                Reply::status(503).header("retry-after", "50")
            }
            _ => serve(request),
        });
        let request = scene.request().header("x-slow", "1");
        let task = scene.session.upload_task(request, content());
        task.resume();
        gate.wait_until_reached();
        let data = task.cancel_by_producing_resume_data().wait().unwrap();
        assert!(data.is_some());
        assert_cancelled(task.wait());
    });
}

/// `Retry-After` is waited for, and what is too long is an error that can be gone on from.
#[test]
fn the_server_says_when() {
    over_both(|transport| {
        for (seconds, goes_on) in [("1", true), ("1000", false)] {
            let uploads = Resumable::new().then(Mishap::CutAfter(1000));
            let (serve, first) = (uploads.handler(), Mutex::new(true));
            let scene = Scene::with(transport, uploads, move |request| {
                if request.method == "HEAD" && std::mem::take(&mut *first.lock().unwrap()) {
                    return Reply::status(503).header("retry-after", seconds);
                }
                serve(request)
            });
            let before = std::time::Instant::now();
            let result = scene.upload(Kind::Bytes, Runner::Worker);
            if goes_on {
                assert!(before.elapsed() >= Duration::from_secs(1));
                scene.assert_complete(result);
            } else {
                let error = result.unwrap_err();
                assert!(error.to_string().contains("1000s") && error.resume_data().is_some(), "{error}");
            }
        }
    });
}

/// The idle timeout fails the task unless there is a policy, and the resource timeout always does.
#[test]
fn time_limits() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let uploads = Resumable::new().then(Mishap::CutAfter(1000));
        let handler = stuck(&uploads, "PATCH", &gate);
        let scene = Scene::with(transport, uploads, handler);
        let silent = Session::new(configuration());
        let short = Duration::from_millis(200);
        let request = scene.request().timeout(short);
        let error = result(&silent.upload_task(request, content()), runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        gate.open();
        let data = error.resume_data().expect("resume data").clone();
        scene.assert_complete(result(&silent.upload_task_with_resume_data(data, content()), runner));

        let gate = Gate::new();
        let uploads = Resumable::new().then(Mishap::CutAfter(1000));
        let handler = gated(&uploads, "HEAD", &gate);
        let scene = Scene::with(transport, uploads, handler);
        let request = scene.request().resource_timeout(short);
        let error = result(&scene.session.upload_task(request, content()), runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!(error.resume_data().is_some());

        // With a policy silence is a lost connection.
        let (gate, first) = (Gate::new(), Arc::new(Mutex::new(true)));
        let uploads = Resumable::new().then(Mishap::CutAfter(1000));
        let (serve, passed) = (uploads.handler(), gate.clone());
        let scene = Scene::with(transport, uploads, move |request| {
            if request.method == "HEAD" && std::mem::take(&mut *first.lock().unwrap()) {
                passed.pass();
            }
            serve(request)
        });
        let request = scene.request().timeout(Duration::from_millis(500));
        let task = scene.session.upload_task(request, content());
        scene.assert_complete(result(&task, runner));
        gate.open();
    });
}

#[test]
fn a_suspended_upload_waits() {
    over_both(|transport| {
        let gate = Gate::new();
        let uploads = Resumable::new().then(Mishap::CutAfter(1000));
        let handler = gated(&uploads, "HEAD", &gate);
        let scene = Scene::with(transport, uploads, handler);
        let task = scene.task(Kind::File);
        task.resume();
        gate.wait_until_reached();
        task.suspend();
        gate.open();
        task.resume();
        scene.assert_complete(task.wait());
    });
}

#[test]
fn resume_data_that_does_not_fit() {
    let scene = Scene::new(Transport::Tcp, Resumable::new().then(Mishap::CutAfter(1000)));
    let silent = Session::new(configuration());
    let body = Kind::Reader.body(&scene.directory);
    let error = silent.upload_task(scene.request(), body).wait().unwrap_err();
    let data = error.resume_data().expect("resume data").clone();
    assert_eq!(data.expected_length(), Some(LENGTH as u64));
    for body in [
        Body::bytes(pattern(LENGTH - 1)),
        Body::reader(std::io::empty()).with_length(7),
        Body::empty(),
        Body::from_fn(|| Ok(std::io::empty())),
    ] {
        let shown = format!("{body:?}");
        let error = silent.upload_task_with_resume_data(data.clone(), body).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBodyFailed, "{shown}: {error}");
        assert!(error.resume_data().is_some(), "{shown}: another body may fit");
    }
    let missing = Body::file(scene.directory.join("missing"));
    let error = silent.upload_task_with_resume_data(data.clone(), missing).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileDoesNotExist);
    assert!(error.resume_data().is_some());
    // Of a download.
    let stored = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/resume/download.v1"));
    let download = ResumeData::from_bytes(stored).unwrap();
    let error = silent.upload_task_with_resume_data(download, "body").wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CannotParseResumeData, "{error}");
    assert!(error.resume_data().is_none());
    // And the other way round.
    let error = silent.download_task_with_resume_data(data.clone()).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CannotParseResumeData, "{error}");
    // Nothing of this has spoilt it.
    scene.assert_complete(silent.upload_task_with_resume_data(data, content()).wait());
}

/// What goes to the upload resource on another origin has no credentials.
#[test]
fn credentials_stay_where_they_belong() {
    let uploads = Resumable::new().then(Mishap::CutAfter(1000));
    let other = Server::start(uploads.handler());
    let uploads = uploads.then(Mishap::Base(other.url("").trim_end_matches('/').to_owned()));
    let scene = Scene::new(Transport::Tcp, uploads);
    let request = scene.request().bearer_auth("secret");
    scene.session.upload_task(request, content()).wait().unwrap();
    assert_eq!(scene.server.request(0).header("authorization"), Some("Bearer secret"));
    assert!(other.requests().len() >= 2);
    for request in other.requests() {
        assert_eq!(request.header("authorization"), None);
    }
    // To the same origin they go, those of the URL too.
    let scene = Scene::new(Transport::Tcp, Resumable::new().then(Mishap::CutAfter(1000)));
    let url = scene.server.url("/files").replace("://", "://me:secret@");
    let request = scene.request().url(url);
    scene.session.upload_task(request, content()).wait().unwrap();
    for request in scene.server.requests() {
        assert_eq!(request.header("authorization"), Some("Basic bWU6c2VjcmV0"), "{}", request.method);
    }
}

/// Stored data has none; whoever goes on gives them again.
#[test]
fn credentials_that_are_given_again() {
    let scene = Scene::new(Transport::Tcp, Resumable::new().then(Mishap::CutAfter(1000)));
    let body = Kind::Reader.body(&scene.directory);
    let request = scene.request().bearer_auth("secret");
    let error = Session::new(configuration()).upload_task(request, body).wait().unwrap_err();
    let stored = error.resume_data().expect("resume data").to_bytes();
    assert!(!String::from_utf8_lossy(&stored).contains("secret"));
    let before = scene.server.requests().len();
    let data = ResumeData::from_bytes(&stored).unwrap();
    let data = data.map_request(|request| request.url("http://elsewhere.invalid/").bearer_auth("again"));
    scene.assert_complete(scene.session.upload_task_with_resume_data(data, content()).wait());
    let requests = scene.server.requests().split_off(before);
    assert!(requests.len() >= 2);
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer again"), "{}", request.method);
    }
}

/// Of a long upload a server says many times how far it is. What brings nothing new is bounded.
#[test]
fn progress_is_told_without_end() {
    for (moves, ends) in [(true, true), (false, false)] {
        let server = Server::start(move |request: &Received| {
            let version = "Upload-Draft-Interop-Version: 8";
            let head = |field: &str| {
                format!("HTTP/1.1 104 Upload Resumption Supported\r\n{version}\r\n{field}\r\n\r\n")
            };
            let _ = request.inform(&head("Location: /upload"));
            let length = request.body().len();
            for part in 1..=40 {
                let offset = if moves { length * part / 40 } else { length };
                let _ = request.inform(&head(&format!("Upload-Offset: {offset}")));
            }
            Reply::ok("").header("Upload-Complete", "?1")
        });
        let request = Request::post(server.url("/")).resumable_upload(true);
        let result = Session::new(configuration()).upload_task(request, content()).wait();
        assert_eq!(result.is_ok(), ends, "{result:?}");
    }
}

/// The creation is redirected as any request is, and the upload is then where that led.
#[test]
fn a_creation_that_is_redirected() {
    in_all_ways(|transport, runner| {
        let uploads = Resumable::new().then(Mishap::CutAfter(1000));
        let serve = uploads.handler();
        let scene = Scene::with(transport, uploads, move |request| match request.path() {
            "/files" => Reply::redirect(307, "/there"),
            _ => serve(request),
        });
        scene.assert_complete(scene.upload(Kind::FromFn, runner));
        assert_eq!(scene.uploads.log()[..2], ["create!", "query"]);
    });
}

#[test]
fn the_program_cannot_be_asked_in_vain() {
    struct Nothing;
    impl Delegate for Nothing {}
    let scene = Scene::new(Transport::Tcp, Resumable::new().then(Mishap::CutAfter(1000)));
    let session = Session::builder().configuration(configuration()).delegate(Nothing).build();
    let body = Kind::Reader.body(&scene.directory);
    let error: Error = session.upload_task(scene.request(), body).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestBodyStreamExhausted);
    session.invalidate_and_cancel();
}

/// A server that never answers DELETE does not turn the reason into another one.
#[test]
fn the_reason_outlives_the_cancellation() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let uploads = Resumable::new().then(Mishap::SecondLocation);
        let handler = gated(&uploads, "DELETE", &gate);
        let scene = Scene::with(transport, uploads, handler);
        let request = scene.request().timeout(Duration::from_millis(200));
        let error = result(&scene.session.upload_task(request, content()), runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
        assert_eq!(gate.reached(), 1, "once");
        gate.open();
    });
}

/// The server is gone: tried for a while, and to be gone on with when it is back.
#[test]
fn a_server_that_goes_away() {
    in_all_ways(|transport, runner| {
        let gate = Gate::new();
        let uploads = Resumable::new().then(Mishap::CutAfter(1000));
        let mut scene = Scene::with(transport, uploads.clone(), gated(&uploads, "HEAD", &gate));
        let task = scene.task(Kind::Bytes);
        let waiting = std::thread::spawn({
            let task = task.clone();
            move || result(&task, runner)
        });
        gate.wait_until_reached();
        // Whoever asks again finds nobody.
        scene.server = transport.builder().start(|_| Reply::status(404));
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CannotConnectToHost, "{error}");
        assert!(error.resume_data().is_some());
    });
}

/// What fails is the reader, after the server has made the upload: another one may do.
#[test]
fn a_reader_that_fails() {
    struct Failing(Gate);
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            self.0.pass();
            Err(std::io::Error::other("a disk with a scratch"))
        }
    }
    over_both(|transport| {
        let scene = Scene::new(transport, Resumable::new());
        let gate = Gate::new();
        let reader = std::io::Read::chain(Cursor::new(content().slice(..1000)), Failing(gate.clone()));
        let body = Body::reader(reader).with_length(LENGTH as u64);
        let task = scene.session.upload_task(scene.request(), body);
        task.resume();
        eventually("104", || scene.told.record(|record| record.interim == [104]));
        gate.open();
        let error = task.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestBodyFailed, "{error}");
        let data = error.resume_data().expect("resume data").clone();
        scene.assert_complete(scene.session.upload_task_with_resume_data(data, content()).wait());
    });
}

/// The response of a resumed upload can be read as any other, and cancelling what has not begun gives its
/// data back.
#[test]
fn resumed_by_a_reader_of_the_response() {
    over_both(|transport| {
        let scene = Scene::new(transport, Resumable::new().then(Mishap::CutAfter(70_000)));
        let task = scene.session.upload_task(scene.request().expect_continue(true), content());
        let mut response = task.open().unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(response.body_mut(), &mut text).unwrap();
        assert_eq!(text, format!("{LENGTH} bytes"));
        assert!(scene.uploads.uploads()[0].content == content());

        let scene = Scene::new(transport, Resumable::new().then(Mishap::CutAfter(70_000)));
        let silent = Session::new(configuration());
        let body = Kind::Reader.body(&scene.directory);
        let error = silent.upload_task(scene.request(), body).wait().unwrap_err();
        let data = error.resume_data().unwrap().clone();
        let unborn = silent.upload_task_with_resume_data(data, content());
        let data = unborn.cancel_by_producing_resume_data().wait().unwrap().expect("resume data");
        scene.assert_complete(silent.upload_task_with_resume_data(data, content()).wait());
        // An ordinary upload has none.
        let plain = silent.upload_task(scene.request().resumable_upload(false), content());
        plain.resume();
        assert!(plain.cancel_by_producing_resume_data().wait().unwrap().is_none());
    });
}

/// The creation is answered by an error of the server, and the upload is complete all the same: that is no
/// success.
#[test]
fn an_error_is_not_taken_for_a_success() {
    in_all_ways(|transport, runner| {
        let uploads = Resumable::new();
        let serve = uploads.handler();
        let scene = Scene::with(transport, uploads, move |request| {
            let reply = serve(request);
            if request.method == "POST" { Reply::status(503) } else { reply }
        });
        let error = scene.upload(Kind::Bytes, runner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
        assert!(error.to_string().contains("503"), "{error}");
        assert_eq!(scene.uploads.log(), ["create!", "query"]);
    });
}
