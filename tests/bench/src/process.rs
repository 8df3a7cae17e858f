//! A process for each client, which waits between its turns: what one does to memory, file descriptors
//! and processor time is not another's.

use crate::measure::Sample;
use crate::scenarios::{ALL, Run};
use crate::server::Target;
use crate::{Result, machine};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A client's process, as the one that measures knows it.
pub struct Participant {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Participant {
    pub fn start(scenario: &str, client: &str, target: &Target) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["take-part", scenario, client])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let [plain, tls, full] = target.ports;
        let input = child.stdin.as_mut().ok_or("stdin")?;
        input.write_all(format!("{plain} {tls} {full}\n{}\0", target.certificate).as_bytes())?;
        let answers = BufReader::new(child.stdout.take().ok_or("stdout")?);
        Ok(Participant { child, answers })
    }

    /// Has it run a round.
    pub fn measure(&mut self, size: usize) -> Result<Sample> {
        writeln!(self.child.stdin.as_mut().ok_or("stdin")?, "{size}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let numbers =
            line.trim().split_once(' ').and_then(|(wall, cpu)| Some((wall.parse().ok()?, cpu.parse().ok()?)));
        let (wall, cpu) =
            numbers.ok_or_else(|| if line.is_empty() { "it is gone".to_owned() } else { line.clone() })?;
        Ok(Sample { wall, cpu })
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A client's process: a round for each line, until there are no more.
pub fn take_part(arguments: &[String]) -> Result<()> {
    let [_, scenario, client] = arguments else { return Err("take-part SCENARIO CLIENT".into()) };
    let scenario = ALL.iter().find(|known| known.name == scenario).ok_or("an unknown scenario")?;
    machine::raise_file_limit();
    let mut input = std::io::stdin().lock();
    let (mut ports, mut certificate) = (String::new(), Vec::new());
    input.read_line(&mut ports)?;
    input.read_until(0, &mut certificate)?;
    certificate.pop();
    let ports = Target::parse_ports(&ports).ok_or("ports")?;
    let target = Target { ports, certificate: String::from_utf8(certificate)? };
    let mut run = Run::new(scenario, client, &target)?;
    for line in input.lines() {
        match run.measure(line?.parse()?) {
            Ok(Sample { wall, cpu }) => println!("{wall:e} {cpu:e}"),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}
