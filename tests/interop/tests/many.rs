//! Many requests at once, from many threads and from one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use urlsession::{Session, wait_all};
use urlsession_interop::{configuration, contents, session, text, url};

const SERVERS: [&str; 3] = ["NGINX", "NGINX_TLS12", "NGINX_TLS13"];

fn connections(answers: impl IntoIterator<Item = String>) -> usize {
    let numbers = answers.into_iter().map(|answer| answer.split(' ').next().unwrap().to_owned());
    numbers.collect::<HashSet<_>>().len()
}

#[test]
fn sixty_four_threads() {
    for server in SERVERS {
        let session = session();
        let answers: Vec<String> = std::thread::scope(|scope| {
            let work = || (0..50).map(|_| text(&session, &url(server, "/connection"))).collect::<Vec<_>>();
            let threads: Vec<_> = (0..64).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(answers.len(), 3200);
        let count = connections(answers);
        assert!((1..=6).contains(&count), "{server}: {count} connections");
    }
}

#[test]
fn five_hundred_tasks_from_one_thread() {
    for server in SERVERS {
        for limit in [1, 6, 50] {
            let session = Session::new(configuration().maximum_connections_per_host(limit));
            let tasks: Vec<_> = (0..500).map(|_| session.data_task(url(server, "/connection"))).collect();
            let answers =
                wait_all(&tasks).into_iter().map(|result| result.unwrap().text().unwrap().into_owned());
            let count = connections(answers);
            assert!((1..=limit).contains(&count), "{server}: {count} connections");
        }
    }
}

#[test]
fn five_hundred_tasks_on_apache() {
    let expected = contents("www/text.txt");
    for server in ["APACHE", "APACHE_TLS"] {
        let session = session();
        let tasks: Vec<_> = (0..500).map(|_| session.data_task(url(server, "/gzip/text.txt"))).collect();
        for result in wait_all(&tasks) {
            assert!(result.unwrap().bytes() == &expected, "{server}");
        }
        let new =
            tasks.iter().filter(|task| !task.metrics().unwrap().transactions()[0].is_reused_connection());
        assert!((1..=6).contains(&new.count()), "{server}");
    }
}

#[test]
fn big_bodies_side_by_side() {
    let expected = contents("www/big.bin");
    for server in ["NGINX", "NGINX_TLS", "APACHE", "APACHE_TLS"] {
        let session = session();
        let tasks: Vec<_> = (0..4).map(|_| session.data_task(url(server, "/big.bin"))).collect();
        for result in wait_all(&tasks) {
            assert!(result.unwrap().bytes() == &expected, "{server}");
        }
    }
}
