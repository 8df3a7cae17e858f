//! This crate.

use super::{Caller, Client, read_all};
use crate::Result;
use crate::pattern::Check;
use crate::server::{SMALL, Target};
use urlsession::{Certificate, Configuration, Session, wait_all};

pub struct UrlSession(Session);

impl UrlSession {
    pub fn new(target: &Target, connections: usize) -> Result<Self> {
        let configuration = Configuration::default()
            .maximum_connections_per_host(connections)
            .maximum_idle_connections_per_host(connections)
            .root_certificates(Certificate::from_pem(&target.certificate)?);
        Ok(UrlSession(Session::new(configuration)))
    }
}

impl Client for UrlSession {
    fn caller(&self) -> Result<Box<dyn Caller>> {
        Ok(Box::new(SessionCaller { session: self.0.clone(), pieces: Vec::new() }))
    }

    fn fan_out(&mut self, url: &str, count: usize, _: usize) -> Result<()> {
        let tasks: Vec<_> = (0..count).map(|_| self.0.data_task(url)).collect();
        wait_all(&tasks).into_iter().try_for_each(|response| {
            let mut check = Check::default();
            check.push(response?.error_for_status()?.body());
            check.finish(SMALL as u64)
        })
    }
}

struct SessionCaller {
    session: Session,
    pieces: Vec<u8>,
}

impl Caller for SessionCaller {
    fn get(&mut self, url: &str, check: &mut Check) -> Result<()> {
        check.push(self.session.data_task(url).wait()?.error_for_status()?.body());
        Ok(())
    }

    fn stream(&mut self, url: &str, check: &mut Check) -> Result<()> {
        let response = self.session.data_task(url).open()?.error_for_status()?;
        read_all(response.into_body(), &mut self.pieces, check)
    }
}
