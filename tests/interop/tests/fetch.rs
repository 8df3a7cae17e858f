//! The example `fetch` as its users run it: output, files and exit codes, which are curl's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use urlsession_interop::{PATIENCE, contents, path, url, variable};

fn command<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(variable("FETCH"));
    command.arg("--cacert").arg(path("certificates/ca.crt")).args(arguments).stdin(Stdio::null());
    command
}

/// Runs it, and gives its exit code, what it wrote, and what it complained of.
fn fetch<'a>(arguments: impl IntoIterator<Item = &'a str>) -> (i32, Vec<u8>, String) {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    (status.code().unwrap(), stdout, String::from_utf8(stderr).unwrap())
}

/// The exit code; what goes wrong is said on standard error.
fn code(arguments: &[&str]) -> i32 {
    let (code, _, complaint) = fetch(arguments.iter().copied());
    assert_eq!(code == 0, !complaint.contains("fetch: "), "{arguments:?}: {code}, {complaint}");
    code
}

/// A directory of a test's own.
fn directory(name: &str) -> PathBuf {
    let directory = path("").join(name);
    std::fs::create_dir(&directory).unwrap();
    directory
}

fn in_directory(directory: &Path, file: &str) -> String {
    directory.join(file).to_str().unwrap().to_owned()
}

#[test]
fn a_body_goes_to_standard_output() {
    for server in ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS"] {
        for path in ["/text.txt", "/gzip/text.txt"] {
            let (code, output, complaint) = fetch(["-s", &url(server, path)]);
            assert_eq!((code, complaint.as_str()), (0, ""), "{server}{path}");
            assert!(output == contents("www/text.txt"), "{server}{path}");
        }
    }
}

#[test]
fn big_bodies_go_to_files() {
    let directory = directory("fetched");
    let expected = contents("www/big.bin");
    for (n, server) in ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS"].into_iter().enumerate() {
        let file = in_directory(&directory, &n.to_string());
        assert_eq!(code(&["-s", "-S", "-o", &file, &url(server, "/big.bin")]), 0);
        assert!(std::fs::read(&file).unwrap() == expected, "{server}");
    }
}

#[test]
fn many_go_to_files_at_once() {
    let directory = directory("many");
    let urls: Vec<String> = (0..60).map(|n| url("NGINX_TLS", &format!("/text.txt?{n}"))).collect();
    let files: Vec<String> = (0..60).map(|n| in_directory(&directory, &n.to_string())).collect();
    let outputs = files.iter().flat_map(|file| ["-o", file]);
    let arguments = ["-s", "-S", "-Z"].into_iter().chain(outputs).chain(urls.iter().map(String::as_str));
    let (code, _, complaint) = fetch(arguments);
    assert_eq!((code, complaint.as_str()), (0, ""));
    for file in files {
        assert!(std::fs::read(&file).unwrap() == contents("www/text.txt"), "{file}");
    }
}

#[test]
fn what_was_done_is_written_out() {
    let format = "%{http_code} %{size_download} %{num_redirects}\n";
    let (code, output, _) = fetch(["-s", "-o", "/dev/null", "-w", format, &url("NGINX", "/redirect/twice")]);
    assert_eq!((code, String::from_utf8(output).unwrap().as_str()), (0, "200 9 2\n"));
}

#[test]
fn heads_are_asked_for() {
    let (code, output, _) = fetch(["-s", "-I", &url("NGINX", "/big.bin")]);
    let output = String::from_utf8(output).unwrap().to_lowercase();
    assert_eq!(code, 0);
    assert!(output.starts_with("http/1.1 200"), "{output}");
    assert!(output.contains("content-length: 50000000"), "{output}");
}

#[test]
fn a_form_is_posted() {
    let (code, output, _) = fetch(["-s", "-d", "a=1", "-d", "b=2", &url("APACHE", "/cgi/method")]);
    assert_eq!((code, String::from_utf8(output).unwrap().as_str()), (0, "POST [7]"));
    let big = format!("@{}", path("www/big.bin").display());
    let (code, output, _) = fetch(["-s", "--data-binary", &big, &url("APACHE_TLS", "/cgi/sha256")]);
    let expected = variable("INTEROP_BIG_SHA256");
    assert_eq!((code, String::from_utf8(output).unwrap().trim()), (0, expected.trim()));
    assert_eq!(code_of_refused(&big), 22);
}

/// 413, before the body was read.
fn code_of_refused(body: &str) -> i32 {
    code(&["-s", "-S", "-f", "--data-binary", body, &url("NGINX_TLS", "/limited")])
}

#[test]
fn credentials_are_given() {
    assert_eq!(code(&["-s", "-S", "-f", &url("NGINX", "/private")]), 22);
    let (code, output, _) = fetch(["-s", "-f", "-u", "user:open sesame", &url("NGINX", "/private")]);
    assert_eq!(code, 0);
    assert!(output == contents("www/text.txt"));
}

#[test]
fn failures_have_the_exit_codes_of_curl() {
    let missing = url("NGINX", "/status/404");
    assert_eq!(code(&["-s", "-S", &missing]), 0, "404 is an answer");
    assert_eq!(code(&["-s", "-S", "-f", &missing]), 22);
    assert_eq!(code(&["-s", "-S", "gopher://localhost/"]), 1);
    assert_eq!(code(&["-s", "-S", "--no-such-option"]), 2);
    assert_eq!(code(&["-s", "-S", "http://"]), 3);
    assert_eq!(code(&["-s", "-S", "https://no-such-host.invalid/"]), 6);
    assert_eq!(code(&["-s", "-S", "http://127.0.0.1:1/"]), 7);
    assert_eq!(code(&["-s", "-S", &url("NGINX", "/redirect/loop")]), 47);
    assert_eq!(code(&["-s", "-S", "-o", "/no/such/directory/x", &url("NGINX", "/hello")]), 23);
    assert_eq!(code(&["-s", "-S", "-m", "0.5", &url("NGINX", "/slow/big.bin")]), 28);
}

#[test]
fn tls_failures_have_the_exit_codes_of_curl() {
    for server in ["EXPIRED", "NOT_YET_VALID", "SELF_SIGNED", "WRONG_NAME", "UNKNOWN_ISSUER"] {
        assert_eq!(code(&["-s", "-S", &url(server, "/")]), 60, "{server}");
        let (code, output, _) = fetch(["-s", "-k", &url(server, "/")]);
        assert_eq!((code, output.is_empty()), (0, false), "{server}");
    }
    assert_eq!(code(&["-s", "-S", &url("OLD_TLS", "/")]), 35);
    assert_eq!(code(&["-s", "-S", &url("NGINX", "/").replace("http:", "https:")]), 35);
}

#[test]
fn a_client_certificate_is_shown() {
    let file = |name: &str| path(&format!("certificates/{name}")).to_str().unwrap().to_owned();
    let page = url("APACHE_CLIENT", "/text.txt");
    assert_eq!(code(&["-s", "-S", &page]), 58);
    let (certificate, key) = (file("client.crt"), file("client.key"));
    let (code, output, complaint) = fetch(["-s", "-S", "-E", &certificate, "--key", &key, &page]);
    assert_eq!((code, complaint.as_str()), (0, ""));
    assert!(output == contents("www/text.txt"));
}

#[test]
fn an_interrupt_ends_it() {
    let file = in_directory(&directory("interrupted"), "part");
    let mut child = command(["-s", "-o", &file, &url("NGINX", "/slow/big.bin")]).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    // It has begun when something has arrived.
    while !std::fs::metadata(&file).is_ok_and(|metadata| metadata.len() > 0) {
        assert!(Instant::now() < end, "nothing arrives");
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn it_shows_who_asks() {
    let right = "user:open sesame";
    for server in ["APACHE", "APACHE_TLS"] {
        for (scheme, path, allowed) in [
            ("--basic", "/basic", true),
            ("--digest", "/digest", true),
            ("--anyauth", "/basic", true),
            ("--anyauth", "/digest", true),
            ("--basic", "/digest", false),
            ("--digest", "/basic", false),
        ] {
            let expected = if allowed { 0 } else { 22 };
            assert_eq!(
                code(&["-f", scheme, "-u", right, &url(server, path)]),
                expected,
                "{server} {scheme} {path}"
            );
            assert_eq!(
                code(&["-f", scheme, "-u", "user:wrong", &url(server, path)]),
                22,
                "{server} {scheme} {path}"
            );
        }
        // What is sent with it arrives once it is known who asks.
        let (code, output, _) = fetch(["--digest", "-u", right, "-d", "a=b", &url(server, "/digest")]);
        assert_eq!((code, output.as_slice()), (0, &b"POST [3]"[..]), "{server}");
    }
}

#[test]
fn cookies_are_kept_in_a_file_that_curl_knows() {
    let jar = in_directory(&directory("jar"), "cookies");
    for server in ["NGINX", "NGINX_TLS"] {
        let (set, show) = (url(server, "/cookies/set"), url(server, "/cookies/show"));
        assert_eq!(code(&["-s", "-b", &jar, "-c", &jar, &set]), 0);
        let (_, sent, _) = fetch(["-b", &jar, &show]);
        // Where there is a curl, it makes the same of the file.
        let curl = Command::new("curl").args(["-s", "-k", "-b", &jar, &show]).output();
        if let Ok(curl) = curl {
            let sorted = |sent: &[u8]| {
                let sent = String::from_utf8_lossy(sent).into_owned();
                let mut cookies: Vec<_> = sent.split("; ").map(str::to_owned).collect();
                cookies.sort();
                cookies
            };
            assert_eq!(sorted(&sent), sorted(&curl.stdout), "{server}");
        }
        assert!(String::from_utf8(sent).unwrap().contains("kept=2"), "{server}");
    }
}
