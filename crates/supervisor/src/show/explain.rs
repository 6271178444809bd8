//! Why an order was cleared or refused, in words.

use std::collections::BTreeMap;

use desk::{Background, Explanation, Fate, Judged, Verdict};
use domain::{
    Basis, Child, ClientKey, Entry, Instrument, InstrumentId, LiquidityRole, Measure, OrderOutcome, ParentId, ProfitMark, Px,
    Qty, Ratio, Side, Stamp, Tif, Usd,
};

use super::{Column, grouped, money, percent, table, wrapped};

/// With more verdicts than this each has one line, and the last one is told in full.
const FULL_MAX: usize = 3;

/// Rules of the markets in a journal, as they stand last.
pub type Markets = BTreeMap<InstrumentId, Instrument>;

/// `told` in lines of at most `width` columns.
#[must_use]
pub fn explain(told: &Explanation, markets: &Markets, width: usize) -> Vec<String> {
    let spec = &told.parent;
    let rules = markets.get(&spec.instrument);
    let mid = rules.map_or_else(
        || format!("{} half ticks", told.arrival.mid_x2),
        |rules| (rules.px_decimal(Px(told.arrival.mid_x2)) / rust_decimal::Decimal::TWO).normalize().to_string(),
    );
    let head = format!(
        "{} {} {} {} over {}, from {}, mid {mid} then{}",
        spec.id,
        side(spec.side),
        quantity(rules, spec.qty),
        spec.instrument,
        spec.horizon,
        moment(told.start),
        if spec.reduce_only { "; it may only shrink a position" } else { "" }
    );
    let mut lines = wrapped(&head, width);
    if !spec.note.is_empty() {
        lines.extend(wrapped(&format!("note: {}", spec.note), width.saturating_sub(2)).into_iter().map(|l| format!("  {l}")));
    }
    if told.verdicts.is_empty() {
        lines.push("the guard has not been asked for an order of it".to_owned());
    }
    if told.verdicts.len() > FULL_MAX {
        lines.push(String::new());
        let rows: Vec<_> = told.verdicts.iter().map(|judged| short(judged, markets)).collect();
        lines.extend(table(&[Column::Left, Column::Left, Column::Rest], &rows, width));
    }
    let full = if told.verdicts.len() > FULL_MAX { told.verdicts.len() - 1 } else { 0 };
    for judged in told.verdicts.iter().skip(full) {
        lines.push(String::new());
        verdict(&mut lines, judged, markets, width);
    }
    if !told.fates.is_empty() {
        lines.extend([String::new(), "what became of it".to_owned()]);
        let rows: Vec<_> = told.fates.iter().map(|fate| became(fate, markets)).collect();
        lines.extend(table(&[Column::Left, Column::Left, Column::Rest], &rows, width));
    }
    if told.cut {
        lines.push("there is more of the same; --json and plimsoll export have it".to_owned());
    }
    lines
}

/// A moment in UTC.
#[must_use]
pub fn moment(at: Stamp) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(at.wall_ms);
    let text = humantime::format_rfc3339_millis(time).to_string();
    text.replace('T', " ").trim_end_matches('Z').to_owned()
}

fn clock(at: Stamp) -> String {
    moment(at).split(' ').next_back().unwrap_or_default().to_owned()
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Buy => "buy",
        Side::Sell => "sell",
    }
}

fn quantity(rules: Option<&Instrument>, qty: Qty) -> String {
    rules.map_or_else(|| format!("{} lots", qty.0), |rules| rules.qty_decimal(qty).normalize().to_string())
}

fn lots(rules: Option<&Instrument>, lots: domain::Lots) -> String {
    rules.map_or_else(|| format!("{} lots", lots.0), |rules| rules.lots_decimal(lots).normalize().to_string())
}

fn price(rules: Option<&Instrument>, px: Px) -> String {
    rules.map_or_else(|| format!("{} ticks", px.0), |rules| rules.px_decimal(px).normalize().to_string())
}

fn order(child: &Child, markets: &Markets) -> String {
    let rules = markets.get(&child.instrument);
    let tif = match child.tif {
        Tif::PostOnly => "post-only",
        Tif::GoodTilCancel => "resting",
        Tif::ImmediateOrCancel => "crossing",
    };
    let only = if child.reduce_only { ", reduce-only" } else { "" };
    let (what, at) = (quantity(rules, child.qty), price(rules, child.px));
    format!("{} {what} {} at {at}, {tif}{only}", side(child.side), child.instrument)
}

fn child_of(verdict: &Verdict) -> &Child {
    match verdict {
        Verdict::Cleared { intent, .. } => &intent.child,
        Verdict::Refused { child, .. } => child,
    }
}

fn numbered(parent: ParentId, child: &Child) -> String {
    format!("{parent}/{}", child.no.0)
}

fn short(judged: &Judged, markets: &Markets) -> Vec<String> {
    let child = child_of(&judged.verdict);
    let what = match &judged.verdict {
        Verdict::Cleared { .. } => format!("cleared: {}", order(child, markets)),
        Verdict::Refused { why, count, .. } => format!("REFUSED{}: {why}", times(*count)),
    };
    vec![clock(judged.at), numbered(child.parent, child), what]
}

fn times(count: u32) -> String {
    if count > 1 { format!(" {count} times") } else { String::new() }
}

fn verdict(lines: &mut Vec<String>, judged: &Judged, markets: &Markets, width: usize) {
    let child = child_of(&judged.verdict);
    let said = match &judged.verdict {
        Verdict::Cleared { intent, .. } => format!("CLEARED as {}", intent.key),
        Verdict::Refused { count, .. } => format!("REFUSED{}", times(*count)),
    };
    lines.extend(wrapped(&format!("{} {} {said}", moment(judged.at), numbered(child.parent, child)), width));
    let mut rows = vec![pair("order", order(child, markets))];
    if let Some(rules) = markets.get(&child.instrument) {
        rows.push(pair("worth", format!("{} at its limit", money(rules.notional(child.px, child.qty)))));
    }
    match &judged.verdict {
        Verdict::Cleared { basis, .. } => cleared_on(&mut rows, basis, markets.get(&child.instrument)),
        Verdict::Refused { why, .. } => rows.push(pair("because", why.clone())),
    }
    background(&mut rows, judged, markets.get(&child.instrument));
    lines.extend(table(&[Column::Left, Column::Rest], &rows, width));
}

fn pair(name: &str, value: impl Into<String>) -> Vec<String> {
    vec![name.to_owned(), value.into()]
}

fn cleared_on(rows: &mut Vec<Vec<String>>, basis: &Basis, rules: Option<&Instrument>) {
    rows.push(pair("reference price", format!("{}, book {} ms old", price(rules, basis.reference), basis.book_age_ms)));
    rows.push(pair("position before", lots(rules, basis.position)));
    let (long, short) = basis.worst;
    rows.push(pair(
        "worst case",
        format!("{} if every buy and no sell fills, {} the other way round", lots(rules, long), lots(rules, short)),
    ));
    rows.push(pair("equity", money(basis.equity)));
    rows.push(pair(
        "cover",
        basis.cover.map_or_else(|| "no position, no margin".to_owned(), |c| format!("{} of the worst case", cover(c))),
    ));
}

fn cover(cover: Ratio) -> String {
    grouped(cover.decimal(), 2)
}

fn background(rows: &mut Vec<Vec<String>>, judged: &Judged, rules: Option<&Instrument>) {
    let Background { limits, stop, frozen, measure, level, profit } = &judged.background;
    let id = limits.as_ref().map_or_else(|| "not recorded".to_owned(), |l| format!("{:016x}", l.id));
    rows.push(pair("limits in force", id));
    if let Some(stop) = stop {
        rows.push(pair("stop level", format!("{} ({}): {}", stop.level, stop.scope, stop.cause)));
    }
    if let Some(why) = frozen {
        rows.push(pair("frozen", why.clone()));
    }
    rows.push(pair("margin level", level.as_ref().map_or_else(|| "ok".to_owned(), |l| format!("{}: {}", l.to, l.why))));
    let instrument = rules.map(|rules| rules.id);
    match measure {
        Some(measure) => rows.extend(measured(measure, judged.at)),
        None => rows.push(pair("statistics", "none recorded before: the conservative figures held")),
    }
    if let Some(profit) = profit {
        rows.push(pair("profit", profit_words(profit, instrument)));
    }
}

fn profit_words(mark: &ProfitMark, instrument: Option<InstrumentId>) -> String {
    let today = Usd::new(mark.profit.decimal() - mark.day_start.decimal()).unwrap_or_default();
    let below = Usd::new(mark.peak.decimal() - mark.profit.decimal()).unwrap_or_default();
    let trade = mark.trades.iter().find(|(id, ..)| Some(*id) == instrument);
    let trade = trade.map_or(String::new(), |(_, now, _)| format!(", {} on this position", money(*now)));
    format!("{} today, {} below its peak{trade}", money(today), money(below))
}

/// The figures of `measure` as they were at `at`, each with its name.
#[must_use]
pub fn measured(measure: &Measure, at: Stamp) -> Vec<Vec<String>> {
    let age_min = at.wall_ms.saturating_sub(measure.at.wall_ms) / 60_000;
    let (v, f) = (&measure.volatility, &measure.funding);
    let year = |share: Option<Ratio>| share.map_or_else(|| "unknown".to_owned(), |share| percent(share, 1));
    let plain = |ratio: Option<Ratio>| ratio.map_or_else(|| "unknown".to_owned(), |r| grouped(r.decimal(), 2));
    vec![
        pair("volatility", format!("{} a year from {} hours, {age_min} min old", year(v.forecast), v.hours)),
        pair(
            "funding",
            format!(
                "{} an hour, z {}, persistence {}, against other venues z {}, instability {}",
                f.rate.map_or_else(|| "unknown".to_owned(), |rate| percent(rate, 5)),
                plain(f.z),
                plain(f.persistence),
                plain(f.z_cross),
                plain(f.instability)
            ),
        ),
    ]
}

fn child_no(key: ClientKey) -> String {
    format!("{}/{}", key.parent(), key.child().0)
}

fn became(fate: &Fate, markets: &Markets) -> Vec<String> {
    let what = if let Entry::Acked { order, .. } = &fate.entry {
        order.as_ref().map_or_else(|| "the venue has it".to_owned(), |order| format!("the venue has it as oid:{order}"))
    } else if let Entry::Unknown { cause, .. } = &fate.entry {
        format!("its answer was lost ({cause:?}): quantity and margin stayed reserved")
    } else if let Entry::CancelAsked { .. } = &fate.entry {
        "asked to cancel".to_owned()
    } else if let Entry::Fill(fill) = &fate.entry {
        let rules = markets.get(&fill.instrument);
        let role = match fill.role {
            LiquidityRole::Maker => "maker",
            LiquidityRole::Taker => "taker",
        };
        let forced = if fill.forced { ", forced by the venue" } else { "" };
        let (what, at) = (quantity(rules, fill.qty), price(rules, fill.px));
        format!("filled {what} at {at} as {role}, fee {}{forced}", grouped(fill.fee.decimal(), 4))
    } else if let Entry::Done { outcome, reject, .. } = &fate.entry {
        let outcome = match outcome {
            OrderOutcome::Filled => "over: filled",
            OrderOutcome::Canceled => "over: cancelled",
            OrderOutcome::Rejected => "over: refused by the venue",
            OrderOutcome::NeverLanded => "over: it never reached the book",
        };
        reject.as_ref().map_or_else(|| outcome.to_owned(), |reject| format!("{outcome}: {}", reject.text))
    } else {
        format!("{:?}", fate.entry)
    };
    vec![clock(fate.at), child_no(fate.key), what]
}
