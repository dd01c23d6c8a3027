//! The origin's connections.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::answer::Step;
use super::{Answer, Received, State};
use crate::Result;
use crate::stream::Stream;
use crate::wire::{BodyDecoder, Wire};

/// Accepts until aborted; the connections' tasks end with it.
pub(super) async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = state.connections.fetch_add(1, Ordering::SeqCst);
        let state = Arc::clone(&state);
        // How a connection ends is the script's or the tested side's doing; what matters of it is recorded.
        connections.spawn(async move { drop(serve(stream, number, &state).await) });
        while connections.try_join_next().is_some() {}
    }
}

enum Next {
    KeepAlive,
    Close,
}

async fn serve(stream: TcpStream, connection: usize, state: &State) -> Result<()> {
    let mut wire = Wire::new(Stream::Tcp(stream))?;
    while let Some(head) = wire.read_head().await? {
        let mut words = head.start.split(' ');
        let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let framing = head.request_framing();
        let mut request =
            Received { head, method, target, body: Vec::new(), trailers: Vec::new(), complete: false, ended: false, number: 0, connection };
        if let Some(handler) = &state.unrecorded {
            request.trailers = read_body(&mut wire, BodyDecoder::new(framing), |piece| request.body.extend_from_slice(piece)).await?;
            (request.complete, request.ended) = (true, true);
            if let Next::Close = perform(&mut wire, handler(&request).into_steps(), state).await? {
                return Ok(());
            }
            continue;
        }
        let (index, answer) = record(state, request);
        if let Next::Close = perform(&mut wire, answer.before_body.clone(), state).await? {
            return Ok(());
        }
        if !answer.ignores_body {
            let take = |piece: &[u8]| state.received.send_modify(|all| all[index].body.extend_from_slice(piece));
            let outcome = read_body(&mut wire, BodyDecoder::new(framing), take).await;
            state.received.send_modify(|all| {
                (all[index].complete, all[index].ended) = (outcome.is_ok(), true);
                all[index].trailers = outcome.as_ref().ok().cloned().unwrap_or_default();
            });
            outcome?;
        }
        if let Next::Close = perform(&mut wire, Answer::into_steps(answer), state).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Numbers the request and keeps it, and chooses its answer in the same order.
fn record(state: &State, mut request: Received) -> (usize, Answer) {
    let mut chosen = None;
    state.received.send_modify(|all| {
        request.number = all.len();
        chosen = Some((request.number, state.answer(&request)));
        all.push(request);
    });
    chosen.expect("the closure runs exactly once")
}

/// Hands on the body as it comes; its trailers.
async fn read_body(wire: &mut Wire, mut decoder: BodyDecoder, mut take: impl FnMut(&[u8])) -> Result<Vec<(String, String)>> {
    loop {
        let mut piece = Vec::new();
        decoder.decode(&mut wire.buffer, &mut piece)?;
        if !piece.is_empty() {
            take(&piece);
        }
        if decoder.is_done() {
            return Ok(decoder.trailers);
        }
        if wire.fill().await? == 0 {
            return Err(crate::Error::new("the request was cut short"));
        }
    }
}

async fn perform(wire: &mut Wire, steps: Vec<Step>, state: &State) -> Result<Next> {
    for step in steps {
        match step {
            Step::Write(bytes) => wire.write(&bytes).await?,
            Step::Wait(gate) => state.gates.get(&gate).pass().await,
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::AwaitClose(gate) => {
                read_to_end(wire).await;
                state.gates.get(&gate).mark();
                return Ok(Next::Close);
            }
            Step::Forever(bytes) => loop {
                tokio::io::AsyncWriteExt::write_all(&mut wire.stream, &bytes).await?;
            },
            Step::Echo => loop {
                let bytes = wire.buffer.split();
                wire.write(&bytes).await?;
                if wire.fill().await? == 0 {
                    return Ok(Next::Close);
                }
            },
            Step::Close => return Ok(Next::Close),
            Step::Reset => {
                SockRef::from(wire.stream.tcp()).set_linger(Some(Duration::ZERO))?;
                return Ok(Next::Close);
            }
        }
    }
    Ok(Next::KeepAlive)
}

/// Reads until the other side closes or resets.
async fn read_to_end(wire: &mut Wire) {
    while let Ok(read) = wire.fill().await {
        if read == 0 {
            return;
        }
        wire.buffer.clear();
    }
}
