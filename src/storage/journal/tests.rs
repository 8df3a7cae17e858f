use super::*;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread;

const KIND: Kind = Kind(*b"test");

/// A directory with a journal, which goes with its guard.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("urlsession-journal-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("journal")
    }

    fn open(&self) -> Journal {
        Journal::open(self.path(), KIND).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn anew(records: &[&str]) -> News {
    News { anew: true, ..added(records) }
}

fn added(records: &[&str]) -> News {
    News { anew: false, records: records.iter().map(|record| Bytes::from(record.to_string())).collect() }
}

#[test]
fn what_was_appended_is_there_the_next_time() {
    let directory = Directory::new();
    let journal = directory.open();
    assert_eq!(journal.news(), anew(&[]));
    journal.append(&["one", "two"]).unwrap();
    journal.append::<&str>(&[]).unwrap();
    journal.append(&["three"]).unwrap();
    assert_eq!(journal.news(), added(&["one", "two", "three"]));
    assert_eq!(journal.news(), News::default());
    journal.sync().unwrap();
    drop(journal);
    assert_eq!(directory.open().news(), anew(&["one", "two", "three"]));
    assert_eq!(directory.names(), ["journal"]);
    assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn all_see_the_records_in_one_order() {
    let directory = Directory::new();
    let (first, second) = (directory.open(), directory.open());
    first.news();
    second.news();
    first.append(&["a"]).unwrap();
    second.append(&["b"]).unwrap();
    first.append(&["c"]).unwrap();
    assert_eq!(first.news(), added(&["a", "b", "c"]));
    assert_eq!(second.news(), added(&["a", "b", "c"]));
}

#[test]
fn compacting_is_seen_by_others() {
    let directory = Directory::new();
    let (first, second) = (directory.open(), directory.open());
    first.append(&["a", "b", "a"]).unwrap();
    assert!(!first.compact(&["b", "a"]).unwrap(), "there are news");
    first.news();
    second.news();
    second.append(&["c"]).unwrap();
    assert!(!first.compact(&["b", "a"]).unwrap(), "there are news of somebody else");
    assert_eq!(first.news(), added(&["c"]));
    assert!(first.compact(&["b", "a", "c"]).unwrap());
    assert_eq!(second.news(), anew(&["b", "a", "c"]));
    second.append(&["d"]).unwrap();
    first.append(&["e"]).unwrap();
    assert_eq!(first.news(), added(&["d", "e"]));
    assert_eq!(directory.open().news(), anew(&["b", "a", "c", "d", "e"]));
    assert_eq!(directory.names(), ["journal"]);
    assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_journal_is_bloated_when_it_is_twice_what_it_was() {
    let directory = Directory::new();
    let journal = directory.open();
    let record = vec![7; 32 * 1024];
    journal.append(&[&record, &record]).unwrap();
    assert!(journal.is_bloated());
    journal.news();
    assert!(journal.compact(&[&record, &record, &record]).unwrap());
    journal.append(&[&record, &record]).unwrap();
    assert!(!directory.open().is_bloated(), "the file says how long it was");
    journal.append(&[&record, &record]).unwrap();
    assert!(directory.open().is_bloated());
}

#[test]
fn there_is_a_most() {
    let directory = Directory::new();
    let journal = directory.open();
    let long = vec![7; format::MOST_RECORD];
    let error = journal.append(&[vec![7; format::MOST_RECORD + 1]]).expect_err("a long record");
    assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum);
    let many = vec![&long; MOST_JOURNAL as usize / format::MOST_RECORD - 1];
    journal.append(&many).unwrap();
    assert!(journal.is_bloated());
    let error = journal.append(&[&long, &long]).expect_err("too many");
    assert_eq!(error.kind(), ErrorKind::DataLengthExceedsMaximum);
    assert_eq!(directory.open().news().records.len(), many.len());
    fs::File::options().write(true).open(directory.path()).unwrap().set_len(MOST_JOURNAL + 1).unwrap();
    assert_eq!(directory.open().news(), anew(&[]));
    assert_eq!(directory.names(), ["journal", "journal.corrupt"]);
}

#[test]
fn clearing_removes_the_file_until_something_is_written() {
    let directory = Directory::new();
    let (first, second) = (directory.open(), directory.open());
    first.append(&["a"]).unwrap();
    first.news();
    second.news();
    first.clear().unwrap();
    assert!(directory.names().is_empty());
    assert_eq!(first.news(), anew(&[]));
    assert_eq!(second.news(), anew(&[]));
    assert_eq!(second.news(), News::default());
    second.append(&["b"]).unwrap();
    assert_eq!(first.news(), anew(&["b"]));
    first.clear().unwrap();
    first.clear().unwrap();
    assert!(directory.names().is_empty());
}

#[test]
fn cut_at_any_byte_it_goes_on_with_the_whole_records() {
    let directory = Directory::new();
    let journal = directory.open();
    let mut ends = vec![HEADER as u64];
    for record in ["one", "two", "three"] {
        journal.append(&[record]).unwrap();
        ends.push(fs::metadata(directory.path()).unwrap().len());
    }
    let whole = fs::read(directory.path()).unwrap();
    for cut in 0..=whole.len() {
        fs::write(directory.path(), &whole[..cut]).unwrap();
        let journal = directory.open();
        let good = ends.iter().filter(|end| **end <= cut as u64).count().saturating_sub(1);
        assert_eq!(journal.news(), anew(&["one", "two", "three"][..good]), "cut to {cut}");
        journal.append(&["more"]).unwrap();
        assert_eq!(journal.news(), added(&["more"]));
        let expected: Vec<_> = ["one", "two", "three"][..good].iter().copied().chain(["more"]).collect();
        assert_eq!(directory.open().news(), anew(&expected), "cut to {cut}");
        assert_eq!(directory.names(), ["journal"], "cut to {cut}");
    }
}

#[test]
fn what_is_being_written_is_left_for_later() {
    let directory = Directory::new();
    let (first, second) = (directory.open(), directory.open());
    first.append(&["one"]).unwrap();
    second.append(&["two"]).unwrap();
    first.news();
    second.news();
    let mut record = Vec::new();
    assert!(format::write_record(&mut record, b"three"));
    let mut file = fs::File::options().append(true).open(directory.path()).unwrap();
    for byte in &record[..record.len() - 1] {
        file.write_all(&[*byte]).unwrap();
        assert_eq!(first.news(), News::default());
    }
    file.write_all(&record[record.len() - 1..]).unwrap();
    assert_eq!(first.news(), added(&["three"]));
}

#[test]
fn with_any_bit_flipped_it_is_set_aside_or_cut() {
    let directory = Directory::new();
    let journal = directory.open();
    journal.append(&["one", "two"]).unwrap();
    let whole = fs::read(directory.path()).unwrap();
    let second = HEADER + format::record_len(3);
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(directory.path(), bytes).unwrap();
        let journal = directory.open();
        // What is wrong in the bytes of the last one looks like something that was not written.
        let is_cut = bit / 8 >= second + 8;
        let left: &[&str] = if is_cut { &["one"] } else { &[] };
        assert_eq!(journal.news(), anew(left), "bit {bit}");
        journal.append(&["more"]).unwrap();
        let left: Vec<_> = left.iter().copied().chain(["more"]).collect();
        assert_eq!(directory.open().news(), anew(&left), "bit {bit}");
        let aside = directory.0.join("journal.corrupt");
        assert_eq!(aside.exists(), !is_cut, "bit {bit}");
        let _ = fs::remove_file(aside);
    }
}

#[test]
fn damage_in_a_file_that_is_in_use_is_noticed() {
    let directory = Directory::new();
    let (first, second) = (directory.open(), directory.open());
    first.append(&["one"]).unwrap();
    first.news();
    second.news();
    let mut file = fs::File::options().append(true).open(directory.path()).unwrap();
    file.write_all(&[7; 100]).unwrap();
    assert_eq!(first.news(), anew(&[]));
    // Whoever asks for news may hold a lock, and a log is the program's code: it is told later.
    assert_eq!(lock(&first.untold).len(), 1);
    first.tell();
    assert!(lock(&first.untold).is_empty());
    assert_eq!(directory.names(), ["journal", "journal.corrupt"]);
    // The other one does not look at names as long as its file has one, but it does before it writes.
    second.append(&["two"]).unwrap();
    assert_eq!(first.news(), added(&["two"]));
    assert_eq!(second.news(), anew(&["two"]));
}

#[test]
fn damaged_files_do_not_add_up() {
    let directory = Directory::new();
    for number in 0..10 {
        fs::write(directory.path(), format!("damaged {number}")).unwrap();
        directory.open();
    }
    assert_eq!(directory.names(), ["journal", "journal.corrupt", "journal.corrupt-2", "journal.corrupt-3"]);
    assert_eq!(fs::read(directory.0.join("journal.corrupt")).unwrap(), b"damaged 0");
    assert_eq!(fs::read(directory.0.join("journal.corrupt-3")).unwrap(), b"damaged 9");
}

#[test]
fn a_journal_of_something_else_is_set_aside() {
    let directory = Directory::new();
    Journal::open(directory.path(), Kind(*b"else")).unwrap().append(&["one"]).unwrap();
    assert_eq!(directory.open().news(), anew(&[]));
    let aside = Journal::open(directory.0.join("journal.corrupt"), Kind(*b"else")).unwrap();
    assert_eq!(aside.news(), anew(&["one"]));
}

#[test]
fn what_is_no_file_of_ours_is_an_error() {
    let directory = Directory::new();
    let failure = || Journal::open(directory.path(), KIND).map(|_| ()).expect_err("an error");
    let elsewhere = directory.0.join("elsewhere");
    symlink(&elsewhere, directory.path()).unwrap();
    assert_eq!(failure().kind(), ErrorKind::CannotOpenFile);
    fs::write(&elsewhere, "content").unwrap();
    assert!(failure().to_string().contains("symbolic link"), "{}", failure());
    assert_eq!(fs::read(&elsewhere).unwrap(), b"content");
    fs::remove_file(directory.path()).unwrap();
    fs::create_dir(directory.path()).unwrap();
    assert_eq!(failure().kind(), ErrorKind::FileIsDirectory);
    let error = Journal::open(directory.0.join("missing/journal"), KIND).map(|_| ()).expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::CannotCreateFile);
}

#[test]
fn a_file_that_others_may_read_is_closed_to_them() {
    let directory = Directory::new();
    directory.open().append(&["one"]).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(directory.open().news(), anew(&["one"]));
    assert_eq!(fs::metadata(directory.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_lock_that_is_kept_is_waited_for_once() {
    let directory = Directory::new();
    let journal = directory.open();
    let held = file::open_no_follow(&directory.path()).unwrap();
    assert!(file::lock(&held));
    let begun = Instant::now();
    let error = journal.append(&["one"]).expect_err("it is locked");
    assert_eq!(error.kind(), ErrorKind::ResourceUnavailable);
    assert!(begun.elapsed() >= PATIENCE);
    let begun = Instant::now();
    assert!(journal.append(&["one"]).is_err());
    assert!(begun.elapsed() < PATIENCE);
    // Whoever only reads has no need of it.
    assert_eq!(directory.open().news(), anew(&[]));
    file::unlock(&held);
    journal.append(&["two"]).unwrap();
    assert_eq!(directory.open().news(), anew(&["two"]));
}

/// What a store makes of news that say each something of its own.
fn keep(state: &mut Vec<Bytes>, news: News) {
    if news.anew {
        state.clear();
    }
    state.extend(news.records);
}

/// Counts down when a writer has ended, however it has.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn threads_that_write_at_once_lose_nothing() {
    let directory = Directory::new();
    let shared = directory.open();
    let writing = AtomicUsize::new(4);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Everything is put into a new file while the others write.
            let (journal, mut state) = (directory.open(), Vec::new());
            while writing.load(Ordering::SeqCst) > 0 {
                let news = journal.news();
                // Whoever does nothing else keeps the others out.
                if news != News::default() {
                    keep(&mut state, news);
                    journal.compact(&state).unwrap();
                }
            }
        });
        for writer in 0..4 {
            let (shared, directory, writing) = (&shared, &directory, &writing);
            scope.spawn(move || {
                let _done = Done(writing);
                let own = directory.open();
                for number in 0..100 {
                    let journal = if writer % 2 == 0 { shared } else { &own };
                    journal.append(&[format!("{writer} {number}")]).unwrap();
                }
            });
        }
    });
    let records = directory.open().news().records;
    for writer in 0..4 {
        let own = |record: &&Bytes| record.starts_with(format!("{writer} ").as_bytes());
        let numbers: Vec<_> = records.iter().filter(own).collect();
        let expected: Vec<_> = (0..100).map(|number| Bytes::from(format!("{writer} {number}"))).collect();
        assert_eq!(numbers, expected.iter().collect::<Vec<_>>());
    }
}

/// What the processes below do that are started by a test: this test binary with one test.
#[test]
fn child() {
    let Ok(path) = std::env::var("URLSESSION_JOURNAL") else { return };
    let name = std::env::var("URLSESSION_WRITER").unwrap();
    match name.as_str() {
        "full" => {
            let journal = Journal::open(&path, KIND).unwrap();
            let record = vec![b'x'; 4000];
            let written = (0..).take_while(|_| journal.append(&[&record]).is_ok()).count();
            // What is short enough may still fit; what was written must be whole.
            println!("written {written}");
            assert_eq!(Journal::open(&path, KIND).unwrap().news().records.len(), written);
            assert_eq!(
                fs::metadata(&path).unwrap().len(),
                (HEADER + written * format::record_len(4000)) as u64
            );
        }
        name => {
            let journal = Journal::open(&path, KIND).unwrap();
            let mut own = 0u64;
            let mut state = Vec::new();
            keep(&mut state, journal.news());
            own += state.iter().filter(|record| record.starts_with(name.as_bytes())).count() as u64;
            println!("ready");
            for number in own.. {
                journal.append(&[format!("{name} {number} {}", "x".repeat(number as usize % 300))]).unwrap();
                keep(&mut state, journal.news());
                if number % 16 == 0 {
                    journal.compact(&state).unwrap();
                }
            }
        }
    }
}

fn start(directory: &Directory, name: &str, shell: Option<&str>) -> Child {
    let binary = std::env::current_exe().unwrap();
    let mut command = match shell {
        Some(script) => {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(binary);
            command
        }
        None => Command::new(binary),
    };
    command
        .args(["--exact", "storage::journal::tests::child", "--nocapture"])
        .env("URLSESSION_JOURNAL", directory.path())
        .env("URLSESSION_WRITER", name)
        .stdout(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_full_disk_leaves_whole_records() {
    let directory = Directory::new();
    // A write past the limit fails, and one across it is cut short.
    let mut child = start(&directory, "full", Some("trap '' XFSZ; ulimit -f 20; exec \"$@\""));
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success(), "{output}");
    assert!(output.contains("written"), "{output}");
    assert!(!output.contains("written 0\n"), "{output}");
}

#[test]
fn killed_at_any_moment_it_leaves_what_was_written() {
    let directory = Directory::new();
    let rounds = std::env::var("URLSESSION_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20);
    let mut random = 0x9E37_79B9_7F4A_7C15u64;
    let mut seen = 0;
    for round in 0..rounds {
        let mut children = ["a", "b"].map(|name| start(&directory, name, None));
        for child in &mut children {
            let output = BufReader::new(child.stdout.as_mut().unwrap());
            assert!(output.lines().map_while(|line| line.ok()).any(|line| line.ends_with("ready")));
        }
        // How far they get is chance; nothing is waited for.
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        thread::sleep(Duration::from_micros(random >> 50));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let records = directory.open().news().records;
        seen += records.len();
        for name in ["a", "b"] {
            let own = records.iter().filter(|record| record.starts_with(name.as_bytes()));
            for (number, record) in own.enumerate() {
                let record = String::from_utf8(record.to_vec()).unwrap();
                assert!(record.starts_with(&format!("{name} {number} ")), "round {round}: {record}");
            }
        }
        // Nor do what was not finished, and files that were replaced, add up.
        let journal = directory.open();
        let state = journal.news().records;
        assert!(journal.compact(&state).unwrap());
        assert_eq!(directory.names(), ["journal"], "round {round}");
        if round % 10 == 9 {
            fs::remove_file(directory.path()).unwrap();
        }
    }
    assert!(seen > 0);
}
