//! Cancelling without a daemon: the connector's kill path and nothing else of it. No stream, no task, no journal, no budget that
//! another process has used up, and no check that could keep an order open.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;
use wire::hyperliquid::Address;
use wire::hyperliquid::info::{ExchangeStatus, InfoRequest, Meta};
use wire::hyperliquid::sign::Key;

use super::config::Config;
use super::gauges::Counters;
use super::http::{Http, Lane};
use super::limits::{AddressBudget, Purpose, WeightWindow};
use super::nonce::NonceSource;
use super::read::{How, ReadError, Reads};
use super::startup::{self, StartError};
use super::{Shared, Signer, orders};
use crate::port::{Clock, Sweep, SweepError};

/// Waits between two tries to learn the venue's markets.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// A handle that can see an account's open orders and cancel them, whoever placed them. It is for a process beside the daemon
/// (C25) and for a person's hand when the daemon hangs (C36).
///
/// Its nonces are odd, as are those of all cancels of the connector: with the daemon's key it can take no nonce of an order, and
/// two cancels that meet on one nonce are both repeated with another. With a key of its own nothing meets.
#[derive(Clone, Debug)]
pub struct Canceller {
    shared: Arc<Shared>,
}

impl Canceller {
    /// Learns the numbers of the venue's markets, for which cancels are named, and how far the venue's clock is from `clock`:
    /// what is signed here expires by the venue's. Tried again and again until `patience` is over.
    ///
    /// `config`'s markets are not used.
    ///
    /// # Errors
    /// If an address makes no sense, or the venue did not say what its markets are.
    pub async fn open(config: Config, key: Key, clock: Clock, patience: Duration) -> Result<Canceller, StartError> {
        config.check_endpoints().map_err(StartError::Config)?;
        let until = Instant::now() + patience;
        let offset_ms = Arc::new(AtomicI64::new(0));
        let clock = by_venue(clock, Arc::clone(&offset_ms));
        let counters = Arc::new(Counters::default());
        let reads = Reads {
            http: Http::new(&config.http, &config.timing)?,
            weight: WeightWindow::new(config.weight_per_minute),
            clock: Arc::clone(&clock),
            counters: Arc::clone(&counters),
        };
        let (meta, offset) = tokio::join!(markets(&reads, config.timing.read, until), offset(&reads, config.timing.read));
        let meta = meta?;
        match offset {
            Ok(found) => offset_ms.store(found, Ordering::Relaxed),
            Err(e) => warn!("the venue's clock is not known ({e}); what is signed here expires by this host's"),
        }
        let markets = startup::markets(&meta, &counters);
        let nonces = NonceSource::new(clock().wall_ms);
        // what the address has left is the venue's to say: a cancel is never kept back
        let address = AddressBudget::new(0, u64::MAX);
        let (shared, ..) = startup::assemble(config, key, clock, reads, counters, nonces, address, markets);
        Ok(Canceller { shared })
    }

    /// The address of its key.
    #[must_use]
    pub fn signer(&self) -> Address {
        self.shared.signer
    }

    /// Checks before it is needed that the key may act for the account and that the venue accepts what it signs.
    ///
    /// # Errors
    /// The first of the two that is not so, or could not be found out.
    pub async fn prove(&self) -> Result<Signer, StartError> {
        startup::prove_signer(&self.shared).await
    }

    /// How many orders are open that [`Canceller::sweep`] would cancel.
    ///
    /// # Errors
    /// If the read failed.
    pub async fn open_orders(&self) -> Result<usize, ReadError> {
        orders::open(&self.shared).await
    }

    /// Cancels every open order of the account until the venue shows none twice. See [`crate::OrderPort::sweep`].
    ///
    /// Orders that another process has signed and the venue has not seen yet are not known here: until their expiry has passed,
    /// look again.
    ///
    /// # Errors
    /// If at the deadline the venue has not been seen empty twice. The error says what is left.
    pub async fn sweep(&self, deadline: Duration) -> Result<Sweep, SweepError> {
        orders::sweep(&self.shared, &[], deadline).await
    }
}

/// `clock` with the venue's wall time.
fn by_venue(clock: Clock, offset_ms: Arc<AtomicI64>) -> Clock {
    Arc::new(move || {
        let mut stamp = clock();
        stamp.wall_ms = stamp.wall_ms.saturating_add_signed(offset_ms.load(Ordering::Relaxed));
        stamp
    })
}

const fn how(timeout: Duration) -> How {
    How { purpose: Purpose::Cancel, lane: Lane::Cancel, timeout, patience: Duration::ZERO }
}

async fn markets(reads: &Reads, timeout: Duration, until: Instant) -> Result<Meta, StartError> {
    let mut wait = RETRY_FIRST;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match reads.read(&InfoRequest::Meta { dex: None }, how(timeout.min(left.max(RETRY_FIRST)))).await {
            Ok(meta) => return Ok(meta),
            Err(e) if left > wait => {
                warn!("the venue's markets: {e}; trying again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
            Err(e) => return Err(StartError::Read(e)),
        }
    }
}

async fn offset(reads: &Reads, timeout: Duration) -> Result<i64, ReadError> {
    // the connection's own handshake belongs to no reading of a clock
    reads.read::<ExchangeStatus>(&InfoRequest::ExchangeStatus, how(timeout)).await?;
    reads.clock_offset(how(timeout)).await.map(|reading| reading.offset_ms)
}

#[cfg(test)]
mod tests;
