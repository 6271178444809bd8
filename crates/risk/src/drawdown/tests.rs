use domain::Venue;
use proptest::prelude::*;

use super::*;

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn id(name: &str) -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, name).unwrap_or_else(|e| panic!("{e}"))
}

fn profit(profit: &str, day_start: &str, peak: &str, trades: &[(&str, &str, &str)]) -> ProfitMark {
    ProfitMark {
        day: 20_000,
        profit: usd(profit),
        day_start: usd(day_start),
        peak: usd(peak),
        equity: usd("900000"),
        peak_equity: usd("900000"),
        taken: Vec::new(),
        trades: trades.iter().map(|(name, now, high)| (id(name), usd(now), usd(high))).collect(),
    }
}

fn find(verdicts: &[ScopeVerdict], scope: Scope) -> &ScopeVerdict {
    verdicts.iter().find(|v| v.scope == scope).unwrap_or_else(|| panic!("no {scope:?}"))
}

#[test]
fn c16_budgets_scale_size_and_run_out() {
    let members = [id("ETH"), id("SOL")];
    let groups: [Group<'_>; 1] = [("alts", &members)];
    let mark = profit("-20000", "-5000", "10000", &[("BTC", "-2500", "0"), ("ETH", "1000", "8000"), ("SOL", "-8000", "100")]);
    // 1,000,000 with what is held elsewhere
    let verdicts = judge(&DrawdownParams::default(), &mark, usd("100000"), &groups);
    let at = |scope| {
        let v = find(&verdicts, scope);
        (v.loss, v.budget, v.scale.to_string(), v.verdict())
    };
    assert_eq!(at(Scope::Peak), (usd("30000"), usd("80000"), "0.625".into(), Verdict::Scaled));
    // equity when the day began: 1,015,000
    assert_eq!(at(Scope::Day), (usd("15000"), usd("30450"), "0.507389162561".into(), Verdict::Scaled));
    assert_eq!(at(Scope::Group("alts".into())), (usd("15100"), usd("15000"), "0".into(), Verdict::Exhausted));
    assert_eq!(at(Scope::Trade(id("BTC"))), (usd("2500"), usd("5000"), "0.5".into(), Verdict::Scaled));
    assert_eq!(at(Scope::Trade(id("ETH"))).3, Verdict::Exhausted, "7,000 given back of a profit of 8,000");
    let scale = |name| scale_for(&verdicts, id(name), &groups);
    assert_eq!(scale("BTC").0.to_string(), "0.5");
    assert_eq!(scale("ETH").0, Ratio::ZERO);
    let (other, why) = scale("DOGE");
    assert_eq!((other.to_string(), why.map(|v| v.scope.clone())), ("0.507389162561".into(), Some(Scope::Day)));
    assert_eq!(verdicts.iter().filter(|v| v.is_account()).count(), 2);
}

#[test]
fn nothing_lost_is_the_whole_size_and_no_equity_is_none() {
    let mark = profit("10", "5", "10", &[]);
    let verdicts = judge(&DrawdownParams::default(), &mark, Usd::ZERO, &[]);
    assert!(verdicts.iter().all(|v| v.verdict() == Verdict::Ok && v.loss == Usd::ZERO), "{verdicts:?}");
    let broke = ProfitMark { equity: Usd::ZERO, peak_equity: Usd::ZERO, ..profit("0", "0", "0", &[]) };
    let verdicts = judge(&DrawdownParams::default(), &broke, Usd::ZERO, &[]);
    assert!(verdicts.iter().all(|v| v.verdict() == Verdict::Exhausted), "{verdicts:?}");
    assert_eq!(DrawdownParams::default().trade_budget(usd("1000000")), usd("5000"));
}

fn at(seconds: u64) -> Stamp {
    Stamp::default() + Span::secs(seconds)
}

#[test]
fn c52_a_loss_counts_within_its_time_alone() {
    let limits = DrawdownParams::default().velocity;
    let mut velocity = Velocity::default();
    velocity.observe(at(0), usd("0"));
    velocity.observe(at(30), usd("500"));
    velocity.observe(at(60), usd("-499"));
    assert_eq!(velocity.loss(at(60), Span::secs(60)), usd("999"));
    assert_eq!(velocity.judge(&limits, at(60), usd("100000")), None, "1 % of equity in a minute is 1,000");
    velocity.observe(at(80), usd("-500"));
    let breach = velocity.judge(&limits, at(80), usd("100000")).unwrap_or_else(|| panic!("no breach"));
    assert_eq!((breach.loss, breach.allowed, breach.limit.within), (usd("1000"), usd("1000"), Span::secs(60)));
    assert_eq!(velocity.loss(at(120), Span::secs(60)), usd("1"), "the high of 500 is out of the minute");
    velocity.observe(at(121), usd("-1200"));
    let slow = velocity.judge(&limits, at(121), usd("100000")).unwrap_or_else(|| panic!("no breach"));
    assert_eq!((slow.limit.within, slow.loss), (Span::secs(300), usd("1700")), "slow for a minute, too fast for five");
    assert_eq!(velocity.judge(&limits, at(3_000), Usd::ZERO), None, "nothing was lost lately");
}

proptest! {
    #[test]
    fn the_ring_is_bounded_and_sees_every_fall(steps in prop::collection::vec((0_u64..3_000, -1_000_i32..1_000), 1..1_500), window in 1_u64..=900) {
        let (mut velocity, mut ms, mut seen) = (Velocity::default(), 0, Vec::new());
        for (wait, value) in steps {
            ms += wait;
            let stamp = Stamp::default() + Span::millis(ms);
            velocity.observe(stamp, Usd::whole(value));
            seen.push((stamp, Usd::whole(value)));
        }
        prop_assert!(velocity.kept.len() <= VELOCITY_KEPT);
        let now = seen.last().copied().unwrap_or_default();
        let brute = seen.iter().filter(|(t, _)| now.0.since(*t) <= Span::secs(window)).map(|(_, p)| *p).max().unwrap_or_default() - now.1;
        prop_assert!(velocity.loss(now.0, Span::secs(window)) >= brute, "{brute}");
        let wider = seen.iter().filter(|(t, _)| now.0.since(*t) <= Span::secs(window + 2)).map(|(_, p)| *p).max().unwrap_or_default() - now.1;
        prop_assert!(velocity.loss(now.0, Span::secs(window)) <= wider.max(Usd::ZERO), "at most the second around the edge more");
    }

    #[test]
    fn scales_lie_between_zero_and_one_and_fall_with_the_loss(a in -2_000_000_i32..2_000_000, b in -2_000_000_i32..2_000_000, peak in 0_i32..100_000) {
        let at = |value: i32| ProfitMark { profit: Usd::whole(value), peak: Usd::whole(peak.max(a).max(b)), ..profit("0", "0", "0", &[]) };
        let judged = |value: i32| judge(&DrawdownParams::default(), &at(value), Usd::ZERO, &[]);
        let (low, high) = (judged(a.min(b)), judged(a.max(b)));
        for (worse, better) in low.iter().zip(&high).take(1) {
            prop_assert!(worse.scale <= better.scale && worse.scale >= Ratio::ZERO && better.scale <= Ratio::ONE);
        }
    }
}
