//! Downloads over several connections: what is asked for, what becomes of parts that go wrong, and
//! going on with what is scattered over the file.
#![cfg(feature = "tls")]

mod support;

use std::fs;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};
use support::harness::{configuration, eventually, in_all_ways_at_once, over_both};
use support::{At, Directory, Fault, Gate, Quirk, Random, Received, Reply, Resource, Served, Server};
use urlsession::{
    Configuration, Delegate, DownloadRequest, DownloadTask, DownloadedFile, Error, ErrorKind, Response,
    ResumeData, RetryPolicy, Session, TaskEvent,
};

const LENGTH: usize = 8 << 20;

fn resource() -> Resource {
    Resource::pattern(LENGTH).etag("\"v1\"")
}

struct Scene {
    directory: Directory,
    session: Session,
    server: Server,
}

impl Scene {
    fn new(handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Scene {
        Scene::with(configuration(), handler)
    }

    fn with(
        configuration: Configuration,
        handler: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Scene {
        let directory = Directory::new();
        let session = Session::new(configuration.download_directory(directory.path()));
        Scene { directory, session, server: Server::start(handler) }
    }

    fn request(&self, segments: usize) -> DownloadRequest {
        DownloadRequest::new(self.server.url("/file")).segments(segments)
    }

    fn task(&self, segments: usize) -> DownloadTask {
        self.session.download_task(self.request(segments))
    }

    fn get(&self, segments: usize) -> Result<Response<DownloadedFile>, Error> {
        self.task(segments).wait()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.session.invalidate_and_cancel();
    }
}

#[track_caller]
fn assert_is(response: &Response<DownloadedFile>, resource: &Resource) {
    let file = fs::read(response.body().path()).unwrap();
    let content = resource.content();
    assert_eq!(file.len(), content.len());
    assert_eq!(response.body().len(), content.len() as u64);
    let differs = file.iter().zip(&content).position(|(a, b)| a != b);
    assert_eq!(differs, None, "another content");
}

fn parts(file: &Resource) -> Vec<Served> {
    file.served().into_iter().filter(|served| served.range.is_some()).collect()
}

/// As another process would have it.
fn stored(error: &Error) -> ResumeData {
    let data = error.resume_data().unwrap_or_else(|| panic!("no resume data: {error}"));
    ResumeData::from_bytes(&data.to_bytes()).unwrap()
}

#[test]
fn four_connections_bring_one_file() {
    in_all_ways_at_once(|transport, runner| {
        // The task's own connection is held until the others are at work.
        let gate = Gate::new();
        let file = resource().fault_in(..1, Fault::GateAt(At::After(1000), gate.clone()));
        let directory = Directory::new();
        let server = transport.builder().start(file.handler());
        let session = Session::new(configuration().download_directory(directory.path()));
        let task = session.download_task(DownloadRequest::new(server.url("/file")).segments(4));
        if matches!(runner, support::harness::Runner::Worker) {
            task.resume();
        }
        let others = file.clone();
        let opener = std::thread::spawn(move || {
            eventually("the others", || others.served().len() >= 4);
            gate.open();
        });
        let response = task.wait().unwrap();
        opener.join().unwrap();
        assert_is(&response, &file);
        assert_eq!(response.status(), 200);
        let served = file.served();
        assert_eq!(served[0].range, None, "the first request is an ordinary one");
        for part in parts(&file) {
            assert_eq!((part.status, part.if_range.as_deref()), (206, Some("\"v1\"")));
        }
        assert_eq!(
            (task.bytes_received(), task.bytes_expected_to_receive()),
            (LENGTH as u64, Some(LENGTH as u64))
        );
        assert_eq!(task.progress().completed(), LENGTH as u64);
        assert_eq!(session.progress().completed(), LENGTH as u64);
        assert_eq!(session.all_tasks().len(), 0);
        let metrics = task.metrics().unwrap();
        let answered = metrics.transactions().iter().filter(|one| one.status().is_some()).count();
        assert!((2..=served.len()).contains(&answered), "{metrics}");
        session.invalidate_and_cancel();
    });
}

/// A gate holds the task's own connection, so that the others have come to their ends.
#[test]
fn nobody_but_the_task_is_seen_and_no_more_connections_than_may_be() {
    let gate = Gate::new();
    let file = resource().fault(Fault::GateAt(At::After(1000), gate.clone()));
    let scene = Scene::with(configuration().maximum_connections_per_host(3), file.handler());
    let task = scene.task(16);
    task.resume();
    gate.wait_until_reached_by(3, support::PATIENCE);
    assert_eq!(scene.server.accepted(), 3);
    assert_eq!(scene.session.all_tasks().len(), 1);
    assert_eq!(scene.session.progress().tasks, 1);
    gate.open();
    assert_is(&task.wait().unwrap(), &file);
}

#[test]
fn what_cannot_come_in_parts_comes_in_one() {
    let cases = [
        ("unset", resource(), 1),
        ("small", Resource::pattern(1 << 20).etag("\"v1\""), 4),
        ("no ranges", resource().quirk(Quirk::NoRanges), 4),
        ("no validator", Resource::pattern(LENGTH), 4),
        ("a weak validator", Resource::pattern(LENGTH).weak_etag("\"v1\""), 4),
        ("chunked", resource().quirk(Quirk::Chunked(10_000)), 4),
        ("until close", resource().quirk(Quirk::UntilClose), 4),
        ("one connection", resource(), 0),
    ];
    for (name, file, segments) in cases {
        let scene = Scene::new(file.handler());
        let response = scene.get(segments).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_is(&response, &file);
        assert_eq!(file.served().len(), 1, "{name}: {:?}", file.served());
    }
}

/// It says nothing of ranges, and answers each request with the whole: the first one brings it all, or
/// another one alone.
#[test]
fn a_server_that_ignores_ranges_is_asked_for_the_whole() {
    let gate = Gate::new();
    let file = resource().quirk(Quirk::IgnoresRange).quirk(Quirk::Without("accept-ranges"));
    let file = file.fault_in(..1, Fault::GateAt(At::After(100_000), gate.clone()));
    let scene = Scene::new(file.handler());
    let task = scene.task(4);
    task.resume();
    eventually("another one", || file.served().len() >= 2);
    gate.open();
    assert_is(&task.wait().unwrap(), &file);
    // Twice if its own part was over before anybody knew: then the rest of the first answer is gone.
    assert!(file.served().iter().filter(|served| served.range.is_none()).count() <= 2);
}

#[test]
fn only_two_connections_are_let_in() {
    for status in [429, 503, 403] {
        let file = resource();
        let (answers, known) = (file.clone(), Arc::new(OnceLock::<Weak<Server>>::new()));
        let asked = Arc::clone(&known);
        let server = Arc::new(Server::start(move |request| {
            let server = asked.get().and_then(Weak::upgrade);
            match server.is_some_and(|server| server.open_connections() > 2) {
                true => Reply::status(status).header("Connection", "close"),
                false => answers.answer(request),
            }
        }));
        known.set(Arc::downgrade(&server)).unwrap();
        let directory = Directory::new();
        let session = Session::new(configuration().download_directory(directory.path()));
        let request = DownloadRequest::new(server.url("/file")).segments(6);
        assert_is(&session.download_task(request).wait().unwrap(), &file);
        session.invalidate_and_cancel();
    }
}

#[test]
fn connections_that_are_cut_are_replaced() {
    over_both(|transport| {
        let file = resource().cut_at((1..8).map(|n| n * 1_000_000 + 77));
        let directory = Directory::new();
        let server = transport.builder().start(file.handler());
        let policy = RetryPolicy::new(3).initial_delay(Duration::from_millis(1));
        let session = Session::new(configuration().download_directory(directory.path()).retry(policy));
        let task = session.download_task(DownloadRequest::new(server.url("/file")).segments(4));
        assert_is(&task.wait().unwrap(), &file);
        assert_eq!(task.bytes_received(), LENGTH as u64);
        session.invalidate_and_cancel();
    });
}

#[test]
fn a_stalled_or_slow_connection_does_not_decide() {
    let slow = Fault::Drip { bytes_at_a_time: 500, every: Duration::from_millis(50) };
    for (slow, number) in
        [(slow.clone(), 0), (slow, 2), (Fault::StallAt(At::After(1000)), 0), (Fault::Stall, 1)]
    {
        let file = resource().fault_in(number..=number, slow.clone());
        let scene = Scene::new(file.handler());
        let begun = Instant::now();
        assert_is(&scene.get(4).unwrap(), &file);
        assert!(begun.elapsed() < Duration::from_secs(15), "{slow:?} {number}: {:?}", begun.elapsed());
    }
}

/// A wrong file is never made: it is an error, at once.
#[test]
fn a_server_that_lies_about_a_part() {
    let lies = [
        Quirk::Start(1),
        Quirk::Start(-1),
        Quirk::Total(Some(LENGTH as u64 + 1)),
        Quirk::Fewer(10),
        Quirk::More(10),
        Quirk::ContentRange("bytes 0-9/10"),
        Quirk::ContentRange("bytes"),
        Quirk::Multipart,
        Quirk::Gzip,
        Quirk::Without("content-range"),
    ];
    for lie in lies {
        let file = resource().quirk_in(1.., lie.clone());
        let gate = Gate::new();
        let file = file.fault_in(..1, Fault::GateAt(At::After(1000), gate));
        let scene = Scene::new(file.handler());
        let error = scene.get(3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{lie:?}: {error}");
    }
}

#[test]
fn less_than_was_asked_for_is_asked_for_again() {
    let file = resource().quirk(Quirk::AtMost(700_000)).quirk(Quirk::Total(None));
    let scene = Scene::new(file.handler());
    assert_is(&scene.get(4).unwrap(), &file);
}

#[test]
fn a_resource_that_changes_meanwhile_is_downloaded_anew_once() {
    let other = || Resource::other_pattern(LENGTH).etag("\"v2\"");
    let gate = Gate::new();
    let hold = Fault::GateAt(At::After(100_000), gate);
    let file = resource().changes_after(2, other()).fault_in(..1, hold.clone());
    let scene = Scene::new(file.handler());
    assert_is(&scene.get(3).unwrap(), &other());
    let ignores =
        resource().changes_after(2, other()).quirk(Quirk::IgnoresIfRange).fault_in(..1, hold.clone());
    let scene = Scene::new(ignores.handler());
    assert_is(&scene.get(3).unwrap(), &other());

    let versions = (1..64).fold(resource(), |file, n| {
        file.changes_after(n, Resource::other_pattern(LENGTH).etag(&format!("\"{n}\"")))
    });
    let scene = Scene::new(versions.fault(hold).handler());
    let error = scene.get(3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
    assert!(error.to_string().contains("changes"), "{error}");
    assert!(error.resume_data().is_none());
}

#[test]
fn a_failed_download_goes_on_with_its_parts() {
    // Each answer ends after so much, and there is no policy: in the end nobody is left.
    let file = resource().fault_in(..4, Fault::CloseAfter(300_000)).fault_in(4..20, Fault::CloseAfter(10));
    let scene = Scene::new(file.handler());
    let task = scene.task(4);
    let error = task.wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
    let data = stored(&error);
    let there = data.bytes_received();
    assert!(there >= 300_000, "{there}");
    assert_eq!(there, task.bytes_received());
    let mut error = error;
    let response = loop {
        let download = DownloadRequest::resume(stored(&error)).segments(4);
        match scene.session.download_task(download).wait() {
            Ok(response) => break response,
            Err(again) => error = again,
        }
    };
    assert_is(&response, &file);
}

/// Gaps are filled by one connection after another.
#[test]
fn scattered_parts_are_completed_over_one_connection() {
    let gate = Gate::new();
    let file = resource().fault_in(..3, Fault::GateAt(At::After(500_000), gate.clone()));
    let scene = Scene::new(file.handler());
    let task = scene.task(3);
    task.resume();
    gate.wait_until_reached_by(3, support::PATIENCE);
    eventually("what was sent", || task.bytes_received() == 1_500_000);
    let data = task.cancel_by_producing_resume_data().wait().unwrap().expect("resume data");
    gate.open();
    let data = ResumeData::from_bytes(&data.to_bytes()).unwrap();
    assert_eq!(data.bytes_received(), 1_500_000);
    let told = Told::default();
    let task = scene.session.download_task(DownloadRequest::resume(data));
    task.set_delegate(told.clone());
    let response = task.wait().unwrap();
    assert_is(&response, &file);
    let served = file.served().split_off(3);
    let ranges: Vec<_> = served.iter().filter_map(|served| served.range.as_deref()).collect();
    assert_eq!(served.len(), 3, "{served:?}");
    assert_eq!(ranges[0], "bytes=500000-");
    let rest = LENGTH as u64 - 1_500_000;
    assert_eq!((task.bytes_received(), task.bytes_expected_to_receive()), (rest, Some(rest)));
    eventually("the end", || told.0.lock().unwrap().last() == Some(&Line::Completed(None)));
    let lines = told.0.lock().unwrap().clone();
    assert_eq!(lines[0], Line::ResumedAt(1_500_000, Some(LENGTH as u64)));
    let mut at = 1_500_000;
    for line in &lines {
        if let Line::Wrote(bytes, total, expected) = line {
            at += bytes;
            assert_eq!((*total, *expected), (at, Some(LENGTH as u64)));
        }
    }
    assert_eq!(at, LENGTH as u64);
    assert_eq!(lines.iter().filter(|line| matches!(line, Line::Finished)).count(), 1);
}

#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Line>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    ResumedAt(u64, Option<u64>),
    Wrote(u64, u64, Option<u64>),
    Finished,
    Completed(Option<ErrorKind>),
}

impl Delegate for Told {
    fn did_resume_at_offset(&self, _: &TaskEvent<'_>, offset: u64, expected: Option<u64>) {
        self.0.lock().unwrap().push(Line::ResumedAt(offset, expected));
    }

    fn did_write_data(&self, _: &TaskEvent<'_>, bytes: u64, total: u64, expected: Option<u64>) {
        self.0.lock().unwrap().push(Line::Wrote(bytes, total, expected));
    }

    fn did_finish_downloading(&self, _: &TaskEvent<'_>, _: &DownloadedFile) {
        self.0.lock().unwrap().push(Line::Finished);
    }

    fn did_complete(&self, _: &TaskEvent<'_>, error: Option<&Error>) {
        self.0.lock().unwrap().push(Line::Completed(error.map(Error::kind)));
    }
}

#[test]
fn what_has_changed_since_starts_over() {
    let gate = Gate::new();
    let other = || Resource::other_pattern(LENGTH).etag("\"v2\"");
    let file = resource().changes_after(3, other());
    let file = file.fault_in(..3, Fault::GateAt(At::After(500_000), gate.clone()));
    let scene = Scene::new(file.handler());
    let task = scene.task(3);
    task.resume();
    gate.wait_until_reached_by(3, support::PATIENCE);
    eventually("what was sent", || task.bytes_received() == 1_500_000);
    let data = task.cancel_by_producing_resume_data().wait().unwrap().expect("resume data");
    gate.open();
    let response = scene.session.download_task(DownloadRequest::resume(data).segments(3)).wait().unwrap();
    assert_is(&response, &other());
    let asked = file.served().get(3).and_then(|served| served.range.clone());
    assert_eq!(asked.as_deref(), Some("bytes=500000-"));
}

/// Cancelled, or with its session: no connection is left, and nothing of the file.
#[test]
fn the_end_of_the_task_is_that_of_its_connections() {
    in_all_ways_at_once(|transport, runner| {
        for whole_session in [false, true] {
            let gate = Gate::new();
            let file = resource().fault(Fault::GateAt(At::After(10_000), gate.clone()));
            let server = transport.builder().start(file.handler());
            let directory = Directory::new();
            let session = Session::new(configuration().download_directory(directory.path()));
            let task = session.download_task(DownloadRequest::new(server.url("/file")).segments(4));
            let waiting = match runner {
                support::harness::Runner::Worker => {
                    task.resume();
                    None
                }
                support::harness::Runner::Lender => {
                    let task = task.clone();
                    Some(std::thread::spawn(move || task.wait().unwrap_err()))
                }
            };
            gate.wait_until_reached_by(4, support::PATIENCE);
            if whole_session {
                session.invalidate_and_cancel();
            } else {
                task.cancel();
            }
            let error = task.wait().unwrap_err();
            assert!(error.is_cancelled(), "{error}");
            if let Some(waiting) = waiting {
                assert!(waiting.join().unwrap().is_cancelled());
            }
            gate.open();
            server.wait_for_open_connections(0, support::PATIENCE);
            eventually("the end of the file", || directory.names().is_empty());
            session.invalidate_and_cancel();
        }
    });
}

#[test]
fn a_suspended_download_reads_from_none_of_its_connections() {
    let gate = Gate::new();
    let file = resource().fault_in(..3, Fault::GateAt(At::After(100_000), gate.clone()));
    let timeout = Duration::from_millis(800);
    let scene = Scene::with(configuration().timeout_for_request(timeout), file.handler());
    let task = scene.task(3);
    task.resume();
    eventually("what was sent", || task.bytes_received() == 300_000);
    task.suspend();
    gate.open();
    // Its time limits stand still, for longer than they are.
    let begun = Instant::now();
    eventually("more than the time limit", || begun.elapsed() > 2 * timeout);
    assert!(task.bytes_received() <= 300_000 + 3 * 256 * 1024, "{}", task.bytes_received());
    task.resume();
    assert_is(&task.wait().unwrap(), &file);
}

#[test]
fn a_directory_that_is_not_there() {
    let file = resource();
    let scene = Scene::new(file.handler());
    let request = DownloadRequest::new(scene.server.url("/")).directory("/nowhere/at/all").segments(3);
    let error = scene.session.download_task(request).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CannotCreateFile, "{error}");
    assert_eq!(scene.directory.names(), [""; 0]);
}

/// It is of the whole, whoever has brought what.
#[test]
#[cfg(feature = "checksum")]
fn the_checksum_is_that_of_the_file() {
    use urlsession::{Checksum, ChecksumAlgorithm};
    let file = resource();
    let scene = Scene::new(file.handler());
    let right = Checksum::of(ChecksumAlgorithm::Sha256, file.content());
    assert_is(&scene.session.download_task(scene.request(4).checksum(right)).wait().unwrap(), &file);
    let wrong = Checksum::of(ChecksumAlgorithm::Sha256, b"");
    let error = scene.session.download_task(scene.request(4).checksum(wrong)).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChecksumMismatch, "{error}");
    eventually("the end of the files", || scene.directory.names().is_empty());
}

#[test]
fn the_time_limit_is_that_of_the_whole() {
    let gate = Gate::new();
    let file = resource().fault(Fault::GateAt(At::After(10_000), gate.clone()));
    let scene = Scene::with(configuration().timeout_for_resource(Duration::from_millis(500)), file.handler());
    let error = scene.get(4).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(error.to_string().contains("resource timeout"), "{error}");
    gate.open();
}

#[test]
fn thirty_downloads_that_are_cut_at_random() {
    let content = Resource::pattern(LENGTH).content();
    let directory = Directory::new();
    let session = Session::new(configuration().download_directory(directory.path()));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut resumed = 0;
    for round in 0..30 {
        let cuts: Vec<u64> = (0..4 + random.below(20)).map(|_| 1 + random.below(LENGTH as u64 - 1)).collect();
        let file = Resource::new(content.clone()).etag("\"v1\"").cut_at(cuts.clone());
        let server = Server::start(file.handler());
        let segments = |random: &mut Random| 1 + random.below(6) as usize;
        let first = DownloadRequest::new(server.url("/")).segments(segments(&mut random));
        let mut result = session.download_task(first).wait();
        while let Err(error) = &result {
            assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{round}: {error}");
            resumed += 1;
            let again = match error.resume_data() {
                Some(_) => DownloadRequest::resume(stored(error)),
                None => DownloadRequest::new(server.url("/")),
            };
            result = session.download_task(again.segments(segments(&mut random))).wait();
        }
        assert_is(result.as_ref().unwrap(), &file);
        if round % 10 == 9 {
            let path = result.unwrap().body().path();
            eventually("the end of the file", || !path.exists());
        }
    }
    assert!(resumed >= 10, "{resumed}");
}
