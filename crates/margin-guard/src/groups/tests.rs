//! Sums of a group against the obvious way of computing them.

use domain::{Ratio, Side, Usd};
use proptest::prelude::*;

use super::*;
use crate::world::{btc, known, t0};

fn beta(num: i64, decimals: u32) -> Beta {
    let mut measure = known(btc(), t0());
    measure.beta = Some(Ratio::scaled(num, decimals));
    Beta::of(Some(&measure))
}

fn money(usd: i32) -> Money {
    Money::from_usd(Usd::whole(usd))
}

#[test]
fn beta_is_rounded_against_us_and_missing_beta_offsets_nothing() {
    assert_eq!(beta(12_345, 4), Beta { adds: 1_235, offsets: 1_234, negative: false });
    assert_eq!(beta(-5, 1), Beta { adds: 500, offsets: 500, negative: true });
    assert_eq!(Beta::of(None), UNKNOWN);
    assert_eq!(beta(11, 0), UNKNOWN, "no measurement");
    let long = Weighted::of(UNKNOWN, money(100), money(0), money(100));
    let short = Weighted::of(UNKNOWN, money(0), money(-100), money(100));
    let sums = GroupSums::default().moved(&Weighted::default(), &long).moved(&Weighted::default(), &short);
    assert_eq!((sums.net(Side::Buy), sums.net(Side::Sell), sums.gross()), (money(150), money(150), money(300)));
}

#[test]
fn a_hedge_offsets_and_a_negative_beta_turns_it_around() {
    // long 100 of beta 1 against short 50 of beta 1.2: net 40 long, gross 160
    let long = Weighted::of(beta(1, 0), money(100), money(100), money(100));
    let short = Weighted::of(beta(12, 1), money(-50), money(-50), money(50));
    let sums = GroupSums::default().moved(&Weighted::default(), &long).moved(&Weighted::default(), &short);
    assert_eq!((sums.net(Side::Buy), sums.net(Side::Sell), sums.gross()), (money(40), Money::ZERO, money(160)));
    let against = Weighted::of(beta(-1, 0), money(30), money(30), money(30));
    let sums = sums.moved(&Weighted::default(), &against);
    assert_eq!((sums.net(Side::Buy), sums.gross()), (money(10), money(190)));
    assert_eq!(beta(-1, 0).direction(Side::Buy), Side::Sell);
}

proptest! {
    /// The room is the largest position that both caps allow, to the cent.
    #[test]
    fn room_is_what_the_caps_leave(
        others in proptest::collection::vec((0_i64..3_000, -1_000_i32..1_000), 0..6),
        own_beta in 1_i64..3_000,
        net_max in 0_i32..4_000,
        gross_max in 0_i32..8_000,
    ) {
        let own = beta(own_beta, 3);
        let mut sums = GroupSums::default();
        for (b, position) in others {
            let one = Weighted::of(beta(b, 3), money(position), money(position), money(position.abs()));
            sums = sums.moved(&Weighted::default(), &one);
        }
        let room = sums.room(own, &Weighted::default(), Side::Buy, money(net_max), money(gross_max));
        let holds = |value: Money| {
            let with = sums.moved(&Weighted::default(), &Weighted::of(own, value, value, value));
            with.net(Side::Buy) <= money(net_max) && with.gross() <= money(gross_max)
        };
        prop_assert!(room == Money::ZERO || holds(room));
        prop_assert!(!holds(room.plus(Money(10_000_000_000))));
    }
}
