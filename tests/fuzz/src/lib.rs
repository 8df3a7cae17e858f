//! The properties that hold for whatever a peer sends, as functions of arbitrary bytes. A fuzz
//! target calls one of them; `cargo test` calls each on its seed corpus.
//!
//! The library's parsers are not public, so their files are included here.

#![allow(dead_code, unused_imports)]

#[path = "../../../src"]
mod library {
    pub(crate) mod body;
    pub(crate) mod checksum;
    pub(crate) mod cookie;
    pub(crate) mod error;
    pub(crate) mod head;
    pub(crate) mod header;
    pub(crate) mod proto;
    pub(crate) mod sync;

    pub(crate) mod local {
        mod mime;

        pub(crate) fn mime_for_extension(extension: &str) -> Option<&'static str> {
            mime::for_extension(extension)
        }
    }

    pub(crate) mod exchange {
        pub(crate) mod http1;
        pub(crate) mod outgoing;
    }

    pub(crate) mod storage {
        pub(crate) mod cache {
            pub(crate) mod format;
        }
        pub(crate) mod journal {
            pub(crate) mod format;
        }
    }

    pub(crate) mod resume {
        pub(crate) mod facts;
        pub(crate) mod format;
    }
}

// Where those files expect each other to be, and a script in place of a connection.
use library::proto::{http1, redirect};
use library::{body, checksum, cookie, error, head, header, local, proto, sync};
use wire::{connection, sys};

/// What they name of files and requests that are not included.
mod download {
    pub mod temporary {
        pub const SUFFIX: &str = ".part";
    }
}

mod resume {
    #[derive(Clone)]
    pub struct ResumeData;
}

mod trust {
    #[derive(Clone)]
    pub struct ServerTrust;
}

mod tls {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum TlsVersion {
        Tls12,
        Tls13,
    }
}

mod check_cache_file;
mod check_caching;
mod check_challenges;
mod check_chunked;
mod check_coding;
mod check_cookies;
mod check_digest;
mod check_digest_answer;
mod check_exchange;
mod check_head;
mod check_hsts;
mod check_journal;
mod check_location;
mod check_netrc;
mod check_public_suffix;
mod check_ranges;
mod check_resumable_upload;
mod check_resume;
mod pieces;
mod wire;

pub use check_cache_file::cache_file;
pub use check_caching::{cache_control, stored_response};
pub use check_challenges::challenges;
pub use check_chunked::chunked_body;
pub use check_coding::coding;
pub use check_cookies::{cookie_file, set_cookie};
pub use check_digest::digest_fields;
pub use check_digest_answer::digest_answer;
pub use check_exchange::exchange;
pub use check_head::response_head;
pub use check_hsts::hsts;
pub use check_journal::journal;
pub use check_location::location;
pub use check_netrc::netrc;
pub use check_public_suffix::public_suffix;
pub use check_ranges::range_answer;
pub use check_resumable_upload::resumable_upload;
pub use check_resume::resume_data;

#[cfg(test)]
mod corpus {
    fn run(target: &str, check: fn(&[u8])) {
        let folder = format!("{}/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("a seed corpus") {
            let path = entry.expect("a seed").path();
            println!("{}", path.display());
            check(&std::fs::read(path).expect("a seed"));
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn cache_file() {
        run("cache_file", super::cache_file);
    }

    #[test]
    fn cache_control() {
        run("cache_control", super::cache_control);
    }

    #[test]
    fn stored_response() {
        run("stored_response", super::stored_response);
    }

    #[test]
    fn response_head() {
        run("response_head", super::response_head);
    }

    #[test]
    fn chunked_body() {
        run("chunked_body", super::chunked_body);
    }

    #[test]
    fn coding() {
        run("coding", super::coding);
    }

    #[test]
    fn digest_fields() {
        run("digest_fields", super::digest_fields);
    }

    #[test]
    fn exchange() {
        run("exchange", super::exchange);
    }

    #[test]
    fn hsts() {
        run("hsts", super::hsts);
    }

    #[test]
    fn journal() {
        run("journal", super::journal);
    }

    #[test]
    fn location() {
        run("location", super::location);
    }

    #[test]
    fn range_answer() {
        run("range_answer", super::range_answer);
    }

    #[test]
    fn resumable_upload() {
        run("resumable_upload", super::resumable_upload);
    }

    #[test]
    fn resume_data() {
        run("resume_data", super::resume_data);
    }
    #[test]
    fn cookie_file() {
        run("cookie_file", super::cookie_file);
    }

    #[test]
    fn public_suffix() {
        run("public_suffix", super::public_suffix);
    }

    #[test]
    fn set_cookie() {
        run("set_cookie", super::set_cookie);
    }

    #[test]
    fn challenges() {
        run("challenges", super::challenges);
    }

    #[test]
    fn digest_answer() {
        run("digest_answer", super::digest_answer);
    }

    #[test]
    fn netrc() {
        run("netrc", super::netrc);
    }
}
