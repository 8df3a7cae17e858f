//! What sessions leave on disk: nothing, unless the program has named itself or a directory; then only what nobody else
//! can read, where it belongs, and it is there again for the next run (SPEC S11, S12).
//!
//! Each run is a process of its own, with a home, a directory for temporary files and a working directory that are
//! looked at before and after.
#![cfg(all(feature = "tls", target_os = "linux"))]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use support::{Directory, Received, Reply, Server};
use urlsession::{
    AuthenticationMethod, Certificate, Challenge, ChallengeDisposition, Configuration, Credential, Delegate,
    Persistence, Request, Session, TaskEvent,
};

const APPLICATION: &str = "org.example.tool";
const PASSWORD: &str = "correct horse";
const COOKIE: &str = "battery";

/// Asks for everything that a session remembers.
fn asking(request: &Received) -> Reply {
    let reply = match request.path() {
        "/guarded" if request.header("authorization").is_none() => {
            Reply::status(401).header("WWW-Authenticate", "Basic realm=\"staff\"")
        }
        "/cached" => Reply::ok("cached").header("Cache-Control", "max-age=1000"),
        _ => Reply::ok(request.header("cookie").unwrap_or_default().to_owned()),
    };
    reply
        .header("Set-Cookie", &format!("id={COOKIE}; Max-Age=1000"))
        .header("Set-Cookie", "passing=1")
        .header("Strict-Transport-Security", "max-age=1000")
}

fn me() -> Credential {
    Credential::new("me", PASSWORD, Persistence::Permanent)
}

struct Knows;

impl Delegate for Knows {
    fn did_receive_challenge(&self, _: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        let is_basic = *challenge.protection_space().authentication_method() == AuthenticationMethod::Basic;
        match challenge.previous_failure_count() {
            0 if is_basic => ChallengeDisposition::UseCredential(Some(me())),
            _ => ChallengeDisposition::PerformDefaultHandling,
        }
    }
}

/// What runs in the processes: not a test by itself.
#[test]
fn as_a_child() {
    let Ok(mode) = std::env::var("TEST_MODE") else { return };
    let (port, ca) = (std::env::var("TEST_PORT").unwrap(), std::env::var("TEST_CA").unwrap());
    let home = std::env::var("HOME").unwrap();
    let named = Configuration::default().application(APPLICATION);
    let configuration = match mode.as_str() {
        "unnamed" => Configuration::default(),
        "ephemeral" => {
            urlsession::set_application(APPLICATION).unwrap();
            Configuration::ephemeral().application(APPLICATION).storage_directory(format!("{home}/own"))
        }
        "process" => {
            urlsession::set_application(APPLICATION).unwrap();
            Configuration::default()
        }
        "directory" => named.storage_directory(format!("{home}/own")),
        _ => named,
    };
    let here = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let configuration = Certificate::from_pem(ca)
        .unwrap()
        .into_iter()
        .fold(configuration.resolver(Arc::new(here)), Configuration::add_root_certificate);
    let session = Session::builder().configuration(configuration).delegate(Knows).try_build().unwrap();
    if mode == "reset" {
        session.reset();
    }
    let get = |scheme: &str, path: &str| {
        let task = session.data_task(Request::get(format!("{scheme}://example.test:{port}{path}")));
        let result = task.wait().map(|response| response.text().unwrap().to_string());
        let fetched = task.metrics().unwrap().transactions().last().map(|last| last.resource_fetch_type());
        (
            result.unwrap_or_else(|error| error.kind().to_string()),
            fetched,
            task.metrics().unwrap().transactions().len(),
        )
    };
    // Raw, since the harness keeps what a test prints.
    eprintln!("cleartext={}", get("http", "/").0);
    eprintln!("cookie={}", get("https", "/").0);
    eprintln!("guarded={}", get("https", "/guarded").2);
    eprintln!("cached={:?}", get("https", "/cached").1);
    eprintln!("again={:?}", get("https", "/cached").1);
    session.flush();
    drop(session);
    eprintln!("over=");
}

/// Where the processes live.
struct Home {
    directory: Directory,
    server: Server,
}

impl Home {
    fn new() -> Home {
        let directory = Directory::new();
        for name in ["home", "tmp", "work"] {
            fs::create_dir(directory.join(name)).unwrap();
        }
        Home { directory, server: Server::tls(asking) }
    }

    /// What a process says.
    fn run(&self, mode: &str, variables: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "as_a_child", "--nocapture"]);
        for variable in ["XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env_remove(variable);
        }
        for (name, value) in variables {
            command.env(name, self.directory.join(value));
        }
        let output = command
            .env("HOME", self.directory.join("home"))
            .env("TMPDIR", self.directory.join("tmp"))
            .env("TEST_MODE", mode)
            .env("TEST_PORT", self.server.port().to_string())
            .env("TEST_CA", self.server.ca_pem())
            .current_dir(self.directory.join("work"))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let lines = said.lines().filter_map(|line| line.split_once('='));
        let said_of: BTreeMap<_, _> =
            lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        assert!(output.status.success() && said_of.contains_key("over"), "{mode}: {said}");
        said_of
    }

    /// What there is, with its mode, and for directories when something was put in or taken out.
    fn look(&self) -> BTreeMap<String, (u32, i64, i64)> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.directory.path().to_owned()];
        while let Some(path) = left.pop() {
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let name = path.strip_prefix(self.directory.path()).unwrap().to_str().unwrap().to_owned();
            found.insert(name, (metadata.mode(), metadata.mtime(), metadata.mtime_nsec()));
        }
        found
    }

    /// The files with something in them, and whether they hold a text.
    fn holding(&self, text: &str) -> Vec<String> {
        let is_file = |(_, (mode, ..)): &(String, (u32, i64, i64))| mode & 0o170_000 == 0o100_000;
        let files = self.look().into_iter().filter(is_file).map(|(name, _)| name);
        let holds = |name: &String| {
            let bytes = fs::read(self.directory.join(name)).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        };
        files.filter(holds).collect()
    }

    /// What is below a place is there, and nobody else's business; nothing is anywhere else.
    fn check(&self, state: &str, cache: &str) {
        let mut entries = 0;
        for (name, (mode, ..)) in self.look() {
            let is_ours = [state, cache].iter().any(|place| Path::new(&name).starts_with(place));
            let is_above = [state, cache].iter().any(|place| Path::new(place).starts_with(&name));
            let was_there = ["", "home", "tmp", "work"].contains(&name.as_str());
            assert!(is_ours || is_above || was_there, "{name}");
            if !was_there {
                assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
            }
            entries += usize::from(is_ours && mode & 0o170_000 == 0o100_000 && name.starts_with(cache));
        }
        for file in ["cookies", "credentials", "hsts"] {
            assert!(self.directory.join(state).join(file).is_file(), "{file}");
        }
        assert!(entries > 0, "something is cached");
    }
}

fn is_first(said: &BTreeMap<String, String>) {
    assert_eq!(said["cleartext"], "AppTransportSecurityRequiresSecureConnection");
    assert_eq!(said["cookie"], "");
    assert_eq!(said["guarded"], "2", "it is challenged");
    assert_eq!(said["cached"], "Some(NetworkLoad)");
    assert_eq!(said["again"], "Some(LocalCache)");
}

fn is_second(said: &BTreeMap<String, String>) {
    assert_eq!(said["cleartext"], format!("id={COOKIE}"), "by https, and without the cookie of that session");
    assert_eq!(said["cookie"], format!("id={COOKIE}; passing=1"));
    assert_eq!(said["cached"], "Some(LocalCache)");
}

#[test]
fn who_names_nothing_leaves_nothing() {
    let home = Home::new();
    for mode in ["unnamed", "ephemeral"] {
        let before = home.look();
        is_first(&home.run(mode, &[]));
        assert_eq!(home.look(), before, "{mode}");
        // Nor anything that it could have taken up.
        is_first(&home.run(mode, &[]));
        assert_eq!(home.look(), before, "{mode}");
    }
}

#[test]
fn an_ephemeral_session_takes_up_nothing_and_leaves_what_is_there() {
    let home = Home::new();
    home.run("application", &[]);
    let before = home.look();
    is_first(&home.run("ephemeral", &[]));
    is_first(&home.run("unnamed", &[]));
    assert_eq!(home.look(), before);
}

#[test]
fn what_an_application_keeps_is_there_again() {
    let home = Home::new();
    let (state, cache) =
        ("home/.local/state/org.example.tool/urlsession", "home/.cache/org.example.tool/urlsession");
    is_first(&home.run("application", &[]));
    home.check(state, cache);
    is_second(&home.run("application", &[]));
    home.check(state, cache);
    // It is shared with sessions of a process that has named itself.
    is_second(&home.run("process", &[]));
    home.check(state, cache);
    assert_eq!(home.holding(PASSWORD), [format!("{state}/credentials")]);
}

#[test]
fn the_directories_of_the_platform_can_be_elsewhere() {
    let home = Home::new();
    let variables = [("XDG_STATE_HOME", "xdg/state"), ("XDG_CACHE_HOME", "xdg/cache")];
    is_first(&home.run("process", &variables));
    home.check("xdg/state/org.example.tool/urlsession", "xdg/cache/org.example.tool/urlsession");
    is_second(&home.run("process", &variables));
}

#[test]
fn a_directory_that_is_named_has_all_of_it() {
    let home = Home::new();
    is_first(&home.run("directory", &[]));
    home.check("home/own", "home/own/cache");
    is_second(&home.run("directory", &[]));
    home.check("home/own", "home/own/cache");
}

#[test]
fn a_reset_leaves_nothing_to_take_up() {
    let home = Home::new();
    home.run("application", &[]);
    assert!(!home.holding(PASSWORD).is_empty());
    // What that process learns itself afterwards is kept.
    is_first(&home.run("reset", &[]));
    is_second(&home.run("application", &[]));
}

#[test]
fn a_reset_removes_the_files() {
    let directory = Directory::new();
    let server = Server::tls(asking);
    let here = |_: &str| Ok(vec![IpAddr::from(Ipv4Addr::LOCALHOST)]);
    let configuration = Configuration::default()
        .storage_directory(directory.path())
        .resolver(Arc::new(here))
        .add_root_certificate(Certificate::from_der(server.ca_der()));
    let session = Session::builder().configuration(configuration).delegate(Knows).build();
    for path in ["/", "/guarded", "/cached"] {
        session.data_task(server.url_of_host("example.test", path)).wait().unwrap();
    }
    let files = |path: &Path| {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_file()).count()
    };
    assert_eq!((files(directory.path()), files(&directory.join("cache")) > 0), (3, true));
    let mode = fs::metadata(directory.join("credentials")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    session.reset();
    assert_eq!((files(directory.path()), files(&directory.join("cache"))), (0, 0));
    // It goes on.
    session.data_task(server.url_of_host("example.test", "/")).wait().unwrap();
    assert_eq!(server.requests().last().unwrap().header("cookie"), None);
    assert!(directory.join("cookies").is_file());
}
