//! Starting, holding and stopping a venue.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::hyperliquid::Address;

use crate::chain::{Bridge, PAYOUTS_MAX};
use crate::control::{DepositOrder, MarketPush, VenueState};
use crate::fault::{ActiveFault, BadOrder, Fault, FaultOrder};
use crate::http::{self, App};
use crate::spec::{Market, PaperSpec, Routing};
use crate::truth::Truth;
use crate::venue::{ASKS_MAX, Ask, Control, Venue};
use crate::wire_log::{WireLog, WirePage};

/// How long open connections may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(2);
/// Fastest replay, tape milliseconds per second: a thousand times the recorded pace.
const PACE_MAX: u32 = 1_000_000;

/// Why a venue did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address is not loopback: a paper venue takes orders from anybody who reaches it.
    #[error("{0} is not a loopback address: the paper venue serves this machine alone")]
    NotLoopback(SocketAddr),
    /// The specification makes no venue.
    #[error("not a valid paper venue: {0}")]
    Spec(String),
}

/// The venue has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the paper venue has stopped")]
pub struct Gone;

/// The paper venue.
#[derive(Debug)]
pub struct Paper;

impl Paper {
    /// Binds the addresses and serves until [`PaperHandle::shutdown`], until the handle is dropped, or until nobody has come for
    /// [`PaperSpec::idle_exit`]. Needs a tokio runtime; with a chain, a TLS provider must be installed (rustls on ring, by
    /// `main`), or making its client panics.
    ///
    /// # Errors
    /// If an address is not loopback or cannot be bound, or the specification is not valid.
    pub async fn start(spec: PaperSpec) -> Result<PaperHandle, StartError> {
        if let Market::Tape { pace, .. } = &spec.market
            && !(1..=PACE_MAX).contains(pace)
        {
            return Err(StartError::Spec(format!("market pace is {pace}: expected 1 to {PACE_MAX} tape ms per second")));
        }
        let stop = CancellationToken::new();
        let main = bind(spec.listen).await?;
        let also = match spec.also_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let apart = match spec.control_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let (asks, queue) = mpsc::channel(ASKS_MAX);
        let (payouts, to_pay) = mpsc::channel(PAYOUTS_MAX);
        let bridge = match spec.chain.clone() {
            Some(chain) => Some(Bridge::new(chain, asks.clone(), to_pay, stop.clone())?),
            None => None,
        };
        let wire_log = Arc::new(WireLog::default());
        let app = App { asks, limits: spec.limits.clone(), wire_log, stop: stop.clone() };
        let venue = Venue::new(spec, bridge.is_some().then_some(payouts), stop.clone())?;
        let paths = match apart {
            None => http::venue(app.clone()).merge(http::control(app.clone())),
            Some(_) => http::venue(app.clone()),
        };
        let addr = main.1;
        let also_addr = also.as_ref().map(|a| a.1);
        let control_addr = apart.as_ref().map_or(addr, |a| a.1);
        let mut tasks = vec![tokio::spawn(venue.run(queue)), serve(main.0, paths.clone(), &stop)];
        if let Some((listener, _)) = also {
            tasks.push(serve(listener, paths, &stop));
        }
        if let Some((listener, _)) = apart {
            tasks.push(serve(listener, http::control(app.clone()), &stop));
        }
        tasks.extend(bridge.map(|bridge| tokio::spawn(bridge.run())));
        tracing::info!(%addr, "the paper venue is open");
        Ok(PaperHandle { addr, also_addr, control_addr, app, tasks })
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    if !address.ip().is_loopback() {
        return Err(StartError::NotLoopback(address));
    }
    let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let bound = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
    Ok((listener, bound))
}

fn serve(listener: TcpListener, paths: axum::Router, stop: &CancellationToken) -> JoinHandle<()> {
    let stop = stop.clone();
    let listener = listener.tap_io(|stream| {
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!(error = %e, "no TCP_NODELAY");
        }
    });
    tokio::spawn(async move {
        let service = paths.into_make_service_with_connect_info::<SocketAddr>();
        let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(e) = served {
            tracing::error!(error = %e, "the paper venue cannot serve");
        }
    })
}

/// A running venue. Dropping it stops the venue.
pub struct PaperHandle {
    /// Where `/info`, `/exchange` and `/ws` are.
    pub addr: SocketAddr,
    /// The second such address, if one was asked for.
    pub also_addr: Option<SocketAddr>,
    /// Where `/control` is.
    pub control_addr: SocketAddr,
    app: App,
    tasks: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for PaperHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaperHandle").field("addr", &self.addr).field("control_addr", &self.control_addr).finish_non_exhaustive()
    }
}

impl Drop for PaperHandle {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

impl PaperHandle {
    /// `http://ADDRESS`, as REST clients want it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// `ws://ADDRESS/ws`.
    #[must_use]
    pub fn ws_url(&self) -> String {
        format!("ws://{}/ws", self.addr)
    }

    /// `http://ADDRESS/control`.
    #[must_use]
    pub fn control_url(&self) -> String {
        format!("http://{}/control", self.control_addr)
    }

    async fn control<T>(&self, make: impl FnOnce(tokio::sync::oneshot::Sender<T>) -> Control) -> Result<T, Gone> {
        self.app.ask(|reply| Ask::Control(make(reply))).await.ok_or(Gone)
    }

    /// Orders a fault.
    ///
    /// # Errors
    /// The outer one if the venue has stopped, the inner one if the order is not valid.
    pub async fn fault(&self, order: FaultOrder) -> Result<Result<Vec<ActiveFault>, BadOrder>, Gone> {
        self.control(|reply| Control::Order(vec![order], reply)).await
    }

    /// Clears one fault, or all.
    ///
    /// # Errors
    /// If the venue has stopped.
    pub async fn clear(&self, which: Option<Fault>) -> Result<Vec<ActiveFault>, Gone> {
        self.control(|reply| Control::Clear(which, reply)).await
    }

    /// Faults in force.
    ///
    /// # Errors
    /// If the venue has stopped.
    pub async fn faults(&self) -> Result<Vec<ActiveFault>, Gone> {
        self.control(Control::List).await
    }

    /// The venue's own truth about an account.
    ///
    /// # Errors
    /// If the venue has stopped.
    pub async fn truth(&self, user: Address) -> Result<Truth, Gone> {
        self.control(|reply| Control::Truth(user, 0, reply)).await
    }

    /// Every action that reached the venue from arrival `since` on, whatever became of it.
    #[must_use]
    pub fn wire(&self, since: u64) -> WirePage {
        self.app.wire_log.page(since)
    }

    /// The venue's own figures.
    ///
    /// # Errors
    /// If the venue has stopped.
    pub async fn state(&self) -> Result<VenueState, Gone> {
        self.control(Control::State).await
    }

    /// Puts levels and trades into a market.
    ///
    /// # Errors
    /// The outer one if the venue has stopped, the inner one names what is wrong.
    pub async fn push(&self, push: MarketPush) -> Result<Result<(), String>, Gone> {
        self.control(|reply| Control::Push(push, reply)).await
    }

    /// Credits an account.
    ///
    /// # Errors
    /// The outer one if the venue has stopped, the inner one names what is wrong.
    pub async fn deposit(&self, order: DepositOrder) -> Result<Result<(), String>, Gone> {
        self.control(|reply| Control::Deposit(order, reply)).await
    }

    /// Says from now on that USDC comes in and goes out by these roads.
    ///
    /// # Errors
    /// If the venue has stopped.
    pub async fn route(&self, routing: Routing) -> Result<(), Gone> {
        self.control(|reply| Control::Route(routing, reply)).await
    }

    /// Returns once the venue stops by itself or is stopped.
    pub async fn finished(&self) {
        self.app.stop.cancelled().await;
    }

    /// Stops the venue and waits, at most two seconds, for its connections to end.
    pub async fn shutdown(mut self) {
        self.app.stop.cancel();
        for mut task in std::mem::take(&mut self.tasks) {
            if tokio::time::timeout(GRACE, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}
