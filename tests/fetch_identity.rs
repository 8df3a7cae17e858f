//! The example `fetch` as a program: who asks (`-u`, `--digest`, `-n`, `--oauth2-bearer`), and what it keeps
//! for later (`-b`, `-c`, `--hsts`).
#![cfg(all(feature = "tls", unix))]

mod support;

use std::process::{Command, Output, Stdio};
use support::tool::{self, code, err, out};
use support::{Directory, Received, Reply, Server};

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
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
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
