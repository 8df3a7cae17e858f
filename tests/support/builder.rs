//! How a server is to be, and its start: [`Builder`], and the thread that accepts.

use super::shared::Shared;
use super::tls::Tls;
use super::wire::Wire;
use super::worker::Worker;
use super::{Gate, Received, Reply, Server, connection, lock};
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a server is to be; ends with [`start`](Self::start), [`script`](Self::script) or
/// [`raw`](Self::raw).
pub struct Builder {
    address: IpAddr,
    tls: Option<Tls>,
    backlog: i32,
    receive_buffer: Option<usize>,
    send_buffer: Option<usize>,
    keep_bodies: bool,
    accept_gate: Option<Gate>,
    service: Service,
}

/// What becomes of a connection once it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is served.
    Serve,
    /// FIN at once.
    Close,
    /// RST at once.
    Reset,
    /// Nothing happens on it, until the client goes away.
    Stall,
}

/// What the threads of the connections work by.
pub(super) struct Service {
    pub(super) handler: Box<dyn Fn(&Received) -> Reply + Send + Sync>,
    pub(super) raw: Option<RawHandler>,
    pub(super) tls: Option<Arc<rustls::ServerConfig>>,
    pub(super) handshake_gate: Option<Gate>,
    pub(super) admission: Box<dyn Fn(usize) -> Admission + Send + Sync>,
    pub(super) answers_expectations: bool,
}

type RawHandler = Box<dyn Fn(&mut Wire, usize) + Send + Sync>;

/// The listening socket and the thread at it.
pub(super) struct Acceptor {
    listener: Arc<TcpListener>,
    ended: Arc<AtomicBool>,
    gate_free: super::worker::Stop,
    worker: Worker,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            address: Ipv4Addr::LOCALHOST.into(),
            tls: None,
            backlog: 1024,
            receive_buffer: None,
            send_buffer: None,
            keep_bodies: true,
            accept_gate: None,
            service: Service {
                handler: Box::new(|_| Reply::status(404)),
                raw: None,
                tls: None,
                handshake_gate: None,
                admission: Box::new(|_| Admission::Serve),
                answers_expectations: true,
            },
        }
    }
}

impl Builder {
    /// Another address than 127.0.0.1.
    pub fn address(mut self, address: impl Into<IpAddr>) -> Builder {
        self.address = address.into();
        self
    }

    /// TLS, of that kind.
    pub fn tls(mut self, tls: Tls) -> Builder {
        self.tls = Some(tls);
        self
    }

    /// How many connections the system makes before the server accepts them.
    pub fn backlog(mut self, backlog: i32) -> Builder {
        self.backlog = backlog;
        self
    }

    /// The size of the sockets' receive buffers, to have a client's writes block soon. The system
    /// takes it for a hint.
    pub fn receive_buffer(mut self, bytes: usize) -> Builder {
        self.receive_buffer = Some(bytes);
        self
    }

    /// The size of the sockets' send buffers.
    pub fn send_buffer(mut self, bytes: usize) -> Builder {
        self.send_buffer = Some(bytes);
        self
    }

    /// Passes this gate before each accept. Connects succeed meanwhile, as far as the backlog goes.
    pub fn accept_gate(mut self, gate: &Gate) -> Builder {
        self.accept_gate = Some(gate.clone());
        self
    }

    /// Passes this gate on each connection before the handshake, or the first read without TLS.
    pub fn stall_handshake(mut self, gate: &Gate) -> Builder {
        self.service.handshake_gate = Some(gate.clone());
        self
    }

    /// Says for each connection, counted from 0, what becomes of it.
    pub fn admission(mut self, choose: impl Fn(usize) -> Admission + Send + Sync + 'static) -> Builder {
        self.service.admission = Box::new(choose);
        self
    }

    /// Whether `100 Continue` is sent where it is expected; it is by default.
    pub fn expect_continue(mut self, answer: bool) -> Builder {
        self.service.answers_expectations = answer;
        self
    }

    /// Counts and checks bodies and keeps none of them, for large ones.
    pub fn discard_bodies(mut self) -> Builder {
        self.keep_bodies = false;
        self
    }

    /// Starts a server that answers by a function, which several threads may run at once.
    pub fn start(mut self, handler: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Server {
        self.service.handler = Box::new(handler);
        self.listen().expect("a test server")
    }

    /// Starts a server that gives these replies one after the other, and 500 after the last.
    pub fn script(self, replies: impl IntoIterator<Item = Reply>) -> Server {
        let replies: Mutex<VecDeque<Reply>> = Mutex::new(replies.into_iter().collect());
        self.start(move |_| {
            let next = lock(&replies).pop_front();
            next.unwrap_or_else(|| Reply::status(500).body("the script has no more replies"))
        })
    }

    /// Starts a server that does with each connection, after the TLS handshake if there is one, what
    /// that function does; the number of the connection comes with it.
    pub fn raw(mut self, run: impl Fn(&mut Wire, usize) + Send + Sync + 'static) -> Server {
        self.service.raw = Some(Box::new(run));
        self.listen().expect("a test server")
    }

    fn listen(mut self) -> io::Result<Server> {
        self.service.tls = self.tls.as_ref().map(|tls| Arc::new(tls.server_config()));
        let address = SocketAddr::new(self.address, 0);
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // Accepted sockets inherit the sizes, and the window is chosen by them at the handshake.
        self.receive_buffer.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
        self.send_buffer.map_or(Ok(()), |bytes| socket.set_send_buffer_size(bytes))?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(self.backlog)?;
        let listener = TcpListener::from(socket);
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new(self.keep_bodies));
        let is_tls = self.tls.is_some();
        let acceptor = Acceptor::start(listener, self.accept_gate, self.service, &shared);
        Ok(Server { address, is_tls, acceptor: Some(acceptor), shared })
    }
}

impl Acceptor {
    fn start(listener: TcpListener, gate: Option<Gate>, service: Service, shared: &Arc<Shared>) -> Acceptor {
        let listener = Arc::new(listener);
        let ended = Arc::new(AtomicBool::new(false));
        // The gate before accept is to be left when listening ends, before the server does.
        let gate_free = super::worker::Stop::default();
        let service = Arc::new(service);
        let worker = Worker::spawn("accept", &gate_free, {
            let (listener, ended, shared) = (listener.clone(), ended.clone(), shared.clone());
            move || {
                while gate.as_ref().is_none_or(Gate::pass) && !ended.load(Ordering::SeqCst) {
                    match listener.accept() {
                        Ok(_) if ended.load(Ordering::SeqCst) => break,
                        Ok((tcp, _)) => start_connection(&service, &shared, tcp),
                        Err(_) if ended.load(Ordering::SeqCst) => break,
                        // Too many open files, or a client that is gone already.
                        Err(_) => drop(shared.stop.sleep(Duration::from_millis(1))),
                    }
                }
            }
        });
        Acceptor { listener, ended, gate_free, worker }
    }

    /// Ends the thread and closes the listening socket.
    pub(super) fn stop(self, address: SocketAddr) {
        self.ended.store(true, Ordering::SeqCst);
        self.gate_free.stop();
        // Linux wakes accept by that; others need a connection.
        let woken = socket2::SockRef::from(&*self.listener).shutdown(std::net::Shutdown::Both);
        if woken.is_err() || !cfg!(target_os = "linux") {
            let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        }
        let _ = self.worker.join();
    }
}

fn start_connection(service: &Arc<Service>, shared: &Arc<Shared>, tcp: TcpStream) {
    let tcp = Arc::new(tcp);
    let _ = tcp.set_nodelay(true);
    let Some(number) = shared.admit(&tcp) else { return };
    let worker = Worker::spawn(&format!("c{number}"), &shared.stop, {
        let (service, shared) = (service.clone(), shared.clone());
        move || {
            let wire = Arc::new(Mutex::new(Wire::new(tcp)));
            let served =
                catch_unwind(AssertUnwindSafe(|| connection::serve(&service, &shared, &wire, number)));
            // The handler, and gates and channels in it, go no later than the connection.
            drop((wire, service));
            shared.part(number, served.is_err());
        }
    });
    shared.add_worker(worker);
}
