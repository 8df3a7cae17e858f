//! A cookie file outlives its processes: killed at any moment while several write, it is whole, and has all
//! that was said to be in it.
#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::Directory;
use urlsession::{Cookie, CookieStorage};

/// Of a usual run; `URLSESSION_ROUNDS` says how many others are to have.
const ROUNDS: u64 = 60;

/// A number, and so much behind it that a piece of it is no such value.
fn value(number: u64) -> String {
    let length = usize::try_from(number * 7919 % 2500).unwrap();
    format!("{number}:{}", number.to_string().repeat(length / 4 + 1))
}

fn cookie(name: &str, value: String) -> Cookie {
    Cookie::builder(name, value).domain("example.com").max_age(Duration::from_secs(100_000)).build().unwrap()
}

/// What runs in the processes that are killed: not a test by itself.
#[test]
fn as_a_child() {
    let (Ok(path), Ok(name)) = (std::env::var("TEST_COOKIES"), std::env::var("TEST_NAME")) else { return };
    let storage = CookieStorage::in_directory(path).unwrap();
    // Raw, since the harness keeps what a test prints.
    let mut out = std::io::stderr();
    let first = numbers(&storage).find(|(known, _)| *known == name).map_or(0, |(_, number)| number + 1);
    for number in first.. {
        storage.set_cookie(cookie(&name, value(number)));
        writeln!(out, "{number}").unwrap();
        // What there is less of now is also to be whole.
        storage.set_cookie(cookie(&format!("{name}{}", number % 8), "x".repeat(500)));
        storage.delete_cookie(&cookie(&format!("{name}{}", (number + 4) % 8), String::new()));
    }
}

/// The cookies that the children count with, which are whole.
fn numbers(storage: &CookieStorage) -> impl Iterator<Item = (String, u64)> + use<> {
    storage.cookies().into_iter().filter(|cookie| cookie.name().len() == 1).map(|cookie| {
        let number = cookie.value().split(':').next().unwrap().parse().unwrap();
        assert_eq!(cookie.value(), value(number));
        (cookie.name().to_owned(), number)
    })
}

fn run(path: &Path, name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_a_child", "--nocapture"])
        .env("TEST_COOKIES", path)
        .env("TEST_NAME", name)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the child once it has said so much, in the middle of what it does then. The last that it said.
fn kill_after(mut child: Child, lines: u64) -> Option<u64> {
    let said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut last = None;
    for (count, line) in (0..).zip(said) {
        if count == lines {
            child.kill().unwrap();
        }
        // The last line may be a piece of one, and then it is the beginning of a number.
        let number = line.unwrap().parse().unwrap();
        if last.is_none_or(|last| number == last + 1) {
            last = Some(number);
        }
    }
    assert!(!child.wait().unwrap().success());
    last
}

#[test]
fn killed_at_any_moment_the_file_is_whole() {
    let rounds = std::env::var("URLSESSION_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let directory = Directory::new();
    let path = directory.join("state");
    let mut state = u64::from(std::process::id());
    for round in 0..rounds {
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let (a, b) = (run(&path, "a"), run(&path, "b"));
        let (first, second) = (random(150), random(150));
        let other = std::thread::spawn(move || kill_after(b, second));
        let said = [("a", kill_after(a, first)), ("b", other.join().unwrap())];
        let storage = CookieStorage::in_directory(&path).unwrap();
        let kept: Vec<(String, u64)> = numbers(&storage).collect();
        for (name, said) in said {
            let kept = kept.iter().find(|(known, _)| known == name).map(|(_, number)| *number);
            // It may have been killed before it could say so.
            assert!(
                kept >= said && kept <= said.map(|said| said + 1).or(kept),
                "{round}: {name} {kept:?} {said:?}"
            );
        }
        let all = storage.cookies();
        let whole =
            all.iter().filter(|cookie| cookie.name().len() == 2).all(|cookie| cookie.value().len() == 500);
        assert!(whole && all.len() <= 2 + 16, "{round}: {all:?}");
    }
    let names: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.contains("corrupt")), "{names:?}");
    let length = std::fs::metadata(path.join("cookies")).unwrap().len();
    assert!(length < 400_000, "{length} bytes");
}
