//! The stream under hyper: reports to its [`Watch`] what it waits for, and replaces the refusals
//! that hyper writes by itself.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Phase, Watch};
use crate::http::edge::refusal;

/// The stream under hyper.
pub(in crate::http) struct Watched<S> {
    stream: S,
    watch: Watch,
    /// The part of the replaced refusal that has not been sent yet.
    refusal: Option<Bytes>,
}

impl<S> Watched<S> {
    pub(in crate::http) fn new(stream: S, watch: Watch) -> Self {
        Self {
            stream,
            watch,
            refusal: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            let mut state = self.watch.state();
            if matches!(state.phase, Phase::New | Phase::Rest) {
                state.enter(Phase::Header);
                drop(state);
                self.watch.permit.stirs();
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Records whether the client reads what it is sent.
    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let mut state = self.watch.state();
        state.unread_since = if written.is_pending() {
            state.unread_since.or_else(|| Some(Instant::now()))
        } else {
            None
        };
        written
    }

    /// Returns whether hyper writes a refusal of its own: no request of this connection is being
    /// answered.
    fn is_refusal(&self) -> bool {
        self.refusal.is_some()
            || matches!(
                self.watch.state().phase,
                Phase::New | Phase::Header | Phase::Rest
            )
    }

    /// Sends a refusal in place of hyper's, which has neither an id nor a code.
    fn refuse(&mut self, cx: &mut Context<'_>, hyper: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let all = || {
            hyper
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect::<Vec<u8>>()
        };
        let mut left = self
            .refusal
            .take()
            .unwrap_or_else(|| refusal::instead_of(&all()));
        while !left.is_empty() {
            let sent = Pin::new(&mut self.stream).poll_write(cx, &left);
            match self.note(sent) {
                Poll::Ready(sent) => drop(left.split_to(sent?)),
                Poll::Pending => {
                    self.refusal = Some(left);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(hyper.iter().map(|slice| slice.len()).sum()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_refusal() {
            return self.refuse(cx, &[IoSlice::new(bytes)]);
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_refusal() {
            return self.refuse(cx, slices);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Flushes. After an answer this means that it was sent completely and the connection is idle.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        let mut state = self.watch.state();
        if state.phase == Phase::Answered {
            state.enter(Phase::Rest);
            drop(state);
            self.watch.permit.rests();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
