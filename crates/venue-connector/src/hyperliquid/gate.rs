//! The gate that stands where bytes are written. Cancels, burns and reads do not pass it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A last look before an order leaves: why it may not, if so. It is called for every order on the way out, from any thread, and
/// must be quick; it may look at a file.
///
/// It is what a process that was stopped and goes on meets first (F53): whatever it had ready to send was decided before.
pub type Lookout = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Open, closed by hand, or shut by what the [`Lookout`] sees at this moment.
#[derive(Default)]
pub(super) struct Gate {
    closed: AtomicBool,
    lookout: OnceLock<Lookout>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("closed", &self.closed).field("lookout", &self.lookout.get().is_some()).finish()
    }
}

impl Gate {
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(super) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    /// From here on `lookout` is asked as well. The first one stays.
    pub(super) fn ask(&self, lookout: Lookout) {
        if self.lookout.set(lookout).is_err() {
            tracing::warn!("the gate has a lookout already");
        }
    }

    /// Why nothing may be placed at this moment; nothing if it may (I20).
    pub(super) fn shut(&self) -> Option<String> {
        if self.closed.load(Ordering::SeqCst) {
            return Some("the gate is closed".to_owned());
        }
        self.lookout.get().and_then(|look| look().err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookout_shuts_what_is_open_and_opens_nothing_that_is_closed() {
        let gate = Gate::default();
        assert_eq!(gate.shut(), None);
        let seen = Arc::new(AtomicBool::new(false));
        let sees = Arc::clone(&seen);
        gate.ask(Arc::new(move || if sees.load(Ordering::SeqCst) { Err("a STOP file".to_owned()) } else { Ok(()) }));
        assert_eq!(gate.shut(), None);
        seen.store(true, Ordering::SeqCst);
        assert_eq!(gate.shut(), Some("a STOP file".to_owned()));
        gate.ask(Arc::new(|| Ok(())));
        assert!(gate.shut().is_some(), "the first lookout stays");
        seen.store(false, Ordering::SeqCst);
        gate.close();
        assert_eq!(gate.shut(), Some("the gate is closed".to_owned()));
        gate.open();
        assert_eq!(gate.shut(), None);
    }
}
