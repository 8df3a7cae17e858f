//! A connection whose peer is a script, by the names of the library's, and the permit it goes back to.

use crate::pieces::Sizes;
use std::cell::Cell;
use std::rc::Rc;

/// How the peer ends after its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It closes, over TLS with a close_notify.
    Clean,
    /// It closes over TLS, and without one.
    Unclean,
    /// It says nothing more.
    Silence,
}

/// What the peer sends, and in which pieces.
pub struct Script {
    pub wire: Vec<u8>,
    pub end: End,
    /// All of it at once, if not.
    pub sizes: Option<Sizes>,
    /// As over TLS, pieces may be larger than what they are received into.
    pub surplus: bool,
}

/// What became of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Closed,
    Kept { leftover: usize },
}

pub mod sys {
    #[derive(Clone, Copy)]
    pub enum Patience {
        Never,
    }

    /// What a body goes through on its way to a file.
    pub struct Splice(pub Vec<u8>);

    pub struct Interest;

    impl Interest {
        pub const READ: Interest = Interest;
        pub const WRITE: Interest = Interest;
        pub const READ_WRITE: Interest = Interest;
    }
}

pub mod connection {
    pub mod idle {
        use super::super::{Cell, Fate, Rc};
        use super::transport::Connection;
        use std::time::Instant;

        pub struct Permit(pub Rc<Cell<Fate>>);

        impl Permit {
            #[allow(clippy::boxed_local)]
            pub fn put_back(self, connection: Box<Connection>, _: Instant) {
                if connection.is_reusable() {
                    self.0.set(Fate::Kept { leftover: connection.unread() });
                }
            }
        }
    }

    pub mod transport {
        use super::super::{End, Script};
        use crate::error::Error;
        use crate::sys::{Patience, Splice};

        /// The most that is received at once.
        const MOST: usize = 64 * 1024;

        #[derive(Clone, Copy)]
        pub enum Received {
            Bytes(usize),
            End { clean: bool },
            Nothing,
        }

        pub enum Written {
            Bytes(usize),
            Full(usize),
        }

        pub struct Connection {
            script: Script,
            at: usize,
            blocked: bool,
            input: Vec<u8>,
            /// The last receive left room.
            drained: bool,
            pub midway: bool,
            pub exchanges: u32,
            /// The most that was ever held.
            pub held: usize,
        }

        impl Connection {
            pub fn new(script: Script) -> Self {
                Connection {
                    script,
                    at: 0,
                    blocked: true,
                    input: Vec::new(),
                    drained: true,
                    midway: false,
                    exchanges: 0,
                    held: 0,
                }
            }

            pub fn input(&self) -> &[u8] {
                &self.input
            }

            pub fn consume(&mut self, count: usize) {
                self.input.drain(..count);
            }

            /// What the peer sent and nobody has received.
            pub fn unread(&self) -> usize {
                self.script.wire.len() - self.at
            }

            /// Whether nothing more will ever come.
            pub fn is_silent(&self) -> bool {
                self.unread() == 0 && self.script.end == End::Silence
            }

            /// As the library's: it looks at the socket unless it saw that nothing more was there.
            pub fn is_reusable(&self) -> bool {
                self.input.is_empty() && (self.drained || self.is_silent())
            }

            pub fn fill(&mut self, _: Patience) -> Result<Received, Error> {
                let next = self.next(usize::MAX);
                Ok(self.receive(next, &mut |_| 0))
            }

            pub fn receive_vec(
                &mut self,
                target: &mut Vec<u8>,
                limit: usize,
                _: Patience,
            ) -> Result<Received, Error> {
                assert!(self.input.is_empty() && limit > 0);
                let next = self.next(limit);
                Ok(self.receive(next, &mut |piece| {
                    let count = piece.len().min(limit);
                    target.extend_from_slice(&piece[..count]);
                    count
                }))
            }

            pub fn receive_slice(&mut self, target: &mut [u8], _: Patience) -> Result<Received, Error> {
                assert!(self.input.is_empty() && !target.is_empty());
                let next = self.next(target.len());
                Ok(self.receive(next, &mut |piece| {
                    let count = piece.len().min(target.len());
                    target[..count].copy_from_slice(&piece[..count]);
                    count
                }))
            }

            pub fn is_plain(&self) -> bool {
                !self.script.surplus
            }

            pub fn receive_file(
                &mut self,
                limit: usize,
                patience: Patience,
                drain: &mut dyn FnMut(&mut Splice) -> Result<(), Error>,
            ) -> Result<(Received, bool), Error> {
                assert!(self.is_plain());
                let mut splice = Splice(Vec::new());
                let received = self.receive_vec(&mut splice.0, limit, patience)?;
                if let Received::Bytes(_) = received {
                    drain(&mut splice)?;
                }
                self.drained = false;
                Ok((received, false))
            }

            /// How many bytes come next, and whether they have to be waited for.
            fn next(&mut self, room: usize) -> Option<usize> {
                let left = self.unread().min(MOST);
                let room = if self.script.surplus { usize::MAX } else { room };
                let Some(sizes) = self.script.sizes.as_mut() else {
                    self.drained = left < room;
                    return Some(left.min(room));
                };
                self.blocked = !self.blocked;
                if self.blocked {
                    return None;
                }
                let count = sizes.next().min(left).min(room);
                self.drained = count < room;
                Some(count)
            }

            /// Receives so much; what the target does not take goes to the input.
            fn receive(&mut self, count: Option<usize>, take: &mut dyn FnMut(&[u8]) -> usize) -> Received {
                let Some(count) = count else { return Received::Nothing };
                if self.unread() == 0 {
                    return match self.script.end {
                        End::Clean => Received::End { clean: true },
                        End::Unclean => Received::End { clean: false },
                        End::Silence => Received::Nothing,
                    };
                }
                let piece = &self.script.wire[self.at..self.at + count];
                let taken = take(piece);
                self.input.extend_from_slice(&piece[taken..]);
                self.at += count;
                self.held = self.held.max(self.input.len());
                Received::Bytes(count)
            }

            /// The socket always has room for some.
            pub fn write(&mut self, parts: &[&[u8]]) -> Result<Written, Error> {
                let length = parts.iter().map(|part| part.len()).sum();
                Ok(Written::Bytes(
                    self.script.sizes.as_mut().map_or(length, |sizes| sizes.next().min(length)),
                ))
            }

            pub fn send_file(
                &mut self,
                _: &std::fs::File,
                _: u64,
                _: usize,
            ) -> Result<Option<Written>, Error> {
                Ok(None)
            }

            pub fn flush(&mut self) -> Result<bool, Error> {
                Ok(true)
            }

            pub fn release_buffers(&mut self) {}

            pub fn release_input(&mut self) {}
        }
    }
}

pub use connection::idle::Permit;
pub use connection::transport::Connection;

/// A connection to a peer that follows the script, and what will have become of it.
pub fn connect(script: Script) -> (Box<Connection>, Permit, Rc<Cell<Fate>>) {
    let fate = Rc::new(Cell::new(Fate::Closed));
    (Box::new(Connection::new(script)), Permit(Rc::clone(&fate)), fate)
}
