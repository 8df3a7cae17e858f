//! `data:` and `file:` URLs: tasks like any other.

mod support;

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use support::{Reply, Server};
use urlsession::{
    Bytes, Configuration, Delegate, ErrorKind, Request, ResourceFetchType, ResponseDisposition, ResponseHead,
    Session, TaskEvent, Url, wait_all,
};

/// A directory for one test, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("urlsession-local-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> Url {
        fs::write(self.0.join(name), contents).unwrap();
        self.url(name)
    }

    fn url(&self, name: &str) -> Url {
        Url::from_file_path(self.0.join(name)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn session() -> Session {
    Session::new(Configuration::ephemeral())
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8).collect()
}

#[test]
fn data_urls_hold_their_response() {
    let session = session();
    let task = session.data_task("data:text/html;charset=utf-8,%3Cp%3E%C3%A4");
    let response = task.wait().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.mime_type().as_deref(), Some("text/html"));
    assert_eq!(response.text().unwrap(), "<p>ä");
    assert_eq!(response.expected_content_length(), Some(5));
    assert_eq!(task.progress().fraction(), Some(1.0));
    let metrics = task.metrics().unwrap();
    let transaction = &metrics.transactions()[0];
    assert_eq!(transaction.resource_fetch_type(), ResourceFetchType::Local);
    assert_eq!(transaction.network_protocol_name(), Some("data"));
    assert_eq!(transaction.response_body_bytes(), 5);
    assert!(transaction.response_end().is_some());

    assert_eq!(session.data_task("data:;base64,AAECAw==").wait().unwrap().bytes().as_ref(), [0, 1, 2, 3]);
    assert!(session.data_task("data:,").wait().unwrap().bytes().is_empty());
    let head = session.data_task(Request::head("data:,abc")).wait().unwrap();
    assert_eq!((head.header("content-length"), head.bytes().len()), (Some("3"), 0));
    for url in ["data:nothing", "data:;base64,*"] {
        assert_eq!(session.data_task(url).wait().unwrap_err().kind(), ErrorKind::BadUrl);
    }
    let error = session.data_task(Request::post("data:,x").body("y")).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedUrl);
}

#[test]
fn what_a_url_holds_is_in_memory_already() {
    let session = Session::new(Configuration::ephemeral().maximum_body_in_memory(10));
    let response = session.data_task(format!("data:,{}", "x".repeat(1_000_000))).wait().unwrap();
    assert_eq!(response.bytes().len(), 1_000_000);
    // A file is not.
    let directory = Directory::new();
    let error = session.data_task(directory.file("a", [0; 11])).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum);
    let error = session.data_task("file:///proc/self/status").wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum);
}

#[test]
fn files_are_read_by_every_kind_of_task() {
    let directory = Directory::new();
    let all = pattern(3_000_000);
    let url = directory.file("a b%2F.json", &all);
    let session = session();
    let task = session.data_task(&url);
    let response = task.wait().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.mime_type().as_deref(), Some("application/json"));
    assert_eq!(response.expected_content_length(), Some(3_000_000));
    assert!(response.header("last-modified").unwrap().ends_with(" GMT"));
    assert_eq!(response.suggested_filename(), "a b%2F.json");
    assert!(response.bytes() == &all);
    assert_eq!(task.bytes_received(), 3_000_000);
    assert_eq!(task.metrics().unwrap().transactions()[0].network_protocol_name(), Some("file"));

    // By a worker, by a reader, to a file, and with a handler.
    let tasks: Vec<_> = (0..20).map(|_| session.data_task(&url)).collect();
    assert!(wait_all(&tasks).into_iter().all(|response| response.unwrap().bytes() == &all));
    let mut read = Vec::new();
    session.data_task(&url).open().unwrap().into_body().read_to_end(&mut read).unwrap();
    assert!(read == all);
    let mut some = [0; 1000];
    session.data_task(&url).open().unwrap().into_body().read_exact(&mut some).unwrap();
    assert!(some == all[..1000]);
    let file = session.download_task(&url).wait().unwrap().into_body();
    assert!(fs::read(file.path()).unwrap() == all);
    let (sender, receiver) = mpsc::channel();
    session.data_task(&url).on_completion(move |result| sender.send(result).unwrap()).resume();
    assert!(receiver.recv().unwrap().unwrap().bytes() == &all);

    let head = session.data_task(Request::head(&url)).wait().unwrap();
    assert_eq!((head.header("content-length"), head.bytes().len()), (Some("3000000"), 0));
    let empty = directory.file("empty", "");
    assert!(session.data_task(&empty).wait().unwrap().bytes().is_empty());
    assert!(session.data_task(&empty).open().unwrap().into_body().read(&mut some).unwrap() == 0);
}

#[test]
fn a_delegate_is_told_as_of_any_response() {
    struct Teller(Mutex<mpsc::Sender<String>>, Option<ResponseDisposition>);
    impl Teller {
        fn tell(&self, what: impl Into<String>) {
            self.0.lock().unwrap().send(what.into()).unwrap();
        }
    }
    impl Delegate for Teller {
        fn did_receive_response(&self, _: &TaskEvent<'_>, response: &ResponseHead) -> ResponseDisposition {
            self.tell(response.status().to_string());
            self.1.unwrap_or_default()
        }
        fn did_receive_data(&self, _: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
            self.tell(data.len().to_string());
            None
        }
        fn did_complete(&self, _: &TaskEvent<'_>, error: Option<&urlsession::Error>) {
            self.tell(format!("{:?}", error.map(urlsession::Error::kind)));
        }
    }
    let directory = Directory::new();
    let file = directory.file("a", [0; 10]);
    let told = |url: &str, disposition| {
        let (sender, receiver) = mpsc::channel();
        let session = Session::builder().delegate(Teller(Mutex::new(sender), disposition)).build();
        session.data_task(url).resume();
        session.finish_tasks_and_invalidate();
        receiver.iter().collect::<Vec<_>>().join(", ")
    };
    assert_eq!(told("data:,hello", None), "200 OK, 5, None");
    assert_eq!(told(file.as_str(), None), "200 OK, 10, None");
    assert_eq!(told(directory.url("none").as_str(), None), "Some(FileDoesNotExist)");
    let cancel = Some(ResponseDisposition::Cancel);
    assert_eq!(told(file.as_str(), cancel), "200 OK, Some(Cancelled)");
}

#[test]
fn parts_of_a_file() {
    let directory = Directory::new();
    let url = directory.file("a", "0123456789");
    let session = session();
    let part = |range: &str| session.data_task(Request::get(&url).header("range", range)).wait().unwrap();
    let response = part("bytes=2-4");
    assert_eq!(response.status(), 206);
    assert_eq!(response.header("content-range"), Some("bytes 2-4/10"));
    assert_eq!(response.expected_content_length(), Some(3));
    assert_eq!(response.bytes(), "234");
    assert_eq!(part("bytes=-1").bytes(), "9");
    assert_eq!(part("bytes=0-").bytes(), "0123456789");
    let response = part("bytes=10-");
    assert_eq!((response.status().as_u16(), response.header("content-range")), (416, Some("bytes */10")));
    assert!(response.bytes().is_empty());
    let response = part("bytes=5-2");
    assert_eq!((response.status().as_u16(), response.bytes().len()), (200, 10));
}

#[test]
fn what_cannot_be_read_is_told_by_its_kind() {
    let directory = Directory::new();
    let session = session();
    let kind = |url: &str| {
        let error = session.data_task(url).wait().unwrap_err();
        assert_eq!(error.url().unwrap().as_str(), url, "{error}");
        error.kind()
    };
    assert_eq!(kind(directory.url("none").as_str()), ErrorKind::FileDoesNotExist);
    assert_eq!(kind(directory.url("").as_str()), ErrorKind::FileIsDirectory);
    assert_eq!(kind("file://elsewhere/etc/passwd"), ErrorKind::BadUrl);
    assert_eq!(kind("file:///etc%2Fpasswd"), ErrorKind::BadUrl);
    assert_eq!(kind("file:///etc/passwd%00.png"), ErrorKind::BadUrl);
    let put = session.upload_task(Request::put(directory.url("new")), "text").wait().unwrap_err();
    assert_eq!(put.kind(), ErrorKind::UnsupportedUrl);
    assert!(!directory.0.join("new").exists());

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let secret = directory.file("secret", "x");
        let path = directory.0.join("secret");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        // The superuser may read everything.
        if fs::File::open(&path).is_err() {
            assert_eq!(kind(secret.as_str()), ErrorKind::NoPermissionsToReadFile);
        }
        assert_eq!(kind("file:///dev/zero"), ErrorKind::CannotOpenFile);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_without_a_writer_hangs_nobody() {
    let directory = Directory::new();
    let path = directory.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let error = session().data_task(directory.url("pipe")).wait().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CannotOpenFile);
    assert!(error.to_string().contains("a pipe"), "{error}");
}

#[test]
fn a_file_that_becomes_shorter_is_an_error() {
    let directory = Directory::new();
    let url = directory.file("a", pattern(1_000_000));
    let session = session();
    let mut body = session.data_task(&url).open().unwrap().into_body();
    body.read_exact(&mut [0; 1000]).unwrap();
    let file = fs::OpenOptions::new().write(true).open(directory.0.join("a")).unwrap();
    file.set_len(2000).unwrap();
    let error = body.read_to_end(&mut Vec::new()).unwrap_err();
    let error = error.get_ref().unwrap().downcast_ref::<urlsession::Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::ResourceUnavailable);
    assert!(error.to_string().contains("998000 bytes sooner"), "{error}");
}

#[test]
fn a_file_that_becomes_longer_has_the_length_it_had() {
    let directory = Directory::new();
    let url = directory.file("a", "0123456789");
    let session = session();
    let mut body = session.data_task(&url).open().unwrap().into_body();
    let mut file = fs::OpenOptions::new().append(true).open(directory.0.join("a")).unwrap();
    file.seek(std::io::SeekFrom::End(0)).unwrap();
    file.write_all(b"more").unwrap();
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789");
}

#[test]
fn suspending_and_cancelling_hold() {
    let directory = Directory::new();
    let url = directory.file("a", pattern(100_000));
    let session = session();
    let task = session.data_task(&url);
    task.resume();
    task.suspend();
    task.resume();
    assert_eq!(task.wait().unwrap().bytes().len(), 100_000);
    let task = session.data_task(&url);
    let mut body = task.open().unwrap().into_body();
    body.read_exact(&mut [0; 10]).unwrap();
    task.cancel();
    assert!(body.read(&mut [0; 10]).is_err());
    assert!(task.wait().unwrap_err().is_cancelled());
}

#[test]
fn the_web_does_not_lead_here() {
    let directory = Directory::new();
    let url = directory.file("a", "secret");
    for location in [url.as_str(), "data:,x", "file:///etc/passwd"] {
        let to = location.to_owned();
        let server = Server::start(move |_| Reply::redirect(302, &to));
        let error = session().data_task(server.url("/")).wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedUrl, "{location}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
