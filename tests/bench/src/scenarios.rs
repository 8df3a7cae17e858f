//! What is measured. In each round every client has its turn, and another one begins each time.

use crate::Result;
use crate::clients::{self, Caller, Client, NAMES, small};
use crate::measure::{Sample, median, one_by_one, seconds, together};
use crate::pattern::Check;
use crate::process::Participant;
use crate::server::{Port, Target};

pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    kind: Kind,
    rounds: (usize, usize),
    /// Operations, or bytes, in a round: usually and with `--quick`.
    size: (usize, usize),
}

enum Kind {
    /// One caller, one after another.
    Sequential(Port, &'static str),
    /// So many callers at once.
    Callers(usize),
    /// All at once from one thread, over so many connections.
    FanOut(usize, &'static str),
    /// One body, in pieces.
    Stream(Port, &'static str),
}

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "plain",
        title: "Sequential GET of 1 KiB, kept-alive",
        kind: Kind::Sequential(Port::Plain, "/small"),
        rounds: (9, 3),
        size: (10_000, 1500),
    },
    Scenario {
        name: "tls",
        title: "Sequential GET of 1 KiB over TLS, kept-alive",
        kind: Kind::Sequential(Port::Tls, "/small"),
        rounds: (9, 3),
        size: (10_000, 1500),
    },
    Scenario {
        name: "callers",
        title: "GET of 1 KiB by 64 callers at once (time a request, all together)",
        kind: Kind::Callers(64),
        rounds: (9, 3),
        size: (50_000, 8000),
    },
    Scenario {
        name: "fan-out",
        title: "1,000 GETs of 1 KiB at once over 64 connections (all of them)",
        kind: Kind::FanOut(64, "/small"),
        rounds: (15, 3),
        size: (1000, 1000),
    },
    Scenario {
        name: "slow",
        title: "1,000 GETs at once, each answered after 50 ms, over 1,000 connections (all of them)",
        kind: Kind::FanOut(1000, "/slow"),
        rounds: (9, 3),
        size: (1000, 1000),
    },
    Scenario {
        name: "big",
        title: "Body of 1 GiB to a sink (128 MiB with --quick)",
        kind: Kind::Stream(Port::Plain, "/big"),
        rounds: (7, 3),
        size: (1 << 30, 1 << 27),
    },
    Scenario {
        name: "big-tls",
        title: "Body of 1 GiB over TLS to a sink (128 MiB with --quick)",
        kind: Kind::Stream(Port::Tls, "/big"),
        rounds: (5, 3),
        size: (1 << 30, 1 << 27),
    },
    Scenario {
        name: "full",
        title: "New TLS connection, full handshake, one GET",
        kind: Kind::Sequential(Port::Full, "/close"),
        rounds: (7, 3),
        size: (500, 100),
    },
    Scenario {
        name: "resumed",
        title: "New TLS connection, resumed session, one GET",
        kind: Kind::Sequential(Port::Tls, "/close"),
        rounds: (7, 3),
        size: (500, 100),
    },
    Scenario {
        name: "gunzip",
        title: "Body of 256 MiB that comes as gzip (32 MiB with --quick)",
        kind: Kind::Stream(Port::Plain, "/gzip"),
        rounds: (7, 3),
        size: (1 << 28, 1 << 25),
    },
];

/// Measures the clients with a scenario and prints the table.
pub fn run(scenario: &Scenario, target: &Target, quick: bool) -> Result<()> {
    let (rounds, size) =
        if quick { (scenario.rounds.1, scenario.size.1) } else { (scenario.rounds.0, scenario.size.0) };
    let mut entries = Vec::new();
    for name in NAMES {
        entries.push((name, Participant::start(scenario.name, name, target)?, Vec::new()));
    }
    // The first round only makes connections, and fills what is filled once.
    for round in 0..=rounds {
        let count = entries.len();
        for turn in 0..count {
            let (name, participant, samples) = &mut entries[(round + turn) % count];
            let size = if round == 0 { size.min(scenario.kind.warm_up()) } else { size };
            let sample = participant.measure(size).map_err(|error| format!("{name}: {error}"))?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    let medians = entries.iter().map(|(name, _, samples)| {
        let wall = median(samples.iter().map(|sample| sample.wall).collect());
        (*name, Sample { wall, cpu: median(samples.iter().map(|sample| sample.cpu).collect()) })
    });
    print(scenario, &medians.collect::<Vec<_>>());
    Ok(())
}

impl Kind {
    fn warm_up(&self) -> usize {
        match self {
            Kind::Stream(..) => 1 << 20,
            Kind::Sequential(_, "/close") => 10,
            _ => 1000,
        }
    }
}

/// A client that does what a scenario asks, with its callers, which stay from round to round.
pub struct Run<'a> {
    kind: &'a Kind,
    target: &'a Target,
    client: Box<dyn Client>,
    callers: Vec<Box<dyn Caller>>,
}

impl<'a> Run<'a> {
    pub fn new(scenario: &'a Scenario, client: &str, target: &'a Target) -> Result<Self> {
        let (callers, connections) = match scenario.kind {
            Kind::Callers(callers) => (callers, callers),
            Kind::FanOut(connections, _) => (0, connections),
            _ => (1, 1),
        };
        let client = clients::client(client, target, connections)?;
        let callers = (0..callers).map(|_| client.caller()).collect::<Result<_>>()?;
        Ok(Run { kind: &scenario.kind, target, client, callers })
    }

    /// One round of so many operations, or with a body of so many bytes.
    pub fn measure(&mut self, size: usize) -> Result<Sample> {
        match *self.kind {
            Kind::Sequential(port, path) => {
                let url = self.target.url(port, path);
                let caller = self.callers.first_mut().ok_or("a caller")?;
                one_by_one(size, || small(caller.as_mut(), &url))
            }
            Kind::Callers(count) => {
                let url = &self.target.url(Port::Plain, "/small");
                let each = size.div_ceil(count);
                together(each * count, || {
                    std::thread::scope(|scope| {
                        let work = |caller: &mut Box<dyn Caller>| {
                            (0..each).try_for_each(|_| small(caller.as_mut(), url))
                        };
                        let threads: Vec<_> =
                            self.callers.iter_mut().map(|caller| scope.spawn(move || work(caller))).collect();
                        threads
                            .into_iter()
                            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
                    })
                })
            }
            Kind::FanOut(connections, path) => {
                let url = self.target.url(Port::Plain, path);
                together(1, || self.client.fan_out(&url, size, connections))
            }
            Kind::Stream(port, path) => {
                let url = self.target.url(port, &format!("{path}?{size}"));
                let caller = self.callers.first_mut().ok_or("a caller")?;
                together(1, || {
                    let mut check = Check::default();
                    caller.stream(&url, &mut check)?;
                    check.finish(size as u64)
                })
            }
        }
    }
}

fn print(scenario: &Scenario, medians: &[(&str, Sample)]) {
    let raw = medians.first().map_or(Sample { wall: 1.0, cpu: 1.0 }, |(_, sample)| *sample);
    println!("### {}\n", scenario.title);
    println!("| client | time | × raw | CPU | × raw |\n|---|--:|--:|--:|--:|");
    for (name, Sample { wall, cpu }) in medians {
        let (to_raw, cpu_to_raw) = (wall / raw.wall, cpu / raw.cpu);
        println!("| {name} | {} | {to_raw:.2} | {} | {cpu_to_raw:.2} |", seconds(*wall), seconds(*cpu));
    }
    println!();
}
