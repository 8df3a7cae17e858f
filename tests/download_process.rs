//! A download outlives its process: killed in the middle, another one completes the file.
#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{Fault, Gate, Random, Resource, Server};
use urlsession::{Configuration, DownloadRequest, Session};

const LENGTH: usize = 8 << 20;
/// Where the server stops sending in the first process.
const STOP: usize = 5_000_000;

fn download(url: &str, destination: &str) -> DownloadRequest {
    DownloadRequest::new(url).destination(destination).resumable(true)
}

/// What runs in the process that is killed: not a test by itself.
#[test]
fn as_a_child() {
    let (Ok(url), Ok(destination)) = (std::env::var("TEST_URL"), std::env::var("TEST_DESTINATION")) else {
        return;
    };
    let session = Session::new(Configuration::ephemeral());
    let segments = std::env::var("TEST_SEGMENTS").map_or(1, |number| number.parse().unwrap());
    let task = session.download_task(download(&url, &destination).segments(segments));
    let task = task.on_progress(Duration::ZERO, |progress| {
        // Raw, since the harness keeps what a test prints.
        let _ = writeln!(std::io::stderr(), "{}", progress.received);
    });
    panic!("the download was to be killed: {:?}", task.wait());
}

fn run(url: &str, destination: &str) -> Child {
    run_with(url, destination, 1)
}

fn run_with(url: &str, destination: &str, segments: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_a_child", "--nocapture"])
        .env("TEST_URL", url)
        .env("TEST_DESTINATION", destination)
        .env("TEST_SEGMENTS", segments.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("urlsession-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_killed_download_is_completed_by_the_next_process() {
    let gate = Gate::new();
    let file = Resource::pattern(LENGTH).etag("\"v1\"");
    let file = file.fault_in(..1, Fault::GateAt(support::At::After(STOP), gate.clone()));
    let server = Server::start(file.handler());
    let directory = Directory::new("killed");
    let destination = directory.0.join("big.img");
    let path = destination.to_str().unwrap();

    let mut child = run(&server.url("/big.img"), path);
    // All that the server has sent is in the file, and no more comes.
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let there = lines.map(Result::unwrap).find(|line| line.parse() == Ok(STOP));
    assert!(there.is_some(), "the child ended before it was killed");
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    assert_eq!(directory.entries(), ["big.img.part", "big.img.part.resume"]);

    let session = Session::new(Configuration::ephemeral());
    let response = session.download_task(download(&server.url("/big.img"), path)).wait().unwrap();
    assert_eq!(response.status(), 206);
    assert!(std::fs::read(&destination).unwrap() == file.content(), "the bytes are equal");
    assert_eq!(directory.entries(), ["big.img"]);
    let served = file.served();
    assert_eq!(served[1].range.as_deref(), Some(format!("bytes={STOP}-").as_str()), "{served:?}");
}

#[test]
fn a_killed_download_over_several_connections_is_completed_by_the_next_process() {
    let (length, connections) = (64 << 20, 4);
    for next in [1, connections] {
        let gate = Gate::new();
        let file = Resource::pattern(length).etag("\"v1\"");
        let file = file.fault_in(..connections, Fault::GateAt(support::At::After(STOP), gate.clone()));
        let server = Server::start(file.handler());
        let directory = Directory::new("segments-killed");
        let destination = directory.0.join("big.img");
        let path = destination.to_str().unwrap();

        let mut child = run_with(&server.url("/big.img"), path, connections);
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let there = lines.map(Result::unwrap).find(|line| line.parse() == Ok(connections * STOP));
        assert!(there.is_some(), "the child ended before it was killed");
        child.kill().unwrap();
        child.wait().unwrap();
        gate.open();
        assert_eq!(directory.entries(), ["big.img.part", "big.img.part.resume"]);
        let record = std::fs::read(directory.0.join("big.img.part.resume")).unwrap();
        let recorded = urlsession::ResumeData::from_bytes(&record).unwrap().bytes_received();
        let least = (connections * STOP) as u64 - (5 << 20);
        assert!((least..=(connections * STOP) as u64).contains(&recorded), "{recorded}");

        let session = Session::new(Configuration::ephemeral());
        let download = download(&server.url("/big.img"), path).segments(next);
        let task = session.download_task(download);
        let response = task.wait().unwrap();
        assert_eq!(response.status(), 206);
        assert!(std::fs::read(&destination).unwrap() == file.content(), "the bytes are equal");
        assert_eq!(directory.entries(), ["big.img"]);
        assert_eq!(task.bytes_received(), length as u64 - recorded);
    }
}

#[test]
fn two_processes_do_not_write_to_one_file() {
    let gate = Gate::new();
    let file = Resource::pattern(LENGTH).etag("\"v1\"");
    let file = file.fault(Fault::GateAt(support::At::After(STOP), gate.clone()));
    let server = Server::start(file.handler());
    let directory = Directory::new("shared");
    let destination = directory.0.join("big.img");
    let path = destination.to_str().unwrap();
    let mut child = run(&server.url("/"), path);
    gate.wait_until_reached();
    let session = Session::new(Configuration::ephemeral());
    let error = session.download_task(download(&server.url("/"), path)).wait().unwrap_err();
    assert_eq!(error.kind(), urlsession::ErrorKind::ResourceUnavailable, "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
}

#[test]
fn a_hundred_downloads_that_are_cut_at_random() {
    let length = 50 << 20;
    let content = Resource::pattern(length).content();
    let session = Session::new(Configuration::ephemeral());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut resumed = 0;
    for round in 0..100 {
        let mut cuts: Vec<u64> =
            (0..1 + random.below(3)).map(|_| 1 + random.below(length as u64 - 1)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let file = Resource::new(content.clone()).etag("\"v1\"").cut_at(cuts.clone());
        let server = Server::start(file.handler());
        let mut result = session.download_task(server.url("/")).wait();
        while let Err(error) = &result {
            // As another process would have it.
            let data = error.resume_data().unwrap_or_else(|| panic!("{round}: {cuts:?}: {error}")).to_bytes();
            let data = urlsession::ResumeData::from_bytes(&data).unwrap();
            resumed += 1;
            result = session.download_task_with_resume_data(data).wait();
        }
        let path = result.as_ref().unwrap().body().path();
        assert!(std::fs::read(path).unwrap() == content, "{round}: {cuts:?}");
        assert_eq!(file.bytes_served(), length as u64, "{round}: {cuts:?}: nothing comes twice");
    }
    assert!(resumed >= 100, "{resumed}");
}
