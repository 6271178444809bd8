//! The venue's words as the desk's facts.

use domain::{
    AccountView, Book, ClientKey, Fill, FundingPayment, InstrumentId, Level, LiquidityRole, Marks, OrderReport, PositionView,
    Reject, RejectKind, ReportedState, SendOutcome, Stamp, TradeId, Venue, VenueOrderId,
};
use exchange::{AccountKey, Asset, Exchange, FillRecord, OrderRefusalKind, OrderStatus, OrderUpdate, Placed, PublicTrade};

/// Levels of a book that a client sees.
const DEPTH: usize = 20;

pub fn id(exchange: &Exchange, asset: Asset) -> Option<InstrumentId> {
    exchange.instrument(asset).map(|i| i.id)
}

pub fn report(exchange: &Exchange, update: &OrderUpdate) -> Option<OrderReport> {
    let order = &update.order;
    let status = update.status;
    let state = if matches!(status, OrderStatus::Open | OrderStatus::Triggered) {
        ReportedState::Open
    } else if status == OrderStatus::Filled {
        ReportedState::Filled
    } else if status.word().ends_with("ejected") {
        ReportedState::Rejected
    } else {
        ReportedState::Canceled
    };
    Some(OrderReport {
        key: order.cloid.map(ClientKey::from_bits),
        order: VenueOrderId::Number(order.oid),
        instrument: id(exchange, order.asset)?,
        side: order.side,
        px: order.px,
        qty: order.orig_qty,
        remaining: order.qty,
        reduce_only: order.reduce_only,
        state,
        status: update.status.word().to_owned(),
        venue_ms: update.at_ms,
    })
}

pub fn fill(exchange: &Exchange, record: &FillRecord) -> Option<Fill> {
    let order = VenueOrderId::Number(record.oid);
    Some(Fill {
        id: TradeId { venue: Venue::Hyperliquid, trade: record.tid.to_string(), order },
        key: record.cloid.map(ClientKey::from_bits),
        instrument: id(exchange, record.asset)?,
        side: record.side,
        px: record.px,
        qty: record.qty,
        fee: record.fee,
        role: if record.crossed { LiquidityRole::Taker } else { LiquidityRole::Maker },
        forced: record.liquidation.is_some_and(|l| l.liquidated_user == record.account),
        position_before: Some(record.start_position),
        venue_ms: record.at_ms,
    })
}

pub fn funding(exchange: &Exchange, payment: &exchange::FundingPayment) -> Option<FundingPayment> {
    Some(FundingPayment {
        instrument: id(exchange, payment.asset)?,
        amount: payment.usdc,
        rate: payment.rate,
        position: payment.szi,
        venue_ms: payment.at_ms,
    })
}

pub fn trade(exchange: &Exchange, trade: &PublicTrade, account: AccountKey, at: Stamp) -> Option<domain::MarketTrade> {
    Some(domain::MarketTrade {
        instrument: id(exchange, trade.asset)?,
        side: trade.side,
        px: trade.px,
        qty: trade.qty,
        trade: trade.tid.to_string(),
        own: trade.buyer == Some(account) || trade.seller == Some(account),
        venue_ms: trade.at_ms,
        at,
    })
}

pub fn book(exchange: &Exchange, asset: Asset, at: Stamp) -> Option<Book> {
    let view = exchange.book(asset, DEPTH)?;
    let levels = |side: Vec<exchange::BookLevel>| side.into_iter().map(|l| Level { px: l.px, qty: l.qty }).collect();
    Some(Book { instrument: id(exchange, asset)?, bids: levels(view.bids), asks: levels(view.asks), venue_ms: view.at_ms, at })
}

pub fn marks(exchange: &Exchange, asset: Asset, at: Stamp) -> Option<Marks> {
    let context = exchange.context(asset)?;
    Some(Marks {
        instrument: id(exchange, asset)?,
        mark: context.mark,
        oracle: context.oracle,
        funding_hourly: Some(context.funding),
        open_interest: Some(context.open_interest),
        at,
    })
}

pub fn account(exchange: &Exchange, account: AccountKey, at: Stamp) -> AccountView {
    let state = exchange.account_state(account);
    let position = |p: &exchange::PositionState| {
        Some(PositionView {
            instrument: id(exchange, p.asset)?,
            lots: p.szi,
            leverage: p.leverage.value,
            leverage_max: p.max_leverage,
            isolated_margin: p.raw_usd.map(|_| p.margin_used),
        })
    };
    AccountView {
        venue: Venue::Hyperliquid,
        equity: state.cross.account_value,
        maintenance: state.cross_maintenance_margin_used,
        initial: state.cross.total_margin_used,
        withdrawable: state.withdrawable,
        positions: state.positions.iter().filter_map(position).collect(),
        venue_ms: state.at_ms,
        at,
    }
}

pub fn outcome(placed: &Placed) -> SendOutcome {
    match placed {
        Placed::Resting { oid, .. } => SendOutcome::Acked { order: Some(VenueOrderId::Number(*oid)), done: false },
        Placed::Filled { oid, .. } => SendOutcome::Acked { order: Some(VenueOrderId::Number(*oid)), done: true },
        Placed::WaitingForFill { oid } | Placed::WaitingForTrigger { oid } => {
            SendOutcome::Acked { order: Some(VenueOrderId::Number(*oid)), done: false }
        }
        Placed::Error(refusal) => {
            let kind = match refusal.kind {
                OrderRefusalKind::PostOnly => RejectKind::WouldTake,
                OrderRefusalKind::NothingToTake | OrderRefusalKind::NoLiquidity => RejectKind::NothingToTake,
                OrderRefusalKind::Margin | OrderRefusalKind::MarginTier => RejectKind::Margin,
                OrderRefusalKind::ReduceOnly => RejectKind::ReduceOnly,
                OrderRefusalKind::PostOnlyWindow => RejectKind::PostOnlyWindow,
                OrderRefusalKind::InvalidPrice
                | OrderRefusalKind::Tick
                | OrderRefusalKind::InvalidSize
                | OrderRefusalKind::ZeroSize
                | OrderRefusalKind::MinNotional
                | OrderRefusalKind::PriceBand
                | OrderRefusalKind::MaxNotional => RejectKind::Malformed,
                OrderRefusalKind::UnknownAsset
                | OrderRefusalKind::TriggerPrice
                | OrderRefusalKind::OpenInterest
                | OrderRefusalKind::TooManyOrders
                | OrderRefusalKind::Halted
                | OrderRefusalKind::DuplicateCloid
                | OrderRefusalKind::UnknownOrder
                | OrderRefusalKind::CannotModify
                | OrderRefusalKind::Grouping => RejectKind::Other,
            };
            SendOutcome::Rejected(Reject { kind, text: refusal.to_string() })
        }
    }
}
