//! Reads of `/info`, inside the weight budget.

use std::sync::Arc;
use std::time::Duration;

use domain::ClientKey;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use wire::hyperliquid::action::OrderRef;
use wire::hyperliquid::info::{ClearinghouseState, ExchangeStatus, Fill, FrontendOrder, InfoRequest, OrderStatus};
use wire::hyperliquid::{Address, Malformed, User, decode};

use super::gauges::{Counters, add};
use super::http::{Http, Lane};
use super::limits::{Purpose, Spent, WeightWindow};
use super::orders::OpenRow;
use super::{NoAnswer, Shared};
use crate::port::{Clock, Next};

/// Rows per page of a read by time range, at least (fact sheet §3): a shorter page is the last one.
const PAGE_MIN: usize = 500;
/// The venue reaches back 10,000 fills, in pages of at least `PAGE_MIN`; more pages than this mean that it does not progress.
const PAGES_MAX: usize = 24;
/// After a 429 the venue's minute is over at the latest then.
const THROTTLED_WAIT: Duration = Duration::from_secs(10);

/// Why a read failed. Nothing changed at the venue in any case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No complete answer.
    #[error("reading {what} got no answer")]
    NoAnswer {
        /// Which read.
        what: &'static str,
        /// Why.
        #[source]
        source: NoAnswer,
    },
    /// Our own budget has no room in time.
    #[error("reading {what} was not tried")]
    Budget {
        /// Which read.
        what: &'static str,
        /// Until when.
        #[source]
        source: Spent,
    },
    /// The venue answered 429.
    #[error("reading {what} was refused: too many requests from this address")]
    Throttled {
        /// Which read.
        what: &'static str,
    },
    /// Another status than 200.
    #[error("reading {what} was answered with status {status}: {text}")]
    Status {
        /// Which read.
        what: &'static str,
        /// The status.
        status: u16,
        /// The body's beginning.
        text: String,
    },
    /// The answer is not what the venue documents.
    #[error("reading {what} gave an answer that cannot be used")]
    Malformed {
        /// Which read.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Malformed,
    },
    /// The pages of a long answer do not come to an end.
    #[error("reading {what} did not end after {PAGES_MAX} pages")]
    Endless {
        /// Which read.
        what: &'static str,
    },
}

impl ReadError {
    /// Reads may always be repeated; what differs is when.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            ReadError::NoAnswer { .. } | ReadError::Malformed { .. } | ReadError::Endless { .. } => {
                Next::RetryAfter(Duration::from_secs(1))
            }
            ReadError::Budget { source, .. } => Next::RetryAfter(source.wait),
            ReadError::Throttled { .. } => Next::RetryAfter(THROTTLED_WAIT),
            ReadError::Status { status, .. } if *status >= 500 => Next::RetryAfter(Duration::from_secs(1)),
            ReadError::Status { .. } => Next::GiveUp,
        }
    }

    pub(super) fn malformed(what: &'static str, detail: impl std::fmt::Display) -> ReadError {
        ReadError::Malformed { what, source: Malformed { what: what.to_owned(), detail: detail.to_string() } }
    }
}

/// One reading of `exchangeStatus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClockReading {
    /// The venue's clock minus ours, milliseconds.
    pub offset_ms: i64,
    /// The round trip that it was read in.
    pub trip: Duration,
    /// The venue's notice, in its own words.
    pub notice: Option<String>,
}

/// What reading needs.
pub(super) struct Reads {
    pub http: Http,
    pub weight: WeightWindow,
    pub clock: Clock,
    pub counters: Arc<Counters>,
}

/// How a read is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub purpose: Purpose,
    pub lane: Lane,
    /// For the request itself.
    pub timeout: Duration,
    /// For waiting until the budget has room.
    pub patience: Duration,
}

/// A read's name.
#[expect(clippy::wildcard_enum_match_arm, reason = "names for logs: the reads made here")]
fn name(request: &InfoRequest) -> &'static str {
    match request {
        InfoRequest::ClearinghouseState { .. } => "clearinghouseState",
        InfoRequest::OrderStatus { .. } => "orderStatus",
        InfoRequest::ExchangeStatus => "exchangeStatus",
        InfoRequest::UserRole { .. } => "userRole",
        InfoRequest::Meta { .. } => "meta",
        InfoRequest::FrontendOpenOrders { .. } => "frontendOpenOrders",
        InfoRequest::UserFillsByTime { .. } => "userFillsByTime",
        InfoRequest::UserRateLimit { .. } => "userRateLimit",
        InfoRequest::UserAbstraction { .. } => "userAbstraction",
        InfoRequest::ExtraAgents { .. } => "extraAgents",
        InfoRequest::ActiveAssetData { .. } => "activeAssetData",
        InfoRequest::CandleSnapshot { .. } => "candleSnapshot",
        InfoRequest::FundingHistory { .. } => "fundingHistory",
        InfoRequest::PredictedFundings => "predictedFundings",
        InfoRequest::SpotClearinghouseState { .. } => "spotClearinghouseState",
        InfoRequest::UserNonFundingLedgerUpdates { .. } => "userNonFundingLedgerUpdates",
        InfoRequest::UsdcRouting => "usdcRouting",
        _ => "info",
    }
}

impl Reads {
    /// One read.
    pub(super) async fn read<T: DeserializeOwned>(&self, request: &InfoRequest, how: How) -> Result<T, ReadError> {
        let (what, weight) = (name(request), request.weight());
        self.book(what, weight, how).await?;
        let body = serde_json::to_vec(request).map_err(|e| ReadError::malformed(what, e))?;
        let answer = self.http.info(how.lane, body, how.timeout).await.map_err(|source| ReadError::NoAnswer { what, source })?;
        match answer.status {
            200 => decode(&answer.body, what).map_err(|source| {
                self.counters.malformed(what, &source);
                ReadError::Malformed { what, source }
            }),
            429 => {
                add(&self.counters.throttled, 1);
                Err(ReadError::Throttled { what })
            }
            status => {
                Err(ReadError::Status { what, status, text: String::from_utf8_lossy(&answer.body).chars().take(200).collect() })
            }
        }
    }

    /// Books `weight`, waiting for room as long as `how` has patience.
    async fn book(&self, what: &'static str, weight: u32, how: How) -> Result<(), ReadError> {
        if how.purpose == Purpose::Cancel {
            // the kill path is not held up by our own count: it may be wrong, and the venue's refusal costs nothing
            self.weight.charge((self.clock)(), weight);
            return Ok(());
        }
        let until = Instant::now() + how.patience;
        while let Err(spent) = self.weight.take((self.clock)(), weight, how.purpose) {
            if Instant::now() + spent.wait > until {
                return Err(ReadError::Budget { what, source: spent });
            }
            tokio::time::sleep(spent.wait).await;
        }
        Ok(())
    }

    /// The venue's clock and what it says about itself.
    pub(super) async fn clock_offset(&self, how: How) -> Result<ClockReading, ReadError> {
        let before = (self.clock)();
        let status: ExchangeStatus = self.read(&InfoRequest::ExchangeStatus, How { patience: Duration::ZERO, ..how }).await?;
        let after = (self.clock)();
        let trip = after.since(before);
        let middle = before.wall_ms + trip.as_millis() / 2;
        let offset = i128::from(status.time) - i128::from(middle);
        let words = status.special_statuses;
        let notice = if words.is_null() { None } else { Some(words.as_str().map_or_else(|| words.to_string(), str::to_owned)) };
        Ok(ClockReading {
            offset_ms: i64::try_from(offset).unwrap_or(i64::MAX),
            trip: Duration::from_nanos(trip.0),
            notice: notice.filter(|text| !text.is_empty()),
        })
    }

    pub(super) async fn account(&self, user: Address, how: How) -> Result<ClearinghouseState, ReadError> {
        self.read(&InfoRequest::ClearinghouseState { user: User::from(user), dex: None }, how).await
    }

    pub(super) async fn open_orders(&self, user: Address, how: How) -> Result<Vec<FrontendOrder>, ReadError> {
        self.read(&InfoRequest::FrontendOpenOrders { user: User::from(user), dex: None }, how).await
    }

    pub(super) async fn order(&self, user: Address, key: ClientKey, how: How) -> Result<OrderStatus, ReadError> {
        self.read(&InfoRequest::OrderStatus { user: User::from(user), oid: OrderRef::Cloid(key) }, how).await
    }

    /// All fills from `since_ms` on, oldest first, each once.
    pub(super) async fn fills(&self, user: Address, since_ms: u64, how: How) -> Result<Vec<Fill>, ReadError> {
        let what = "userFillsByTime";
        let mut all: Vec<Fill> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        let mut start_time = since_ms;
        for _ in 0..PAGES_MAX {
            let request = InfoRequest::UserFillsByTime {
                user: User::from(user),
                start_time,
                end_time: None,
                aggregate_by_time: None,
                reversed: None,
            };
            let page: Vec<Fill> = self.read(&request, how).await?;
            self.weight.charge((self.clock)(), request.weight_of_items(page.len()));
            let full = page.len() >= PAGE_MIN;
            let newest = page.iter().map(|f| f.time).max();
            let before = all.len();
            // the next page starts at the last one's newest millisecond, inclusive
            all.extend(page.into_iter().filter(|f| seen.insert((f.tid, f.oid, f.hash.clone()))));
            match newest {
                Some(newest) if full && all.len() > before => start_time = newest,
                Some(_) if full => return Err(ReadError::Endless { what }),
                _ => {
                    all.sort_by_key(|f| f.time);
                    return Ok(all);
                }
            }
        }
        Err(ReadError::Endless { what })
    }
}

/// The open orders as the kill path needs them: by the cancels' connections and budget, and so lenient that nothing in a row
/// but its market and number matters.
pub(super) async fn open_orders_for_kill(shared: &Shared, timeout: Duration) -> Result<Vec<OpenRow>, ReadError> {
    let request = InfoRequest::FrontendOpenOrders { user: User::from(shared.config.account), dex: None };
    let how = How { purpose: Purpose::Cancel, lane: Lane::Cancel, timeout, patience: timeout };
    shared.reads.read(&request, how).await
}
