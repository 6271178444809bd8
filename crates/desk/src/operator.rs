//! Operator commands.

use domain::{
    Arrival, Command, CommandReply, Entry, InstrumentId, ParentId, ParentSpec, SpecFault, Stamp, StopLevel, StopScope, Usd,
};

use crate::{BootError, Desk, Effect};

/// Live parents. Each costs a few kilobytes and a look at every book of its market.
const PARENTS_MAX: usize = 20_000;

pub(crate) fn fault(field: &str, value: impl ToString, expected: impl Into<String>) -> SpecFault {
    SpecFault { field: field.to_owned(), value: value.to_string(), expected: expected.into() }
}

impl Desk {
    pub(crate) fn on_command(&mut self, now: Stamp, asker: u64, command: &Command, out: &mut Vec<Effect>) {
        let answer = match command {
            Command::Submit(spec) => self.submit(now, spec, out).map(CommandReply::Accepted),
            Command::Change(id, change) => {
                self.change_parent(now, *id, change, "operator", out).map(|()| self.touched(*id)).map(|()| CommandReply::Done)
            }
            Command::Kill(stop) => self.kill(now, stop, out).map(|()| CommandReply::Done),
            Command::Rearm { reason, scope, approval, standing } => {
                self.rearm(now, reason, *scope, approval.as_ref(), standing, out)
            }
            Command::Unfreeze { instrument, reason } => self.unfreeze(now, *instrument, reason, out).map(|()| CommandReply::Done),
            Command::Drill { path, signer } => self.drill_command(now, *path, *signer, out).map(CommandReply::Drilling),
            Command::CloseTransfer { id, reason } => self.close_transfer(now, *id, reason, out).map(|()| CommandReply::Done),
            Command::Reload(reload) => self.on_reload(now, reload, out).map(|()| CommandReply::Done),
            Command::Apply { file, reason, approval } => self.apply_held(now, file, reason, approval.as_ref(), out),
            Command::AcceptWallet { reason } => self.accept_wallet(now, reason, out).map(|()| CommandReply::Done),
        };
        out.push(Effect::Reply(asker, answer.unwrap_or_else(CommandReply::Refused)));
    }

    fn submit(&mut self, now: Stamp, spec: &ParentSpec, out: &mut Vec<Effect>) -> Result<ParentId, Vec<SpecFault>> {
        if spec.note.chars().count() > 64 {
            return Err(vec![fault("note", &spec.note, "at most 64 characters")]);
        }
        if [crate::deleverage::NOTE, crate::flatten::NOTE].iter().any(|own| spec.note.starts_with(own)) {
            return Err(vec![fault(
                "note",
                &spec.note,
                "a note that begins otherwise: so begin those of the desk's own reductions",
            )]);
        }
        if self.draining {
            return Err(vec![fault("parent", "new", "a daemon that trades; this one is stopping")]);
        }
        if let Some(stop) = self.books.stops.market(spec.instrument).filter(|stop| stop.level >= StopLevel::Block) {
            let expected = match stop.scope {
                StopScope::All => format!("a daemon that trades; this one is stopped: {}", stop.cause),
                scope @ (StopScope::Venue(_) | StopScope::Market(_) | StopScope::Parent(_)) => {
                    format!("a market that is not stopped; {scope} is at level {}: {}", stop.level, stop.cause)
                }
            };
            return Err(vec![fault("parent", "new", expected)]);
        }
        if !self.is_ready() {
            return Err(vec![fault("parent", "new", "a daemon that has read its venue; this one has not yet")]);
        }
        if self.live.len() >= PARENTS_MAX {
            return Err(vec![fault("parent", "new", format!("fewer than {PARENTS_MAX} live parents"))]);
        }
        if let Some(why) = self.books.frozen.get(&spec.instrument) {
            return Err(vec![fault("instrument", spec.instrument, format!("a market that is not frozen: {why}"))]);
        }
        self.admit(now, spec, out)
    }

    /// Admits `spec` under the next number, whoever wants it.
    pub(crate) fn admit(&mut self, now: Stamp, spec: &ParentSpec, out: &mut Vec<Effect>) -> Result<ParentId, Vec<SpecFault>> {
        let spec = ParentSpec { id: ParentId(self.books.parents + 1), ..spec.clone() };
        let known = self.markets.get(&spec.instrument).filter(|m| m.confirmed);
        let (Some(market), Some(rules)) = (known, self.books.instruments.get(&spec.instrument)) else {
            return Err(vec![fault("instrument", spec.instrument, format!("one of {}", self.tradable()))]);
        };
        let book = market.book.as_ref().filter(|b| b.is_sane());
        let Some((book, mid_x2)) = book.and_then(|b| Some((b, b.mid_x2()?))) else {
            return Err(vec![fault("instrument", spec.instrument, "a market whose book has been received and is not crossed")]);
        };
        let tick_lot = Usd::new(rules.tick_lot()).map_err(|e| vec![fault("instrument", spec.instrument, e.to_string())])?;
        let arrival = Arrival { mid_x2, spread: book.spread().unwrap_or(0), tick_lot };
        let mid = domain::Px(mid_x2 / 2);
        // the worker checks the fields, then the guard the size; only then does anything change
        execution::Worker::start(&spec, rules, now, &arrival, self.books.seed.unwrap_or(domain::Seed(0)))?;
        self.guard.admit_parent(now, &spec, mid).map_err(|refusal| {
            let room = refusal.room().map(|room| format!("at most {} now; ", rules.qty_decimal(room).normalize()));
            let expected = format!("{}{refusal}", room.unwrap_or_default());
            vec![fault("quantity", rules.qty_decimal(spec.qty).normalize(), expected)]
        })?;
        self.begin(&spec, now, &arrival).map_err(|e| match e {
            BootError::Parent { faults, .. } => faults,
            BootError::Treasury(ledger) => vec![fault("treasury", "journal", ledger.to_string())],
            BootError::NoRules { instrument, .. } => vec![fault("instrument", instrument, "a market whose rules are known")],
        })?;
        let id = spec.id;
        self.record(now, Entry::Parent { spec, start: now, arrival }, out);
        Ok(id)
    }

    fn tradable(&self) -> String {
        let names: Vec<String> = self.markets.iter().filter(|(_, m)| m.confirmed).map(|(id, _)| id.to_string()).collect();
        if names.is_empty() { "the configured markets, once the venue has confirmed them".to_owned() } else { names.join(", ") }
    }

    fn unfreeze(
        &mut self,
        now: Stamp,
        instrument: InstrumentId,
        reason: &str,
        out: &mut Vec<Effect>,
    ) -> Result<(), Vec<SpecFault>> {
        if !self.books.frozen.contains_key(&instrument) {
            return Err(vec![fault("instrument", instrument, "a frozen market")]);
        }
        if reason.trim().is_empty() {
            return Err(vec![fault("reason", reason, "what explains the difference, in a few words")]);
        }
        let live = self.books.live().filter(|o| o.intent.child.instrument == instrument).count();
        if live > 0 {
            return Err(vec![fault(
                "instrument",
                instrument,
                format!(
                    "a market without our orders; {live} are not over, and plimsoll kill --level cancel --scope market:{instrument} cancels them"
                ),
            )]);
        }
        let view = self.venues.iter().find(|v| v.venue == instrument.venue()).and_then(|v| v.view.as_ref());
        let Some(view) = view.filter(|_| self.is_ready()) else {
            return Err(vec![fault("instrument", instrument, "a venue whose account has been read")]);
        };
        let position = view.positions.iter().find(|p| p.instrument == instrument).map(|p| p.lots).unwrap_or_default();
        self.record(now, Entry::Unfrozen { instrument, reason: reason.to_owned(), position }, out);
        self.breaks.remove(&instrument);
        self.guard.set_position(instrument, position);
        self.guard.unfreeze(instrument);
        self.holds_due = true;
        Ok(())
    }
}
