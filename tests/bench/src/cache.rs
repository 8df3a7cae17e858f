//! What a response costs that is stored: in memory and on disk, looked up by itself and through a session,
//! beside the least there can be, which is to read a file.

use crate::Result;
use crate::measure::{median, one_by_one, seconds};
use std::fs;
use std::path::PathBuf;
use urlsession::{Cache, CachedResponse, Configuration, Request, Response, Session, http};

pub const NAME: &str = "cache";
pub const TITLE: &str = "A stored response of 1 KiB, one of 1,000";

const ENTRIES: usize = 1000;
const CAPACITY: u64 = 64 << 20;

/// A directory that goes with its guard.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Measures, and prints the table.
pub fn run(quick: bool) -> Result<()> {
    let (rounds, size) = if quick { (3, 2000) } else { (9, 20_000) };
    let directory = Directory(std::env::temp_dir().join(format!("urlsession-bench-{}", std::process::id())));
    fs::create_dir_all(&directory.0)?;
    let files: Vec<PathBuf> = (0..ENTRIES).map(|number| directory.0.join(format!("raw-{number}"))).collect();
    for file in &files {
        fs::write(file, body())?;
    }
    let memory = Cache::in_memory(CAPACITY);
    let disk = Cache::in_directory(directory.0.join("cache"), 0, CAPACITY)?;
    let requests: Vec<Request> =
        (0..ENTRIES).map(|number| Request::get(format!("http://127.0.0.1:9/some/path/{number}"))).collect();
    for request in &requests {
        store(&memory, request)?;
        store(&disk, request)?;
    }
    let session = |cache: &Cache| Session::new(Configuration::ephemeral().cache(cache.clone()));
    let (from_memory, from_disk) = (session(&memory), session(&disk));
    let look_up = |cache: &Cache, at: usize| {
        check(cache.cached_response(&requests[at]).ok_or("it is not there")?.data())
    };
    let load = |session: &Session, at: usize| check(session.data_task(&requests[at]).wait()?.bytes());

    println!("### {TITLE}\n");
    println!("| | time | CPU |\n|---|--:|--:|");
    let mut measure = |what: &str, run: &mut dyn FnMut(usize) -> Result<()>| -> Result<()> {
        let mut samples = Vec::new();
        for _ in 0..rounds {
            // Not in the order in which they were stored.
            let mut at = 0;
            samples.push(one_by_one(size, || {
                at = (at + 617) % ENTRIES;
                run(at)
            })?);
        }
        let wall = median(samples.iter().map(|sample| sample.wall).collect());
        let cpu = median(samples.iter().map(|sample| sample.cpu).collect());
        println!("| {what} | {} | {} |", seconds(wall), seconds(cpu));
        Ok(())
    };
    measure("a file: open, read, close", &mut |at| check(&fs::read(&files[at])?))?;
    let other = directory.0.join("other");
    measure("a file: create, write, rename", &mut |at| {
        fs::write(&other, body())?;
        Ok(fs::rename(&other, &files[at])?)
    })?;
    measure("Cache, in memory", &mut |at| look_up(&memory, at))?;
    measure("Cache, on disk", &mut |at| look_up(&disk, at))?;
    measure("a task, in memory", &mut |at| load(&from_memory, at))?;
    measure("a task, on disk", &mut |at| load(&from_disk, at))?;
    measure("storing, in memory", &mut |at| store(&memory, &requests[at]))?;
    measure("storing, on disk", &mut |at| store(&disk, &requests[at]))?;
    println!();
    Ok(())
}

fn body() -> Vec<u8> {
    vec![b'x'; 1024]
}

fn store(cache: &Cache, request: &Request) -> Result<()> {
    let response = http::Response::builder()
        .header("content-type", "text/plain")
        .header("cache-control", "max-age=86400")
        .header("etag", "\"0123456789abcdef\"")
        .header("content-length", 1024)
        .body(body().into())?;
    let url = request.get_url().ok_or("a URL")?.clone();
    cache.store(&CachedResponse::new(Response::from_http(response, url)), request);
    Ok(())
}

fn check(bytes: &[u8]) -> Result<()> {
    if bytes.len() == 1024 && bytes.iter().all(|&byte| byte == b'x') {
        Ok(())
    } else {
        Err("a wrong body".into())
    }
}
