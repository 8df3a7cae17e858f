//! The example `fetch` as a program: what it prints and writes, and its exit codes.
//!
//! `cargo test` builds it before. `cargo test --test fetch_tool` does not, and takes what there is.
#![cfg(all(feature = "checksum", feature = "tls", unix))]

mod support;

// Their unit tests run here: those of examples are not run by default.
#[allow(dead_code)]
#[path = "../examples/fetch/args.rs"]
mod args;
#[path = "../examples/shared/exit.rs"]
mod exit;
#[path = "../examples/shared/forms.rs"]
mod forms;
#[allow(dead_code)]
#[path = "../examples/fetch/identity.rs"]
mod identity;
#[allow(dead_code)]
#[path = "../examples/fetch/pins.rs"]
mod pins;
#[path = "../examples/shared/requests.rs"]
mod requests;
#[path = "../examples/shared/values.rs"]
mod values;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::tool::{self, code, err, interrupt, out};
use support::{At, Blackhole, Certs, Fault, Gate, Refused, Reply, Server, Tls, raw};

const SOON: Duration = Duration::from_secs(15);

/// A directory that is gone afterwards; programs run in it.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("urlsession-fetch-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.0.join(name), content).unwrap();
        name.to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    fn fetch(&self, args: &[&str]) -> Output {
        command(&self.0, args).output().unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn command(directory: &Path, args: &[&str]) -> Command {
    tool::command("fetch", directory, args)
}

fn fetch(args: &[&str]) -> Output {
    command(&std::env::temp_dir(), args).output().unwrap()
}

fn start(directory: &Path, args: &[&str]) -> Child {
    command(directory, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The exit code, and that the reason was given in one line.
#[track_caller]
fn fails(args: &[&str], expected: i32) -> String {
    let output = fetch(args);
    let told = err(&output);
    assert_eq!(code(&output), expected, "{args:?}: {told}");
    assert!(told.starts_with("fetch: ") && told.contains(&format!("({expected})")), "{args:?}: {told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    told
}

fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let bits =
                three.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            for place in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
                text.push(if place <= three.len() { char::from(digit) } else { '=' });
            }
        }
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[test]
fn a_body_is_printed() {
    let server = Server::start(|_| Reply::ok("hello\n"));
    let output = fetch(&[&server.url("/")]);
    assert_eq!((code(&output), out(&output).as_str(), err(&output).as_str()), (0, "hello\n", ""));
    // Without a scheme it is http.
    assert_eq!(out(&fetch(&[&server.addr().to_string()])), "hello\n");
}

#[test]
fn bodies_go_to_files() {
    let server = Server::start(|request| Reply::ok(format!("{} {}", request.path(), "x".repeat(100_000))));
    let dir = Dir::new();
    let urls = [server.url("/a/one?x=1"), server.url("/two"), server.url("/three")];
    let output = dir.fetch(&["-O", &urls[0], "-o", "second", &urls[1], &urls[2]]);
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    assert!(dir.read("one").starts_with(b"/a/one x"));
    assert!(dir.read("second").starts_with(b"/two x"));
    assert!(out(&output).starts_with("/three x"));
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 2);
}

#[test]
fn remote_names_stay_in_the_directory() {
    let server = Server::start(|request| match request.path() {
        "/moved" => Reply::redirect(302, "/elsewhere"),
        _ => Reply::ok("x"),
    });
    let dir = Dir::new();
    // The name is the one that was given, not one that the server chose, and is not decoded.
    assert_eq!(code(&dir.fetch(&["-O", &server.url("/moved"), "-O", &server.url("/..%2F..%2Fup")])), 0);
    assert_eq!(dir.read("moved"), b"x");
    assert_eq!(dir.read("..%2F..%2Fup"), b"x");
    dir.write("target", "before");
    std::os::unix::fs::symlink("target", dir.0.join("link")).unwrap();
    for path in ["/link", "/", "/sub/"] {
        let output = dir.fetch(&["-O", &server.url(path)]);
        assert_eq!(code(&output), 23, "{path}: {}", err(&output));
    }
    assert_eq!(dir.read("target"), b"before");
}

#[test]
fn error_statuses_are_errors_on_demand() {
    let server = Server::start(|_| Reply::ok("not here").with_status(404));
    let dir = Dir::new();
    assert_eq!(out(&dir.fetch(&[&server.url("/")])), "not here");
    let output = dir.fetch(&["-f", "-o", "file", &server.url("/x?token=secret")]);
    assert_eq!((code(&output), out(&output).as_str()), (22, ""));
    assert!(err(&output).contains("404 Not Found") && !err(&output).contains("secret"));
    assert!(!dir.0.join("file").exists());
    let output = dir.fetch(&["-sf", &server.url("/")]);
    assert_eq!((code(&output), err(&output).as_str()), (22, ""));
    assert!(err(&dir.fetch(&["-sSf", &server.url("/")])).contains("404"));
}

#[test]
fn heads_are_shown() {
    let server = Server::start(|request| match request.path() {
        "/moved" => Reply::redirect(301, "/"),
        _ => Reply::ok("body").header("x-thing", "1"),
    });
    let text = out(&fetch(&["-i", &server.url("/moved")]));
    assert!(text.starts_with("HTTP/1.1 301 Moved Permanently\r\n"), "{text}");
    assert!(
        text.contains("\r\n\r\nHTTP/1.1 200 OK\r\nX-Thing: 1\r\n") && text.ends_with("\r\n\r\nbody"),
        "{text}"
    );
    let text = out(&fetch(&["-I", &server.url("/")]));
    assert!(text.ends_with("Content-Length: 4\r\n\r\n"), "{text}");
    assert_eq!(server.requests().last().unwrap().method, "HEAD");
}

#[test]
fn data_is_sent() {
    let server = Server::start(|request| Reply::ok(request.body()));
    let dir = Dir::new();
    let file = dir.write("file", "line 1\r\nline 2\n");
    let posted = |args: &[&str], stdin: &str| {
        let mut command = command(&dir.0, args);
        let mut child =
            command.arg(server.url("/")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        out(&child.wait_with_output().unwrap())
    };
    assert_eq!(posted(&["-d", "a=b", "-d", "c=d"], ""), "a=b&c=d");
    assert_eq!(posted(&["-d", &format!("@{file}")], ""), "line 1line 2");
    assert_eq!(posted(&["--data-binary", &format!("@{file}")], ""), "line 1\r\nline 2\n");
    assert_eq!(posted(&["--data-binary", "@-"], "from\nstdin"), "from\nstdin");
    let request = server.request(0);
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    posted(&["-X", "PUT", "-H", "Content-Type: text/plain", "-d", ""], "");
    let request = server.request(4);
    assert_eq!((request.method.as_str(), request.header("content-type")), ("PUT", Some("text/plain")));
    assert_eq!(request.header("content-length"), Some("0"));
    fails(&["-d", "@/nonexistent", &server.url("/")], 26);
}

#[test]
fn headers_are_sent_and_left_out() {
    let server = Server::start(|_| Reply::ok(""));
    let args = [
        "-H",
        "X-A: 1",
        "-H",
        "X-A: 2",
        "-H",
        "X-Empty;",
        "-A",
        "me/1",
        "-e",
        "http://from/",
        "-u",
        "Aladdin:open sesame",
    ];
    assert_eq!(code(&fetch(&[&args[..], &[&server.url("/")]].concat())), 0);
    let request = server.request(0);
    assert_eq!(request.header_values("x-a"), ["1", "2"]);
    assert_eq!(request.header("x-empty"), Some(""));
    assert_eq!(request.header("user-agent"), Some("me/1"));
    assert_eq!(request.header("referer"), Some("http://from/"));
    assert_eq!(request.header("authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    fetch(&["-H", "User-Agent:", "-H", "Accept-Encoding:", &server.url("/")]);
    let request = server.request(1);
    assert_eq!((request.header("user-agent"), request.header("accept-encoding")), (None, None));
}

#[test]
fn redirects_are_followed_unless_told_otherwise() {
    let server = Server::start(|request| match request.path() {
        "/end" => Reply::ok("end"),
        "/loop" => Reply::redirect(302, "/loop"),
        _ => Reply::redirect(302, "/end").body("moved"),
    });
    assert_eq!(out(&fetch(&["-L", &server.url("/")])), "end");
    let output = fetch(&["--no-location", "-w", "|%{http_code}|%{num_redirects}\\n", &server.url("/")]);
    assert_eq!((code(&output), out(&output).as_str()), (0, "moved|302|0\n"));
    fails(&["--max-redirs", "3", &server.url("/loop")], 47);
    fails(&["--max-redirs", "0", &server.url("/")], 47);
}

#[test]
fn verbose_tells_everything_but_credentials() {
    let server = Server::start(|request| match request.path() {
        "/first" => Reply::redirect(302, "/second").header("set-cookie", "id=hidden"),
        _ => Reply::ok("body"),
    });
    let url = server.url("/first").replace("http://", "http://me:hidden@");
    for level in ["-v", "-vv", "-vvv"] {
        let output = fetch(&[level, "-H", "Authorization: hidden", "-H", "Cookie: hidden", &url]);
        let told = err(&output);
        assert_eq!((code(&output), out(&output).as_str()), (0, "body"));
        for line in
            ["> GET /first HTTP/1.1", "< HTTP/1.1 302 Found", "> GET /second HTTP/1.1", "< HTTP/1.1 200 OK"]
        {
            assert!(told.contains(line), "{line} in {told}");
        }
        assert!(told.contains("* connected to 127.0.0.1:") && told.contains("1 redirect"), "{told}");
        assert!(!told.contains("hidden"), "{told}");
        assert_eq!(told.contains("DEBUG"), level != "-v", "{told}");
    }
}

#[test]
fn many_run_at_once() {
    let server = Server::start(|request| {
        let number: usize = request.path()[1..].parse().unwrap();
        Reply::ok(vec![b'a' + (number % 26) as u8; 50_000 + number]).header("x-number", &number.to_string())
    });
    let dir = Dir::new();
    let urls: Vec<String> = (0..100).map(|number| server.url(&format!("/{number}"))).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let output = dir.fetch(&[&["-Z", "--remote-name-all"], &urls[..]].concat());
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    for number in 0..100 {
        let expected = vec![b'a' + (number % 26) as u8; 50_000 + number];
        assert!(dir.read(&number.to_string()) == expected, "file {number}");
    }
    assert!(server.accepted() <= 6, "{}", server.accepted());
    // Bodies that go to one place do not mix, though all are under way.
    let text = out(&dir.fetch(&[&["-Z"], &urls[..20]].concat()));
    let changes = text.as_bytes().windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!((text.len(), changes), (20 * 50_000 + 190, 19));
}

#[test]
fn one_failure_of_many_does_not_stop_the_others() {
    let server = Server::start(|request| match request.path() {
        "/bad" => Reply::ok("no").with_status(500),
        "/cut" => Reply::head(200).header("content-length", "1000").then(Fault::CloseAfter(100)),
        _ => Reply::ok("yes"),
    });
    let (good, bad, cut) = (server.url("/"), server.url("/bad"), server.url("/cut"));
    for options in [&["-f"][..], &["-f", "-Z"]] {
        let dir = Dir::new();
        let output = dir.fetch(
            &[options, &["-o", "a", &good, "-o", "b", &bad, "-o", "c", &cut, "-o", "d", &good]].concat(),
        );
        assert!([18, 22].contains(&code(&output)), "{options:?}: {}", err(&output));
        assert_eq!(err(&output).lines().count(), 2);
        assert_eq!((dir.read("a"), dir.read("d")), (b"yes".to_vec(), b"yes".to_vec()));
        assert!(!dir.0.join("b").exists());
        assert_eq!(dir.read("c").len(), 100, "what came of a body stays");
    }
}

#[test]
fn bodies_are_decoded_by_default() {
    let server = Server::start(|_| Reply::gzipped("hello ".repeat(1000)));
    assert_eq!(out(&fetch(&["--compressed", &server.url("/")])), "hello ".repeat(1000));
    let output = fetch(&["-H", "Accept-Encoding:", &server.url("/")]);
    assert_eq!(output.stdout, support::gzip("hello ".repeat(1000).as_bytes()));
    let server = Server::start(|_| Reply::ok("this is no gzip").header("content-encoding", "gzip"));
    fails(&[&server.url("/")], 61);
}

#[test]
fn certificates_are_checked() {
    let dir = Dir::new();
    let server = Server::tls(|_| Reply::ok("secure"));
    let authority = dir.0.join(dir.write("ca.pem", server.ca_pem()));
    let authority = authority.to_str().unwrap();
    let url = server.url("/");
    assert!(fails(&[&url], 60).contains("no trusted root"));
    assert_eq!(out(&fetch(&["-k", &url])), "secure");
    let output = fetch(&["-v", "--cacert", authority, &url]);
    assert_eq!(out(&output), "secure");
    assert!(err(&output).contains(", TLS 1.3 with TLS_"), "{}", err(&output));
    fails(&["--cacert", "/nonexistent", &url], 77);
    fails(&["--cacert", dir.0.join(dir.write("none.pem", "x")).to_str().unwrap(), &url], 77);
    let plain = raw(|mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
    assert!(fails(&[&plain.url("/").replace("http:", "https:")], 35).contains("does not speak TLS"));

    let wrong = Server::builder().tls(Tls::new().certs(Certs::wrong_name())).start(|_| Reply::ok(""));
    assert!(fails(&["--cacert", authority, &wrong.url("/")], 60).contains("wrong.example.test"));
}

#[test]
fn client_certificates_are_shown() {
    let dir = Dir::new();
    let server =
        Server::builder().tls(Tls::new().require_client_certificate()).start(|_| Reply::ok("welcome"));
    let certs = Certs::client();
    dir.write("ca.pem", server.ca_pem());
    let (certificate, key) = (pem("CERTIFICATE", certs.leaf()), pem("PRIVATE KEY", certs.key().secret_der()));
    dir.write("both.pem", format!("{certificate}{key}"));
    dir.write("cert.pem", certificate);
    dir.write("key.pem", key);
    let url = server.url("/");
    let run = |args: &[&str]| dir.fetch(&[&["--cacert", "ca.pem"], args, &[&url]].concat());
    assert_eq!(out(&run(&["--cert", "cert.pem", "--key", "key.pem"])), "welcome");
    assert_eq!(out(&run(&["--cert", "both.pem"])), "welcome");
    for args in
        [&[][..], &["--cert", "cert.pem"], &["--cert", "ca.pem", "--key", "none"], &["--cert", "none"]]
    {
        let output = run(args);
        assert_eq!(code(&output), 58, "{args:?}: {}", err(&output));
    }
}

#[test]
fn time_is_limited() {
    let server = Server::start(|_| Reply::ok("never").then(Fault::Stall));
    assert!(fails(&["-m", "0.2", &server.url("/")], 28).contains("waiting for"));
    let dir = Dir::new();
    let server = Server::start(|_| Reply::ok("some of it").then(Fault::StallAt(At::After(4))));
    let output = dir.fetch(&["-m", "0.5", "-o", "file", &server.url("/")]);
    assert_eq!((code(&output), dir.read("file")), (28, b"some".to_vec()), "{}", err(&output));
    let hole = Blackhole::new();
    assert!(fails(&["--connect-timeout", "0.2", &hole.url("/")], 28).contains("connecting"));
}

#[test]
fn what_goes_wrong_has_the_code_of_curl() {
    for (args, expected) in [
        (&["http://[::1/"][..], 3),
        (&[""], 3),
        (&["-H", "a b: c", "http://127.0.0.1/"], 3),
        (&["http://a..local/"], 6),
        (&["gopher://127.0.0.1/"], 1),
        (&["-o", "/nonexistent/x", "http://127.0.0.1:1/"], 7),
    ] {
        fails(args, expected);
    }
    let refused = Refused::new();
    fails(&[&refused.url("/")], 7);
    let wrong = |reply: fn() -> Reply, expected| {
        let server = Server::start(move |_| reply());
        fails(&["-o", "/dev/null", &server.url("/")], expected);
        let good = Server::start(|_| Reply::ok("good"));
        let (bad, good) = (server.url("/"), good.url("/"));
        fails(&["-Z", "-o", "/dev/null", &bad, "-o", "/dev/null", &good], expected);
    };
    wrong(|| Reply::raw("SSH-2.0-OpenSSH\r\n"), 8);
    wrong(|| Reply::head(200).header("content-length", "100").then(Fault::CloseAfter(10)), 18);
    wrong(|| Reply::head(200).header("content-length", "100").then(Fault::CloseAfter(0)), 18);
    wrong(|| Reply::ok("").then(Fault::CloseAt(At::BeforeHead)), 52);
    wrong(|| Reply::ok("").then(Fault::ResetAt(At::BeforeHead)), 56);
    wrong(|| Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"), 56);
    let insecure = Server::tls(|_| Reply::redirect(302, "http://127.0.0.1:1/"));
    fails(&["-k", &insecure.url("/")], 1);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let server = Server::start(|_| Reply::ok(vec![b'x'; 3_000_000]));
    let dir = Dir::new();
    for path in ["/dev/full", ".", "missing/file"] {
        let output = dir.fetch(&["-o", path, &server.url("/")]);
        assert_eq!(code(&output), 23, "{path}: {}", err(&output));
        assert!(err(&output).contains(&format!("writing {path}: ")), "{}", err(&output));
        let output = dir.fetch(&["-Z", "-o", path, &server.url("/"), "-o", "other", &server.url("/")]);
        assert_eq!((code(&output), dir.read("other").len()), (23, 3_000_000), "{path}: {}", err(&output));
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let server = Server::start(|_| Reply::ok(vec![b'x'; 30_000_000]));
    for options in [&[][..], &["-Z", "-o", "/dev/null", &server.url("/")]] {
        let mut child = start(&std::env::temp_dir(), &[options, &[&server.url("/")]].concat());
        let mut first = [0; 10];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!((code(&output), err(&output).as_str()), (23, ""));
    }
}

#[test]
fn ctrl_c_cancels_and_keeps_what_is_there() {
    let gate = Gate::new();
    let stop = gate.clone();
    let server = Server::start(move |_| {
        Reply::ok(support::pattern(5_000_000)).then(Fault::GateAt(At::After(1_000_000), stop.clone()))
    });
    let dir = Dir::new();
    let child = start(&dir.0, &["-o", "file", &server.url("/"), &server.url("/never")]);
    gate.wait_until_reached();
    interrupt(&child);
    server.wait_for_requests(1, SOON);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", err(&output));
    assert!(
        err(&output).contains("interrupted; ") && err(&output).contains("0 of 2 transfers"),
        "{}",
        err(&output)
    );
    let kept = dir.read("file");
    assert!(kept.len() <= 1_000_000);
    assert_eq!(support::first_mismatch(0, &kept), None);
    assert_eq!(server.requests().len(), 1, "no further transfer is begun");
    gate.open();
    server.wait_for_open_connections(0, SOON);
}

#[test]
fn ctrl_c_cancels_all_of_many() {
    let gate = Gate::new();
    let stop = gate.clone();
    let server = Server::start(move |_| Reply::ok("never").then(Fault::Gate(stop.clone())));
    let dir = Dir::new();
    let urls: Vec<String> = (0..30).map(|number| server.url(&format!("/{number}"))).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let child = start(&dir.0, &[&["-Z", "--remote-name-all"], &urls[..]].concat());
    gate.wait_until_reached_by(6, SOON);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", err(&output));
    assert_eq!(err(&output), "fetch: (130) interrupted; 0 of 30 transfers are done\n");
    assert_eq!(server.requests().len(), 6);
    gate.open();
}

#[test]
fn ctrl_c_ends_it_though_nobody_reads_its_output() {
    let server = Server::start(|_| Reply::ok(vec![b'x'; 30_000_000]));
    let mut child = start(&std::env::temp_dir(), &[&server.url("/")]);
    let mut first = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(stdout);
}

#[test]
fn help_and_mistakes() {
    let output = fetch(&["--help"]);
    assert_eq!((code(&output), err(&output).as_str()), (0, ""));
    let help = out(&output);
    for text in ["--max-redirs", "--cacert", "-Z, --parallel", "\n  130  interrupted", "\n   22  "] {
        assert!(help.contains(text), "{text}");
    }
    assert!(help.lines().all(|line| line.len() <= 80));
    assert!(out(&fetch(&["-V"])).starts_with("fetch "));
    for args in [&[][..], &["--nonsense", "h"], &["-m", "soon", "h"], &["-o"]] {
        let output = fetch(args);
        assert_eq!((code(&output), out(&output).as_str()), (2, ""));
        assert!(err(&output).contains("try 'fetch --help'"));
    }
}

#[test]
fn a_connection_that_is_served_once_is_not_needed_twice() {
    let server = raw(|mut stream| {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil the end");
    });
    assert_eq!(out(&fetch(&[&server.url("/")])), "until the end");
    server.join();
}
