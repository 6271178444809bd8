//! Who agrees to what makes the daemon freer (C33): approvals of configured operators, each for one act in one state of things.
//!
//! An approval names a *challenge*: a hash over the act and over what it would change, so that it is void as soon as anything is
//! stopped, stopped further, re-armed or loosened, and can be used for nothing else (F101). Whose signature it is has been
//! established before it comes here. Approvals are journaled and survive a restart for as long as they last.

use domain::{Act, Approval, Approved, Entry, Operator, Reloaded, Span, SpecFault, Stamp, StopLevel, StopScope};
use serde::Serialize;

use crate::operator::fault;
use crate::{Books, Desk, Effect};

/// How long an approval lasts at most: two must come within it (reliability C33).
pub const APPROVAL_LASTS: Span = Span::secs(600);
/// Approvals kept. Operators are few and each approves an act once; the oldest makes room.
const PENDING_MAX: usize = 64;
/// Lines that a challenge shows of what the act changes. The challenge's hash covers all.
const LINES_MAX: usize = 12;
/// A reason is a sentence or two, which a person reads on the screen of a hardware wallet.
const REASON_MAX: usize = 300;

/// What an act still needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it may be done now, in the names of these operators. Nobody, if none is configured.
    Granted {
        /// By name.
        by: Vec<String>,
    },
    /// Another operator.
    Waiting {
        /// Who has approved, by name.
        have: Vec<String>,
        /// How many must.
        needed: usize,
        /// Until when the first of them stands, UTC milliseconds.
        until_ms: u64,
    },
}

/// What an operator is asked to sign, but for her reason and an expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Challenge {
    /// What is to be done.
    pub act: Act,
    /// Its hash. It changes with every stop, every re-arm and every change of the configuration.
    pub id: String,
    /// What it changes, a line each.
    pub lines: Vec<String>,
    /// How many different operators must approve.
    pub needed: usize,
    /// Who has approved, and until when, UTC milliseconds.
    pub have: Vec<(String, u64)>,
    /// Who may approve.
    pub operators: Vec<Operator>,
}

/// An approval that waits for its act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Pending {
    at: Stamp,
    approved: Approved,
}

impl Pending {
    /// Whether it lasts at `now`: by desk time, which counts through restarts, and by the clock that the operator signed for.
    fn lasts(&self, now: Stamp) -> bool {
        let granted = Span::millis(self.approved.approval.until_ms.saturating_sub(self.at.wall_ms)).min(APPROVAL_LASTS);
        now.since(self.at) < granted && now.wall_ms < self.approved.approval.until_ms
    }
}

/// Approvals that were given and not used, and what makes challenges differ. Part of [`Books`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Approvals {
    /// Stops and re-arms so far.
    stops: u64,
    /// Configurations put in force or refused so far.
    configs: u64,
    pending: Vec<Pending>,
}

impl Approvals {
    /// Takes in a journal entry.
    pub(crate) fn fold(&mut self, at: Stamp, entry: &Entry) {
        if let Entry::Latch(_) | Entry::Rearm { .. } = entry {
            self.stops += 1;
            self.pending.retain(|p| !matches!(p.approved.act, Act::Rearm { .. }));
        } else if let Entry::Reloaded(Reloaded { .. }) = entry {
            self.configs += 1;
            self.pending.retain(|p| !matches!(p.approved.act, Act::Apply { .. }));
        } else if let Entry::Approved(approved) = entry {
            self.pending.retain(|p| p.lasts(at));
            if self.pending.len() >= PENDING_MAX {
                self.pending.remove(0);
            }
            self.pending.push(Pending { at, approved: approved.clone() });
        }
    }

    /// Those for `challenge` that last and are of `operators`, oldest first.
    fn given<'a>(&'a self, now: Stamp, challenge: &'a str, operators: &'a [Operator]) -> impl Iterator<Item = &'a Approved> {
        let of = move |p: &&Pending| p.approved.approval.challenge == challenge && operators.contains(&p.approved.approval.by);
        self.pending.iter().filter(move |p| p.lasts(now)).filter(of).map(|p| &p.approved)
    }
}

impl Books {
    /// The hash that an approval of `act` must name at this moment.
    fn challenge(&self, act: &Act) -> String {
        let state = match act {
            Act::Rearm { .. } => (self.approvals.stops, serde_json::to_string(&self.stops).unwrap_or_default()),
            Act::Apply { .. } => (self.approvals.configs, self.config.clone()),
        };
        let tag = self.tag.map(|tag| tag.0).unwrap_or_default();
        let text = serde_json::to_vec(&(tag, act, state)).unwrap_or_default();
        blake3::hash(&text).to_hex()[..32].to_owned()
    }
}

/// Whether `reason` says something and nothing else: it is shown to people and signed by them as one line.
pub(crate) fn check_reason(reason: &str, expected: &str) -> Option<SpecFault> {
    let good = !reason.trim().is_empty() && reason.chars().count() <= REASON_MAX && !reason.contains(char::is_control);
    let shown: String = reason.chars().filter(|c| !c.is_control()).take(REASON_MAX).collect();
    (!good).then(|| fault("reason", shown, format!("{expected}, in one line of at most {REASON_MAX} characters")))
}

impl Desk {
    /// How many different operators must approve of what is `grave` or is not. Without any configured, the operator socket alone
    /// decides; with one, she must approve of everything; with more, two of what is grave.
    #[must_use]
    pub fn approvals_needed(&self, grave: bool) -> usize {
        self.config.operators.len().min(if grave { 2 } else { 1 })
    }

    /// Whether letting `scope` trade again is grave: something in it is stopped at cancel or above.
    pub(crate) fn is_grave(&self, scope: Option<StopScope>) -> bool {
        self.books.stops.iter().any(|s| scope.is_none_or(|scope| scope == s.scope) && s.level >= StopLevel::Cancel)
    }

    /// What an operator must sign to approve of `act` now.
    ///
    /// # Errors
    /// If there is nothing to approve of.
    pub fn challenge(&self, now: Stamp, act: &Act) -> Result<Challenge, Vec<SpecFault>> {
        let (lines, grave) = match act {
            Act::Rearm { scope } => {
                let lines = self.stopped_in(*scope)?;
                (lines.iter().map(|s| format!("{} at {}, by {}", s.scope, s.level, s.trigger)).collect(), self.is_grave(*scope))
            }
            Act::Apply { file } => self.held_lines(file)?,
        };
        let id = self.books.challenge(act);
        let operators = self.config.operators.clone();
        let given = self.books.approvals.given(now, &id, &operators);
        let have = given.map(|a| (a.approval.by.name.clone(), a.approval.until_ms)).collect();
        Ok(Challenge { act: act.clone(), id, lines: cut(lines), needed: self.approvals_needed(grave), have, operators })
    }

    /// Takes `approval` towards `act`, which `needed` different operators must approve of ([`Desk::approvals_needed`]). Once it is
    /// granted the caller does the act in the same step, and its record voids every approval of its kind.
    ///
    /// # Errors
    /// If there is no approval and one is needed; if it is for another act or state of things, or was used; if it has expired, or
    /// would last too long; if its operator is unknown, or has approved already.
    pub(crate) fn approve(
        &mut self,
        now: Stamp,
        act: &Act,
        reason: &str,
        approval: Option<&Approval>,
        needed: usize,
        out: &mut Vec<Effect>,
    ) -> Result<Verdict, Vec<SpecFault>> {
        if needed == 0 {
            return Ok(Verdict::Granted { by: Vec::new() });
        }
        let challenge = self.books.challenge(act);
        let operators = &self.config.operators;
        let given: Vec<(String, u64)> = self
            .books
            .approvals
            .given(now, &challenge, operators)
            .map(|a| (a.approval.by.name.clone(), a.approval.until_ms))
            .collect();
        let names: Vec<&str> = operators.iter().map(|o| o.name.as_str()).collect();
        let Some(approval) = approval else {
            let who =
                if needed == 1 { "the approval of one of".to_owned() } else { format!("approvals of {needed} different of") };
            let so_far = given.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
            let so_far = if so_far.is_empty() { String::new() } else { format!("; so far: {}", so_far.join(", ")) };
            return Err(vec![fault("approval", "(absent)", format!("{who} {}{so_far}", names.join(", ")))]);
        };
        let mut faults = Vec::new();
        if approval.challenge != challenge {
            let expected = format!(
                "{challenge}: this one was used, or is for something else that was stopped or changed; sign what --challenge prints now"
            );
            faults.push(fault("challenge", &approval.challenge, expected));
        }
        if approval.until_ms <= now.wall_ms {
            faults.push(fault("until", approval.until_ms, format!("after {} (UTC milliseconds): it has expired", now.wall_ms)));
        } else if approval.until_ms - now.wall_ms > APPROVAL_LASTS.as_millis() {
            let most = now.wall_ms.saturating_add(APPROVAL_LASTS.as_millis());
            faults.push(fault(
                "until",
                approval.until_ms,
                format!("at most {most} (UTC milliseconds): {APPROVAL_LASTS} from now"),
            ));
        }
        if !operators.contains(&approval.by) {
            faults.push(fault("operator", &approval.by.name, format!("one of {}", names.join(", "))));
        }
        if given.iter().any(|(name, _)| *name == approval.by.name) {
            faults.push(fault("operator", &approval.by.name, "another operator: she has approved already"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let approved = Approved { act: act.clone(), approval: approval.clone(), reason: reason.to_owned() };
        let until_ms = given.iter().map(|(_, until)| *until).fold(approval.until_ms, u64::min);
        let by: Vec<String> = given.into_iter().map(|(name, _)| name).chain([approval.by.name.clone()]).collect();
        self.record(now, Entry::Approved(approved), out);
        Ok(if by.len() >= needed { Verdict::Granted { by } } else { Verdict::Waiting { have: by, needed, until_ms } })
    }
}

fn cut(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}
