//! Where the body of a response comes from: an exchange on a connection, or something local. One
//! front for those who take it.

use super::Pause;
use crate::error::Result;
use crate::exchange::http1::{Body, Exchange};
use crate::sync::Arc;
use crate::sys::{Interest, Patience, Socket, Splice};
use http::HeaderMap;
use std::time::Instant;

/// See the module's documentation.
pub(super) enum Incoming {
    Http1(Box<Exchange>),
}

impl Incoming {
    /// The exchange whose request may still be on its way out.
    pub(super) fn exchange(&mut self) -> Option<&mut Exchange> {
        match self {
            Incoming::Http1(exchange) => Some(exchange),
        }
    }

    /// The socket it comes from, and what has to happen to it for the body to go on.
    pub(super) fn source(&self) -> Option<(&Arc<Socket>, Interest)> {
        match self {
            Incoming::Http1(exchange) => Some((exchange.connection().socket(), exchange.interest())),
        }
    }

    /// What there is to wait for when nothing comes.
    pub(super) fn pause(&self) -> Pause {
        match self {
            Incoming::Http1(_) => Pause::Io,
        }
    }

    /// Sees to it that there is a piece, receiving once if need be.
    pub(super) fn receive_piece(&mut self, patience: Patience) -> Result<Body> {
        match self {
            Incoming::Http1(exchange) => exchange.receive_piece(patience),
        }
    }

    /// The piece of the body that was received and not taken.
    pub(super) fn piece(&self) -> &[u8] {
        match self {
            Incoming::Http1(exchange) => exchange.piece(),
        }
    }

    /// Takes bytes from the front of the piece.
    pub(super) fn take(&mut self, count: usize) {
        match self {
            Incoming::Http1(exchange) => exchange.take(count),
        }
    }

    /// How many bytes may be received straight to where they belong.
    pub(super) fn direct(&self) -> u64 {
        match self {
            Incoming::Http1(exchange) => exchange.direct(),
        }
    }

    /// How many bytes are still to come, as far as is known, and 0 if it is not.
    pub(super) fn remaining(&self) -> u64 {
        match self {
            Incoming::Http1(exchange) => exchange.remaining(),
        }
    }

    /// Receives to the end of a vector, so much at the most as [`direct`](Incoming::direct) says.
    pub(super) fn receive_vec(&mut self, target: &mut Vec<u8>, patience: Patience) -> Result<(Body, usize)> {
        match self {
            Incoming::Http1(exchange) => exchange.receive_vec(target, patience),
        }
    }

    /// Whether it may be received by [`receive_file`](Incoming::receive_file).
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Incoming::Http1(exchange) => exchange.is_plain(),
        }
    }

    /// Receives by the kernel's copy path, so much at the most as [`direct`](Incoming::direct) says.
    /// `drain` takes it out. The second result says that it is of no use to try that again.
    pub(super) fn receive_file(
        &mut self,
        patience: Patience,
        drain: &mut dyn FnMut(&mut Splice) -> Result<()>,
    ) -> Result<(Body, bool)> {
        match self {
            Incoming::Http1(exchange) => exchange.receive_file(patience, drain),
        }
    }

    /// Receives into a slice, so much at the most as [`direct`](Incoming::direct) says.
    pub(super) fn receive_slice(&mut self, target: &mut [u8], patience: Patience) -> Result<(Body, usize)> {
        match self {
            Incoming::Http1(exchange) => exchange.receive_slice(target, patience),
        }
    }

    /// Whether all of the body was taken, as far as is known.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Incoming::Http1(exchange) => exchange.is_done(),
        }
    }

    /// Whether anything was received since this was asked last.
    pub(super) fn take_received(&mut self) -> bool {
        match self {
            Incoming::Http1(exchange) => exchange.take_received(),
        }
    }

    /// Bytes of the body so far.
    pub(super) fn body_received(&self) -> u64 {
        match self {
            Incoming::Http1(exchange) => exchange.body_received(),
        }
    }

    pub(super) fn take_trailers(&mut self) -> Option<HeaderMap> {
        match self {
            Incoming::Http1(exchange) => exchange.take_trailers(),
        }
    }

    /// Before it waits for long: buffers that hold nothing are given back.
    pub(super) fn rest(&mut self) {
        match self {
            Incoming::Http1(exchange) => exchange.rest(),
        }
    }

    /// All of it was taken. `reusable`: its connection may serve another exchange.
    pub(super) fn finish(self, reusable: bool, now: Instant) {
        match self {
            Incoming::Http1(mut exchange) => {
                exchange.persistent &= reusable;
                exchange.finish(now);
            }
        }
    }
}
