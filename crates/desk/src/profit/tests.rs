use domain::{LiquidityRole, MarketStatus, PriceRule, Qty, Side, TradeId, Venue, VenueOrderId, margin};

use super::*;

fn id() -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap()
}

/// Ticks of 0.1 and lots of 0.001: 10,000 ticks are 1,000 and 10,000 lots are 10 coins.
fn rules() -> BTreeMap<InstrumentId, Instrument> {
    let rules = Instrument {
        id: id(),
        venue_asset: 0,
        tick: Decimal::new(1, 1),
        lot: Decimal::new(1, 3),
        price_rule: PriceRule::Grid,
        qty_min: Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: 40,
        margin: margin::MarginModel::flat(40),
        status: MarketStatus::Open,
        isolated_only: false,
    };
    BTreeMap::from([(id(), rules)])
}

fn fill(side: Side, lots: i64, px: i64, fee: &str) -> Fill {
    Fill {
        id: TradeId { venue: Venue::Hyperliquid, trade: "1".into(), order: VenueOrderId::Number(1) },
        key: None,
        instrument: id(),
        side,
        px: Px(px),
        qty: Qty(lots),
        fee: fee.parse().unwrap(),
        role: LiquidityRole::Taker,
        forced: false,
        position_before: None,
        venue_ms: 1,
    }
}

fn usd(text: &str) -> Usd {
    text.parse().unwrap()
}

struct Bench {
    ledger: Ledger,
    live: Option<Drawn>,
    day: u32,
}

impl Bench {
    fn new() -> Bench {
        Bench { ledger: Ledger::default(), live: None, day: 20_000 }
    }

    fn at(&mut self, mark: i64) -> ProfitMark {
        let rules = rules();
        let quotes = Quotes { instruments: &rules, mark: &|_| Some(Px(mark)), equity: Usd::whole(100_000), day: self.day };
        let drawn = self.ledger.draw(self.live.as_ref(), &quotes).unwrap();
        self.live = Some(drawn.clone());
        drawn.mark
    }

    fn restart(&mut self) {
        self.live = self.ledger.resume();
    }
}

#[test]
fn fills_fees_and_funding_add_up_exactly() {
    let mut bench = Bench::new();
    bench.ledger.fill(&fill(Side::Buy, 1_000, 10_000, "0.45"));
    // one coin bought at 1,000 and marked at 1,010
    let mark = bench.at(10_100);
    assert_eq!(mark.profit, usd("9.55"));
    assert_eq!(mark.trades, vec![(id(), usd("9.55"), usd("9.55"))]);
    bench.ledger.funding(&FundingPayment {
        instrument: id(),
        amount: usd("-0.0123"),
        rate: domain::Ratio::ZERO,
        position: Lots(1_000),
        venue_ms: 2,
    });
    bench.ledger.fill(&fill(Side::Sell, 1_000, 10_050, "0.46"));
    let mark = bench.at(1);
    assert_eq!(mark.profit, usd("4.0777"));
    assert_eq!(mark.peak, usd("9.55"), "the peak stays");
    assert!(mark.trades.is_empty(), "flat");
}

#[test]
fn a_turned_position_is_a_new_trade_and_starts_from_the_price_of_its_fill() {
    let mut bench = Bench::new();
    bench.ledger.fill(&fill(Side::Buy, 1_000, 10_000, "0"));
    assert_eq!(bench.at(10_500).trades[0].2, usd("50"));
    bench.ledger.fill(&fill(Side::Sell, 3_000, 10_200, "1"));
    let mark = bench.at(10_300);
    assert_eq!(mark.trades, vec![(id(), usd("-20"), Usd::ZERO)], "two coins short at 1,020, the old peak is not theirs");
    assert_eq!(mark.profit, usd("-1"), "20 won, 1 paid, 20 lost");
}

#[test]
fn a_position_without_a_fill_counts_from_its_first_mark() {
    let mut bench = Bench::new();
    bench.ledger.take_over(id(), Lots(-2_000));
    let first = bench.at(10_000);
    assert_eq!((first.profit, first.taken.clone()), (Usd::ZERO, vec![(id(), Lots(-2_000), Px(10_000))]));
    bench.ledger.mark(&first);
    let next = bench.at(9_900);
    assert_eq!((next.profit, next.taken), (usd("20"), vec![]));
}

#[test]
fn without_a_mark_for_an_open_position_there_is_no_profit() {
    // I34
    let mut bench = Bench::new();
    bench.ledger.fill(&fill(Side::Buy, 1, 10_000, "0"));
    let rules = rules();
    let quotes = Quotes { instruments: &rules, mark: &|_| None, equity: Usd::ZERO, day: 0 };
    assert!(bench.ledger.draw(None, &quotes).is_none());
    bench.ledger.fill(&fill(Side::Sell, 1, 10_000, "0"));
    assert!(bench.ledger.draw(None, &quotes).is_some(), "a flat one needs none");
}

#[test]
fn peaks_and_the_day_outlive_a_restart() {
    // C16
    let mut bench = Bench::new();
    bench.at(1);
    bench.ledger.fill(&fill(Side::Buy, 1_000, 10_000, "0"));
    let high = bench.at(11_000);
    bench.ledger.mark(&high);
    bench.restart();
    let low = bench.at(10_400);
    assert_eq!((low.peak, low.profit, low.day_start), (usd("100"), usd("40"), Usd::ZERO));
    assert_eq!(low.trades, vec![(id(), usd("40"), usd("100"))]);
    bench.day += 1;
    assert_eq!(bench.at(10_300).day_start, usd("30"), "watched: the day begins with what is");
    bench.ledger.mark(&high);
    bench.restart();
    bench.day += 1;
    let next = bench.at(10_200);
    assert_eq!(next.day_start, usd("100"), "lost while nobody watched: charged to the new day");
    bench.restart();
    bench.ledger.fill(&fill(Side::Sell, 1_000, 10_200, "0"));
    bench.ledger.fill(&fill(Side::Buy, 1_000, 10_200, "0"));
    bench.restart();
    assert_eq!(bench.at(10_200).trades, vec![(id(), Usd::ZERO, Usd::ZERO)], "the old trade's peak ended with it");
}
