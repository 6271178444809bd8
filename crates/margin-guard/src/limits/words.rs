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
        out
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
