//! libcurl with OpenSSL: an easy handle a caller, a multi handle for many at once.

use super::{Caller, Client};
use crate::Result;
use crate::pattern::Check;
use crate::server::{SMALL, Target};
use curl::easy::{Easy2, Handler, HttpVersion, WriteError};
use curl::multi::Multi;
use std::time::Duration;

pub struct Curl {
    certificate: String,
    multi: Multi,
}

impl Curl {
    pub fn new(target: &Target) -> Result<Self> {
        curl::init();
        Ok(Curl { certificate: target.certificate.clone(), multi: Multi::new() })
    }

    fn easy(&self) -> Result<Easy2<Sink>> {
        let mut easy = Easy2::new(Sink(Check::default()));
        easy.ssl_cainfo_blob(self.certificate.as_bytes())?;
        easy.http_version(HttpVersion::V11)?;
        easy.accept_encoding("gzip")?;
        easy.fail_on_error(true)?;
        easy.signal(false)?;
        easy.proxy("")?;
        Ok(easy)
    }
}

struct Sink(Check);

impl Handler for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::result::Result<usize, WriteError> {
        self.0.push(bytes);
        Ok(bytes.len())
    }
}

impl Client for Curl {
    fn caller(&self) -> Result<Box<dyn Caller>> {
        Ok(Box::new(CurlCaller(self.easy()?)))
    }

    fn fan_out(&mut self, url: &str, count: usize, connections: usize) -> Result<()> {
        self.multi.set_max_host_connections(connections)?;
        self.multi.set_max_connects(connections)?;
        let mut transfers = Vec::with_capacity(count);
        for _ in 0..count {
            let mut easy = self.easy()?;
            easy.url(url)?;
            transfers.push(self.multi.add2(easy)?);
        }
        while self.multi.perform()? > 0 {
            self.multi.wait(&mut [], Duration::from_secs(10))?;
        }
        let mut result = Ok(());
        self.multi.messages(|message| {
            if let Some(Err(error)) = message.result() {
                result = Err(error);
            }
        });
        result?;
        for transfer in transfers {
            let mut easy = self.multi.remove2(transfer)?;
            std::mem::take(&mut easy.get_mut().0).finish(SMALL as u64)?;
        }
        Ok(())
    }
}

struct CurlCaller(Easy2<Sink>);

impl CurlCaller {
    fn perform(&mut self, url: &str, check: &mut Check) -> Result<()> {
        self.0.url(url)?;
        std::mem::swap(&mut self.0.get_mut().0, check);
        let result = self.0.perform();
        std::mem::swap(&mut self.0.get_mut().0, check);
        Ok(result?)
    }
}

impl Caller for CurlCaller {
    fn get(&mut self, url: &str, check: &mut Check) -> Result<()> {
        self.perform(url, check)
    }

    fn stream(&mut self, url: &str, check: &mut Check) -> Result<()> {
        self.perform(url, check)
    }
}
