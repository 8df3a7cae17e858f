//! The server: blocking, a thread a connection, and as plain as can be. It runs in a process of its
//! own (the program calls itself with `serve`), so that its processor time is not the clients'.

use crate::pattern::{PERIOD, period};
use crate::{Result, machine};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::NoServerSessionStorage;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

pub const SMALL: usize = 1024;
const PLAIN_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";

/// The server's process.
pub struct Server {
    child: Child,
    pub target: Target,
}

/// The server as its clients know it.
pub struct Target {
    pub ports: [u16; 3],
    /// What the clients have to trust, as PEM.
    pub certificate: String,
}

/// Where the server listens.
#[derive(Clone, Copy)]
pub enum Port {
    Plain,
    /// TLS, with sessions that may be resumed.
    Tls,
    /// TLS without: every handshake is a full one.
    Full,
}

impl Server {
    pub fn start() -> Result<Server> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
        let certificate = params.self_signed(&key)?.pem();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (child.stdin.as_mut().ok_or("stdin")?, child.stdout.take().ok_or("stdout")?);
        // It stays open: when it closes, because we are gone, the server goes, too.
        stdin.write_all(format!("{certificate}{}\0", key.serialize_pem()).as_bytes())?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let ports =
            Target::parse_ports(&line).ok_or_else(|| format!("the server does not start: {line:?}"))?;
        Ok(Server { child, target: Target { ports, certificate } })
    }
}

impl Target {
    pub fn parse_ports(line: &str) -> Option<[u16; 3]> {
        let ports: Vec<u16> = line.split_whitespace().filter_map(|port| port.parse().ok()).collect();
        ports.try_into().ok()
    }

    pub fn url(&self, port: Port, path: &str) -> String {
        match port {
            Port::Plain => format!("http://127.0.0.1:{}{path}", self.ports[0]),
            Port::Tls => format!("https://127.0.0.1:{}{path}", self.ports[1]),
            Port::Full => format!("https://127.0.0.1:{}{path}", self.ports[2]),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What it does.
pub fn serve() -> Result<()> {
    machine::raise_file_limit();
    let mut stdin = io::stdin().lock();
    let mut pem = Vec::new();
    stdin.read_until(0, &mut pem)?;
    pem.pop();
    let tls = Arc::new(configuration(&pem)?);
    let mut full = ServerConfig::clone(&tls);
    full.session_storage = Arc::new(NoServerSessionStorage {});
    full.send_tls13_tickets = 0;
    let ports = [listen(None)?, listen(Some(tls))?, listen(Some(Arc::new(full)))?];
    println!("{} {} {}", ports[0], ports[1], ports[2]);
    // Until our parent is gone.
    io::copy(&mut stdin, &mut io::sink())?;
    std::process::exit(0)
}

fn configuration(pem: &[u8]) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<std::result::Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(pem)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?)
}

fn listen(tls: Option<Arc<ServerConfig>>) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let tls = tls.clone();
            let converse = move || {
                stream.set_nodelay(true)?;
                match tls {
                    None => converse(stream),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
                        converse(StreamOwned::new(connection, stream))
                    }
                }
            };
            let started = std::thread::Builder::new().stack_size(256 * 1024).spawn(converse);
            if let Err(error) = started {
                eprintln!("the server starts no thread: {error}");
            }
        }
    };
    std::thread::spawn(accept);
    Ok(port)
}

/// What a connection has to say goodbye with.
trait Goodbye: Read + Write {
    fn goodbye(&mut self) -> io::Result<()>;
}

impl Goodbye for TcpStream {
    fn goodbye(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

impl Goodbye for StreamOwned<ServerConnection, TcpStream> {
    fn goodbye(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.shutdown(std::net::Shutdown::Write)
    }
}

fn converse(mut stream: impl Goodbye) -> io::Result<()> {
    let mut small = format!("{PLAIN_HEAD}Content-Length: {SMALL}\r\n\r\n").into_bytes();
    small.extend_from_slice(&period()[..SMALL]);
    let mut closing =
        format!("{PLAIN_HEAD}Connection: close\r\nContent-Length: {SMALL}\r\n\r\n").into_bytes();
    closing.extend_from_slice(&period()[..SMALL]);
    let (mut request, mut filled) = ([0; 8192], 0);
    loop {
        let end = loop {
            if let Some(at) = request[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(request.get_mut(filled..).unwrap_or_default()) {
                Ok(0) | Err(_) => return Ok(()),
                Ok(count) => filled += count,
            }
        };
        let line = request[..end].split(|&byte| byte == b'\r').next().unwrap_or_default();
        let path = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let path = std::str::from_utf8(path).unwrap_or_default().to_owned();
        request.copy_within(end..filled, 0);
        filled -= end;
        match path.split_once('?').unwrap_or((&path, "")) {
            ("/small", _) => stream.write_all(&small)?,
            ("/slow", _) => {
                std::thread::sleep(Duration::from_millis(50));
                stream.write_all(&small)?;
            }
            ("/close", _) => {
                stream.write_all(&closing)?;
                stream.goodbye()?;
                // Until the client closes, or our closing could overtake the response.
                while matches!(stream.read(&mut request), Ok(1..)) {}
                return Ok(());
            }
            ("/big", length) => big(&mut stream, length.parse().unwrap_or(0))?,
            ("/gzip", length) => {
                let body = gzip(length.parse().unwrap_or(0))?;
                let head =
                    format!("{PLAIN_HEAD}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes())?;
                stream.write_all(&body)?;
            }
            _ => stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
        }
        stream.flush()?;
    }
}

fn big(stream: &mut impl Write, length: u64) -> io::Result<()> {
    stream.write_all(format!("{PLAIN_HEAD}Content-Length: {length}\r\n\r\n").as_bytes())?;
    let mut left = length;
    while left > 0 {
        let count = left.min(PERIOD as u64) as usize;
        stream.write_all(&period()[..count])?;
        left -= count as u64;
    }
    Ok(())
}

/// The pattern, compressed once and kept.
fn gzip(length: u64) -> io::Result<Arc<Vec<u8>>> {
    static KEPT: std::sync::Mutex<Option<(u64, Arc<Vec<u8>>)>> = std::sync::Mutex::new(None);
    let mut kept = KEPT.lock().map_err(|_| io::Error::other("a thread panicked"))?;
    if let Some((_, body)) = kept.as_ref().filter(|(known, _)| *known == length) {
        return Ok(Arc::clone(body));
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let mut left = length;
    while left > 0 {
        let count = left.min(PERIOD as u64) as usize;
        encoder.write_all(&period()[..count])?;
        left -= count as u64;
    }
    let body = Arc::new(encoder.finish()?);
    *kept = Some((length, Arc::clone(&body)));
    Ok(body)
}
