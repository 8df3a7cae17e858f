//! The example `upload` as a program: what reaches the server, what is printed, and the exit codes.
#![cfg(all(feature = "tls", unix))]

mod support;

// Their unit tests run here: those of examples are not run by default.
#[allow(dead_code)]
#[path = "../examples/upload/args.rs"]
mod args;
#[path = "../examples/shared/exit.rs"]
mod exit;
#[path = "../examples/shared/forms.rs"]
mod forms;
#[path = "../examples/shared/values.rs"]
mod values;

use std::fs;
use std::process::{Output, Stdio};
use support::harness::eventually;
use support::tool::{self, code, err, out};
use support::{At, Directory, Fault, Gate, Reply, Resumable, Server, pattern};

const LENGTH: usize = 3_000_000;

fn upload(directory: &Directory, args: &[&str]) -> Output {
    tool::command("upload", directory.path(), args).output().unwrap()
}

#[track_caller]
fn fails(directory: &Directory, args: &[&str], expected: i32) -> String {
    let output = upload(directory, args);
    let told = err(&output);
    assert_eq!(code(&output), expected, "{args:?}: {told}");
    assert!(told.lines().all(|line| line.starts_with("upload: ") || line.contains(" sent in ")), "{told}");
    told
}

#[track_caller]
fn succeeds(directory: &Directory, args: &[&str]) -> String {
    let output = upload(directory, args);
    assert_eq!(code(&output), 0, "{args:?}: {}", err(&output));
    out(&output)
}

fn directory() -> Directory {
    let directory = Directory::new();
    fs::write(directory.join("big"), pattern(LENGTH)).unwrap();
    directory
}

#[test]
fn a_file_is_sent() {
    let server =
        Server::start(|request| Reply::ok(format!("got {}\n", request.body_length())).with_status(201));
    let directory = directory();
    let output = upload(&directory, &["big", &server.url("/images/")]);
    assert_eq!((code(&output), out(&output).as_str()), (0, "got 3000000\n"));
    assert!(err(&output).starts_with("201 Created: 2.86 MiB sent in "), "{}", err(&output));
    let request = server.request(0);
    assert_eq!((request.method.as_str(), request.path()), ("PUT", "/images/big"));
    assert_eq!(request.header("content-length"), Some("3000000"));
    assert!(request.body() == pattern(LENGTH));
    let output = upload(&directory, &["-qX", "POST", "-H", "X-Key: 1", "big", &server.url("/x")]);
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    let request = server.request(1);
    assert_eq!((request.method.as_str(), request.path(), request.header("x-key")), ("POST", "/x", Some("1")));
}

#[test]
fn standard_input_is_sent_in_chunks() {
    let server = Server::start(|request| Reply::ok(request.body()));
    let directory = Directory::new();
    let mut command = tool::command("upload", directory.path(), &["-q", "-", &server.url("/x/")]);
    let output = tool::run_with_input(&mut command, &pattern(LENGTH));
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    assert!(output.stdout == pattern(LENGTH));
    assert_eq!(server.request(0).header("transfer-encoding"), Some("chunked"));
    assert_eq!(server.request(0).path(), "/x/");
}

#[test]
fn forms_are_sent() {
    let server = Server::start(|_| Reply::ok("thanks"));
    let directory = directory();
    let args = ["-F", "title=a b", "-F", "f=@big;type=image/x", &server.url("/")];
    assert_eq!(succeeds(&directory, &args), "thanks");
    let request = server.request(0);
    let parts = request.multipart();
    assert_eq!((request.method.as_str(), parts.len()), ("POST", 2));
    assert_eq!((parts[0].name.as_str(), &parts[0].body[..]), ("title", &b"a b"[..]));
    assert_eq!(
        (parts[1].filename.as_deref(), parts[1].content_type.as_deref()),
        (Some("big"), Some("image/x"))
    );
    assert!(parts[1].body == pattern(LENGTH));
}

#[test]
fn what_goes_wrong_is_told() {
    let server = Server::start(|request| match request.path() {
        "/full" => Reply::status(413).body("too much"),
        _ => Reply::ok(""),
    });
    let directory = directory();
    let url = server.url("/");
    for (args, expected) in [
        (&[][..], 2),
        (&["big"], 2),
        (&["a", "b", &url], 2),
        (&["--nonsense"], 2),
        (&["-F", "a=b", "big", &url], 2),
        (&["missing", &url], 26),
        (&[".", &url], 26),
        (&["-F", "a=@missing", &url], 26),
        (&["big", "http://[::1/"], 3),
        (&["big", "http://127.0.0.1:1/"], 7),
        (&["big", "gopher://127.0.0.1/"], 1),
        (&["--cacert", "missing", "big", &url], 77),
    ] {
        fails(&directory, args, expected);
    }
    assert_eq!(server.requests().len(), 0);
    let output = upload(&directory, &["big", &server.url("/full")]);
    assert_eq!((code(&output), out(&output).as_str()), (22, "too much"), "{}", err(&output));
}

#[test]
fn ctrl_c_ends_it() {
    let gate = Gate::new();
    let stop = gate.clone();
    let server = Server::start(move |_| Reply::ok("never").then(Fault::GateAt(At::BeforeHead, stop.clone())));
    let directory = directory();
    let mut command = tool::command("upload", directory.path(), &["big", &server.url("/")]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    gate.wait_until_reached();
    tool::interrupt(&child);
    let output = child.wait_with_output().unwrap();
    gate.open();
    assert_eq!(code(&output), 130);
    assert!(err(&output).contains("interrupted; "), "{}", err(&output));
    assert_eq!(directory.names(), ["big"]);
}

#[test]
fn a_resumable_upload_goes_on_by_itself() {
    let uploads = Resumable::new().then(support::Mishap::CutAfter(1_000_000));
    let server = Server::start(uploads.handler());
    let directory = directory();
    succeeds(&directory, &["--resumable", "big", &server.url("/")]);
    let stored = uploads.uploads();
    assert!(stored.len() == 1 && stored[0].complete && stored[0].content == pattern(LENGTH));
    assert_eq!(uploads.violations(), [] as [&str; 0]);
    assert_eq!(directory.names(), ["big"]);
}

#[test]
fn a_resumable_upload_goes_on_in_another_run() {
    let uploads = Resumable::new();
    let server = Server::start(uploads.handler());
    let directory = directory();
    let url = server.url("/");
    // Slow enough to be interrupted.
    let args =
        ["--resumable", "--limit-rate", "2m", "-H", "X-Key: 1", "-H", "Authorization: Bearer x", "big", &url];
    let mut command = tool::command("upload", directory.path(), &args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("some of it", || server.requests().first().is_some_and(|it| it.body_length() > 500_000));
    tool::interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130);
    assert!(err(&output).contains("goes on from there"), "{}", err(&output));
    assert_eq!(directory.names(), ["big", "big.upload"]);

    let again = ["--resumable", "-H", "X-Key: 1", "-H", "Authorization: Bearer x", "big", &url];
    succeeds(&directory, &again);
    let stored = uploads.uploads();
    assert!(
        stored.len() == 1 && stored[0].complete && stored[0].content == pattern(LENGTH),
        "{:?}",
        uploads.log()
    );
    let last = server.requests().pop().unwrap();
    assert!(last.method == "PATCH" && last.body_length() < LENGTH as u64 - 500_000, "{:?}", uploads.log());
    assert_eq!(directory.names(), ["big"]);
}

#[test]
fn what_was_left_of_another_file_is_not_believed() {
    let uploads = Resumable::new();
    let server = Server::start(uploads.handler());
    let directory = directory();
    for left in ["", "nonsense", "http://127.0.0.1/ 3000000 1\nx"] {
        fs::write(directory.join("big.upload"), left).unwrap();
        succeeds(&directory, &["--resumable", "big", &server.url("/")]);
        assert_eq!(directory.names(), ["big"]);
    }
    assert!(uploads.uploads().iter().all(|upload| upload.complete && upload.content == pattern(LENGTH)));
}

#[test]
fn help_is_complete() {
    let text = succeeds(&Directory::new(), &["--help"]);
    for option in ["--request", "--form", "--header", "--resumable", "--retry", "--limit-rate", "--cacert"] {
        assert!(text.contains(option), "{option}");
    }
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}
