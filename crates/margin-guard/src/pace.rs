//! What happens too often: refusals by the venue (C50) and a parent repeating itself (C08).

use domain::{Px, RejectKind, Span, Stamp};

use crate::limits::{Rejects, Repeat};

/// Answers of the venue for one parent or one market.
#[derive(Clone, Debug, Default)]
pub(crate) struct RejectWatch {
    consecutive: u32,
    /// Begin of the minute that is counted, its answers and the refusals among them.
    minute: Option<(Stamp, u32, u32)>,
    storm: Option<Storm>,
}

/// Refusals that came too fast. Nothing grows until it was quiet for a while, or the operator says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Storm {
    /// The newest refusal.
    pub(crate) last: Stamp,
    /// Refusals in a row, or within a minute if fewer.
    pub(crate) refusals: u32,
    /// Answers they are out of.
    pub(crate) answers: u32,
}

const MINUTE: Span = Span::secs(60);

/// Whether a refusal says that something is wrong at the venue. Being too late for a passive price, or finding nothing to take, is the
/// market's doing; placements know how to answer it. A request budget that is spent, ours mostly before anything is sent, has room
/// again within a minute. What was never sent was refused by nobody.
const fn counts(kind: RejectKind) -> bool {
    match kind {
        RejectKind::WouldTake | RejectKind::NothingToTake | RejectKind::Throttled | RejectKind::NotSent => false,
        RejectKind::Malformed
        | RejectKind::Margin
        | RejectKind::ReduceOnly
        | RejectKind::PostOnlyWindow
        | RejectKind::Expired
        | RejectKind::Auth
        | RejectKind::Other => true,
    }
}

impl RejectWatch {
    pub(crate) fn accepted(&mut self, at: Stamp) {
        self.consecutive = 0;
        self.count(at, 0);
    }

    pub(crate) fn rejected(&mut self, rule: &Rejects, at: Stamp, kind: RejectKind) {
        if !counts(kind) {
            self.count(at, 0);
            return;
        }
        self.consecutive = self.consecutive.saturating_add(1);
        let (answers, refusals) = self.count(at, 1);
        let share = rust_decimal::Decimal::from(answers) * rule.share_max.decimal();
        let many = answers >= rule.answers_min && rust_decimal::Decimal::from(refusals) >= share;
        if let Some(storm) = &mut self.storm {
            storm.last = at;
        } else if self.consecutive >= rule.consecutive_max || many {
            self.storm =
                Some(Storm { last: at, refusals: self.consecutive.max(refusals), answers: answers.max(self.consecutive) });
        }
    }

    fn count(&mut self, at: Stamp, refused: u32) -> (u32, u32) {
        let (since, answers, refusals) = self.minute.filter(|(since, _, _)| at.since(*since) < MINUTE).unwrap_or((at, 0, 0));
        let now = (since, answers.saturating_add(1), refusals.saturating_add(refused));
        self.minute = Some(now);
        (now.1, now.2)
    }

    /// The storm that stands at `at`, and how long it must still be quiet.
    pub(crate) fn storm(&self, rule: &Rejects, at: Stamp) -> Option<(Storm, Span)> {
        let storm = self.storm?;
        let left = rule.quiet_ms.0.saturating_sub(at.since(storm.last).0);
        (left > 0).then_some((storm, Span(left)))
    }

    /// Forgets a storm that has passed, so that the next one is counted afresh.
    pub(crate) fn settle(&mut self, rule: &Rejects, at: Stamp) {
        if self.storm.is_some() && self.storm(rule, at).is_none() {
            *self = RejectWatch::default();
        }
    }
}

/// What one parent has been doing. Windows do not overlap, so up to twice a limit may pass across the end of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct RepeatWatch {
    /// When the window began: with an order.
    since: Option<Stamp>,
    /// Price of the newest order, and orders at it without a fill in between.
    px: Px,
    children: u32,
    fills: u32,
    latched: Option<Repeated>,
}

/// How a parent repeated itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeated {
    /// Orders at one price without a fill.
    Children(u32),
    /// Fills.
    Fills(u32),
}

impl Repeated {
    pub(crate) fn words(self) -> String {
        match self {
            Repeated::Children(count) => format!("{count} orders at one price without a fill"),
            Repeated::Fills(count) => format!("{count} fills"),
        }
    }
}

impl RepeatWatch {
    /// An order was cleared. One at another price is progress: following the market is what a peg is for.
    pub(crate) fn sent(&mut self, rule: &Repeat, at: Stamp, px: Px) {
        if self.since.is_none_or(|since| at.since(since) >= rule.window_ms) {
            (self.since, self.children, self.fills) = (Some(at), 0, 0);
        }
        self.children = if px == self.px { self.children.saturating_add(1) } else { 1 };
        self.px = px;
        let repeated = match () {
            () if self.children > rule.children_max => Repeated::Children(self.children),
            () if self.fills > rule.fills_max => Repeated::Fills(self.fills),
            () => return,
        };
        self.latched.get_or_insert(repeated);
    }

    /// A fill is progress; it counts against its own limit, which the next order is held to.
    pub(crate) fn filled(&mut self) {
        self.children = 0;
        self.fills = self.fills.saturating_add(1);
    }

    pub(crate) const fn latched(&self) -> Option<Repeated> {
        self.latched
    }

    /// The operator has seen it.
    pub(crate) fn touch(&mut self) {
        *self = RepeatWatch::default();
    }
}

#[cfg(test)]
mod tests;
