//! Download tasks: the file, what the delegate is told, and going on where one has stopped (SPEC A6,
//! B7). Over TCP and TLS.
#![cfg(feature = "tls")]

mod support;

use std::fs;
use std::sync::{Arc, Mutex};
use support::harness::{Transport, configuration, eventually, over_both};
use support::{At, Directory, Fault, Gate, Quirk, Received, Reply, Resource, Server, pattern};
use urlsession::{
    Delegate, DownloadRequest, DownloadTask, DownloadedFile, Error, ErrorKind, Request, Response, ResumeData,
    Session, TaskEvent,
};

const LENGTH: usize = 300_000;
const CUT: u64 = 100_000;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn resource() -> Resource {
    Resource::pattern(LENGTH).etag("\"v1\"")
}

/// A server, a directory for downloads, and a session whose delegate keeps a protocol.
struct Scene {
    server: Server,
    directory: Directory,
    session: Session,
    told: Told,
}

impl Scene {
    fn new(
        transport: Transport,
        handler: impl Fn(&Received) -> Reply + Clone + Send + Sync + 'static,
    ) -> Scene {
        let directory = Directory::new();
        let told = Told::default();
        let configuration = configuration().download_directory(directory.path());
        let builder = Session::builder().configuration(configuration).delegate(told.clone());
        Scene { server: transport.builder().start(handler), directory, session: builder.build(), told }
    }

    fn of(transport: Transport, resource: &Resource) -> Scene {
        Scene::new(transport, resource.handler())
    }

    fn download(&self) -> DownloadTask {
        self.session.download_task(self.server.url("/file"))
    }

    /// The resume data of a download that the server has cut at [`CUT`].
    #[track_caller]
    fn cut(&self) -> ResumeData {
        let error = self.download().wait().expect_err("a download that was cut");
        assert_eq!(error.kind(), ErrorKind::NetworkConnectionLost, "{error}");
        error.resume_data().expect("resume data").clone()
    }

    fn resume(&self, data: ResumeData) -> Result<Response<DownloadedFile>, Error> {
        self.session.download_task_with_resume_data(data).wait()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.session.invalidate_and_cancel();
    }
}

/// A delegate that writes down what it is told of downloads.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<Line>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    ResumedAt(u64, Option<u64>),
    Wrote { bytes: u64, total: u64, expected: Option<u64> },
    Finished(Vec<u8>),
    Completed(Option<ErrorKind>),
}

impl Told {
    fn write(&self, line: Line) {
        self.0.lock().unwrap().push(line);
    }

    /// The lines so far, which are taken away, after the task's end was told.
    #[track_caller]
    fn take(&self) -> Vec<Line> {
        let ended = || self.0.lock().unwrap().iter().any(|line| matches!(line, Line::Completed(_)));
        eventually("the end of the task", ended);
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Delegate for Told {
    fn did_resume_at_offset(&self, _: &TaskEvent<'_>, offset: u64, expected: Option<u64>) {
        self.write(Line::ResumedAt(offset, expected));
    }

    fn did_write_data(&self, _: &TaskEvent<'_>, bytes: u64, total: u64, expected: Option<u64>) {
        self.write(Line::Wrote { bytes, total, expected });
    }

    fn did_finish_downloading(&self, _: &TaskEvent<'_>, file: &DownloadedFile) {
        self.write(Line::Finished(fs::read(file.path()).expect("a file")));
    }

    fn did_complete(&self, _: &TaskEvent<'_>, error: Option<&Error>) {
        self.write(Line::Completed(error.map(Error::kind)));
    }
}

/// Checks a protocol: from where on it was written up to which length.
#[track_caller]
fn assert_written(lines: &[Line], from: u64, to: u64, of: Option<u64>) {
    let mut at = from;
    for line in lines {
        if let Line::Wrote { bytes, total, expected } = line {
            assert!(*bytes > 0, "{line:?}");
            at += bytes;
            assert_eq!((*total, *expected), (at, of), "{line:?}");
        }
    }
    assert_eq!(at, to);
}

#[track_caller]
fn assert_file(response: &Response<DownloadedFile>) {
    assert!(fs::read(response.body().path()).unwrap() == pattern(LENGTH), "another content");
    assert_eq!(response.body().len(), LENGTH as u64);
}

/// L1, 55: the file is there as long as somebody has it.
#[test]
fn the_file_is_temporary_unless_it_is_kept() {
    over_both(|transport| {
        let scene = Scene::of(transport, &resource());
        let task = scene.download();
        let response = task.wait().unwrap();
        assert_file(&response);
        let path = response.body().path();
        assert!(path.starts_with(scene.directory.path()));
        drop((task, response));
        eventually("the end of the file", || !path.exists());
        assert_eq!(scene.directory.names(), [""; 0]);

        let file = scene.download().wait().unwrap().into_body();
        let kept = scene.directory.join("kept");
        file.persist(&kept).unwrap();
        assert_eq!(file.path(), kept);
        drop(file);
        assert_eq!(scene.directory.names(), ["kept"]);
        assert!(fs::read(kept).unwrap() == pattern(LENGTH));
    });
}

/// L1: in a completion handler, and not after it.
#[test]
fn the_file_ends_with_the_handler() {
    over_both(|transport| {
        let scene = Scene::of(transport, &resource());
        let (sender, receiver) = std::sync::mpsc::channel();
        let task = scene.download().on_completion(move |result| {
            let response = result.unwrap();
            let path = response.body().path();
            sender.send((fs::read(&path).unwrap(), path)).unwrap();
        });
        task.resume();
        drop(task);
        let (content, path) = receiver.recv_timeout(support::PATIENCE).unwrap();
        assert!(content == pattern(LENGTH));
        eventually("the end of the file", || !path.exists());
    });
}

/// Nobody sees a part of it, and what was there before stays until all is there.
#[test]
fn a_destination_is_replaced_by_the_whole_or_not_at_all() {
    over_both(|transport| {
        let cut = resource().cut_at([CUT]);
        let scene = Scene::of(transport, &cut);
        let destination = scene.directory.join("file");
        fs::write(&destination, "old").unwrap();
        let download = || DownloadRequest::new(scene.server.url("/file")).destination(&destination);
        let error = scene.session.download_task(download()).wait().unwrap_err();
        assert_eq!(fs::read(&destination).unwrap(), b"old");
        drop(error);
        let response = scene.session.download_task(download()).wait().unwrap();
        assert_file(&response);
        assert_eq!(response.body().path(), destination);
        drop(response);
        assert!(fs::read(&destination).unwrap() == pattern(LENGTH));
    });
}

/// L2, 56, 57: a page that says why not is a file too; told once, before the end.
#[test]
fn an_error_status_comes_as_a_file_and_leaves_the_destination_alone() {
    over_both(|transport| {
        let scene = Scene::new(transport, |_| Reply::status(404).body("no such thing"));
        let response = scene.download().wait().unwrap();
        assert_eq!(response.status(), 404);
        assert_eq!(fs::read(response.body().path()).unwrap(), b"no such thing");
        let lines = scene.told.take();
        let end = [Line::Finished(b"no such thing".to_vec()), Line::Completed(None)];
        assert_eq!(lines[lines.len() - 2..], end, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| matches!(line, Line::Finished(_))).count(), 1);

        let destination = scene.directory.join("file");
        let download = DownloadRequest::new(scene.server.url("/file")).destination(&destination);
        let error = scene.session.download_task(download).wait().unwrap().error_for_status().unwrap_err();
        assert_eq!(error.response().unwrap().status(), 404);
        assert!(!destination.exists());
    });
}

/// Whether it was interrupted or there was never anything of it.
#[test]
fn a_download_that_got_nothing_leaves_nothing() {
    over_both(|transport| {
        let scene = Scene::new(transport, |request| match request.path() {
            "/file" => Reply::status(404).body("no such thing"),
            _ => Reply::ok("x").then(Fault::CloseAt(At::BeforeHead)),
        });
        for path in ["/file", "/closed"] {
            let download = DownloadRequest::new(scene.server.url(path));
            let download = download.destination(scene.directory.join("file")).resumable(true);
            let _ = scene.session.download_task(download).wait();
            // The page that says why not is there until the task is gone.
            eventually(path, || scene.directory.names().is_empty());
        }
    });
}

/// As any other file that a program makes there: what only its owner may read is of no use on a server.
#[cfg(unix)]
#[test]
fn the_user_decides_who_may_read_what_has_a_destination() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let scene = Scene::of(Transport::Tcp, &resource());
    let usual = scene.directory.join("usual");
    fs::write(&usual, "").unwrap();
    for resumable in [false, true] {
        let destination = scene.directory.join("file");
        let download = DownloadRequest::new(scene.server.url("/file")).destination(&destination);
        scene.session.download_task(download.resumable(resumable)).wait().unwrap();
        assert_eq!(mode(&destination), mode(&usual));
    }
    let response = scene.download().wait().unwrap();
    assert_eq!(mode(&response.body().path()), 0o600, "in a directory for everybody's temporary files");
}

/// L3: what is written adds up, with and without a length.
#[test]
fn what_is_written_is_told() {
    over_both(|transport| {
        for (resource, expected) in
            [(resource(), Some(LENGTH as u64)), (resource().quirk(Quirk::Chunked(7000)), None)]
        {
            let scene = Scene::of(transport, &resource);
            let task = scene.download();
            assert_file(&task.wait().unwrap());
            let lines = scene.told.take();
            assert_written(&lines, 0, LENGTH as u64, expected);
            assert!(!lines.iter().any(|line| matches!(line, Line::ResumedAt(..))), "{lines:?}");
            assert_eq!(task.bytes_received(), LENGTH as u64);
        }
    });
}

/// L5, 62: the task ends as cancelled ones do, and the rest comes later.
#[test]
fn a_cancelled_download_goes_on() {
    over_both(|transport| {
        let gate = Gate::new();
        let resource = resource().fault_in(..1, Fault::GateAt(At::After(CUT as usize), gate.clone()));
        let scene = Scene::of(transport, &resource);
        let task = scene.download();
        task.resume();
        eventually("a part of the file", || task.bytes_received() == CUT);
        let data = task.cancel_by_producing_resume_data().wait().unwrap().expect("resume data");
        assert_eq!(task.wait().unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!((data.bytes_received(), data.expected_length()), (CUT, Some(LENGTH as u64)));
        let lines = scene.told.take();
        assert_eq!(lines.last(), Some(&Line::Completed(Some(ErrorKind::Cancelled))));
        assert!(!lines.iter().any(|line| matches!(line, Line::Finished(_))));

        assert_file(&scene.resume(data).unwrap());
        let lines = scene.told.take();
        assert_eq!(lines[0], Line::ResumedAt(CUT, Some(LENGTH as u64)));
        assert_written(&lines, CUT, LENGTH as u64, Some(LENGTH as u64));
        let asked = resource.served().pop().unwrap();
        assert_eq!(asked.range.as_deref(), Some("bytes=100000-"));
        assert_eq!(asked.if_range.as_deref(), Some("\"v1\""));
        assert_eq!(asked.status, 206);
    });
}

/// 62: the same where the cancel meets a thread that waits in a receive.
#[test]
fn a_cancel_under_a_waiting_thread_leaves_nothing() {
    over_both(|transport| {
        let resource = resource().fault(Fault::StallAt(At::After(CUT as usize)));
        let scene = Scene::of(transport, &resource);
        let task = scene.download();
        let waiting = {
            let task = task.clone();
            std::thread::spawn(move || task.wait().unwrap_err())
        };
        eventually("a part of the file", || task.bytes_received() == CUT);
        task.cancel();
        assert!(waiting.join().unwrap().is_cancelled());
        eventually("the end of the file", || scene.directory.names().is_empty());
    });
}

/// 62: a plain cancel keeps nothing.
#[test]
fn a_cancel_without_resume_data_leaves_nothing() {
    over_both(|transport| {
        let resource = resource().fault(Fault::StallAt(At::After(CUT as usize)));
        let scene = Scene::of(transport, &resource);
        let task = scene.download();
        task.resume();
        eventually("a part of the file", || task.bytes_received() == CUT);
        task.cancel();
        let error = task.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert!(error.resume_data().is_none());
        eventually("the end of the file", || scene.directory.names().is_empty());
    });
}

/// L7: the error has what it takes, and asks for the encoding that a part can be had of (59).
#[test]
fn a_download_that_was_cut_goes_on() {
    over_both(|transport| {
        for validator in ["\"v1\"", DATE] {
            let resource = match validator {
                DATE => Resource::pattern(LENGTH).last_modified(DATE).weak_etag("\"w\""),
                _ => resource().last_modified(DATE),
            };
            let resource = resource.compresses().cut_at([CUT]);
            let scene = Scene::of(transport, &resource);
            let data = scene.cut();
            assert_eq!(data.bytes_received(), CUT);
            let lines = scene.told.take();
            assert_eq!(lines.last(), Some(&Line::Completed(Some(ErrorKind::NetworkConnectionLost))));
            assert_written(&lines, 0, CUT, Some(LENGTH as u64));
            assert_file(&scene.resume(data).unwrap());
            assert_eq!(resource.served()[1].if_range.as_deref(), Some(validator));
            assert_eq!(scene.server.request(0).header("accept-encoding"), Some("identity"));
        }
    });
}

/// L6, 61: what the rest could not be recognised by is not resumed.
#[test]
fn there_is_no_resume_data_where_it_would_be_of_no_use() {
    over_both(|transport| {
        let useless = [
            ("no validator", Resource::pattern(LENGTH)),
            ("a weak one", Resource::pattern(LENGTH).weak_etag("\"v1\"")),
            ("no ranges", resource().quirk(Quirk::NoRanges)),
            ("nothing there", resource().fault(Fault::CloseAfter(0))),
            ("encoded", resource().quirk(Quirk::Gzip)),
        ];
        for (what, resource) in useless {
            let resource = resource.fault(Fault::CloseAfter(1000));
            let scene = Scene::of(transport, &resource);
            let error = scene.download().wait().unwrap_err();
            assert!(error.resume_data().is_none(), "{what}: {error}");
            drop(error);
            eventually("the end of the file", || scene.directory.names().is_empty());
        }
        let cut = || Reply::ok(pattern(LENGTH)).header("ETag", "\"v1\"").then(Fault::CloseAfter(1000));
        let scene = Scene::new(transport, move |request| match request.path() {
            "/missing" => cut().with_status(404),
            _ => cut(),
        });
        for request in [Request::post(scene.server.url("/")), Request::get(scene.server.url("/missing"))] {
            let error = scene.session.download_task(request.clone()).wait().unwrap_err();
            assert!(error.resume_data().is_none(), "{request:?}: {error}");
        }
    });
}

/// 58, 60: told so by the offset 0, and nothing of the old version is left.
#[test]
fn a_changed_resource_starts_over() {
    over_both(|transport| {
        for length in [LENGTH, CUT as usize / 2] {
            let other = Resource::other_pattern(length).etag("\"v2\"");
            let resource = resource().cut_at([CUT]).changes_after(1, other.clone());
            let scene = Scene::of(transport, &resource);
            let data = scene.cut();
            scene.told.take();
            let response = scene.resume(data).unwrap();
            assert!(fs::read(response.body().path()).unwrap() == other.content());
            let lines = scene.told.take();
            assert_eq!(lines[0], Line::ResumedAt(0, Some(length as u64)));
            assert_written(&lines, 0, length as u64, Some(length as u64));
        }
    });
}

/// Where nobody says how long the whole is, a part may not be the last one.
#[test]
fn parts_of_a_whole_of_unknown_length() {
    over_both(|transport| {
        for most in [70_000, LENGTH as u64] {
            let resource = resource()
                .quirk_in(..1, Quirk::Chunked(5000))
                .cut_at([CUT])
                .quirk_in(1.., Quirk::AtMost(most))
                .quirk_in(1.., Quirk::Total(None));
            let scene = Scene::of(transport, &resource);
            let data = scene.cut();
            assert_eq!(data.expected_length(), None);
            let response = scene.resume(data).expect("a download");
            assert_eq!(response.status(), 206);
            assert_file(&response);
            let asked = resource.served().last().unwrap().range.clone();
            assert_eq!(asked, Some(format!("bytes={LENGTH}-")), "whether there is more was asked");
        }
    });
}

/// 58: what is allowed leads to the whole, whatever it takes.
#[test]
fn what_a_server_may_do_with_a_range() {
    let allowed = [
        Quirk::IgnoresRange,
        Quirk::Total(None),
        Quirk::AtMost(70_000),
        Quirk::Chunked(5000),
        Quirk::UntilClose,
        Quirk::Status(416),
        Quirk::Status(412),
    ];
    over_both(|transport| {
        for quirk in &allowed {
            let resource = resource().cut_at([CUT]).quirk_in(1.., quirk.clone());
            let scene = Scene::of(transport, &resource);
            let response = scene.resume(scene.cut()).unwrap_or_else(|error| panic!("{quirk:?}: {error}"));
            eprintln!("{quirk:?}");
            assert_file(&response);
        }
    });
}

/// 58: a lie is an error, and never a wrong file; what is there is not lost by it.
#[test]
fn a_server_that_lies_about_ranges() {
    let other = Resource::other_pattern(LENGTH).etag("\"v2\"");
    let lies: Vec<(&str, Vec<Quirk>)> = vec![
        ("begins before", vec![Quirk::Start(-10)]),
        ("begins behind", vec![Quirk::Start(10)]),
        ("another length", vec![Quirk::Total(Some(LENGTH as u64 + 1))]),
        ("fewer bytes", vec![Quirk::Fewer(1)]),
        ("more bytes", vec![Quirk::More(3)]),
        ("fewer bytes in chunks", vec![Quirk::Fewer(1), Quirk::Chunked(5000)]),
        ("more bytes in chunks", vec![Quirk::More(3), Quirk::Chunked(5000)]),
        ("fewer bytes and the end", vec![Quirk::Fewer(1), Quirk::UntilClose]),
        ("more bytes and the end", vec![Quirk::More(3), Quirk::UntilClose]),
        ("no Content-Range", vec![Quirk::Without("Content-Range")]),
        ("no such Content-Range", vec![Quirk::ContentRange("bytes 5-4/3")]),
        ("several parts", vec![Quirk::Multipart]),
        ("another version", vec![Quirk::With("ETag", "\"v2\"")]),
        ("encoded", vec![Quirk::Gzip]),
    ];
    over_both(|transport| {
        for (what, quirks) in &lies {
            let resource = resource().cut_at([CUT]);
            let resource =
                quirks.iter().fold(resource, |resource, quirk| resource.quirk_in(1..2, quirk.clone()));
            let scene = Scene::of(transport, &resource);
            let data = scene.cut();
            match scene.resume(data.clone()) {
                // It has found a way around.
                Ok(response) => assert_file(&response),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{what}: {error}");
                    let data = error.resume_data().expect(what).clone();
                    let response = scene.resume(data).unwrap_or_else(|error| panic!("{what}: {error}"));
                    eprintln!("{what}");
                    assert_file(&response);
                }
            }
        }
        let resource = resource().cut_at([CUT]).quirk_in(1.., Quirk::IgnoresIfRange);
        let scene = Scene::of(transport, &resource.changes_after(1, other.clone()));
        let error = scene.resume(scene.cut()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadServerResponse, "{error}");
    });
}

/// A server that is out of order for a while costs nothing of what is there.
#[test]
fn a_refusal_leaves_what_is_there() {
    over_both(|transport| {
        let resource = resource().cut_at([CUT]).quirk_in(1..2, Quirk::Status(503));
        let scene = Scene::of(transport, &resource);
        let data = scene.cut();
        assert_eq!(scene.resume(data.clone()).unwrap().status(), 503);
        assert_file(&scene.resume(data).unwrap());
        assert_eq!(resource.served()[2].range.as_deref(), Some("bytes=100000-"));
    });
}

/// L8, L9, 63: stored, and read back by who knows the directory.
#[test]
fn resume_data_can_be_stored() {
    over_both(|transport| {
        let resource = resource().cut_at([CUT]);
        let scene = Scene::of(transport, &resource);
        let bytes = scene.cut().to_bytes();
        let download = DownloadRequest::resume(ResumeData::from_bytes(&bytes).unwrap());
        let response =
            scene.session.download_task(download.directory(scene.directory.path())).wait().unwrap();
        assert_file(&response);
        assert_eq!(resource.served()[1].range.as_deref(), Some("bytes=100000-"));
        for end in 0..bytes.len() {
            let error = ResumeData::from_bytes(&bytes[..end]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CannotParseResumeData, "{end}");
        }
    });
}

/// 63, 64: the file is what it is, not what was recorded.
#[test]
fn the_file_may_have_changed_behind_our_back() {
    over_both(|transport| {
        for (what, length, from) in [
            ("gone", None, None),
            ("empty", Some(0), None),
            ("shorter", Some(CUT - 1), Some("bytes=99999-")),
            ("longer", Some(CUT + 1), Some("bytes=100000-")),
            ("longer than all", Some(2 * LENGTH as u64), Some("bytes=100000-")),
        ] {
            let resource = resource().cut_at([CUT]);
            let scene = Scene::of(transport, &resource);
            let data = scene.cut();
            let [name] = &scene.directory.names()[..] else { panic!("{:?}", scene.directory.names()) };
            let path = scene.directory.join(name);
            match length {
                None => fs::remove_file(path).unwrap(),
                Some(length) => {
                    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap()
                }
            }
            scene.told.take();
            let response = scene.resume(data).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_file(&response);
            assert_eq!(resource.served()[1].range.as_deref(), from, "{what}");
            let offset =
                from.map_or(0, |from| CUT.min(from["bytes=".len()..from.len() - 1].parse().unwrap()));
            assert_eq!(scene.told.take()[0], Line::ResumedAt(offset, Some(LENGTH as u64)), "{what}");
        }
    });
}

/// L11: decoded where the server encodes unasked.
#[test]
fn what_is_encoded_is_decoded() {
    over_both(|transport| {
        let scene = Scene::of(transport, &resource().quirk(Quirk::Gzip));
        let response = scene.download().wait().unwrap();
        assert_file(&response);
        assert_eq!(response.expected_content_length(), None);
        let lines = scene.told.take();
        assert!(matches!(lines.last(), Some(Line::Completed(None))), "{lines:?}");
    });
}

/// The range goes along to where a redirect leads.
#[test]
fn a_redirected_download_goes_on() {
    over_both(|transport| {
        let resource = resource().cut_at([CUT]);
        let answer = resource.handler();
        let scene = Scene::new(transport, move |request: &Received| match request.path() {
            "/file" => Reply::redirect(302, "/moved"),
            _ => answer(request),
        });
        assert_file(&scene.resume(scene.cut()).unwrap());
        assert_eq!(resource.served()[1].bytes, CUT..LENGTH as u64);
    });
}

/// As often as it takes, byte for byte.
#[test]
fn a_download_that_is_cut_again_and_again() {
    over_both(|transport| {
        let cuts: Vec<u64> = (1..100).map(|n| n * 3001 % LENGTH as u64).filter(|cut| *cut > 0).collect();
        let resource = resource().cut_at(cuts.iter().copied());
        let scene = Scene::of(transport, &resource);
        let mut result = scene.download().wait();
        let mut count = 0;
        let response = loop {
            match result {
                Ok(response) => break response,
                Err(error) => {
                    count += 1;
                    result = scene.resume(error.resume_data().expect("resume data").clone());
                }
            }
        };
        assert_file(&response);
        assert_eq!(count, cuts.len());
        assert_eq!(resource.bytes_served(), LENGTH as u64);
    });
}

/// Where no file can be made, that is the error.
#[test]
fn a_directory_that_is_not_there() {
    over_both(|transport| {
        let scene = Scene::of(transport, &resource());
        let nowhere = scene.directory.join("nowhere");
        let download = DownloadRequest::new(scene.server.url("/file")).directory(&nowhere);
        let error = scene.session.download_task(download).wait().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::FileDoesNotExist | ErrorKind::CannotCreateFile), "{error}");
        assert!(error.to_string().contains("nowhere"), "{error}");
    });
}

#[test]
#[cfg(unix)]
fn a_destination_is_a_file_or_will_be_one() {
    let directory = Directory::new();
    let server = Server::start(resource().handler());
    let session = Session::new(urlsession::Configuration::ephemeral());
    let download = |path: &std::path::Path| {
        session.download_task(DownloadRequest::new(server.url("/")).destination(path)).wait()
    };
    let error = download(directory.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileIsDirectory, "{error}");
    // A device, of which there are some everywhere: it must not be replaced.
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(download(&socket).unwrap_err().kind(), ErrorKind::CannotCreateFile);
    assert!(!std::fs::metadata(&socket).unwrap().is_file());
    // A link stays one, and the file it leads to is replaced.
    let (file, link) = (directory.path().join("file"), directory.path().join("link"));
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    download(&link).unwrap();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read(&file).unwrap(), resource().content());
}

#[test]
fn what_was_kept_can_be_given_up() {
    over_both(|transport| {
        let scene = Scene::of(transport, &resource().cut_at([CUT]));
        let data = scene.cut();
        assert_eq!(scene.directory.names().len(), 1);
        let stored = ResumeData::from_bytes(&data.to_bytes()).expect("its own bytes");
        assert!(!stored.discard().expect("nothing to do"), "bytes do not say where it is");
        assert!(data.discard().expect("a file that is there"));
        assert_eq!(scene.directory.names(), [""; 0]);
        assert!(!data.discard().expect("nothing to do"));
        // Who goes on all the same starts over.
        assert_file(&scene.resume(data).expect("a download"));
    });
}

/// The last bytes are there, and their news is the reason to cancel: nothing of it is lost.
#[test]
fn cancelled_at_the_very_end_it_goes_on() {
    #[derive(Default)]
    struct AtTheEnd(Mutex<Option<urlsession::Pending<Option<ResumeData>>>>);

    impl Delegate for AtTheEnd {
        fn did_write_data(&self, event: &TaskEvent<'_>, _: u64, total: u64, expected: Option<u64>) {
            let mut cancelled = self.0.lock().unwrap();
            if Some(total) == expected && cancelled.is_none() {
                let download = event.task().as_download().expect("a download");
                *cancelled = Some(download.cancel_by_producing_resume_data());
            }
        }
    }

    over_both(|transport| {
        let directory = Directory::new();
        let server = transport.builder().start(resource().handler());
        let delegate = Arc::new(AtTheEnd::default());
        let session = Session::builder()
            .configuration(configuration().download_directory(directory.path()))
            .delegate(Arc::clone(&delegate))
            .delegate_queue(urlsession::DelegateQueue::inline())
            .build();
        let task = session.download_task(server.url("/"));
        assert!(task.wait().expect_err("it was cancelled").is_cancelled());
        let data = delegate.0.lock().unwrap().as_ref().unwrap().wait().unwrap();
        let data = data.expect("all of it is there");
        assert_eq!(data.bytes_received(), LENGTH as u64);
        assert_file(&session.download_task_with_resume_data(data).wait().expect("a download"));
        session.invalidate_and_cancel();
    });
}

#[test]
fn what_is_persisted_stays() {
    over_both(|transport| {
        let scene = Scene::of(transport, &resource());
        let (there, free) = (scene.directory.join("there"), scene.directory.join("free"));
        fs::write(&there, "old").unwrap();
        let file = scene.download().wait().expect("a download").into_body();
        // Not in place of what is there, and it is still to be had then.
        assert_eq!(file.persist_new(&there).unwrap_err().kind(), ErrorKind::CannotMoveFile);
        assert_eq!(fs::read(&there).unwrap(), b"old");
        file.persist_new(&free).expect("nothing is there");
        assert_eq!(file.path(), free);
        file.persist(&there).expect("in place of it");
        drop(file);
        assert!(fs::read(&there).unwrap() == pattern(LENGTH));
        assert_eq!(scene.directory.names(), ["there"]);
    });
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_persisted_elsewhere_is_copied() {
    let other = std::path::Path::new("/dev/shm").join(format!("urlsession-persist-{}", std::process::id()));
    over_both(|transport| {
        let scene = Scene::of(transport, &resource());
        let file = scene.download().wait().expect("a download").into_body();
        file.persist(&other).expect("another file system, as a rule");
        assert!(fs::read(&other).unwrap() == pattern(LENGTH));
        assert_eq!(scene.directory.names(), [""; 0]);
        fs::remove_file(&other).unwrap();
    });
}

#[test]
fn room_is_taken_at_the_beginning_and_the_disk_waited_for() {
    over_both(|transport| {
        let scene = Scene::of(transport, &resource());
        let destination = scene.directory.join("file");
        let request = DownloadRequest::new(scene.server.url("/file")).destination(&destination);
        let response = scene.session.download_task(request.preallocate(true).sync(true)).wait();
        assert_file(&response.expect("a download"));
        assert_eq!(scene.directory.names(), ["file"]);
    });
}

/// It is noticed before the body comes, of which there is none here.
#[test]
#[cfg(target_os = "linux")]
fn room_that_is_not_there_is_missed_at_the_beginning() {
    over_both(|transport| {
        let gate = Gate::new();
        let held = Fault::GateAt(At::BeforeBody, gate.clone());
        let scene = Scene::new(transport, move |_| {
            Reply::ok("").then(Fault::WrongLength(i64::MAX as u64)).then(held.clone())
        });
        let request = DownloadRequest::new(scene.server.url("/file")).preallocate(true);
        let error = scene.session.download_task(request).wait().unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::CannotWriteToFile), "{error}");
        assert!(error.to_string().contains("taking room"), "{error}");
        assert_eq!(scene.directory.names(), [""; 0]);
        gate.open();
    });
}
