use super::format::BLOCK;
use super::format::tests::stored;
use super::*;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const URL: &str = "http://example.com/";
const MIB: u64 = 1 << 20;

/// Metadata of a response that was selected by a header.
fn variant(tag: &str, accept: &str) -> Stored {
    use crate::proto::caching::stored::Selecting;
    let selecting = vec![Selecting { name: "accept".into(), value: Some(accept.into()) }];
    Stored { selecting, ..stored(tag) }
}

/// A directory that goes with its guard.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Place(std::env::temp_dir().join(format!("urlsession-cache-{}-{number}", std::process::id())))
    }

    fn cache(&self, memory: u64) -> Cache {
        Cache::in_directory(&self.0, memory, 200 * MIB).expect("a cache")
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }

    /// The only file.
    fn file(&self) -> PathBuf {
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251 + at / 1009) as u8).collect()
}

fn put(cache: &Cache, url: &str, stored: Stored, body: &[u8]) {
    let mut writer = cache.writer(url, stored, StoragePolicy::Allowed).expect("a writer");
    for piece in body.chunks(50_000) {
        assert!(writer.write(piece));
    }
    assert!(writer.commit());
}

fn read(mut body: CacheBody) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().expect("a piece") {
        all.extend_from_slice(&piece);
    }
    all
}

/// Tags and bodies of what is stored.
fn all(cache: &Cache, url: &str) -> Vec<(String, Vec<u8>)> {
    let entries = cache.variants(url);
    let found = entries.iter().filter_map(|entry| {
        let tag = entry.stored().headers["etag"].to_str().expect("text").to_owned();
        Some((tag, read(entry.body()?)))
    });
    found.collect()
}

fn tags(cache: &Cache, url: &str) -> Vec<String> {
    all(cache, url).into_iter().map(|(tag, _)| tag).collect()
}

/// Sees what others have done, without waiting for the time to look.
fn look(cache: &Cache) {
    cache.current_disk_usage();
}

#[test]
fn bodies_of_every_length_are_there_again() {
    for length in [0, 1, 1000, 70_000, BLOCK, 260_000, 1 << 20, (1 << 20) + 1, 5 * BLOCK * 8 + 77] {
        let (place, body) = (Place::new(), body(length));
        for memory in [0, 100 * MIB] {
            let cache = place.cache(memory);
            put(&cache, URL, stored("a"), &body);
            assert!(all(&cache, URL) == [("a".into(), body.clone())], "{length} {memory}");
            assert!(all(&cache, URL) == [("a".into(), body.clone())], "{length} {memory}, again");
            // As another process has it.
            assert!(
                all(&place.cache(memory), URL) == [("a".into(), body.clone())],
                "{length} {memory}, later"
            );
        }
        let more = fs::metadata(place.file()).unwrap().len() - length as u64;
        assert!((48..1000).contains(&more), "{more}");
    }
    let cache = Cache::in_memory(20 * MIB);
    put(&cache, URL, stored("a"), &body(1 << 20));
    assert!(all(&cache, URL) == [("a".into(), body(1 << 20))]);
}

#[test]
fn parts_of_a_body() {
    let length = 20 * BLOCK + 77;
    let (place, body) = (Place::new(), body(length));
    let cache = place.cache(0);
    put(&cache, URL, stored("a"), &body);
    let entry = cache.variants(URL).remove(0);
    let parts =
        [(0, 5), (BLOCK - 2, 4), (BLOCK, BLOCK), (3 * BLOCK + 7, 2 * BLOCK), (length - 3, 3), (length, 0)];
    for (begin, count) in parts {
        let part = entry.body().expect("a body").section(begin as u64, count as u64);
        assert_eq!(part.left(), count as u64);
        assert!(read(part) == body[begin..begin + count], "{begin} {count}");
        let whole = CacheBody::Memory(body.clone().into());
        assert!(read(whole.section(begin as u64, count as u64)) == body[begin..begin + count]);
    }
    let beyond = entry.body().expect("a body").section(length as u64 - 1, 100).section(0, u64::MAX);
    assert_eq!(read(beyond), body[length - 1..]);
    // By vectors and slices of every size.
    let CacheBody::File(mut file) = entry.body().expect("a body") else { panic!("in memory") };
    let (mut collected, mut slice) = (Vec::new(), [0; 1000]);
    loop {
        let mut vector = Vec::with_capacity(200_001);
        let count = file.read_vec(&mut vector, 150_000).expect("a read");
        collected.extend_from_slice(&vector);
        let more = file.read_slice(&mut slice).expect("a read");
        collected.extend_from_slice(&slice[..more]);
        assert_eq!(file.left(), (length - collected.len()) as u64);
        if count + more == 0 {
            break;
        }
    }
    assert!(collected == body);
}

#[test]
fn the_newest_is_first_and_takes_the_place_of_its_variant() {
    let place = Place::new();
    for cache in [Cache::in_memory(MIB), place.cache(MIB), place.cache(0)] {
        put(&cache, URL, variant("a1", "a"), b"a1");
        put(&cache, URL, variant("b1", "b"), b"b1");
        put(&cache, URL, variant("a2", "a"), b"a2");
        assert_eq!(tags(&cache, URL), ["a2", "b1"]);
        put(&cache, "http://example.com/other", stored("c"), b"c");
        cache.remove_entry(&cache.variants(URL)[0]);
        assert_eq!(tags(&cache, URL), ["b1"]);
        cache.remove_url(URL);
        assert_eq!(tags(&cache, URL), [""; 0]);
        assert_eq!(tags(&cache, "http://example.com/other"), ["c"]);
        cache.remove_all();
        assert_eq!(cache.current_memory_usage() + cache.current_disk_usage(), 0);
    }
    assert!(place.files().is_empty());
}

#[test]
fn a_url_has_no_more_than_so_many_variants() {
    let place = Place::new();
    for cache in [Cache::in_memory(MIB), place.cache(0)] {
        for number in 0..20 {
            put(&cache, URL, variant(&number.to_string(), &number.to_string()), b"x");
        }
        let expected: Vec<String> = (4..20).rev().map(|number| number.to_string()).collect();
        assert_eq!(tags(&cache, URL), expected);
    }
    assert_eq!(place.files().len(), 16);
}

#[test]
fn what_was_not_used_for_longest_goes() {
    let url = |number: usize| format!("{URL}{number}");
    let there = |cache: &Cache| (0..20).filter(|number| !cache.variants(&url(*number)).is_empty()).count();
    let place = Place::new();
    let cache = Cache::in_directory(&place.0, 0, 20 * 8192).expect("a cache");
    for number in 0..20 {
        put(&cache, &url(number), stored("a"), &body(6000));
        cache.variants(&url(0))[0].body();
    }
    assert_eq!((there(&cache), place.files().len(), cache.current_disk_usage()), (20, 20, 20 * 8192));
    put(&cache, &url(20), stored("a"), &body(6000));
    assert_eq!((there(&cache), place.files().len(), cache.current_disk_usage()), (19, 20, 20 * 8192));
    assert!(tags(&cache, &url(1)).is_empty() && tags(&cache, &url(0)) == ["a"]);
    cache.set_disk_capacity(3 * 8192);
    assert_eq!((there(&cache), place.files().len()), (2, 3));
    assert_eq!(tags(&cache, &url(0)), ["a"]);
    cache.set_disk_capacity(0);
    assert_eq!((place.files().len(), cache.current_disk_usage()), (0, 0));
    assert!(cache.writer(URL, stored("a"), StoragePolicy::Allowed).is_none());

    let cache = Cache::in_memory(200_000);
    for number in 0..20 {
        put(&cache, &url(number), stored("a"), &body(8500));
        cache.variants(&url(0))[0].body();
    }
    assert_eq!(there(&cache), 20);
    let used = cache.current_memory_usage();
    cache.set_memory_capacity(used - 1);
    assert_eq!(there(&cache), 19);
    assert!(tags(&cache, &url(1)).is_empty() && tags(&cache, &url(0)) == ["a"]);
    cache.set_memory_capacity(0);
    assert_eq!((there(&cache), cache.current_memory_usage()), (0, 0));
}

#[test]
fn what_is_too_long_is_not_stored_and_leaves_nothing() {
    let place = Place::new();
    let cache = Cache::in_directory(&place.0, 2 * MIB, 20 * MIB).expect("a cache");
    put(&cache, URL, stored("a"), b"short");
    for pieces in [true, false] {
        let mut writer = cache.writer(URL, stored("b"), StoragePolicy::Allowed).expect("a writer");
        let body = body((1 << 20) + 1);
        let stays = body.chunks(if pieces { 10_000 } else { body.len() }).all(|piece| writer.write(piece));
        assert!(!stays && !writer.write(b"x") && !writer.commit());
    }
    let mut writer = cache.writer(URL, stored("b"), StoragePolicy::Allowed).expect("a writer");
    assert!(writer.announce(1 << 20) && !writer.announce((1 << 20) + 1) && !writer.write(b"x"));
    assert_eq!(tags(&cache, URL), ["a"]);
    assert_eq!(place.files().len(), 1);
    // In memory only, it is that capacity that counts.
    let mut writer = cache.writer(URL, stored("b"), StoragePolicy::AllowedInMemoryOnly).expect("a writer");
    assert!(!writer.write(&body(110_000)));
    assert!(cache.writer(URL, stored("b"), StoragePolicy::NotAllowed).is_none());
    assert!(cache.writer(&"x".repeat(100_000), stored("b"), StoragePolicy::Allowed).is_none());
}

#[test]
fn what_is_abandoned_was_never_there() {
    let place = Place::new();
    let cache = place.cache(MIB);
    put(&cache, URL, stored("a"), b"old");
    for length in [10, 3 << 20] {
        let mut writer = cache.writer(URL, stored("b"), StoragePolicy::Allowed).expect("a writer");
        assert!(writer.write(&body(length)));
        assert_eq!(place.files().len(), if length > 10 { 2 } else { 1 });
        assert_eq!(tags(&cache, URL), ["a"]);
        drop(writer);
        assert_eq!(tags(&cache, URL), ["a"]);
        assert_eq!(place.files().len(), 1);
    }
}

#[test]
fn memory_only_is_not_on_disk_and_what_was_there_goes() {
    let place = Place::new();
    let cache = place.cache(MIB);
    put(&cache, URL, stored("a"), b"old");
    let mut writer = cache.writer(URL, stored("b"), StoragePolicy::AllowedInMemoryOnly).expect("a writer");
    assert!(writer.write(b"secret") && writer.commit());
    assert_eq!(tags(&cache, URL), ["b"]);
    assert!(place.files().is_empty());
    let updated = cache.update(&cache.variants(URL)[0], stored("c"));
    assert_eq!(updated.stored().headers["etag"], "c");
    assert_eq!(tags(&cache, URL), ["c"]);
    assert!(place.files().is_empty());
    // Neither is what cookies have selected, from now on.
    put(&cache, "http://a/", stored("a"), b"public");
    let mut secret = variant("b", "id=hidden");
    secret.selecting[0].name = "cookie".into();
    cache.update(&cache.variants("http://a/")[0], secret);
    assert_eq!(tags(&cache, "http://a/"), ["b"]);
    assert!(place.files().is_empty());
}

#[test]
fn a_body_stays_while_its_entry_goes() {
    for length in [100, 300_000, 3 << 20] {
        let (place, body) = (Place::new(), body(length));
        let cache = place.cache(0);
        put(&cache, URL, stored("a"), &body);
        let entry = cache.variants(URL).remove(0);
        let begun = entry.body().expect("a body");
        cache.remove_all();
        assert!(read(begun) == body, "{length}");
        assert!(read(entry.body().expect("a body")) == body, "{length}");
        assert!(tags(&cache, URL).is_empty());
    }
}

#[test]
fn metadata_are_updated_and_the_body_stays() {
    for length in [100, 300_000, 3 << 20] {
        let (place, body) = (Place::new(), body(length));
        for memory in [0, 100 * MIB] {
            let cache = place.cache(memory);
            put(&cache, URL, stored("a"), &body);
            let entry = cache.variants(URL).remove(0);
            let updated = cache.update(&entry, stored("b"));
            assert!(read(updated.body().expect("a body")) == body);
            assert_eq!(entry.stored().headers["etag"], "a");
            for cache in [&cache, &place.cache(memory)] {
                assert!(all(cache, URL) == [("b".into(), body.clone())], "{length} {memory}");
            }
            // The one that was updated has been replaced; a second update is of no effect on what is stored.
            cache.update(&entry, stored("c"));
            assert_eq!(tags(&cache, URL), ["b"]);
            // A Vary that came with it makes another variant of it.
            cache.update(&updated, variant("d", "x"));
            assert_eq!(tags(&cache, URL), ["d"]);
            assert_eq!(tags(&place.cache(memory), URL), ["d"]);
            assert_eq!(place.files().len(), 1);
            let entry = cache.variants(URL).remove(0);
            cache.remove_url(URL);
            let updated = cache.update(&entry, stored("e"));
            assert!(read(updated.body().expect("a body")) == body);
            assert!(place.files().is_empty() && tags(&cache, URL).is_empty());
        }
    }
}

#[test]
fn another_url_with_the_same_name_is_not_mistaken() {
    let place = Place::new();
    let cache = place.cache(0);
    put(&cache, URL, stored("a"), b"mine");
    let other = key::Name::of("http://example.com/other", &stored("a").variant());
    fs::rename(place.file(), place.0.join(other.to_string())).unwrap();
    look(&cache);
    assert!(cache.variants("http://example.com/other").is_empty());
    assert_eq!(place.files().len(), 1, "it is nobody's damage");
}

#[test]
fn damage_is_a_miss_and_is_removed() {
    let length = 1000;
    let place = Place::new();
    put(&place.cache(0), URL, stored("a"), &body(length));
    let (path, good) = (place.file(), fs::read(place.file()).unwrap());
    let cache = place.cache(0);
    look(&cache);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        look(&cache);
        assert!(tags(&cache, URL).is_empty(), "byte {at}");
        assert!(place.files().is_empty(), "byte {at}");
    }
    for cut in [0, 7, 48, 100, good.len() - 1] {
        fs::write(&path, &good[..cut]).unwrap();
        assert!(tags(&place.cache(0), URL).is_empty(), "cut at {cut}");
    }
    fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    assert!(tags(&place.cache(0), URL).is_empty());
    fs::write(&path, &good).unwrap();
    assert_eq!(tags(&place.cache(0), URL), ["a"]);
}

#[test]
fn damage_of_long_bodies_is_found() {
    for length in [300_000, 3 << 20] {
        let place = Place::new();
        put(&place.cache(0), URL, stored("a"), &body(length));
        let (path, good) = (place.file(), fs::read(place.file()).unwrap());
        let ends = [0, 9, 60, good.len() - 1, good.len() - 9];
        for at in (0..good.len()).step_by(length / 9).chain(ends) {
            let mut bad = good.clone();
            bad[at] ^= 0x80;
            fs::write(&path, &bad).unwrap();
            let cache = place.cache(0);
            let mut served = Vec::new();
            let mut failed = true;
            if let Some(mut stream) = cache.variants(URL).first().and_then(Entry::body) {
                failed = loop {
                    match stream.next() {
                        Ok(Some(piece)) => served.extend_from_slice(&piece),
                        Ok(None) => break false,
                        Err(error) => {
                            assert_eq!(error.kind(), crate::ErrorKind::ChecksumMismatch);
                            break true;
                        }
                    }
                };
            }
            assert!(failed, "byte {at} of {length}");
            assert!(body(length).starts_with(&served), "byte {at} of {length}");
            assert!(place.files().is_empty(), "byte {at} of {length}");
            assert!(tags(&cache, URL).is_empty());
        }
        fs::write(&path, [&good[..], b"x"].concat()).unwrap();
        assert!(tags(&place.cache(0), URL).is_empty());
        fs::write(&path, &good[..good.len() - 1]).unwrap();
        assert!(tags(&place.cache(0), URL).is_empty());
    }
}

#[test]
fn what_is_no_file_is_no_entry() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    put(&place.cache(0), URL, stored("a"), b"good");
    let path = place.file();
    let elsewhere = place.0.join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    let cache = place.cache(0);
    assert!(tags(&cache, URL).is_empty());
    assert_eq!(cache.current_disk_usage(), 0);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(tags(&place.cache(0), URL).is_empty());
    assert!(elsewhere.exists(), "files of others stay");
}

#[test]
fn what_others_do_is_seen() {
    let place = Place::new();
    for memory in [0, MIB] {
        let (one, two) = (place.cache(memory), place.cache(memory));
        assert!(tags(&one, URL).is_empty() && tags(&two, URL).is_empty());
        put(&one, URL, stored("a"), b"a");
        look(&two);
        assert_eq!(tags(&two, URL), ["a"]);
        put(&one, URL, stored("b"), b"b");
        look(&two);
        assert_eq!(tags(&two, URL), ["b"]);
        one.remove_url(URL);
        look(&two);
        assert!(tags(&two, URL).is_empty());
        assert_eq!(two.current_disk_usage() + two.current_memory_usage(), 0);
    }
}

#[test]
fn what_is_removed_was_removed_for_what_others_have_stored_before() {
    let place = Place::new();
    let (one, two) = (place.cache(0), place.cache(0));
    assert!(tags(&two, URL).is_empty());
    put(&one, URL, stored("a"), b"a");
    // It does not know of it yet.
    two.remove_url(URL);
    look(&two);
    assert!(tags(&two, URL).is_empty());
    assert!(place.files().is_empty());
    put(&one, URL, stored("b"), b"b");
    // Times of files are not exact.
    let later = SystemTime::now() + Duration::from_secs(1);
    fs::File::open(place.file()).unwrap().set_modified(later).unwrap();
    look(&two);
    assert_eq!(tags(&two, URL), ["b"]);
}

#[test]
fn what_was_never_completed_is_cleaned_up() {
    let place = Place::new();
    let cache = place.cache(0);
    let mut writing = cache.writer(URL, stored("a"), StoragePolicy::Allowed).expect("a writer");
    assert!(writing.write(&body(3 << 20)));
    let live = place.file();
    let [dead, young] = ["0123456789abcdef.tmp", "fedcba9876543210.tmp"].map(|name| place.0.join(name));
    let other = place.0.join("notes.tmp");
    for path in [&dead, &young, &other] {
        fs::write(path, "x").unwrap();
    }
    let old = SystemTime::now() - Duration::from_secs(3600);
    for path in [&dead, &live, &other] {
        fs::File::open(path).unwrap().set_modified(old).unwrap();
    }
    look(&place.cache(0));
    let mut left = place.files();
    left.sort();
    let mut expected = [live, young, other];
    expected.sort();
    assert_eq!(left, expected);
    assert!(writing.commit());
}

#[test]
fn a_use_is_remembered_by_the_file() {
    let place = Place::new();
    for (url, hours) in [("http://a/", 10), ("http://b/", 9), ("http://c/", 8)] {
        put(&place.cache(0), url, stored("a"), &body(100));
        let name = key::Name::of(url, &stored("a").variant());
        let file = fs::File::open(place.0.join(name.to_string())).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    }
    assert_eq!(tags(&place.cache(0), "http://a/"), ["a"]);
    let later = place.cache(0);
    look(&later);
    later.set_disk_capacity(8192);
    assert!(tags(&later, "http://b/").is_empty());
    assert_eq!(tags(&later, "http://a/"), ["a"]);
    assert_eq!(tags(&later, "http://c/"), ["a"]);
}

#[test]
fn only_what_was_stored_since_is_removed() {
    let place = Place::new();
    for memory in [0, MIB] {
        let cache = place.cache(memory);
        let time = SystemTime::now() - Duration::from_secs(100);
        put(&cache, "http://a/", Stored { response_time: time - Duration::from_secs(1), ..stored("a") }, b"");
        put(&cache, "http://b/", Stored { response_time: time, ..stored("b") }, b"");
        put(&cache, "http://c/", stored("c"), b"");
        cache.remove_since(time);
        assert_eq!(tags(&cache, "http://a/"), ["a"]);
        assert!(tags(&cache, "http://b/").is_empty() && tags(&cache, "http://c/").is_empty());
        assert_eq!(place.files().len(), 1);
    }
}

#[test]
fn a_directory_that_goes_comes_again() {
    let place = Place::new();
    let cache = place.cache(0);
    put(&cache, URL, stored("a"), b"a");
    fs::remove_dir_all(&place.0).unwrap();
    assert!(tags(&cache, URL).is_empty());
    put(&cache, URL, stored("b"), b"b");
    assert_eq!(tags(&cache, URL), ["b"]);
    look(&cache);
    assert_eq!(cache.current_disk_usage(), 4096);
}

#[test]
fn threads_that_do_everything_at_once_find_what_belongs_together() {
    let place = Place::new();
    let caches = [place.cache(0), Cache::in_directory(&place.0, MIB, 3 * MIB).expect("a cache")];
    // A length of its own for each: some in memory, some in one file of several blocks.
    let length = |number: usize| [0, 900, 7000, 40_000, 140_000][number % 5] + number;
    let url = |number: usize| format!("{URL}{}", number % 8);
    let work = &|seed: usize| {
        let mut random = seed as u64 + 1;
        let mut below = |bound: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as usize % bound
        };
        for round in 0..150 {
            let (cache, number) = (&caches[below(2)], below(40));
            match below(20) {
                0..8 => {
                    let tag = number.to_string();
                    let mut writer = cache
                        .writer(
                            &url(number),
                            variant(&tag, &(number % 3).to_string()),
                            StoragePolicy::Allowed,
                        )
                        .expect("a writer");
                    if writer.write(&body(length(number))) && below(5) > 0 {
                        writer.commit();
                    }
                }
                8..10 => {
                    if let Some(entry) = cache.variants(&url(number)).first() {
                        let updated = cache.update(entry, Stored::clone(entry.stored()));
                        assert_eq!(updated.stored().headers, entry.stored().headers);
                    }
                }
                10 => cache.remove_url(&url(number)),
                11 => cache.variants(&url(number)).iter().for_each(|entry| cache.remove_entry(entry)),
                12 if round % 50 == 0 => cache.remove_all(),
                13 => look(cache),
                _ => {
                    for (tag, found) in all(cache, &url(number)) {
                        let stored: usize = tag.parse().expect("a number");
                        assert_eq!(url(stored), url(number));
                        assert!(found == body(length(stored)), "{stored}");
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || work(seed));
        }
    });
    let cache = place.cache(0);
    let found: usize = (0..8).map(|number| all(&cache, &url(number)).len()).sum();
    assert_eq!(found, place.files().len(), "every file is an entry, and nothing else is left");
    for cache in &caches {
        cache.remove_all();
        assert_eq!(cache.current_memory_usage() + cache.current_disk_usage(), 0);
    }
    assert!(place.files().is_empty());
}

#[test]
fn what_fits_nowhere_leaves_no_trace() {
    let cache = Cache::in_memory(700);
    for number in 0..50 {
        let url = format!("http://example.com/{number}/{}", "x".repeat(300));
        put(&cache, &url, stored("\"v1\""), b"hello");
    }
    let index = lock(&cache.store.index);
    assert_eq!((index.entries(), index.memory_used()), (0, 0));
}

#[test]
fn a_file_that_is_larger_than_the_cache_drives_nothing_out() {
    let place = Place::new();
    put(&place.cache(0), URL, stored("\"v1\""), b"hello");
    let huge = place.0.join(super::key::Name { url: 1, variant: 1 }.to_string());
    fs::File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let cache = place.cache(0);
    assert_eq!(cache.variants(URL).len(), 1);
    assert!(cache.current_disk_usage() <= 4096);
    assert!(!huge.exists());
}
