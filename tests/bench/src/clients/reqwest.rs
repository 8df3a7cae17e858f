//! reqwest's blocking client, with rustls and ring.

use super::raw::configuration;
use super::{Caller, Client, Threads, read_all};
use crate::Result;
use crate::pattern::Check;
use crate::server::Target;

pub struct Reqwest {
    client: reqwest::blocking::Client,
    fan: Threads,
}

impl Reqwest {
    pub fn new(target: &Target, connections: usize) -> Result<Self> {
        let client = reqwest::blocking::Client::builder()
            .tls_backend_preconfigured(configuration(&target.certificate)?)
            .no_proxy()
            .timeout(None)
            .pool_max_idle_per_host(connections)
            .build()?;
        Ok(Reqwest { client, fan: Threads(Vec::new()) })
    }
}

fn caller(client: &reqwest::blocking::Client) -> Box<dyn Caller> {
    Box::new(ReqwestCaller { client: client.clone(), pieces: Vec::new() })
}

impl Client for Reqwest {
    fn caller(&self) -> Result<Box<dyn Caller>> {
        Ok(caller(&self.client))
    }

    fn fan_out(&mut self, url: &str, count: usize, connections: usize) -> Result<()> {
        self.fan.run(url, count, connections, &|| Ok(caller(&self.client)))
    }
}

struct ReqwestCaller {
    client: reqwest::blocking::Client,
    pieces: Vec<u8>,
}

impl Caller for ReqwestCaller {
    fn get(&mut self, url: &str, check: &mut Check) -> Result<()> {
        check.push(&self.client.get(url).send()?.error_for_status()?.bytes()?);
        Ok(())
    }

    fn stream(&mut self, url: &str, check: &mut Check) -> Result<()> {
        read_all(self.client.get(url).send()?.error_for_status()?, &mut self.pieces, check)
    }
}
