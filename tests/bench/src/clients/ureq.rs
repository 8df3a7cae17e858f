//! ureq 3, with rustls and ring, as it comes.

use super::{Caller, Client, Threads, read_all};
use crate::Result;
use crate::pattern::Check;
use crate::server::Target;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

pub struct Ureq {
    agent: Agent,
    fan: Threads,
}

impl Ureq {
    pub fn new(target: &Target, connections: usize) -> Result<Self> {
        let certificate = Certificate::from_pem(target.certificate.as_bytes())?;
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[certificate])).build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .build()
            .new_agent();
        Ok(Ureq { agent, fan: Threads(Vec::new()) })
    }
}

fn caller(agent: &Agent) -> Box<dyn Caller> {
    Box::new(UreqCaller { agent: agent.clone(), pieces: Vec::new() })
}

impl Client for Ureq {
    fn caller(&self) -> Result<Box<dyn Caller>> {
        Ok(caller(&self.agent))
    }

    fn fan_out(&mut self, url: &str, count: usize, connections: usize) -> Result<()> {
        self.fan.run(url, count, connections, &|| Ok(caller(&self.agent)))
    }
}

struct UreqCaller {
    agent: Agent,
    pieces: Vec<u8>,
}

impl Caller for UreqCaller {
    fn get(&mut self, url: &str, check: &mut Check) -> Result<()> {
        check.push(&self.agent.get(url).call()?.body_mut().read_to_vec()?);
        Ok(())
    }

    fn stream(&mut self, url: &str, check: &mut Check) -> Result<()> {
        let mut response = self.agent.get(url).call()?;
        read_all(response.body_mut().as_reader(), &mut self.pieces, check)
    }
}
