//! What a jar of 3,000 cookies adds to a request: the same GET with cookies and without, and the choice of the
//! cookies by itself.

use crate::Result;
use crate::measure::{median, one_by_one, seconds};
use crate::server::{Port, Target};
use std::time::Duration;
use urlsession::{Configuration, Cookie, CookieStorage, Session, Url};

pub const NAME: &str = "cookies";
pub const TITLE: &str = "A jar of 3,000 cookies, of which 5 go with the request";

/// Measures, and prints the table.
pub fn run(target: &Target, quick: bool) -> Result<()> {
    let (rounds, size) = if quick { (3, 2000) } else { (9, 10_000) };
    let url = target.url(Port::Plain, "/small");
    let parsed = Url::parse(&url)?;
    let directory = std::env::temp_dir().join(format!("urlsession-bench-cookies-{}", std::process::id()));
    let memory = fill(CookieStorage::in_memory())?;
    let disk = fill(CookieStorage::in_directory(&directory)?)?;
    let session =
        |storage: Option<CookieStorage>| Session::new(Configuration::ephemeral().cookie_storage(storage));
    let without = session(None);
    let empty = session(Some(CookieStorage::in_memory()));
    let (from_memory, from_disk) = (session(Some(memory.clone())), session(Some(disk.clone())));
    let get = |session: &Session| -> Result<()> {
        session.data_task(&url).wait()?.error_for_status()?;
        Ok(())
    };
    let choose = |storage: &CookieStorage| {
        let chosen = storage.cookies_for(&parsed);
        let header = Cookie::to_header(&chosen).ok_or("no cookies")?;
        if chosen.len() == 5 && !header.is_empty() { Ok(()) } else { Err("other cookies".into()) }
    };
    let runs: [(&str, &dyn Fn() -> Result<()>); 6] = [
        ("GET of 1 KiB, without a storage", &|| get(&without)),
        ("GET of 1 KiB, nothing in the storage", &|| get(&empty)),
        ("GET of 1 KiB, 3,000 in memory", &|| get(&from_memory)),
        ("GET of 1 KiB, 3,000 in a directory", &|| get(&from_disk)),
        ("chosen and copied, in memory", &|| choose(&memory)),
        ("chosen and copied, in a directory", &|| choose(&disk)),
    ];
    let mut samples = runs.map(|_| Vec::new());
    for round in 0..=rounds {
        // They take turns, so that what else goes on is the same for all.
        for ((_, run), samples) in runs.iter().zip(&mut samples) {
            let sample = one_by_one(size, run)?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    println!("### {TITLE}\n");
    println!("| | time | CPU |\n|---|--:|--:|");
    for ((what, _), samples) in runs.iter().zip(samples) {
        let wall = median(samples.iter().map(|sample| sample.wall).collect());
        let cpu = median(samples.iter().map(|sample| sample.cpu).collect());
        println!("| {what} | {} | {} |", seconds(wall), seconds(cpu));
    }
    println!();
    let _ = std::fs::remove_dir_all(directory);
    Ok(())
}

/// 100 sites with 30 each; of those of the server, 5 are for the path.
fn fill(storage: CookieStorage) -> Result<CookieStorage> {
    for number in 0..3000 {
        let (name, value) = (format!("cookie{number}"), "0123456789abcdef".repeat(3));
        let cookie = Cookie::builder(name, value).max_age(Duration::from_secs(1_000_000));
        let cookie = match number % 100 {
            0 if number < 500 => cookie.host("127.0.0.1"),
            0 => cookie.host("127.0.0.1").path(format!("/elsewhere/{number}")),
            site => cookie.domain(format!("site{site}.example.com.example{site}")),
        };
        storage.set_cookie(cookie.build()?);
    }
    if storage.cookies().len() != 3000 {
        return Err("the jar is not full".into());
    }
    Ok(storage)
}
