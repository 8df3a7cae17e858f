//! The example `login` as a program: what it remembers from one run to the next.
#![cfg(all(feature = "checksum", feature = "digest", target_os = "linux"))]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use support::Directory;
use support::tool::{self, code, err, out};

const RIGHT: [&str; 2] = ["-u", "ada:lovelace"];

/// The program, on a port that is the same for all runs of a test, remembering in `state`.
struct Login {
    directory: Directory,
    port: String,
}

impl Login {
    fn new() -> Login {
        // It has to be free, and the same each time.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Login { directory: Directory::new(), port: port.to_string() }
    }

    /// Nobody can be asked: there is no terminal.
    fn run(&self, args: &[&str]) -> Output {
        let program = tool::command(
            "login",
            self.directory.path(),
            &[&["-p", &self.port, "-d", "state"], args].concat(),
        );
        let mut command = Command::new("setsid");
        command.arg("-w").arg(program.get_program()).args(program.get_args());
        command.current_dir(self.directory.path()).output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!((code(&output), err(&output).as_str()), (0, ""), "{args:?}");
        out(&output)
    }
}

#[test]
fn the_second_run_is_still_logged_in() {
    let login = Login::new();
    let first = login.succeeds(&RIGHT);
    assert!(
        first.contains("\nNothing is remembered.\n") && first.contains("\nPOST /login as ada\n"),
        "{first}"
    );
    assert!(first.contains("200 OK: The vault has gold in it.\n"), "{first}");
    let second = login.succeeds(&[]);
    assert!(second.contains("\n  200 OK: This is the account of ada.\n"), "{second}");
    assert!(!second.contains("POST") && second.contains("the credential of ada is remembered"), "{second}");
    assert!(second.contains("  200 OK: The vault has gold in it.\n"), "{second}");
    for shown in [&first, &second] {
        assert!(shown.contains("a cookie called login for 127.0.0.1/, for 6 days"), "{shown}");
        assert!(shown.contains("the password of ada for Digest in vault on http://127.0.0.1:"), "{shown}");
        assert!(!shown.contains("lovelace"), "{shown}");
    }
    for name in ["cookies", "credentials"] {
        let mode = fs::metadata(login.directory.join("state").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn what_is_forgotten_has_to_be_said_again() {
    let login = Login::new();
    login.succeeds(&RIGHT);
    assert!(login.succeeds(&["--forget"]).ends_with("\nForgotten.\n"));
    assert_eq!(login.succeeds(&["--forget"]), "Nothing is remembered.\nForgotten.\n");
    let output = login.run(&[]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("nobody can be asked") && err(&output).contains("-u"), "{}", err(&output));
    assert!(login.succeeds(&RIGHT).contains("POST /login"));
}

#[test]
fn a_wrong_password_is_not_remembered() {
    let login = Login::new();
    let output = login.run(&["-u", "ada:wrong"]);
    assert_eq!(code(&output), 1);
    assert!(err(&output).contains("does not take that name and password"), "{}", err(&output));
    assert_eq!(login.succeeds(&["--forget"]), "Nothing is remembered.\nForgotten.\n");
}

#[test]
fn without_a_directory_it_is_where_programs_keep_their_state() {
    let login = Login::new();
    let home = login.directory.path();
    let run = |args: &[&str]| {
        let mut command = tool::command("login", home, &[&["-p", &login.port], args].concat());
        command.env("HOME", home).env_remove("XDG_STATE_HOME").env_remove("XDG_CACHE_HOME");
        let output = command.output().unwrap();
        assert_eq!((code(&output), err(&output).as_str()), (0, ""));
        out(&output)
    };
    run(&RIGHT);
    assert!(!run(&RIGHT).contains("POST"));
    if cfg!(target_os = "linux") {
        assert!(home.join(".local/state/org.example.urlsession-login/urlsession/cookies").exists());
    }
    assert!(run(&["--forget"]).contains("a cookie called login"));
}

#[test]
fn what_cannot_be_is_told() {
    let login = Login::new();
    fs::write(login.directory.join("state"), "a file").unwrap();
    let output = login.run(&RIGHT);
    assert_eq!(code(&output), 1);
    assert!(err(&output).starts_with("login: ") && err(&output).contains("state"), "{}", err(&output));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output =
        tool::command("login", login.directory.path(), &["-p", &port, "-d", "other"]).output().unwrap();
    assert!(
        code(&output) == 1 && err(&output).contains(&port) && err(&output).contains("-p"),
        "{}",
        err(&output)
    );
    for args in
        [["-p", "x"].as_slice(), &["-p", "70000"], &["-u", "secret"], &["what"], &["--nonsense"], &["-d"]]
    {
        let output = login.run(args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(err(&output).contains("try 'login --help'") && !err(&output).contains("secret"));
    }
    assert!(login.succeeds(&["--help"]).lines().all(|line| line.len() <= 80));
}
