//! The least there can be: a socket, `httparse`, `rustls`, and a loop.

use super::{Caller, Client, read_all};
use crate::Result;
use crate::pattern::Check;
use crate::server::{SMALL, Target};
use rustls::pki_types::{CertificateDer, IpAddr, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

pub struct Raw {
    tls: Arc<ClientConfig>,
    fan: Vec<Connection>,
}

impl Raw {
    pub fn new(target: &Target) -> Result<Self> {
        let tls = configuration(&target.certificate)?;
        Ok(Raw { tls: Arc::new(tls), fan: Vec::new() })
    }
}

/// TLS as urlsession does it: rustls with ring.
pub fn configuration(certificate: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes())?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl Client for Raw {
    fn caller(&self) -> Result<Box<dyn Caller>> {
        Ok(Box::new(RawCaller { tls: Arc::clone(&self.tls), open: HashMap::new(), pieces: Vec::new() }))
    }

    fn fan_out(&mut self, url: &str, count: usize, connections: usize) -> Result<()> {
        let (authority, path) = split(url)?;
        while self.fan.len() < connections {
            self.fan.push(Connection::open(authority, &self.tls)?);
        }
        let mut left = count;
        while left > 0 {
            let now = left.min(connections);
            self.fan.iter_mut().take(now).try_for_each(|connection| connection.ask(authority, path))?;
            for connection in self.fan.iter_mut().take(now) {
                let mut check = Check::default();
                let head = connection.head()?;
                connection.body(head.length, &mut |bytes| check.push(bytes))?;
                check.finish(SMALL as u64)?;
            }
            left -= now;
        }
        Ok(())
    }
}

struct RawCaller {
    tls: Arc<ClientConfig>,
    open: HashMap<String, Connection>,
    pieces: Vec<u8>,
}

impl RawCaller {
    fn exchange(&mut self, url: &str, check: &mut Check) -> Result<()> {
        let (authority, path) = split(url)?;
        let mut connection = match self.open.remove(authority) {
            Some(open) => open,
            None => Connection::open(authority, &self.tls)?,
        };
        connection.ask(authority, path)?;
        let head = connection.head()?;
        if head.gzip {
            let body = Body { connection: &mut connection, left: head.length };
            read_all(
                flate2::read::GzDecoder::new(io::BufReader::with_capacity(65536, body)),
                &mut self.pieces,
                check,
            )?;
        } else {
            connection.body(head.length, &mut |bytes| check.push(bytes))?;
        }
        if head.close {
            connection.stream.goodbye()?;
        } else {
            self.open.insert(authority.to_owned(), connection);
        }
        Ok(())
    }
}

impl Caller for RawCaller {
    fn get(&mut self, url: &str, check: &mut Check) -> Result<()> {
        self.exchange(url, check)
    }

    fn stream(&mut self, url: &str, check: &mut Check) -> Result<()> {
        self.exchange(url, check)
    }
}

/// Scheme and authority, and the path.
fn split(url: &str) -> Result<(&str, &str)> {
    let at = url.match_indices('/').nth(2).ok_or("a URL with a path")?.0;
    Ok(url.split_at(at))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    fn goodbye(&mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        Ok(())
    }
}

struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    request: Vec<u8>,
}

struct Head {
    length: u64,
    close: bool,
    gzip: bool,
}

impl Connection {
    fn open(authority: &str, tls: &Arc<ClientConfig>) -> Result<Self> {
        let (scheme, address) = authority.split_once("://").ok_or("a scheme")?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let stream = if scheme == "https" {
            let name = ServerName::IpAddress(IpAddr::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST)));
            Stream::Tls(Box::new(StreamOwned::new(ClientConnection::new(Arc::clone(tls), name)?, stream)))
        } else {
            Stream::Plain(stream)
        };
        Ok(Connection { stream, buffer: vec![0; 16 * 1024], start: 0, end: 0, request: Vec::new() })
    }

    fn ask(&mut self, authority: &str, path: &str) -> Result<()> {
        let host = authority.split_once("://").map_or(authority, |(_, host)| host);
        self.request.clear();
        let encoding = if path.starts_with("/gzip") { "Accept-Encoding: gzip\r\n" } else { "" };
        write!(self.request, "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n{encoding}\r\n")?;
        Ok(self.stream.write_all(&self.request)?)
    }

    fn fill(&mut self) -> Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        match self.stream.read(&mut self.buffer[self.end..])? {
            0 => Err("the end came too early".into()),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }

    fn head(&mut self) -> Result<Head> {
        loop {
            self.fill()?;
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response.parse(&self.buffer[self.start..self.end])?;
            let httparse::Status::Complete(length) = parsed else { continue };
            if response.code != Some(200) {
                return Err(format!("status {:?}", response.code).into());
            }
            let value = |name: &str| {
                let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
                std::str::from_utf8(header.value).ok()
            };
            let head = Head {
                length: value("content-length").ok_or("a length")?.parse()?,
                close: value("connection") == Some("close"),
                gzip: value("content-encoding") == Some("gzip"),
            };
            self.start += length;
            return Ok(head);
        }
    }

    fn body(&mut self, length: u64, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        // Small bodies come with their heads, and need no larger buffer.
        if length > 65536 && self.buffer.len() < 256 * 1024 {
            self.buffer.resize(256 * 1024, 0);
        }
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let count = left.min((self.end - self.start) as u64) as usize;
            take(&self.buffer[self.start..self.start + count]);
            self.start += count;
            left -= count as u64;
        }
        Ok(())
    }
}

/// A body of known length as a reader.
struct Body<'a> {
    connection: &'a mut Connection,
    left: u64,
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let connection = &mut *self.connection;
        if connection.start == connection.end {
            connection.fill().map_err(io::Error::other)?;
        }
        let there = &connection.buffer[connection.start..connection.end];
        let count = there.len().min(buffer.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        buffer[..count].copy_from_slice(&there[..count]);
        connection.start += count;
        self.left -= count as u64;
        Ok(count)
    }
}
