use domain::{Seed, Situation, StopLevel};

use super::*;

const MIN: u64 = 60;

fn at(s: u64) -> Stamp {
    Stamp { mono: 0, wall_ms: 1_790_000_000_000 } + Span::secs(s)
}

fn alert(severity: Severity, cause: &str) -> Alert {
    Alert::new(severity, Topic::Margin, cause, None)
}

fn act(cause: &str) -> Alert {
    alert(Severity::Act, cause)
}

fn warn(cause: &str) -> Alert {
    alert(Severity::Warn, cause)
}

fn target(name: &str, least: Severity, after_s: u64) -> Target {
    Target { name: name.to_owned(), least, after: Span::secs(after_s), pace: Span::ZERO }
}

fn plan(targets: Vec<Target>) -> Plan {
    Plan { targets, dedupe: Span::secs(5 * MIN), repeat_every: Span::secs(15 * MIN), unattended_after: Span::secs(15 * MIN) }
}

fn outbox(targets: Vec<Target>) -> Outbox {
    Outbox::resume(plan(targets), Seed(7).fork("alerts"), at(0), Vec::new())
}

fn one() -> Outbox {
    outbox(vec![target("ops", Severity::Warn, 0)])
}

fn delivered() -> Answer {
    Answer::Delivered { words: "ok".into() }
}

fn later(after: Option<u64>) -> Answer {
    Answer::Later { after: after.map(Span::secs), words: "HTTP 503".into() }
}

/// Sends all that is due at `now`, to the targets' satisfaction; which alert went where.
fn told(outbox: &mut Outbox, now: Stamp) -> Vec<(u64, usize)> {
    let mut all = Vec::new();
    loop {
        let due = outbox.due(now);
        if due.is_empty() {
            return all;
        }
        for delivery in due {
            all.push((delivery.record.id.0, delivery.target));
            outbox.answered(now, delivery.target, delivery.record.id, &delivered());
        }
    }
}

#[test]
fn the_gravest_and_oldest_goes_first_one_at_a_time() {
    let mut outbox = one();
    for alert in [warn("a"), warn("b"), act("c"), warn("d"), act("e")] {
        assert!(outbox.raise(at(0), alert).is_some());
    }
    assert_eq!(outbox.due(at(0)).len(), 1);
    assert!(outbox.due(at(0)).is_empty(), "one is under way");
    outbox.answered(at(0), 0, AlertId(3), &delivered());
    assert_eq!(told(&mut outbox, at(0)), [(5, 0), (1, 0), (2, 0), (4, 0)]);
    assert!(outbox.is_quiet(at(0)));
}

#[test]
fn the_same_warning_with_other_figures_is_counted_within_the_window_and_news_after_it() {
    let mut outbox = one();
    let id = outbox.raise(at(0), warn("P7 cover 1.91 in 12ms, hyperliquid:BTC"));
    assert_eq!(outbox.raise(at(60), warn("P7 cover 1.87 in 9ms, hyperliquid:BTC")), id);
    assert_ne!(outbox.raise(at(60), warn("P8 cover 1.87 in 9ms, hyperliquid:BTC")), id, "another parent");
    assert_ne!(outbox.raise(at(60), act("P7 cover 1.87 in 9ms, hyperliquid:BTC")), id, "another severity");
    let record = outbox.records().next().unwrap().clone();
    assert_eq!((record.count, record.last, record.alert.cause.as_str()), (2, at(60), "P7 cover 1.87 in 9ms, hyperliquid:BTC"));
    assert_eq!(told(&mut outbox, at(60)).len(), 3);
    assert_eq!(outbox.raise(at(4 * MIN), warn("P7 cover 1.80 in 9ms, hyperliquid:BTC")), id);
    assert!(told(&mut outbox, at(4 * MIN)).is_empty(), "counted, not repeated");
    let next = outbox.raise(at(5 * MIN), warn("P7 cover 1.75 in 9ms, hyperliquid:BTC"));
    assert_ne!(next, id);
    let record = outbox.records().last().unwrap();
    assert_eq!((record.id, record.before), (next.unwrap(), 2), "what was not told is told as a number");
    assert_eq!(told(&mut outbox, at(5 * MIN)).len(), 1);
}

#[test]
fn an_alert_to_act_on_is_told_again_and_to_others_until_it_is_acknowledged() {
    let targets = vec![target("chat", Severity::Warn, 0), target("phone", Severity::Act, 10 * MIN)];
    let mut outbox = outbox(targets);
    let id = outbox.raise(at(0), act("cover 1.1")).unwrap();
    outbox.raise(at(0), warn("stream")).unwrap();
    assert_eq!(told(&mut outbox, at(0)), [(1, 0), (2, 0)]);
    assert_eq!(outbox.wake(at(0)), Some(at(10 * MIN)));
    assert!(told(&mut outbox, at(10 * MIN - 1)).is_empty());
    assert_eq!(told(&mut outbox, at(10 * MIN)), [(1, 1)], "the next target");
    assert_eq!(told(&mut outbox, at(15 * MIN)), [(1, 0)], "the first one again");
    outbox.raise(at(16 * MIN), act("cover 1.2")).unwrap();
    assert_eq!(told(&mut outbox, at(25 * MIN)), [(1, 1)]);
    let due = outbox.due(at(30 * MIN)).remove(0);
    assert_eq!((due.before, due.open_for, due.record.count), (2, Span::secs(30 * MIN), 2));
    outbox.answered(at(30 * MIN), 0, id, &delivered());
    outbox.acknowledge(at(31 * MIN), id, "ada").unwrap();
    outbox.acknowledge(at(32 * MIN), id, "bob").unwrap();
    assert!(told(&mut outbox, at(1_000 * MIN)).is_empty());
    assert_eq!(outbox.records().next().unwrap().ack.as_ref().map(|a| a.by.as_str()), Some("ada"), "the first one counts");
    let again = outbox.raise(at(33 * MIN), act("cover 1.3")).unwrap();
    assert_ne!(again, id, "after an acknowledgement it is news");
    let no = outbox.acknowledge(at(34 * MIN), AlertId(99), "ada").unwrap_err().to_string();
    assert_eq!(no, "A99: no such alert; open: A3");
}

#[test]
fn repetitions_thin_out_and_end() {
    let mut outbox = one();
    outbox.raise(at(0), act("x")).unwrap();
    let mut times = Vec::new();
    for minute in 0..8 * 24 * 60 {
        if !told(&mut outbox, at(minute * MIN)).is_empty() {
            times.push(minute);
        }
    }
    assert_eq!(times[..10], [0, 15, 30, 45, 60, 75, 90, 105, 165, 225]);
    assert_eq!(times.last().map(|m| m / 60), Some(7 * 24 - 1));
    assert!(outbox.records().all(|r| r.expired));
}

#[test]
fn a_failing_target_is_left_alone_longer_and_longer_but_never_for_long() {
    let mut outbox = one();
    outbox.raise(at(0), act("x")).unwrap();
    let (mut now, mut waits) = (at(0), Vec::new());
    for _ in 0..200 {
        let due = outbox.due(now);
        assert_eq!(due.len(), 1, "due when it said that it would be");
        outbox.answered(now, 0, due[0].record.id, &later(None));
        let next = outbox.wake(now).unwrap();
        let lane = outbox.lanes[0].not_before;
        waits.push(lane.since(now).as_millis());
        assert!(next.mono <= lane.mono);
        now = lane;
    }
    for (n, wait) in waits.iter().enumerate() {
        let bound = 1_000_u64.checked_shl(u32::try_from(n.min(16)).unwrap()).unwrap().min(60_000);
        assert!((100..=bound).contains(wait), "wait {n} is {wait} ms");
    }
    let spread: BTreeSet<u64> = waits[10..].iter().map(|w| w / 6_000).collect();
    assert!(spread.len() >= 9, "full jitter spreads over the whole of it: {spread:?}");
    let health = outbox.health(now);
    assert_eq!((health.light, health.targets[0].failures), (Light::Red, 200));
    let due = outbox.due(now);
    outbox.answered(now, 0, due[0].record.id, &delivered());
    assert_eq!(outbox.health(now).light, Light::Green);
}

#[test]
fn retry_after_is_respected_and_bounded() {
    for (asked, least, most) in [(30, 30, 30), (1, 1, 1), (1_000_000, 900, 900), (0, 0, 1)] {
        let mut outbox = one();
        outbox.raise(at(0), act("x")).unwrap();
        let due = outbox.due(at(0));
        outbox.answered(at(0), 0, due[0].record.id, &later(Some(asked)));
        let wait = outbox.lanes[0].not_before.since(at(0));
        assert!(wait >= Span::secs(least) && wait <= Span::secs(most), "{asked} s asked, {wait} given");
        assert!(outbox.due(at(least).min(outbox.lanes[0].not_before - Span(1))).is_empty());
    }
}

#[test]
fn a_message_that_a_target_will_not_have_does_not_stand_in_the_way_of_others() {
    let mut outbox = one();
    for cause in ["poison", "b", "c"] {
        outbox.raise(at(0), act(cause)).unwrap();
    }
    let mut now = at(0);
    let mut order = Vec::new();
    for _ in 0..6 {
        for delivery in outbox.due(now) {
            order.push(delivery.record.id.0);
            let refused = Answer::Refused { words: "HTTP 400".into() };
            let answer = if delivery.record.id == AlertId(1) { refused } else { delivered() };
            outbox.answered(now, 0, delivery.record.id, &answer);
        }
        now = now + Span::secs(60);
    }
    assert_eq!(order[..4], [1, 2, 3, 1]);
}

#[test]
fn an_alert_that_reached_nobody_is_unattended_and_the_light_is_red_f105() {
    let mut outbox = outbox(vec![target("a", Severity::Warn, 0), target("b", Severity::Act, 5 * MIN)]);
    outbox.raise(at(0), warn("not worth it")).unwrap();
    let id = outbox.raise(at(0), act("cover")).unwrap();
    let mut now = at(0);
    while now < at(20 * MIN) {
        let due = outbox.due(now);
        due.iter().for_each(|d| outbox.answered(now, d.target, d.record.id, &later(None)));
        assert_eq!(outbox.unattended(now).map(|r| r.id), (now >= at(15 * MIN)).then_some(id), "{now:?}");
        now = now + Span::secs(10);
    }
    assert_eq!(outbox.health(now).light, Light::Red);
    let due = outbox.due(now + Span::secs(900));
    outbox.answered(now, due[0].target, id, &delivered());
    assert!(outbox.unattended(now).is_none(), "one that heard it is enough");
    let mut silent = Outbox::resume(plan(Vec::new()), Seed(7).fork("a"), at(0), Vec::new());
    silent.raise(at(0), act("x")).unwrap();
    assert!(silent.unattended(at(100 * MIN)).is_none() && silent.health(at(100 * MIN)).light == Light::Off, "it was wanted so");
}

#[test]
fn it_is_woken_for_what_becomes_unattended_and_for_nothing_past() {
    let mut outbox = one();
    assert_eq!(outbox.wake(at(0)), None);
    outbox.raise(at(0), act("x")).unwrap();
    assert_eq!(outbox.wake(at(0)).map(|s| s.mono), Some(at(0).mono));
    assert_eq!(outbox.due(at(0)).len(), 1);
    assert_eq!(outbox.wake(at(1)), Some(at(15 * MIN)), "while a message is under way, only the silence counts");
    assert_eq!(outbox.wake(at(15 * MIN)), None);
}

#[test]
fn what_was_not_told_before_a_crash_is_told_after_it_and_ages_go_on() {
    let mut first = one();
    let kept = first.raise(at(0), act("told")).unwrap();
    assert_eq!(told(&mut first, at(0)), [(kept.0, 0)]);
    first.raise(at(10), act("not told")).unwrap();
    assert_eq!(first.due(at(10)).len(), 1, "under way when the process dies");
    let records = first.take_changed();
    assert_eq!(records.len(), 2);
    assert!(first.take_changed().is_empty());
    // a new journal begins at zero: desk time jumps back, wall time does not
    let reborn = Stamp { mono: Span::secs(3_600).0, wall_ms: at(20).wall_ms };
    let mut second = Outbox::resume(plan(vec![target("ops", Severity::Warn, 0)]), Seed(8).fork("a"), reborn, records);
    assert_eq!(told(&mut second, reborn), [(2, 0)]);
    assert!(told(&mut second, reborn + Span::secs(15 * MIN - 21)).is_empty());
    assert_eq!(told(&mut second, reborn + Span::secs(15 * MIN - 20)), [(1, 0)], "fifteen minutes after it was told");
    assert_eq!(second.raise(reborn, warn("new")), Some(AlertId(3)), "no number twice");
    assert_eq!(second.raise(reborn, act("not told")), Some(AlertId(2)), "it remembers causes");
}

#[test]
fn what_lasts_is_told_again_after_a_crash_only_if_it_never_came_here() {
    let mut outbox = one();
    assert_eq!(outbox.remind(at(0), act("stopped"), at(0)), Some(AlertId(1)), "lost in the crash");
    assert_eq!(outbox.remind(at(9), act("stopped"), at(0)), Some(AlertId(1)));
    assert_eq!(outbox.records().next().map(|r| r.count), Some(1), "nothing happened once more");
    outbox.acknowledge(at(10), AlertId(1), "ada").unwrap();
    assert_eq!(outbox.remind(at(20), act("stopped"), at(0)), Some(AlertId(1)), "acknowledged, so known");
    assert_eq!(outbox.remind(at(99), act("stopped"), at(90)), Some(AlertId(2)), "stopped again since");
}

#[test]
fn a_flood_is_bounded_in_memory_and_in_writes_and_says_what_was_lost() {
    let mut outbox = one();
    for n in 0..20_000 {
        assert_eq!(outbox.raise(at(0), warn(&format!("spread {n} bps"))), Some(AlertId(1)));
    }
    let mut writes = 0;
    for n in 0..20_000 {
        outbox.raise(at(1), warn(&format!("spread {n} bps")));
        writes += outbox.take_changed().len();
    }
    assert!(writes <= 2, "{writes} records written for repetitions");
    for n in 0..2_000 {
        outbox.raise(at(2), warn(&format!("P{n} repeats")));
    }
    assert_eq!((outbox.records().count(), outbox.health(at(2)).lost), (RECORDS_MAX, 2_001 - RECORDS_MAX as u64));
    for n in 0..RECORDS_MAX {
        assert!(outbox.raise(at(3), act(&format!("P{n} acts"))).is_some(), "a warning gives way to an alert to act on");
    }
    let lost = outbox.health(at(3)).lost;
    assert_eq!(outbox.raise(at(3), act("one more")), None);
    assert_eq!(outbox.health(at(3)).lost, lost + 1);
    assert!(outbox.records().all(|r| r.alert.severity == Severity::Act));
    assert!(outbox.known.len() <= RECORDS_MAX && outbox.health(at(3)).why.iter().any(|w| w.contains("were lost")));
    outbox.acknowledge(at(4), AlertId(2_100), "ada").unwrap();
    assert!(outbox.raise(at(4), act("one more")).is_some(), "what is settled gives way first");
}

#[test]
fn a_stale_warning_is_dropped_and_causes_are_cut() {
    let mut outbox = one();
    outbox.raise(at(0), warn(&"ä".repeat(5_000))).unwrap();
    let cause = &outbox.records().next().unwrap().alert.cause;
    assert_eq!(cause.chars().count(), CAUSE_MAX + 1);
    assert!(outbox.due(at(24 * 60 * MIN)).is_empty());
    assert!(outbox.records().all(|r| r.expired));
    assert_eq!(outbox.wake(at(24 * 60 * MIN)), None);
}

/// Chance drives raises, answers, crashes and acknowledgements: no alert to act on is forgotten, nothing is told twice within its
/// time, and bounds hold.
#[test]
fn whatever_happens_every_alert_to_act_on_arrives_or_is_acknowledged() {
    for seed in 0..60 {
        let mut chance = Seed(seed).fork("world");
        let targets = || vec![target("a", Severity::Warn, 0), target("b", Severity::Act, 60), target("c", Severity::Act, 0)];
        let mut outbox = Outbox::resume(plan(targets()), Seed(seed).fork("a"), at(0), Vec::new());
        let mut store: BTreeMap<AlertId, Record> = BTreeMap::new();
        let mut flying: Vec<Delivery> = Vec::new();
        let mut now = at(0);
        for step in 0..400 {
            now = now + Span::millis(chance.below(20_000));
            match chance.below(10) {
                0..4 => {
                    let severity = if chance.chance(1, 2) { Severity::Act } else { Severity::Warn };
                    outbox.raise(now, alert(severity, &format!("P{} at {step}", chance.below(30))));
                }
                4 if !store.is_empty() => {
                    let id = AlertId(1 + chance.below(store.len() as u64));
                    assert_eq!(outbox.acknowledge(now, id, "x").is_ok(), outbox.records().any(|r| r.id == id));
                }
                5 if chance.chance(1, 8) => {
                    flying.clear();
                    outbox = Outbox::resume(plan(targets()), Seed(seed + step).fork("a"), now, store.values().cloned().collect());
                }
                _ => {}
            }
            flying.extend(outbox.due(now));
            assert!(flying.len() <= 3, "one message per target");
            while !flying.is_empty() && chance.chance(2, 3) {
                let delivery = flying.swap_remove(usize::try_from(chance.below(flying.len() as u64)).unwrap());
                let answer = match chance.below(4) {
                    0 => later(None),
                    1 => Answer::Refused { words: "no".into() },
                    _ => delivered(),
                };
                outbox.answered(now, delivery.target, delivery.record.id, &answer);
            }
            store.extend(outbox.take_changed().into_iter().map(|r| (r.id, r)));
        }
        for delivery in flying.drain(..) {
            outbox.answered(now, delivery.target, delivery.record.id, &delivered());
        }
        now = now + Span::secs(900);
        for _ in 0..2_000 {
            told(&mut outbox, now);
            match outbox.wake(now) {
                Some(next) if next.since(now) < Span::secs(60) => now = now + next.since(now).max(Span(1)),
                _ => break,
            }
        }
        for record in outbox.records().filter(|r| r.alert.severity == Severity::Act && r.is_open()) {
            assert_eq!(record.told.len(), 3, "seed {seed}: {record:?}");
        }
    }
}

#[test]
fn numbers_read_back_and_bad_ones_say_what_is_right() {
    assert_eq!(("A12".parse(), "12".parse(), AlertId(12).to_string()), (Ok(AlertId(12)), Ok(AlertId(12)), "A12".to_owned()));
    for bad in ["", "A", "A-1", "all", "A99999999999999999999999"] {
        assert!(bad.parse::<AlertId>().unwrap_err().contains("such as A12"), "{bad}");
    }
}

#[test]
fn the_state_goes_with_the_alert() {
    let state = Situation {
        stop: StopLevel::Cancel,
        accounts: Vec::new(),
        narrower: Vec::new(),
        positions: Vec::new(),
        more_positions: 0,
        orders: 3,
        unknown: 1,
    };
    let mut outbox = one();
    outbox.raise(at(0), Alert::new(Severity::Act, Topic::Stopped, "drill", Some(state.clone()))).unwrap();
    let record = outbox.due(at(0)).remove(0).record;
    assert_eq!(record.alert.state, Some(state));
    assert!(record.alert.done.contains("what is open there is being cancelled"), "{}", record.alert.done);
    assert!(record.alert.todo.contains("plimsoll rearm"), "{}", record.alert.todo);
}
