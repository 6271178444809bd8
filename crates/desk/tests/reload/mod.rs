//! A changed configuration file: what tightens applies at once, what loosens waits for an operator, nothing clears a stop.

use crate::rig::{Rig, limits, passive};
use domain::{
    ChangeClass, Command, CommandReply, ConfigChange, ConfigText, Entry, Reload, ReloadOutcome, Reloaded, Side, Span, StopLevel,
    config_number,
};
use margin_guard::{Limits, RawLimits, RawNumber};

const FILE: &str = "00112233445566778899aabbccddeeff";

fn with(change: impl FnOnce(&mut RawLimits)) -> Limits {
    let mut raw: RawLimits = serde_json::from_str(limits().text()).unwrap_or_else(|e| panic!("{e}"));
    change(&mut raw);
    Limits::check(raw).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn order_cap(usd: &str) -> Limits {
    with(|raw| raw.order_notional_max_usd = Some(RawNumber::new(usd)))
}

fn config(hash: &str, limits: &Limits) -> Box<ConfigText> {
    Box::new(ConfigText { hash: hash.repeat(8), limits: limits.text().to_owned(), keys: "{}".to_owned() })
}

fn change(class: ChangeClass) -> ConfigChange {
    let key = "guard.order_notional_max_usd".to_owned();
    ConfigChange { key, from: "25000".into(), to: "9".into(), class, beyond_double: false, why: String::new() }
}

fn read(rig: &Rig, now: Option<Box<ConfigText>>, held: Option<Box<ConfigText>>, changes: Vec<ConfigChange>) -> Command {
    let base = rig.desk.books().config.clone();
    Command::Reload(Reload::Read { file: FILE.into(), base, now, held, changes })
}

fn apply(file: &str, reason: &str) -> Command {
    Command::Apply { file: file.into(), reason: reason.into(), approval: None }
}

fn reloads(rig: &Rig) -> Vec<Reloaded> {
    rig.log.iter().filter_map(|s| if let Entry::Reloaded(r) = &s.entry { Some(r.clone()) } else { None }).collect()
}

fn refused(reply: CommandReply) -> String {
    match reply {
        CommandReply::Refused(faults) => faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        CommandReply::Done | CommandReply::Waiting { .. } | CommandReply::Accepted(_) | CommandReply::Drilling(_) => {
            panic!("done")
        }
    }
}

#[test]
fn what_tightens_applies_in_the_same_step_and_what_rests_is_taken_back() {
    let mut rig = Rig::new();
    rig.submit(passive(Side::Buy, 10_000));
    let resting = rig.next_placed();
    rig.ack(resting.key, 1);
    let (cancels, tight) = (rig.cancels.len(), order_cap("900"));
    let config = config("aaaa", &tight);
    let hash = config.hash.clone();
    let reload = read(&rig, Some(config), None, vec![change(ChangeClass::Tighten)]);
    assert_eq!(rig.command(reload), CommandReply::Done);
    assert_eq!(rig.desk.guard().limits().id(), tight.id());
    assert_eq!(rig.desk.books().limits, tight.id());
    assert_eq!(rig.cancels.len(), cancels + 1, "an order that was cleared under wider limits and can grow the position");
    // the next child is judged by the new cap, names limits and configuration, and the sizes of this very step
    rig.apply(&[domain::Fact::Order(rig.report(&resting, 1, domain::ReportedState::Canceled, resting.child.qty.0))]);
    let next = rig.next_placed();
    assert!(resting.child.qty.0 * 618 / 1_000 > 900 && next.child.qty.0 * 618 / 1_000 <= 900, "{next:?}");
    let bases: Vec<_> =
        rig.log.iter().filter_map(|s| if let Entry::Intent { basis, .. } = &s.entry { Some(*basis) } else { None }).collect();
    let newest = bases.last().copied().unwrap_or_else(|| panic!("no intent"));
    assert_eq!((newest.limits, newest.config), (tight.id(), config_number(&hash)));
    assert_ne!(newest.limits, bases[0].limits);
    // the record of the reload comes before that of its limits, and both before anything cleared on them
    let place = |what: fn(&Entry) -> bool| rig.log.iter().rposition(|s| what(&s.entry)).unwrap_or_default();
    let (reloaded, limits) = (place(|e| matches!(e, Entry::Reloaded(_))), place(|e| matches!(e, Entry::Limits { .. })));
    assert!(reloaded < limits && limits < place(|e| matches!(e, Entry::Intent { .. })));
    assert_eq!(reloads(&rig)[0].outcome, ReloadOutcome::Tightened);
    rig.crash();
}

#[test]
fn what_loosens_is_held_until_that_very_file_is_applied_with_a_reason() {
    let mut rig = Rig::new();
    let (before, wide) = (rig.desk.guard().limits().id(), order_cap("40000"));
    let reload = read(&rig, None, Some(config("bbbb", &wide)), vec![change(ChangeClass::Loosen)]);
    assert_eq!(rig.command(reload.clone()), CommandReply::Done);
    assert_eq!(rig.desk.guard().limits().id(), before, "held");
    let view = rig.desk.configuration();
    assert_eq!((view.held_file.as_deref(), view.held.len()), (Some(FILE), 1));
    assert!(refused(rig.command(apply(FILE, " "))).contains("reason"));
    assert!(refused(rig.command(apply("ffff", "larger account"))).contains(FILE), "another file is not what was looked at");
    assert_eq!(rig.desk.guard().limits().id(), before);
    assert_eq!(rig.command(apply(FILE, "larger account")), CommandReply::Done);
    assert_eq!(rig.desk.guard().limits().id(), wide.id());
    assert_eq!(rig.desk.books().config, "bbbb".repeat(8));
    let record = reloads(&rig).pop().unwrap_or_else(|| panic!("no record"));
    assert_eq!((record.outcome, record.why), (ReloadOutcome::Applied, vec!["larger account".to_owned()]));
    assert!(refused(rig.command(apply(FILE, "again"))).contains("nothing is held"), "an approval is used once");
    // the file as it was read is now compared with another configuration
    assert!(refused(rig.command(reload)).contains("compared"), "stale");
}

#[test]
fn a_file_that_is_refused_changes_nothing_and_withdraws_what_an_earlier_one_held() {
    let mut rig = Rig::new();
    let before = rig.desk.guard().limits().id();
    let reload = read(&rig, None, Some(config("bbbb", &order_cap("40000"))), vec![change(ChangeClass::Loosen)]);
    rig.command(reload);
    let alerts = rig.alerts.len();
    let bad = Reload::Refused { file: None, why: vec!["line 3: expected =".to_owned()] };
    assert_eq!(rig.command(Command::Reload(bad.clone())), CommandReply::Done);
    assert!(rig.alerts[alerts..].iter().any(|a| a.contains("line 3")), "{:?}", rig.alerts);
    assert!(refused(rig.command(apply(FILE, "it was good before"))).contains("nothing is held"));
    assert_eq!(rig.desk.guard().limits().id(), before);
    let records = reloads(&rig).len();
    rig.command(Command::Reload(bad));
    assert_eq!(reloads(&rig).len(), records, "the same again is no news to the journal");
    // limits that do not check are refused whole, whoever computed them
    let broken =
        Box::new(ConfigText { hash: "c".repeat(32), limits: r#"{"allow":[],"leverage_max":"-3"}"#.into(), keys: "{}".into() });
    let reload = read(&rig, Some(broken.clone()), None, vec![change(ChangeClass::Tighten)]);
    assert!(refused(rig.command(reload)).contains("leverage_max"));
    let reload = read(&rig, Some(config("aaaa", &order_cap("900"))), Some(broken), vec![change(ChangeClass::Tighten)]);
    assert!(refused(rig.command(reload)).contains("leverage_max"), "one half cannot be: neither half is");
    assert_eq!(rig.desk.guard().limits().id(), before);
}

#[test]
fn no_reload_and_no_apply_clears_a_stop() {
    // C32
    let mut rig = Rig::new();
    rig.command(super::kill());
    let wide = order_cap("40000");
    let reload = read(&rig, None, Some(config("bbbb", &wide)), vec![change(ChangeClass::Loosen)]);
    rig.command(reload);
    rig.command(apply(FILE, "while stopped"));
    assert_eq!(rig.desk.guard().limits().id(), wide.id());
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Cancel);
    rig.pass(Span::secs(5), &[]);
    assert!(rig.placed.is_empty());
    rig.crash();
    assert_eq!(rig.desk.books().stops.level(), StopLevel::Cancel);
}
