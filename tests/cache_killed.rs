//! Several processes that store, read and remove in one cache directory at once, and are killed in the
//! middle of it.
#![cfg(unix)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use support::{Directory, Random};
use urlsession::{Cache, CachedResponse, Request, Response, http};

const MIB: u64 = 1 << 20;

const URLS: u64 = 150;
const CAPACITY: u64 = 12 * MIB;

fn open(path: &Path, memory: u64, disk: u64) -> Cache {
    Cache::in_directory(path, memory, disk).unwrap()
}

fn request(number: u64) -> Request {
    Request::get(format!("https://example.com/{number}"))
}

/// What is stored of a URL under a seed: 1 KiB that looks random, again and again, numbered.
fn body(number: u64, seed: u64, length: u64) -> Vec<u8> {
    let mut random = Random(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (seed + 1));
    let block: Vec<u8> = (0..127).flat_map(|_| random.below(u64::MAX).to_le_bytes()).collect();
    let mut body = Vec::with_capacity(length as usize + 1024);
    for block_number in 0..length.div_ceil(1024) {
        body.extend_from_slice(&block);
        body.extend_from_slice(&block_number.to_le_bytes());
    }
    body.truncate(length as usize);
    body
}

/// Whether there is a response, and that it is one that somebody stored for this URL.
fn check(cache: &Cache, number: u64) -> bool {
    let Some(found) = cache.cached_response(&request(number)) else { return false };
    let fact = |name: &str| found.head().header(name).unwrap().parse::<u64>().unwrap();
    assert_eq!(fact("x-number"), number);
    assert!(*found.data() == body(number, fact("x-seed"), fact("x-length")), "a wrong body of {number}");
    true
}

fn put(cache: &Cache, random: &mut Random) {
    let (number, seed) = (random.below(URLS), random.below(1 << 30));
    let longest = [2000, 2000, 2000, 30_000, 30_000, 150_000, 600_000];
    let longest = longest[random.below(7) as usize];
    let length = random.below(longest);
    let facts = [number, seed, length].map(|fact| fact.to_string());
    let headers = [("x-number", &*facts[0]), ("x-seed", &*facts[1]), ("x-length", &*facts[2])];
    let mut response = http::Response::builder();
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let response = response.body(body(number, seed, length).into()).unwrap();
    let request = request(number);
    let response = Response::from_http(response, request.get_url().unwrap().clone());
    cache.store(&CachedResponse::new(response), &request);
}

/// Ends the process when the cache finds damage: a kill is to leave none behind.
struct NoDamage;

impl log::Log for NoDamage {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        let text = record.args().to_string();
        if text.contains("damaged") {
            let _ = writeln!(std::io::stderr(), "{text}");
            std::process::exit(3);
        }
    }

    fn flush(&self) {}
}

fn find_damage() {
    log::set_logger(&NoDamage).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
}

/// What runs in the processes that are killed: not a test by itself.
#[test]
fn as_a_child() {
    let (Ok(path), Ok(seed)) = (std::env::var("TEST_DIRECTORY"), std::env::var("TEST_SEED")) else {
        return;
    };
    find_damage();
    let mut random = Random(seed.parse().unwrap());
    let cache = open(Path::new(&path), [0, MIB][random.below(2) as usize], CAPACITY);
    // Raw, since the harness keeps what a test prints.
    writeln!(std::io::stderr(), "ready").unwrap();
    let parent: u32 = std::env::var("TEST_PARENT").unwrap().parse().unwrap();
    // Not longer than the test, however that ends.
    while parent_id() == parent {
        match random.below(1000) {
            0..500 => put(&cache, &mut random),
            500..980 => drop(check(&cache, random.below(URLS))),
            980..998 => cache.remove(&request(random.below(URLS))),
            998 => cache.remove_since(SystemTime::now() - Duration::from_millis(5)),
            _ => drop(cache.current_disk_usage()),
        }
    }
}

fn start(path: &Path, seed: u64) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_a_child", "--nocapture"])
        .env("TEST_DIRECTORY", path)
        .env("TEST_SEED", seed.to_string())
        .env("TEST_PARENT", std::process::id().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

/// How many are killed: `URLSESSION_KILLS=1000 cargo test --test cache_killed`.
fn rounds() -> u64 {
    std::env::var("URLSESSION_KILLS").map_or(40, |rounds| rounds.parse().unwrap())
}

#[test]
fn nobody_reads_what_nobody_stored() {
    find_damage();
    let directory = Directory::new();
    let (mut random, mut found) = (Random(0x2545_f491_4f6c_dd1d), 0);
    let cache = open(directory.path(), 0, CAPACITY);
    let mut children: Vec<Child> = (1..=3).map(|seed| start(directory.path(), seed)).collect();
    for round in 0..rounds() {
        let until = Instant::now() + Duration::from_micros(random.below(25_000));
        while Instant::now() < until {
            found += u64::from(check(&cache, random.below(URLS)));
        }
        let at = random.below(3) as usize;
        let mut child = std::mem::replace(&mut children[at], start(directory.path(), 4 + round));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(9), "it ended by itself: {told}");
    }
    for mut child in children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(found > rounds(), "{found}");
    drop(cache);

    // Whatever has the name of an entry is one.
    let (entries, others): (Vec<_>, Vec<_>) =
        directory.names().into_iter().partition(|name| name.ends_with(".cached"));
    let cache = open(directory.path(), 0, 10 * CAPACITY);
    let hits = (0..URLS).filter(|&number| check(&cache, number)).count();
    assert!(hits > 0 && hits == entries.len(), "{hits} of {}", entries.len());
    // Nothing but unfinished files is left behind, and those go when they are old.
    assert!(others.len() as u64 <= rounds() + 3, "{others:?}");
    for name in &others {
        assert!(name.ends_with(".tmp"), "{name}");
        let file = fs::File::open(directory.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    }
    // Together they may have stored more than each of them may.
    let cache = open(directory.path(), 0, CAPACITY);
    assert!(cache.current_disk_usage() <= CAPACITY);
    assert!(directory.names().iter().all(|name| entries.contains(name)), "{:?}", directory.names());
    println!("{} unfinished files, {hits} entries, {found} reads", others.len());
}
