//! The example `fetch` as a program: who asks (`-u`, `--digest`, `-n`, `--oauth2-bearer`), and what it keeps
//! for later (`-b`, `-c`, `--hsts`).
#![cfg(all(feature = "checksum", feature = "digest", feature = "tls", unix))]

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::{Command, Output};
use support::tool::{self, code, err, out};
use support::{Certs, Directory, Received, Reply, Server, Tls};
use urlsession::{Certificate, PinnedKeys};

fn fetch(directory: &Directory, args: &[&str]) -> Output {
    tool::command("fetch", directory.path(), args).output().unwrap()
}

#[track_caller]
fn succeeds(directory: &Directory, args: &[&str]) -> String {
    let output = fetch(directory, args);
    assert_eq!((code(&output), err(&output).as_str()), (0, ""), "{args:?}");
    out(&output)
}

#[track_caller]
fn fails(directory: &Directory, args: &[&str], expected: i32) -> String {
    let output = fetch(directory, args);
    assert_eq!(code(&output), expected, "{args:?}: {}", err(&output));
    assert!(err(&output).starts_with("fetch: "), "{args:?}: {}", err(&output));
    err(&output)
}

/// What a request says of who asks.
fn authorization(request: &Received) -> &str {
    request.header("authorization").unwrap_or("none")
}

/// The program within a terminal of its own; `script` gives it one, and types what is on its standard
/// input.
#[cfg(target_os = "linux")]
fn in_a_terminal(directory: &Directory, args: &[&str]) -> Command {
    let program = tool::command("fetch", directory.path(), args);
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut command = Command::new("script");
    command.args(["-qec", &words.join(" "), "/dev/null"]).current_dir(directory.path());
    command
}

#[test]
fn a_user_is_told_with_the_first_request() {
    let server = Server::start(|request| Reply::ok(authorization(request).to_owned()));
    let directory = Directory::new();
    let url = server.url("/");
    let basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
    assert_eq!(succeeds(&directory, &["-u", "Aladdin:open sesame", &url]), basic);
    assert_eq!(succeeds(&directory, &["--basic", "-u", "Aladdin:open sesame", &url]), basic);
    assert_eq!(succeeds(&directory, &["-u", "me:", &url]), "Basic bWU6");
    assert_eq!(succeeds(&directory, &["--oauth2-bearer", "abc.def", &url]), "Bearer abc.def");
    for args in [["-u", "me:x"].as_slice(), &["-u", "me:x", "--digest"], &["-u", "me:x", "--anyauth"]] {
        let told = err(&fetch(&directory, &[args, &["-v", &url]].concat()));
        assert!(!told.contains("bWU6eA"), "{told}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_terminal_no_password_is_asked_for() {
    let directory = Directory::new();
    let program = tool::command("fetch", directory.path(), &["-u", "me", "http://127.0.0.1:1/"]);
    // Whoever runs the tests may have a terminal.
    let output =
        Command::new("setsid").arg("-w").arg(program.get_program()).args(program.get_args()).output();
    let output = output.unwrap();
    assert_eq!(code(&output), 2, "{}", err(&output));
    assert!(err(&output).contains("none can be asked for") && err(&output).contains("-u name:password"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_password_is_asked_for_on_the_terminal() {
    let server = Server::start(|request| Reply::ok(authorization(request).to_owned()));
    let directory = Directory::new();
    let output = tool::run_with_input(
        &mut in_a_terminal(&directory, &["-u", "Aladdin", &server.url("/")]),
        b"open sesame\n",
    );
    let shown = out(&output);
    assert_eq!(code(&output), 0, "{shown}");
    assert!(shown.contains("Password of Aladdin: "), "{shown}");
    assert!(shown.contains("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "{shown}");
}

#[test]
fn nobody_is_two_at_once() {
    let directory = Directory::new();
    for args in [
        ["-u", "a:b", "-n"].as_slice(),
        &["-u", "a:b", "--oauth2-bearer", "t"],
        &["-n", "--oauth2-bearer", "t"],
        &["--oauth2-bearer", "t", "--digest"],
        &["--oauth2-bearer", ""],
        &["-u", ""],
    ] {
        let told = fails(&directory, &[args, &["http://127.0.0.1:1/"]].concat(), 2);
        assert!(told.contains("--oauth2-bearer") || told.contains("-u"), "{told}");
    }
}

/// Sets a cookie, and tells which ones it is sent.
fn cookies() -> Server {
    Server::start(|request| {
        let sent = request.header("cookie").unwrap_or("none").to_owned();
        match request.path() {
            "/set" => Reply::ok(sent).header("set-cookie", "a=1; Path=/; Max-Age=600"),
            "/moved" => Reply::redirect(302, "/").header("set-cookie", "m=2; HttpOnly"),
            _ => Reply::ok(sent),
        }
    })
}

#[test]
fn cookies_are_given_as_text() {
    let (server, directory) = (cookies(), Directory::new());
    assert_eq!(succeeds(&directory, &["-b", "x=1; y=2", &server.url("/")]), "x=1; y=2");
    assert_eq!(succeeds(&directory, &["-b", "x=1", "-b", "Cookie: z=3", &server.url("/")]), "x=1; z=3");
    // Nothing is kept unless that is asked for.
    assert_eq!(succeeds(&directory, &[&server.url("/set"), &server.url("/")]), "nonenone");
    assert!(directory.names().is_empty());
}

#[test]
fn cookies_are_kept_in_a_file() {
    let (server, directory) = (cookies(), Directory::new());
    let sent = |args: &[&str], path: &str| succeeds(&directory, &[args, &[&server.url(path)]].concat());
    // The file need not be there.
    assert_eq!(sent(&["-b", "jar", "-c", "jar"], "/set"), "none");
    let jar = fs::read_to_string(directory.join("jar")).unwrap();
    assert!(jar.starts_with("# Netscape HTTP Cookie File\n") && jar.contains("127.0.0.1\tFALSE\t/\tFALSE\t"));
    assert!(jar.ends_with("\ta\t1\n"), "{jar}");
    assert_eq!(sent(&["-b", "jar"], "/"), "a=1");
    assert_eq!(sent(&["-b", "jar", "-c", "jar"], "/moved"), "a=1; m=2");
    assert_eq!(sent(&["-b", "jar", "-b", "x=3"], "/"), "x=3; a=1; m=2");
    assert_eq!(sent(&["-b", "jar", "--no-location"], "/moved"), "");
    assert!(fs::read_to_string(directory.join("jar")).unwrap().contains("#HttpOnly_127.0.0.1\t"));
    let mode = fs::metadata(directory.join("jar")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "it is nobody else's to read");
    // Without a file they are kept as long as the program runs.
    let output = fetch(&directory, &["-b", "", &server.url("/set"), &server.url("/")]);
    assert_eq!(out(&output), "nonea=1");
    assert!(sent(&["-c", "-"], "/set").ends_with("\ta\t1\n"));
}

#[test]
fn cookie_files_that_do_not_work_are_told_of() {
    let (server, directory) = (cookies(), Directory::new());
    fs::create_dir(directory.join("sub")).unwrap();
    let told = fails(&directory, &["-b", "sub", &server.url("/")], 26);
    assert!(told.contains("sub") && server.requests().is_empty(), "{told}");
    let told = fails(&directory, &["-c", "no/jar", &server.url("/")], 23);
    assert!(told.contains("no/jar"), "{told}");
    // What was fetched is there nevertheless, and an error of the transfer is the one that counts.
    let output = fetch(&directory, &["-c", "no/jar", &server.url("/")]);
    assert_eq!(out(&output), "none");
    fails(&directory, &["-c", "no/jar", "http://127.0.0.1:1/"], 7);
    // What is no file stays what it is.
    let jar = directory.join("pipe");
    assert!(Command::new("mkfifo").arg(&jar).status().unwrap().success());
    // Open at both ends, it waits for nobody.
    let mut pipe = fs::File::options().read(true).write(true).open(&jar).unwrap();
    succeeds(&directory, &["-c", "pipe", &server.url("/set")]);
    assert!(fs::metadata(&jar).unwrap().file_type().is_fifo());
    let mut written = [0; 4096];
    let count = pipe.read(&mut written).unwrap();
    assert!(written[..count].ends_with(b"\ta\t1\n"));
}

/// Asks for what `offers` names, and takes whatever comes.
fn asking(offers: &'static [&'static str]) -> Server {
    Server::start(move |request| match (request.path(), authorization(request)) {
        ("/moved", _) => Reply::redirect(302, request.query().unwrap()),
        (_, "none") => offers
            .iter()
            .fold(Reply::ok("who?").with_status(401), |reply, offer| reply.header("www-authenticate", offer)),
        (_, sent) => Reply::ok(sent.to_owned()),
    })
}

const BASIC: &str = "Basic realm=\"staff\"";
const DIGEST: &str = "Digest realm=\"staff\", qop=\"auth\", algorithm=SHA-256, nonce=\"abc\"";

#[test]
fn digest_waits_to_be_asked() {
    let (server, directory) = (asking(&[BASIC, DIGEST]), Directory::new());
    for scheme in ["--digest", "--anyauth"] {
        let sent = succeeds(&directory, &[scheme, "-u", "me:hidden", &server.url("/x")]);
        assert!(sent.starts_with("Digest username=\"me\"") && sent.contains("uri=\"/x\""), "{sent}");
        assert!(!sent.contains("hidden"));
    }
    assert_eq!(authorization(&server.request(0)), "none");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn only_what_was_named_is_used() {
    let (server, directory) = (asking(&[BASIC]), Directory::new());
    // Not to be let in is no error of the transfer, as with curl.
    assert_eq!(succeeds(&directory, &["--digest", "-u", "me:x", &server.url("/")]), "who?");
    assert_eq!(server.requests().len(), 1);
    fails(&directory, &["--digest", "-u", "me:x", "-f", &server.url("/")], 22);
    assert_eq!(succeeds(&directory, &["--anyauth", "-u", "me:x", &server.url("/")]), "Basic bWU6eA==");
    assert_eq!(
        succeeds(&directory, &["--digest", "--basic", "-u", "me:x", &server.url("/")]),
        "Basic bWU6eA=="
    );
}

#[test]
fn a_password_that_is_wrong_is_tried_once() {
    let directory = Directory::new();
    let server = Server::start(|_| Reply::ok("no").with_status(401).header("www-authenticate", DIGEST));
    assert_eq!(succeeds(&directory, &["--anyauth", "-u", "me:x", &server.url("/")]), "no");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_password_stays_with_its_host() {
    let (server, other, directory) = (asking(&[BASIC]), asking(&[BASIC, DIGEST]), Directory::new());
    let there = server.url("/moved?") + &other.url("/");
    for scheme in ["--basic", "--anyauth", "--digest"] {
        assert_eq!(succeeds(&directory, &[scheme, "-u", "me:x", &there]), "who?", "{scheme}");
        let token = &["--oauth2-bearer", "t", &there];
        assert_eq!(succeeds(&directory, token), "who?");
    }
    assert!(other.requests().iter().all(|request| authorization(request) == "none"));
}

#[test]
fn a_body_is_sent_again_with_the_answer() {
    let directory = Directory::new();
    let server = Server::start(|request| match authorization(request) {
        "none" => Reply::status(401).header("www-authenticate", DIGEST),
        _ => Reply::ok(request.body()),
    });
    fs::write(directory.join("file"), "from a file").unwrap();
    for args in [["-d", "@file"], ["-T", "file"]] {
        let url = server.url("/");
        let args = [&args[..], &["--digest", "-u", "me:x", &url]].concat();
        assert_eq!(succeeds(&directory, &args), "from a file");
    }
}

#[test]
fn keys_are_pinned() {
    let certs = Certs::valid();
    let leaf = Certificate::from_der(certs.leaf().to_vec());
    let pin = PinnedKeys::from_sha256([leaf.public_key_sha256().unwrap()]).to_string();
    let server = Server::builder().tls(Tls::new().certs(certs)).start(|_| Reply::ok("hello"));
    let directory = Directory::new();
    fs::write(directory.join("ca.pem"), server.ca_pem()).unwrap();
    let url = server.url("/");
    let curls = pin.replace("sha256/", "sha256//");
    let other = "sha256//YLh1dUR9y6Kja30RrAn7JKnbQG/uEtLMkBgFF2Fuihg=";
    for trusting in [["--cacert", "ca.pem"].as_slice(), &["-k"]] {
        for keys in [&curls, &format!("{other};{curls}")] {
            assert_eq!(succeeds(&directory, &[trusting, &["--pinnedpubkey", keys, &url]].concat()), "hello");
        }
        let told = fails(&directory, &[trusting, &["--pinnedpubkey", other, &url]].concat(), 90);
        assert!(told.contains(&pin), "{told}");
    }
    // What is wrong with the certificate itself is another matter.
    fails(&directory, &["--pinnedpubkey", &curls, &url], 60);
    fails(&directory, &["--pinnedpubkey", "sha256//short", &url], 2);
    fails(&directory, &["--pinnedpubkey", "missing.pem", &url], 26);
    let told = fails(&directory, &["--pinnedpubkey", "ca.pem", &url], 26);
    assert!(told.contains("ca.pem: there is no public key in it"), "{told}");
}

#[test]
fn who_wants_https_is_remembered() {
    let (server, directory) = (Server::start(|_| Reply::ok("hello")), Directory::new());
    let known = "# by hand\nsecure.invalid \"20980101 00:00:00\"\nover.invalid \"20200101 00:00:00\"\n";
    fs::write(directory.join("known"), known).unwrap();
    // Nobody has that name; but it is asked for by https, and so it is not refused.
    let told = fails(&directory, &["--hsts", "known", "http://secure.invalid/"], 6);
    assert!(told.contains("[https://secure.invalid/]"), "{told}");
    fails(&directory, &["--hsts", "known", "http://over.invalid/"], 1);
    fails(&directory, &["--hsts", "", "http://secure.invalid/"], 1);
    let written = fs::read_to_string(directory.join("known")).unwrap();
    let hosts: Vec<_> = written.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(hosts, ["secure.invalid \"20980101 00:00:00\""]);
    // The file need not be there.
    let url = server.url("/");
    assert_eq!(succeeds(&directory, &["--hsts", "new", &url]), "hello");
    assert_eq!(directory.names(), ["known", "new"]);
    assert_eq!(succeeds(&directory, &["--hsts", "/dev/null", &url]), "hello");
    fails(&directory, &["--hsts", ".", &url], 26);
    fails(&directory, &["--hsts", "no/known", &url], 23);
}

#[test]
fn users_are_looked_up_by_host() {
    let (server, directory) = (asking(&[BASIC]), Directory::new());
    let url = server.url("/");
    let netrc = "machine elsewhere login a password b\nmachine 127.0.0.1 login me password x\n";
    fs::write(directory.join("netrc"), netrc).unwrap();
    assert_eq!(succeeds(&directory, &["--netrc-file", "netrc", &url]), "Basic bWU6eA==");
    assert_eq!(succeeds(&directory, &["--netrc-file", "netrc", "--digest", &url]), "who?");
    let usual = |name: &str, value: &std::path::Path| {
        let mut command = tool::command("fetch", directory.path(), &["-n", &url]);
        out(&command.env_remove("NETRC").env("HOME", "/nonexistent").env(name, value).output().unwrap())
    };
    assert_eq!(usual("NETRC", &directory.join("netrc")), "Basic bWU6eA==");
    fs::rename(directory.join("netrc"), directory.join(".netrc")).unwrap();
    assert_eq!(usual("HOME", directory.path()), "Basic bWU6eA==");
    // As with curl, nobody is looked up where there is no file, unless it was named.
    assert_eq!(usual("HOME", &directory.join("nowhere")), "who?");
    let told = fails(&directory, &["--netrc-file", "missing", &url], 26);
    assert!(told.contains("missing"), "{told}");
    fs::write(directory.join("broken"), "machine \"127.0.0.1").unwrap();
    fails(&directory, &["--netrc-file", "broken", &url], 26);
}

#[test]
fn cleartext_is_refused_unless_it_is_near_or_allowed() {
    let plain = Server::start(|_| Reply::ok("hello"));
    let to = plain.url("/");
    let secure = Server::tls(move |_| Reply::redirect(302, &to));
    let directory = Directory::new();
    assert_eq!(succeeds(&directory, &[&plain.url("/")]), "hello");
    let told = fails(&directory, &["http://example.com/?secret"], 1);
    assert!(told.contains("http://example.com/") && told.ends_with(" without --allow-cleartext\n"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    let told = fails(&directory, &["-k", &secure.url("/")], 1);
    assert!(told.ends_with(" without --allow-cleartext\n"), "{told}");
    assert_eq!(succeeds(&directory, &["-k", "--allow-cleartext", &secure.url("/")]), "hello");
}
