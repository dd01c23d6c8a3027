//! Barriers: one side waits at a gate, the test sees that it got there, and opens it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::Result;
use crate::wait::within;

#[derive(Default)]
struct State {
    open: bool,
    reached: usize,
}

/// A barrier that stays open once it was opened. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    name: Arc<str>,
    state: watch::Sender<State>,
}

impl Gate {
    /// A closed gate.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), state: watch::Sender::new(State::default()) }
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.state.send_modify(|state| state.open = true);
    }

    /// Waits until the gate is open. Unbounded: the one who holds the gate is bounded.
    pub async fn pass(&self) {
        self.state.send_modify(|state| state.reached += 1);
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = self.state.subscribe().wait_for(|state| state.open).await;
    }

    /// Counts an arrival without waiting, for events that the test waits for.
    pub fn mark(&self) {
        self.state.send_modify(|state| state.reached += 1);
    }

    /// Waits until `count` have arrived at the gate, whether it is open or not.
    pub async fn reached(&self, count: usize) -> Result<()> {
        let mut state = self.state.subscribe();
        within(format!("waiting for {count} at gate {}", self.name), state.wait_for(|state| state.reached >= count)).await??;
        Ok(())
    }
}

/// Gates by name, made when first asked for.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<HashMap<String, Gate>>>);

impl Gates {
    /// The gate of this name.
    pub fn get(&self, name: &str) -> Gate {
        let mut gates = self.0.lock().expect("no one panics while holding the gates");
        gates.entry(name.to_owned()).or_insert_with(|| Gate::new(name)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::Gates;

    #[tokio::test]
    async fn the_holder_sees_the_arrivals_before_the_gate_opens() {
        let gates = Gates::default();
        let (inner, outer) = (gates.get("middle"), gates.get("middle"));
        let passing = tokio::spawn(async move { inner.pass().await });
        outer.reached(1).await.unwrap();
        assert!(!passing.is_finished());
        outer.open();
        passing.await.unwrap();
        outer.pass().await;
    }
}
