//! The example `fetch` as a program: what it sends (`-T`, `-F`, `-d @file`), and what it receives in
//! parts, again, slowly, or by the name that a server gives.
#![cfg(all(feature = "checksum", feature = "tls", unix))]

mod support;

use std::fs;
use std::process::{Output, Stdio};
use std::time::Instant;
use support::harness::eventually;
use support::tool::{self, code, err, out};
use support::{At, Directory, Fault, Gate, Quirk, Reply, Resource, Server, pattern};

const LENGTH: usize = 3_000_000;
const STOP: usize = 1_000_000;

fn fetch(directory: &Directory, args: &[&str]) -> Output {
    tool::command("fetch", directory.path(), args).output().unwrap()
}

#[track_caller]
fn fails(directory: &Directory, args: &[&str], expected: i32) -> String {
    let output = fetch(directory, args);
    let told = err(&output);
    assert_eq!(code(&output), expected, "{args:?}: {told}");
    told
}

#[track_caller]
fn succeeds(directory: &Directory, args: &[&str]) -> String {
    let output = fetch(directory, args);
    assert_eq!((code(&output), err(&output).as_str()), (0, ""), "{args:?}");
    out(&output)
}

fn write(directory: &Directory, name: &str, content: impl AsRef<[u8]>) {
    fs::write(directory.join(name), content).unwrap();
}

fn echo() -> Server {
    Server::start(|request| Reply::ok(request.body()))
}

fn resource() -> Resource {
    Resource::pattern(LENGTH).etag("\"v1\"")
}

#[test]
fn a_file_is_put() {
    let server = echo();
    let directory = Directory::new();
    write(&directory, "na me", pattern(LENGTH));
    write(&directory, "empty", "");
    succeeds(&directory, &["-T", "na me", "-o", "back", &server.url("/up/?x=1")]);
    let request = server.request(0);
    assert_eq!((request.method.as_str(), request.path()), ("PUT", "/up/na%20me"));
    assert_eq!(request.query(), Some("x=1"));
    assert_eq!(request.header("content-length"), Some("3000000"));
    assert_eq!(request.header("content-type"), None);
    assert!(fs::read(directory.join("back")).unwrap() == pattern(LENGTH));
    succeeds(&directory, &["-T", "na me", "-X", "POST", "-o", "back", &server.url("/to/there")]);
    assert_eq!((server.request(1).method.as_str(), server.request(1).path()), ("POST", "/to/there"));
    succeeds(&directory, &["-T", "empty", &server.url("/")]);
    assert_eq!(server.request(2).path(), "/empty");
    assert_eq!(server.request(2).header("content-length"), Some("0"));
}

#[test]
fn standard_input_is_put_in_chunks() {
    let server = echo();
    let directory = Directory::new();
    let url = server.url("/");
    let mut command = tool::command("fetch", directory.path(), &["-T", "-", &url]);
    let output = tool::run_with_input(&mut command, &pattern(LENGTH));
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    assert!(output.stdout == pattern(LENGTH));
    let request = server.request(0);
    assert_eq!((request.path(), request.header("transfer-encoding")), ("/", Some("chunked")));
}

#[test]
fn what_is_sent_goes_out_while_it_is_read() {
    let server = Server::start(|request| {
        request.body();
        Reply::ok("done")
    });
    let directory = Directory::new();
    let mut command = tool::command("fetch", directory.path(), &["-T", "-", &server.url("/")]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"first").unwrap();
    eventually("what there is", || server.requests().first().is_some_and(|it| it.body_length() == 5));
    drop(input);
    assert_eq!(out(&child.wait_with_output().unwrap()), "done");
}

#[test]
fn forms_have_files() {
    let server = echo();
    let directory = Directory::new();
    write(&directory, "f.txt", "of a file");
    write(&directory, "g.png", pattern(LENGTH));
    let fields = [
        "-F",
        "a=b;type=text/x",
        "-F",
        "file=@f.txt",
        "-F",
        "text=<f.txt",
        "-F",
        "big=@g.png;type=image/x;filename=\"h;i.png\"",
        "--form-string",
        "raw=@f.txt;x",
    ];
    succeeds(&directory, &[&fields[..], &["-o", "/dev/null", &server.url("/")]].concat());
    let request = server.request(0);
    assert_eq!(request.method, "POST");
    assert!(request.header("content-length").is_some(), "the length is known beforehand");
    let parts = request.multipart();
    let seen: Vec<_> = parts
        .iter()
        .map(|part| (part.name.as_str(), part.filename.as_deref(), part.content_type.as_deref()))
        .collect();
    let expected = [
        ("a", None, Some("text/x")),
        ("file", Some("f.txt"), Some("text/plain")),
        ("text", None, None),
        ("big", Some("h;i.png"), Some("image/x")),
        ("raw", None, None),
    ];
    assert_eq!(seen, expected);
    assert_eq!((&parts[0].body[..], &parts[1].body[..]), (&b"b"[..], &b"of a file"[..]));
    assert_eq!((&parts[2].body[..], &parts[4].body[..]), (&b"of a file"[..], &b"@f.txt;x"[..]));
    assert!(parts[3].body == pattern(LENGTH));
}

#[test]
fn what_cannot_be_sent_is_an_error_beforehand() {
    let server = echo();
    let directory = Directory::new();
    let url = server.url("/");
    fs::create_dir(directory.join("sub")).unwrap();
    for what in [
        &["-T", "missing"][..],
        &["-T", "sub"],
        &["-F", "a=@missing"],
        &["-F", "a=<sub"],
        &["-d", "@missing"],
        &["-d", "@sub"],
        &["--data-binary", "@sub"],
    ] {
        let told = fails(&directory, &[what, &[&url]].concat(), 26);
        assert!(told.starts_with("fetch: (26) reading ") && told.lines().count() == 1, "{told}");
    }
    for what in [&["-F", "a"][..], &["-F", "a=b;c=d"], &["-d", "x", "-T", "y"], &["-T", "a", "-T", "b"]] {
        fails(&directory, &[what, &[&url]].concat(), 2);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn data_of_files_is_joined_and_not_held_in_memory() {
    let server = echo();
    let directory = Directory::new();
    write(&directory, "lines", "a\r\nb\n\0c");
    write(&directory, "big", pattern(LENGTH));
    let url = server.url("/");
    assert_eq!(
        succeeds(&directory, &["-d", "x=1", "-d", "@lines", "--data-binary", "@lines", &url]),
        "x=1&abc&a\r\nb\n\0c"
    );
    assert_eq!(server.request(0).header("content-length"), Some("15"));
    succeeds(&directory, &["--data-binary", "@big", "-o", "back", &url]);
    assert!(fs::read(directory.join("back")).unwrap() == pattern(LENGTH));
    succeeds(&directory, &["-d", "@big", "-o", "back", &url]);
    let expected: Vec<u8> =
        pattern(LENGTH).iter().copied().filter(|byte| !b"\r\n\0".contains(byte)).collect();
    assert!(fs::read(directory.join("back")).unwrap() == expected);
}

#[test]
fn what_is_there_is_continued() {
    let file = resource();
    let server = Server::start(file.handler());
    let directory = Directory::new();
    let url = server.url("/file");
    write(&directory, "file", &pattern(LENGTH)[..STOP]);
    succeeds(&directory, &["-C", "-", "-O", &url]);
    assert!(fs::read(directory.join("file")).unwrap() == pattern(LENGTH));
    assert_eq!(file.served()[0].bytes, STOP as u64..LENGTH as u64);
    // There is no more of it.
    succeeds(&directory, &["-C", "-", "-o", "file", &url]);
    assert!(fs::read(directory.join("file")).unwrap() == pattern(LENGTH));
    // There is nothing yet.
    succeeds(&directory, &["-C", "-", "-o", "new", &url]);
    assert!(fs::read(directory.join("new")).unwrap() == pattern(LENGTH));
    let output = fetch(&directory, &["-C", "2999990", &url]);
    assert!(output.stdout == pattern(LENGTH)[LENGTH - 10..]);
    write(&directory, "long", vec![0; LENGTH + 1]);
    assert!(fails(&directory, &["-C", "-", "-o", "long", &url], 33).contains("no byte 3000001"));
    write(&directory, "page", "some");
    let missing = Server::start(|_| Reply::status(404).body("not here"));
    fails(&directory, &["-C", "-", "-o", "page", &missing.url("/")], 22);
    assert_eq!(fs::read(directory.join("page")).unwrap(), b"some");
}

#[test]
fn a_server_that_sends_another_part_is_not_believed() {
    let directory = Directory::new();
    for quirk in [Quirk::IgnoresRange, Quirk::Start(-5), Quirk::Without("Content-Range")] {
        let server = Server::start(resource().quirk(quirk.clone()).handler());
        write(&directory, "file", &pattern(LENGTH)[..STOP]);
        fails(&directory, &["-C", "-", "-o", "file", &server.url("/")], 33);
        assert_eq!(fs::read(directory.join("file")).unwrap().len(), STOP, "{quirk:?}");
    }
}

#[test]
fn an_interrupted_transfer_is_continued() {
    let gate = Gate::new();
    let file = resource().fault_in(..1, Fault::GateAt(At::After(STOP), gate.clone()));
    let server = Server::start(file.handler());
    let directory = Directory::new();
    let url = server.url("/file");
    let mut child = tool::command("fetch", directory.path(), &["-s", "-O", &url]).spawn().unwrap();
    gate.wait_until_reached();
    eventually("the part of it", || directory.join("file").metadata().is_ok_and(|it| it.len() > 0));
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    let there = fs::metadata(directory.join("file")).unwrap().len();
    succeeds(&directory, &["-C", "-", "-O", &url]);
    assert!(fs::read(directory.join("file")).unwrap() == pattern(LENGTH));
    assert_eq!(file.served()[1].bytes, there..LENGTH as u64);
}

#[test]
fn ranges_are_asked_for() {
    let server = Server::start(resource().handler());
    let directory = Directory::new();
    let output = fetch(&directory, &["-r", "10-19", &server.url("/")]);
    assert!(output.stdout == pattern(LENGTH)[10..20]);
    let output = fetch(&directory, &["--range", "-5", &server.url("/")]);
    assert!(output.stdout == pattern(LENGTH)[LENGTH - 5..]);
    assert_eq!(server.request(0).header("range"), Some("bytes=10-19"));
}

#[test]
fn the_server_names_the_file_on_demand() {
    let server = Server::start(|request| match request.path() {
        "/get" => Reply::ok("x").header("content-disposition", "attachment; filename=\"../../n.txt\""),
        _ => Reply::ok("x"),
    });
    let directory = Directory::new();
    succeeds(&directory, &["-OJ", &server.url("/get")]);
    succeeds(&directory, &["-OJ", &server.url("/plain")]);
    let names = directory.names();
    assert!(names.len() == 2 && names[0].ends_with("n.txt") && names[1] == "plain", "{names:?}");
    for path in ["/get", "/plain"] {
        let told = fails(&directory, &["-OJ", &server.url(path)], 23);
        assert!(told.contains("exists"), "{told}");
    }
    assert_eq!(directory.names().len(), 2);
}

#[test]
fn directories_are_made_on_demand() {
    let server = Server::start(|_| Reply::ok("x"));
    let directory = Directory::new();
    fails(&directory, &["-o", "a/b/c", &server.url("/")], 23);
    succeeds(&directory, &["--create-dirs", "-o", "a/b/c", &server.url("/")]);
    assert_eq!(fs::read(directory.join("a/b/c")).unwrap(), b"x");
    write(&directory, "file", "");
    fails(&directory, &["--create-dirs", "-o", "file/c", &server.url("/")], 23);
}

#[test]
fn what_may_go_better_is_tried_again() {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = Server::start(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Reply::status(503),
        1 => Reply::ok("").then(Fault::CloseAt(At::BeforeHead)),
        _ => Reply::ok("at last"),
    });
    let directory = Directory::new();
    let args = ["--retry", "3", "--retry-delay", "0.01", "-d", "x", &server.url("/")];
    assert_eq!(succeeds(&directory, &args), "at last");
    assert_eq!(server.requests().iter().filter(|request| request.method == "POST").count(), 3);
    let bad = Server::start(|_| Reply::status(503).body("busy"));
    // No pause fits.
    let args = ["-f", "--retry", "3", "--retry-max-time", "0.5", &bad.url("/")];
    fails(&directory, &args, 22);
    assert_eq!(bad.requests().len(), 1);
}

#[test]
fn a_limited_rate_is_kept() {
    let file = Resource::pattern(400_000);
    let server = Server::start(move |request| match request.method.as_str() {
        "GET" => file.answer(request),
        _ => Reply::ok(request.body()),
    });
    let directory = Directory::new();
    write(&directory, "up", pattern(400_000));
    let (url, put) = (server.url("/file"), server.url("/put"));
    let runs: [&[&str]; 3] =
        [&["-o", "a", &url], &["-T", "up", "-o", "b", &put], &["-Z", "-o", "c", &url, "-o", "d", &url]];
    for run in runs {
        let began = Instant::now();
        succeeds(&directory, &[&["-s", "--limit-rate", "400k"], run].concat());
        let time = began.elapsed().as_secs_f64();
        assert!((0.7..8.0).contains(&time), "{run:?}: {time}");
    }
    for name in ["a", "b", "c", "d"] {
        assert!(fs::read(directory.join(name)).unwrap() == pattern(400_000), "{name}");
    }
    let put = server.requests().into_iter().find(|request| request.method == "PUT").unwrap();
    assert_eq!(put.header("content-length"), Some("400000"), "slow, but of a length");
    // Ctrl-C does not wait.
    let child =
        tool::command("fetch", directory.path(), &["-s", "--limit-rate", "1", "-o", "a", &url]).spawn();
    let mut child = child.unwrap();
    server.wait_for_requests(5, support::PATIENCE);
    eventually("the first byte", || directory.join("a").metadata().is_ok_and(|it| it.len() == 1));
    tool::interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
