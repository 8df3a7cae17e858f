//! Below HTTP: [`raw`] for scripts on the wire, [`Blackhole`] where connects hang, and [`Refused`]
//! where they fail.

use super::lock;
use super::worker::{Stop, Worker};
use socket2::{Domain, SockAddr, Socket, Type};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A listener whose connections a function serves; see [`raw`].
pub struct Raw {
    address: SocketAddr,
    acceptor: Option<Worker>,
    shared: Arc<Shared>,
}

struct Shared {
    stop: Stop,
    listener: TcpListener,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sockets: Vec<(usize, TcpStream)>,
    workers: Vec<Worker>,
    panic: Option<Box<dyn std::any::Any + Send>>,
}

/// Accepts one connection on 127.0.0.1 and has it served by that function; it is closed when the
/// function returns. Later connections are not accepted.
pub fn raw(run: impl FnOnce(TcpStream) + Send + 'static) -> Raw {
    let run = Mutex::new(Some(run));
    raw_each(1, move |_, stream| {
        let run = lock(&run).take();
        run.into_iter().for_each(|run| run(stream.try_clone().expect("another descriptor")));
    })
}

/// Accepts `count` connections and has each served in a thread of its own by that function, which is
/// told the number of the connection; it is closed when the function returns.
pub fn raw_each(count: usize, run: impl Fn(usize, &TcpStream) + Send + Sync + 'static) -> Raw {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let address = listener.local_addr().expect("the address of a listener");
    let shared = Arc::new(Shared { stop: Stop::default(), listener, state: Mutex::default() });
    let run = Arc::new(run);
    let acceptor = Worker::spawn("raw", &shared.stop, {
        let shared = shared.clone();
        move || {
            for number in 0..count {
                let Ok((stream, _)) = shared.listener.accept() else { break };
                shared.start(number, stream, run.clone());
            }
            // Nobody is to hang in the backlog of a listener that will not accept again.
            let _ = socket2::SockRef::from(&shared.listener).shutdown(Shutdown::Both);
        }
    });
    Raw { address, acceptor: Some(acceptor), shared }
}

impl Raw {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// An `http` URL.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Waits until all connections have come and have been served.
    ///
    /// # Panics
    ///
    /// When the function did.
    pub fn join(mut self) {
        if let Some(panic) = self.join_all() {
            resume_unwind(panic);
        }
    }

    fn join_all(&mut self) -> Option<Box<dyn std::any::Any + Send>> {
        let _ = self.acceptor.take().map(Worker::join);
        let workers = std::mem::take(&mut lock(&self.shared.state).workers);
        workers.into_iter().for_each(|worker| drop(worker.join()));
        lock(&self.shared.state).panic.take()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.shared.stop.stop();
        let _ = socket2::SockRef::from(&self.shared.listener).shutdown(Shutdown::Both);
        for (_, socket) in &lock(&self.shared.state).sockets {
            let _ = socket.shutdown(Shutdown::Both);
        }
        self.join_all();
    }
}

impl Shared {
    fn start(
        self: &Arc<Self>,
        number: usize,
        stream: TcpStream,
        run: Arc<impl Fn(usize, &TcpStream) + Send + Sync + 'static>,
    ) {
        let mut state = lock(&self.state);
        let Ok(other) = stream.try_clone() else { return };
        if self.stop.is_stopped() {
            return;
        }
        let _ = stream.set_nodelay(true);
        state.sockets.push((number, other));
        let shared = self.clone();
        state.workers.push(Worker::spawn(&format!("r{number}"), &self.stop, move || {
            let result = catch_unwind(AssertUnwindSafe(|| run(number, &stream)));
            drop((stream, run));
            let mut state = lock(&shared.state);
            state.sockets.retain(|(other, _)| *other != number);
            if let Err(panic) = result {
                state.panic = Some(panic);
            }
        }));
    }
}

/// A listener whose backlog is full, so that the system answers no SYN: a connect hangs. On Linux.
pub struct Blackhole {
    listener: Socket,
    address: SocketAddr,
    _filling: Vec<Socket>,
}

impl Blackhole {
    /// One on 127.0.0.1.
    pub fn new() -> Blackhole {
        let (listener, address) = bound();
        listener.listen(0).expect("a listener");
        // Linux takes one connection more than it was told; the second is to be sure.
        let filling = (0..2).map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            socket.set_nonblocking(true).expect("a socket that does not block");
            let _ = socket.connect(&SockAddr::from(address));
            socket
        });
        Blackhole { address, _filling: filling.collect(), listener }
    }

    /// Where nobody answers.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// An `http` URL.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Takes one connection out of the backlog, so that the SYN that is sent again next gets its
    /// answer.
    pub fn admit_one(&self) {
        let _ = self.listener.accept();
    }
}

impl Default for Blackhole {
    fn default() -> Self {
        Blackhole::new()
    }
}

/// A port where nobody listens: connects are refused for as long as this lives.
pub struct Refused {
    _socket: Socket,
    address: SocketAddr,
}

impl Refused {
    /// One on 127.0.0.1.
    pub fn new() -> Refused {
        // Bound and not listening, the port is nobody else's.
        let (socket, address) = bound();
        Refused { _socket: socket, address }
    }

    /// Where connects are refused.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// An `http` URL.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Default for Refused {
    fn default() -> Self {
        Refused::new()
    }
}

fn bound() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    socket.bind(&any).expect("a free port");
    let address = socket.local_addr().expect("an address").as_socket().expect("an IP address");
    (socket, address)
}
