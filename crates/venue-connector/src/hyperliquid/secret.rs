//! The key that signs, until it is forgotten.

use std::sync::{PoisonError, RwLock};

use wire::hyperliquid::sign::Key;

/// A key that can be taken away from everybody at once.
pub(super) struct Secret(RwLock<Option<Key>>);

/// There is no key any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key was forgotten: this process signs nothing any more")]
pub(super) struct Forgotten;

impl Secret {
    pub(super) fn new(key: Key) -> Secret {
        Secret(RwLock::new(Some(key)))
    }

    /// Does something with the key.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Key) -> T) -> Result<T, Forgotten> {
        let key = self.0.read().unwrap_or_else(PoisonError::into_inner);
        key.as_ref().map(work).ok_or(Forgotten)
    }

    /// Erases it, once whoever signs at this moment is done.
    pub(super) fn forget(&self) {
        // a key is erased when it is dropped
        drop(self.0.write().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_signs_nothing() {
        let secret = Secret::new(Key::from_hex(&"11".repeat(32)).unwrap());
        let address = secret.with(Key::address).unwrap();
        assert_eq!(address.to_string().len(), 42);
        secret.forget();
        assert_eq!(secret.with(Key::address), Err(Forgotten));
        secret.forget();
    }
}
