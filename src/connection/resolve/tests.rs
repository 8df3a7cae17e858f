use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::Wake;

type Jobs = Arc<Mutex<VecDeque<Box<dyn FnOnce() + Send>>>>;
type Answers = Box<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// A resolver made of a function that counts what it is asked.
struct Fake {
    asked: AtomicUsize,
    answers: Answers,
}

impl Resolver for Fake {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        (self.answers)(host)
    }
}

/// Names whose jobs run when the test says so.
struct Bench {
    names: Names,
    jobs: Jobs,
    resolver: Arc<Fake>,
    now: Instant,
}

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

impl Bench {
    fn new(answers: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Bench {
        let resolver = Arc::new(Fake { asked: AtomicUsize::new(0), answers: Box::new(answers) });
        let jobs = Jobs::default();
        let queue = jobs.clone();
        let spawn: Spawn = Arc::new(move |job| lock(&queue).push_back(job));
        Bench { names: Names::new(Some(resolver.clone()), spawn), jobs, resolver, now: Instant::now() }
    }

    fn good() -> Bench {
        Bench::new(|_| Ok(vec![ADDRESS]))
    }

    fn ask(&self, host: &str) -> Lookup {
        self.ask_as(host, &Counter::default())
    }

    fn ask_as(&self, host: &str, counter: &Counter) -> Lookup {
        self.names.lookup(host, 443, self.now, &counter.waker())
    }

    fn asked(&self) -> usize {
        self.resolver.asked.load(Ordering::SeqCst)
    }

    /// Runs the oldest job.
    fn run_one(&self) {
        let job = lock(&self.jobs).pop_front().expect("a job");
        job();
    }

    fn later(&mut self, by: Duration) {
        self.now = Instant::now() + by;
    }
}

/// Counts how often its waker is called.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Counter {
    fn waker(&self) -> Waker {
        struct Add(Arc<AtomicUsize>);
        impl Wake for Add {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        Arc::new(Add(self.0.clone())).into()
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn addresses(lookup: Lookup) -> Vec<String> {
    match lookup {
        Lookup::Ready(Ok(addresses)) => addresses.iter().map(SocketAddr::to_string).collect(),
        other => panic!("no addresses but {other:?}"),
    }
}

fn failure(lookup: Lookup) -> Error {
    match lookup {
        Lookup::Ready(Err(error)) => error,
        other => panic!("no failure but {other:?}"),
    }
}

fn pending(lookup: Lookup) -> bool {
    matches!(lookup, Lookup::Pending)
}

#[test]
fn literals_and_localhost_need_no_lookup() {
    let bench = Bench::good();
    for (host, expected) in [
        ("127.0.0.1", &["127.0.0.1:443"][..]),
        ("::1", &["[::1]:443"]),
        ("[2001:db8::1]", &["[2001:db8::1]:443"]),
        ("fe80::1%3", &["[fe80::1%3]:443"]),
        ("[fe80::1%3]", &["[fe80::1%3]:443"]),
        ("localhost", &["[::1]:443", "127.0.0.1:443"]),
        ("LocalHost.", &["[::1]:443", "127.0.0.1:443"]),
        ("a.b.localhost", &["[::1]:443", "127.0.0.1:443"]),
    ] {
        assert_eq!(addresses(bench.ask(host)), expected, "{host}");
    }
    assert!(lock(&bench.jobs).is_empty());
    for name in ["localhost.example", "notlocalhost", "[localhost2]"] {
        assert!(pending(bench.ask(name)), "{name}");
    }
}

#[test]
fn all_who_ask_share_one_lookup() {
    let bench = Bench::good();
    let (one, other) = (Counter::default(), Counter::default());
    assert!(pending(bench.ask_as("example.com", &one)));
    assert!(pending(bench.ask_as("EXAMPLE.com", &other)));
    assert_eq!(lock(&bench.jobs).len(), 1);
    bench.run_one();
    assert_eq!((one.count(), other.count()), (1, 1));
    assert_eq!(addresses(bench.ask("example.com")), ["192.0.2.1:443"]);
    let lookup = bench.names.lookup("Example.com", 80, bench.now, Waker::noop());
    assert_eq!(addresses(lookup), ["192.0.2.1:80"]);
    assert_eq!(bench.asked(), 1);
}

#[test]
fn a_waiter_that_asks_again_is_woken_once() {
    let bench = Bench::good();
    let counter = Counter::default();
    let waker = counter.waker();
    for _ in 0..3 {
        assert!(pending(bench.names.lookup("example.com", 443, bench.now, &waker)));
    }
    bench.run_one();
    assert_eq!(counter.count(), 1);
}

#[test]
fn a_waiter_that_gave_up_does_no_harm() {
    let bench = Bench::good();
    let gone = Counter::default();
    assert!(pending(bench.ask_as("example.com", &gone)));
    drop(gone);
    bench.run_one();
    assert_eq!(addresses(bench.ask("example.com")), ["192.0.2.1:443"]);
}

#[test]
fn addresses_are_remembered_for_a_minute() {
    let mut bench = Bench::good();
    assert!(pending(bench.ask("example.com")));
    bench.run_one();
    bench.later(FOUND_FOR - Duration::from_secs(1));
    assert_eq!(addresses(bench.ask("example.com")), ["192.0.2.1:443"]);
    bench.later(FOUND_FOR);
    assert!(pending(bench.ask("example.com")));
    bench.run_one();
    assert_eq!(bench.asked(), 2);
}

#[test]
fn a_failure_is_told_to_those_who_waited_and_not_later() {
    let mut bench = Bench::new(|_| Err(io::ErrorKind::NotFound.into()));
    assert!(pending(bench.ask("gone.example")));
    bench.run_one();
    let error = failure(bench.ask("gone.example"));
    assert_eq!(error.kind(), ErrorKind::CannotFindHost);
    assert!(error.to_string().starts_with("resolving gone.example: "), "{error}");
    bench.later(FAILED_FOR);
    assert!(pending(bench.ask("gone.example")));
}

#[test]
fn a_name_without_addresses_cannot_be_found() {
    let bench = Bench::new(|_| Ok(Vec::new()));
    assert!(pending(bench.ask("empty.example")));
    bench.run_one();
    assert_eq!(failure(bench.ask("empty.example")).kind(), ErrorKind::CannotFindHost);
}

#[test]
fn a_panic_of_the_resolver_is_a_failure_of_the_lookup() {
    let bench =
        Bench::new(|host| if host == "bad.example" { panic!("on purpose") } else { Ok(vec![ADDRESS]) });
    let counter = Counter::default();
    assert!(pending(bench.ask_as("bad.example", &counter)));
    bench.run_one();
    assert_eq!(counter.count(), 1);
    assert_eq!(failure(bench.ask("bad.example")).kind(), ErrorKind::DnsLookupFailed);
    assert!(pending(bench.ask("good.example")));
    bench.run_one();
    assert_eq!(addresses(bench.ask("good.example")), ["192.0.2.1:443"]);
}

#[test]
fn names_that_cannot_be_are_not_looked_up() {
    let bench = Bench::good();
    for host in ["", &"a".repeat(MAX_HOST + 1)] {
        let error = failure(bench.ask(host));
        assert_eq!(error.kind(), ErrorKind::CannotFindHost);
        assert!(error.to_string().len() < 200);
    }
    assert!(lock(&bench.jobs).is_empty());
}

#[test]
fn an_answer_has_a_bound() {
    let bench = Bench::new(|_| Ok(vec![ADDRESS; 10_000]));
    assert!(pending(bench.ask("many.example")));
    bench.run_one();
    assert_eq!(addresses(bench.ask("many.example")).len(), MAX_ADDRESSES);
}

#[test]
fn lookups_that_run_are_bounded_and_the_others_follow() {
    let bench = Bench::good();
    let hosts: Vec<_> = (0..100).map(|number| format!("{number}.example")).collect();
    assert!(hosts.iter().all(|host| pending(bench.ask(host))));
    assert_eq!(lock(&bench.jobs).len(), MAX_RUNNING);
    // The first job that runs finds the queue full and empties it.
    bench.run_one();
    assert_eq!(bench.asked(), 1 + hosts.len() - MAX_RUNNING);
    (1..MAX_RUNNING).for_each(|_| bench.run_one());
    assert!(hosts.iter().all(|host| addresses(bench.ask(host)) == ["192.0.2.1:443"]));
    assert_eq!(bench.asked(), hosts.len());
    assert!(pending(bench.ask("another.example")));
    assert_eq!(lock(&bench.jobs).len(), 1, "the places are free again");
}

#[test]
fn a_job_that_is_never_run_fails_its_name() {
    let bench = Bench::good();
    let hosts: Vec<_> = (0..MAX_RUNNING + 3).map(|number| format!("{number}.example")).collect();
    let counter = Counter::default();
    assert!(hosts.iter().all(|host| pending(bench.ask_as(host, &counter))));
    let jobs = std::mem::take(&mut *lock(&bench.jobs));
    drop(jobs);
    assert_eq!(counter.count(), hosts.len());
    for host in &hosts {
        assert_eq!(failure(bench.ask(host)).kind(), ErrorKind::DnsLookupFailed);
    }
    assert!(pending(bench.ask("another.example")));
    bench.run_one();
    assert_eq!(addresses(bench.ask("another.example")), ["192.0.2.1:443"]);
}

#[test]
fn clearing_forgets_names_and_lookups_under_way() {
    let bench = Bench::new(|host| match host {
        "moved.example" => Ok(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))]),
        _ => Ok(vec![ADDRESS]),
    });
    assert!(pending(bench.ask("known.example")));
    bench.run_one();
    let counter = Counter::default();
    assert!(pending(bench.ask_as("moved.example", &counter)));
    bench.names.clear();
    assert_eq!(counter.count(), 1, "to ask anew");
    assert!(pending(bench.ask("known.example")));
    assert!(pending(bench.ask_as("moved.example", &counter)));
    bench.run_one();
    assert!(pending(bench.ask_as("moved.example", &counter)), "the old lookup is not believed");
    assert_eq!(counter.count(), 1);
    bench.run_one();
    bench.run_one();
    assert!(counter.count() > 1);
    assert_eq!(addresses(bench.ask("moved.example")), ["192.0.2.7:443"]);
}

#[test]
fn clearing_empties_the_queue() {
    let bench = Bench::good();
    let hosts: Vec<_> = (0..MAX_RUNNING + 10).map(|number| format!("{number}.example")).collect();
    assert!(hosts.iter().all(|host| pending(bench.ask(host))));
    bench.names.clear();
    (0..MAX_RUNNING).for_each(|_| bench.run_one());
    assert_eq!(bench.asked(), MAX_RUNNING);
    assert_eq!(lock(&bench.names.shared.names).running, 0);
}

#[test]
fn memory_is_bounded_but_for_those_who_wait() {
    let bench = Bench::good();
    let hosts: Vec<_> = (0..1000).map(|number| format!("{number}.example")).collect();
    assert!(hosts.iter().all(|host| pending(bench.ask(host))));
    (0..MAX_RUNNING).for_each(|_| bench.run_one());
    assert!(hosts.iter().all(|host| addresses(bench.ask(host)).len() == 1));
    assert_eq!(bench.asked(), hosts.len(), "each waiter has found its answer");
    assert!(pending(bench.ask("another.example")));
    bench.run_one();
    assert!(lock(&bench.names.shared.names).known.len() <= MAX_NAMES);
    assert!(pending(bench.ask("0.example")), "the oldest went first");
    assert_eq!(addresses(bench.ask("999.example")).len(), 1);
}

#[test]
fn failures_of_the_system_are_told_apart() {
    for (text, kind) in [
        ("Name or service not known", ErrorKind::CannotFindHost),
        ("No address associated with hostname", ErrorKind::CannotFindHost),
        ("nodename nor servname provided, or not known", ErrorKind::CannotFindHost),
        ("Name does not resolve", ErrorKind::CannotFindHost),
        ("Temporary failure in name resolution", ErrorKind::DnsLookupFailed),
        ("Try again", ErrorKind::DnsLookupFailed),
        ("Non-recoverable failure in name resolution", ErrorKind::DnsLookupFailed),
    ] {
        let error = io::Error::other(format!("failed to lookup address information: {text}"));
        assert_eq!(failure_kind(&error), kind, "{text}");
    }
    assert_eq!(failure_kind(&io::ErrorKind::NotFound.into()), ErrorKind::CannotFindHost);
    assert_eq!(failure_kind(&io::ErrorKind::TimedOut.into()), ErrorKind::DnsLookupFailed);
    assert_eq!(failure_kind(&io::Error::other("the daemon is gone")), ErrorKind::DnsLookupFailed);
    let code = rustix::io::Errno::MFILE.raw_os_error();
    assert_eq!(failure_kind(&io::Error::from_raw_os_error(code)), ErrorKind::DnsLookupFailed);
}

#[test]
fn the_system_resolves_on_a_thread() {
    let names = Names::new(
        None,
        Arc::new(|job| {
            std::thread::spawn(job);
        }),
    );
    struct Tell(mpsc::Sender<()>);
    impl Wake for Tell {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }
    let (say, hear) = mpsc::channel();
    let waker: Waker = Arc::new(Tell(say)).into();
    // Not an IPv4 literal for us, but one for getaddrinfo, which asks no name server then.
    assert!(pending(names.lookup("127.1", 80, Instant::now(), &waker)));
    hear.recv().unwrap();
    assert_eq!(addresses(names.lookup("127.1", 80, Instant::now(), &waker)), ["127.0.0.1:80"]);
    // An embedded NUL is refused without a lookup.
    assert!(pending(names.lookup("a\0b", 80, Instant::now(), &waker)));
    hear.recv().unwrap();
    let error = failure(names.lookup("a\0b", 80, Instant::now(), &waker));
    assert_eq!(error.kind(), ErrorKind::CannotFindHost);
}
