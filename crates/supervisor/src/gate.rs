//! The gate that every placement passes, closed from anywhere at once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use venue_connector::hyperliquid::Connector;

/// Open or closed. Closing it closes the connector's own gate too, which stands where bytes are written: an order that was
/// released a moment ago is not sent any more (I20). Cancels do not pass here.
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicBool,
    connector: OnceLock<Connector>,
}

impl Gate {
    /// From here on it governs `connector` as well.
    pub fn govern(&self, connector: Connector) {
        if self.is_closed() {
            connector.close_gate();
        }
        let governed = self.connector.set(connector);
        debug_assert!(governed.is_ok(), "invariant: a gate governs one connector");
        if self.is_closed() {
            // closed between the two lines above
            self.close();
        }
    }

    /// No order is handed to the venue any more once this returns.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        if let Some(connector) = self.connector.get() {
            connector.close_gate();
        }
    }

    /// Orders may pass again: only a re-arm does this.
    pub fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        if let Some(connector) = self.connector.get() {
            connector.open_gate();
        }
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}
