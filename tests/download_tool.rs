//! The example `download` as a program: what is in the directory afterwards, what was asked of the
//! server, what is printed, and the exit codes.
//!
//! `cargo test` builds it before. `cargo test --test download_tool` does not, and takes what there is.
#![cfg(all(feature = "checksum", feature = "tls", unix))]

mod support;

// Their unit tests run here: those of examples are not run by default.
#[allow(dead_code)]
#[path = "../examples/download/args.rs"]
mod args;
#[path = "../examples/shared/values.rs"]
mod values;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use support::harness::eventually;
use support::tool::{self, code, err, interrupt};
use support::{At, Directory, Fault, Gate, Quirk, Reply, Resource, Server, pattern};

const LENGTH: usize = 3_000_000;
const STOP: usize = 1_000_000;

fn command(directory: &Directory, args: &[&str]) -> Command {
    tool::command("download", directory.path(), args)
}

fn download(directory: &Directory, args: &[&str]) -> Output {
    command(directory, args).output().unwrap()
}

fn start(directory: &Directory, args: &[&str]) -> Child {
    command(directory, args).stderr(Stdio::piped()).spawn().unwrap()
}

/// The exit code, and that the reason was given.
#[track_caller]
fn fails(directory: &Directory, args: &[&str], expected: i32) -> String {
    let output = download(directory, args);
    let told = err(&output);
    assert_eq!(code(&output), expected, "{args:?}: {told}");
    assert!(expected == 2 || told.contains(&format!("download: ({expected}) ")), "{args:?}: {told}");
    told
}

#[track_caller]
fn succeeds(directory: &Directory, args: &[&str]) -> String {
    let output = download(directory, args);
    assert_eq!(code(&output), 0, "{args:?}: {}", err(&output));
    err(&output)
}

fn resource() -> Resource {
    Resource::pattern(LENGTH).etag("\"v1\"")
}

fn content(directory: &Directory, name: &str) -> Vec<u8> {
    fs::read(directory.join(name)).unwrap()
}

#[test]
fn several_come_at_once() {
    let server = Server::start(|request| {
        let number: usize = request.path()[1..].parse().unwrap();
        Reply::ok(vec![b'a' + number as u8; 100_000 + number])
    });
    let directory = Directory::new();
    let urls: Vec<String> = (0..20).map(|number| server.url(&format!("/{number}"))).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let told = succeeds(&directory, &[&["-j", "5", "-d", "."], &urls[..]].concat());
    assert_eq!(told.lines().count(), 20, "{told}");
    for number in 0..20 {
        assert!(content(&directory, &number.to_string()) == vec![b'a' + number as u8; 100_000 + number]);
    }
    assert_eq!(directory.names().len(), 20);
    assert!((1..=5).contains(&server.accepted()), "{}", server.accepted());
}

#[test]
fn the_server_says_how_a_file_is_called() {
    let server = Server::start(|request| match request.path() {
        "/latest" => Reply::redirect(302, "/big-1.2.img"),
        "/get" => {
            Reply::ok("x").header("content-disposition", "attachment; filename=\"../../etc/na me.txt\"")
        }
        "/taken" => Reply::ok("x").header("content-disposition", "attachment; filename=old"),
        _ => Reply::ok("x"),
    });
    let directory = Directory::new();
    for path in ["/latest", "/get", "/", "/a/b%20c/?d"] {
        succeeds(&directory, &["-q", &server.url(path)]);
    }
    let expected = [".._.._etc_na me.txt", "b c", "big-1.2.img", "index.html"];
    let mut names = directory.names();
    names.iter_mut().for_each(|name| *name = name.replace("__", ".."));
    assert_eq!(names, expected, "nothing outside of the directory, nothing hidden");
    fs::write(directory.join("old"), "old").unwrap();
    let told = fails(&directory, &[&server.url("/taken")], 23);
    assert!(told.contains("old is there already; the download is complete in taken"), "{told}");
    assert_eq!((content(&directory, "old"), content(&directory, "taken")), (b"old".to_vec(), b"x".to_vec()));
    succeeds(&directory, &["--force", &server.url("/taken")]);
    assert_eq!(content(&directory, "old"), b"x");
    // What the user says goes before.
    succeeds(&directory, &["-o", "mine", &server.url("/get")]);
    assert_eq!(content(&directory, "mine"), b"x");
}

#[test]
fn what_is_there_is_not_replaced() {
    let server = Server::start(|_| Reply::ok("new"));
    let directory = Directory::new();
    fs::write(directory.join("file"), "old").unwrap();
    fs::create_dir(directory.join("sub")).unwrap();
    assert!(fails(&directory, &[&server.url("/file")], 23).contains("--force"));
    assert!(fails(&directory, &["-o", "sub", &server.url("/file")], 23).contains("is a directory"));
    assert!(fails(&directory, &["-fo", "/dev/full", &server.url("/file")], 23).contains("device"));
    assert!(
        fails(&directory, &[&server.url("/a/x"), &server.url("/b/x")], 23).contains("of another URL too")
    );
    assert_eq!((content(&directory, "file"), content(&directory, "x")), (b"old".to_vec(), b"new".to_vec()));
    assert_eq!(server.requests().len(), 1, "nothing is asked for that has no place");
    succeeds(&directory, &["-f", &server.url("/file")]);
    assert_eq!(content(&directory, "file"), b"new");
}

#[test]
fn a_killed_download_goes_on() {
    let gate = Gate::new();
    let file = resource().fault_in(..1, Fault::GateAt(At::After(STOP), gate.clone()));
    let server = Server::start(file.handler());
    let directory = Directory::new();
    let mut child = start(&directory, &[&server.url("/big.img")]);
    gate.wait_until_reached();
    wait_for_length(&directory.join("big.img.part"), STOP as u64);
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    assert_eq!(directory.names(), ["big.img.part", "big.img.part.resume"]);

    let told = succeeds(&directory, &[&server.url("/big.img")]);
    assert!(told.contains("976.56 KiB of it were there"), "{told}");
    assert_eq!(directory.names(), ["big.img"]);
    assert!(content(&directory, "big.img") == pattern(LENGTH));
    let served = file.served();
    assert_eq!(served[1].range.as_deref(), Some(format!("bytes={STOP}-").as_str()), "{served:?}");
}

#[test]
fn ctrl_c_keeps_what_is_there() {
    let gate = Gate::new();
    let file = resource().fault_in(..1, Fault::GateAt(At::After(STOP), gate.clone()));
    let server = Server::start(file.handler());
    let directory = Directory::new();
    let child = start(&directory, &["-j1", &server.url("/big.img"), &server.url("/never")]);
    gate.wait_until_reached();
    wait_for_length(&directory.join("big.img.part"), STOP as u64);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    gate.open();
    let told = err(&output);
    assert_eq!(code(&output), 130, "{told}");
    assert!(told.contains("976.56 KiB of 2.86 MiB in big.img.part"), "{told}");
    assert!(told.contains("0 of 2 downloads are done"), "{told}");
    assert_eq!(server.requests().len(), 1, "none is begun any more");

    succeeds(&directory, &["-q", &server.url("/big.img")]);
    assert!(content(&directory, "big.img") == pattern(LENGTH));
    assert_eq!(file.served()[1].bytes, STOP as u64..LENGTH as u64);
}

#[test]
fn a_cut_download_is_tried_again_and_goes_on() {
    let file = resource().cut_at([100_000, 2_000_000]);
    let server = Server::start(file.handler());
    let directory = Directory::new();
    succeeds(&directory, &["--retry", "3", &server.url("/file")]);
    assert!(content(&directory, "file") == pattern(LENGTH));
    assert_eq!(file.bytes_served(), LENGTH as u64, "nothing comes twice");

    let file = resource().cut_at([100_000]);
    let server = Server::start(file.handler());
    let told = fails(&directory, &["--retry=0", "-o", "other", &server.url("/file")], 18);
    assert!(told.contains("97.66 KiB of 2.86 MiB in other.part"), "{told}");
    assert_eq!(directory.names(), ["file", "other.part", "other.part.resume"]);
}

#[test]
fn a_changed_resource_starts_over() {
    let file = resource().cut_at([STOP as u64]).changes_after(1, Resource::new(vec![7; 1000]).etag("\"v2\""));
    let server = Server::start(file.handler());
    let directory = Directory::new();
    fails(&directory, &["--retry=0", &server.url("/file")], 18);
    succeeds(&directory, &[&server.url("/file")]);
    assert!(content(&directory, "file") == [7; 1000]);
}

#[test]
fn a_file_comes_over_several_connections() {
    let length = 8 << 20;
    let file = Resource::pattern(length).etag("\"v1\"");
    let server = Server::start(file.handler());
    let directory = Directory::new();
    succeeds(&directory, &["--segments", "4", &server.url("/file")]);
    assert!(content(&directory, "file") == pattern(length));
    assert!(server.accepted() >= 2, "{:?}", file.served());

    // A server without ranges.
    let file = file.quirk(Quirk::NoRanges);
    let server = Server::start(file.handler());
    succeeds(&directory, &["-fs4", &server.url("/file")]);
    assert!(content(&directory, "file") == pattern(length));
    assert_eq!(server.accepted(), 1);
}

#[test]
fn a_killed_download_over_several_connections_goes_on() {
    let length = 32 << 20;
    let gate = Gate::new();
    let stop = Fault::GateAt(At::After(STOP), gate.clone());
    // One of the connections stops, so that it does not end.
    let file = Resource::pattern(length).etag("\"v1\"").fault_in(1..2, stop);
    let server = Server::start(file.handler());
    let directory = Directory::new();
    let mut child = start(&directory, &["-s", "4", &server.url("/file")]);
    gate.wait_until_reached();
    eventually("a record of what is there", || directory.join("file.part.resume").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    // It may have been killed while it wrote the record anew, under a name that begins with a dot.
    let mut names = directory.names();
    names.retain(|name| !name.starts_with('.'));
    assert_eq!(names, ["file.part", "file.part.resume"]);
    let before = file.served().len();
    succeeds(&directory, &["-s", "4", &server.url("/file")]);
    assert!(content(&directory, "file") == pattern(length));
    assert!(!directory.join("file.part").exists() && !directory.join("file.part.resume").exists());
    let served = file.served();
    assert!(served[before..].iter().all(|served| served.status == 206), "only what is missing: {served:?}");
}

#[test]
fn a_file_with_another_checksum_is_none() {
    let right = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let wrong = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9825";
    let server = Server::start(|_| Reply::ok("hello"));
    let directory = Directory::new();
    let told = fails(&directory, &["--sha256", wrong, &server.url("/file")], 32);
    assert!(told.contains("sha-256") || told.contains("SHA-256"), "{told}");
    assert_eq!(directory.names(), [] as [&str; 0]);
    succeeds(&directory, &["--sha256", right, &server.url("/file")]);
    assert_eq!(content(&directory, "file"), b"hello");
    fails(&directory, &["--sha256", "no", &server.url("/x")], 2);
    // What has been replaced stays.
    fails(&directory, &["-f", "--sha256", wrong, &server.url("/file")], 32);
    assert_eq!(content(&directory, "file"), b"hello");
}

#[test]
fn what_goes_wrong_leaves_nothing() {
    let server = Server::start(|_| Reply::status(404).body("no such thing"));
    let directory = Directory::new();
    let told = fails(&directory, &[&server.url("/x?token=secret")], 22);
    assert!(told.contains("404 Not Found") && !told.contains("secret"), "{told}");
    for (args, expected) in [
        (&[][..], 2),
        (&["--nonsense"], 2),
        (&["http://[::1/"], 3),
        (&[""], 3),
        (&["gopher://127.0.0.1/x"], 1),
        (&["--retry=0", "http://127.0.0.1:1/x"], 7),
        (&["--cacert", "/nonexistent", "http://127.0.0.1:1/x"], 77),
        (&["-d", "/nonexistent", &server.url("/x")], 23),
        (&["-d", "/proc", &server.url("/x")], 23),
    ] {
        fails(&directory, args, expected);
    }
    assert_eq!(directory.names(), [] as [&str; 0]);
}

#[test]
fn one_failure_does_not_stop_the_others() {
    let server = Server::start(|request| match request.path() {
        "/bad" => Reply::status(500),
        _ => Reply::ok("yes"),
    });
    let directory = Directory::new();
    let urls = [server.url("/bad"), server.url("/good"), server.url("/better")];
    let output = download(&directory, &["--retry=0", "-q", &urls[0], &urls[1], &urls[2]]);
    assert_eq!((code(&output), err(&output).lines().count()), (22, 1), "{}", err(&output));
    assert_eq!(directory.names(), ["better", "good"]);
}

#[test]
fn a_limited_rate_is_kept() {
    let server = Server::start(resource().handler());
    let directory = Directory::new();
    let began = std::time::Instant::now();
    // Of two, each with half of it, so that both are held back.
    let urls = [server.url("/a"), server.url("/b")];
    succeeds(&directory, &["--limit-rate", "6m", &urls[0], &urls[1]]);
    let time = began.elapsed().as_secs_f64();
    // 6,000,000 bytes; nobody waits for the last piece of each.
    assert!((0.4..5.0).contains(&time), "{time}");
    assert!(content(&directory, "a") == pattern(LENGTH) && content(&directory, "b") == pattern(LENGTH));
}

#[test]
fn trust_and_headers_are_up_to_the_user() {
    let server = Server::tls(|request| Reply::ok(request.header("x-key").unwrap_or("none").to_owned()));
    let directory = Directory::new();
    fs::write(directory.join("ca.pem"), server.ca_pem()).unwrap();
    fails(&directory, &["--retry=0", &server.url("/a")], 60);
    succeeds(&directory, &["-k", &server.url("/a")]);
    succeeds(&directory, &["--cacert", "ca.pem", "-H", "X-Key: 1", &server.url("/b")]);
    assert_eq!((content(&directory, "a"), content(&directory, "b")), (b"none".to_vec(), b"1".to_vec()));
}

#[test]
fn a_server_without_ranges_is_asked_for_all() {
    let file = resource().quirk(Quirk::NoRanges).cut_at([STOP as u64]);
    let server = Server::start(file.handler());
    let directory = Directory::new();
    fails(&directory, &["--retry=0", &server.url("/file")], 18);
    succeeds(&directory, &[&server.url("/file")]);
    assert!(content(&directory, "file") == pattern(LENGTH));
}

#[test]
fn help_is_complete() {
    let output = download(&Directory::new(), &["--help"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for option in
        ["--sha256", "--output", "--directory", "--force", "--jobs", "--retry", "--limit-rate", "--cacert"]
    {
        assert!(text.contains(option), "{option}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

fn wait_for_length(path: &Path, length: u64) {
    eventually("the part of the file", || path.metadata().is_ok_and(|metadata| metadata.len() == length));
}
