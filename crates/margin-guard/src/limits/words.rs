//! The limits in plain words.

use std::fmt;
use std::fmt::Write as _;

use super::{Caps, Limits};

impl Limits {
    /// The limits in plain words, one a line, for `plimsoll check`.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        let mut line = |text: fmt::Arguments<'_>| {
            // writing to a string cannot fail
            let _written: fmt::Result = writeln!(out, "{text}");
        };
        let names: Vec<_> = self.allow.iter().map(ToString::to_string).collect();
        line(format_args!("positions may grow only in {}", names.join(", ")));
        describe_caps(&mut line, "an order", &self.common);
        for (id, caps) in &self.market {
            describe_caps(&mut line, &format!("an order in {id}"), caps);
        }
        line(format_args!(
            "a parent is worth at most {}, all parents of an hour at most {}",
            self.parent_notional.usd(),
            self.parents_per_hour.usd()
        ));
        line(format_args!(
            "with every working order filled against us, positions at a venue are worth at most {}, those of all venues at \
             most {} times the equity, and equity stays at least {} times the maintenance margin",
            self.venue_notional.usd(),
            self.leverage.ratio(),
            self.cover.ratio()
        ));
        line(format_args!("at most {} orders work at a venue", self.open_orders_per_venue));
        line(format_args!(
            "a venue gets at most {} messages a minute ({} at once), a parent {} ({} at once); of that {} is for cancels \
             alone and {} more for orders that only shrink a position",
            self.venue_messages.0,
            self.venue_messages.1,
            self.parent_messages.0,
            self.parent_messages.1,
            self.cancel_reserve.ratio(),
            self.reduce_reserve.ratio()
        ));
        line(format_args!("equal orders of different parents are at least {} apart", self.duplicate_window));
        line(format_args!(
            "positions grow only on marks at most {} old, an account report at most {} old and clocks at most {} ms apart",
            self.marks_age, self.account_age, self.clock_offset_ms
        ));
        self.describe_size(&mut line);
        self.describe_margin(&mut line);
        self.describe_stops(&mut line);
        out
    }

    fn describe_size(&self, line: &mut impl FnMut(fmt::Arguments<'_>)) {
        let (sizing, funding) = (self.sizing(), self.funding());
        line(format_args!(
            "a position is at most equity × {} on layer 2 × {} for one market × leverage {} ({} tier), times {} / volatility \
             ({} to {}), divided by up to {} for funding ({} while it is not known); {} stated outside the venues counts as equity",
            sizing.alloc_l2,
            sizing.share_instrument,
            sizing.tier_leverage,
            sizing.tier.word(),
            sizing.sigma_target,
            sizing.v_min,
            sizing.v_max,
            funding.multiplier_max,
            funding.multiplier_unknown,
            sizing.other_equity_usd
        ));
        line(format_args!(
            "at most {} of the depth within {} bp of the mid; at a venue at most {} of the equity, times the trust in it, whose \
             reviews count for {} days",
            sizing.depth_share,
            sizing.depth_bps,
            sizing.share_venue,
            self.trust().review_days
        ));
        line(format_args!(
            "nothing grows when funding's |z| is {} or more, when {} of a day stood out the same way, or after {} hours without a \
             settled rate",
            funding.z_red, funding.persistence_red, funding.intervals_stale
        ));
        for group in self.groups() {
            let names: Vec<_> = group.markets.iter().map(ToString::to_string).collect();
            line(format_args!(
                "group {} ({}), weighted by beta: at most {} of the equity net and {} gross",
                group.name,
                names.join(", "),
                group.net_max,
                group.gross_max
            ));
        }
    }

    fn describe_margin(&self, line: &mut impl FnMut(fmt::Arguments<'_>)) {
        let (cover, buffer) = (self.cover(), self.buffer());
        line(format_args!(
            "by cover, which is equity over maintenance: watch below {}, top up below {}, reduce below {} until {} is restored, \
             kill below {}; a level is left {} above its threshold",
            cover.watch, cover.top_up, cover.reduce, cover.target, cover.kill, cover.hysteresis
        ));
        for scenario in self.scenarios() {
            let moves: Vec<_> = self.allow.iter().map(|id| format!("{id} {}", scenario.shock(*id))).collect();
            line(format_args!(
                "under the shock {} ({}, {} h of funding) and with each market moving alone, cover is at least {}",
                scenario.name,
                moves.join(", "),
                scenario.funding_hours,
                cover.shocked_min
            ));
        }
        line(format_args!(
            "liquidation prices stay {} of the mark away; free collateral bears {} × the move of {} minutes at {} confidence \
             (× {} while an answer about the venue is unknown) and lasts {} hours",
            self.liquidation().distance_min,
            buffer.tail,
            buffer.exit_minutes,
            buffer.alpha,
            buffer.unknown_factor,
            buffer.runway_hours_min
        ));
    }

    fn describe_stops(&self, line: &mut impl FnMut(fmt::Arguments<'_>)) {
        let (drawdown, oracle, rejects, repeat) = (self.drawdown(), self.oracle(), self.rejects(), self.repeat());
        line(format_args!(
            "drawdown: of the equity a position may lose {}, a group {}, a day {}, the account from its peak {}; a loss of {} in 1 \
             minute, {} in 5 or {} in 15 stops growth, and every order once nothing is held",
            drawdown.trade,
            drawdown.group,
            drawdown.day,
            drawdown.peak,
            drawdown.velocity_1m,
            drawdown.velocity_5m,
            drawdown.velocity_15m
        ));
        line(format_args!(
            "nothing grows on an oracle {} bp from mark or mid, older than {}, or the same for {} updates while the mid moves \
             {} bp, nor within {} after that",
            oracle.basis_max_bps, oracle.age_max_ms, oracle.frozen_updates, oracle.frozen_move_bps, oracle.quarantine_ms
        ));
        line(format_args!(
            "increases pause for {} after {} refusals in a row or {} of a minute's answers; a parent stops after {} orders at one \
             price without a fill or {} fills within {}",
            rejects.quiet_ms, rejects.consecutive_max, rejects.share_max, repeat.children_max, repeat.fills_max, repeat.window_ms
        ));
    }
}

fn describe_caps(line: &mut impl FnMut(fmt::Arguments<'_>), what: &str, caps: &Caps) {
    let size = caps.order_size.map_or(String::new(), |s| format!("{} base units and ", s.normalize()));
    line(format_args!(
        "{what} is at most {size}{} and within {} of the reference price ({} if it only shrinks a position); its market's \
         worst-case position is at most {}, its working orders at most {}, its book at most {} old",
        caps.order_notional.usd(),
        caps.price_collar.ratio(),
        caps.price_collar_reduce.ratio(),
        caps.market_notional.usd(),
        caps.open_orders,
        caps.book_age
    ));
}
