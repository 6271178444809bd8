use proptest::prelude::*;

use super::*;

fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn roots_are_the_next_number_above() {
    assert_eq!(sqrt_up(dec("0")), Decimal::ZERO);
    assert_eq!(sqrt_up(dec("-4")), Decimal::ZERO);
    assert_eq!(sqrt_up(dec("4")), dec("2"));
    assert_eq!(sqrt_up(dec("2")), dec("1.414213562373095049"));
    assert_eq!(sqrt_up(dec("0.0000000000000000000000000001")), dec("0.00000000000001"));
    assert_eq!(sqrt_up(Decimal::MAX), dec("1000000000"), "cut at 10^18");
}

#[test]
fn extremes_are_cut() {
    let huge = Decimal::MAX;
    assert_eq!(mul(huge, huge), limit());
    assert_eq!(mul(-huge, huge), -limit());
    assert_eq!(add(huge, huge), limit());
    assert_eq!(div(huge, Decimal::ZERO), limit());
    assert_eq!(div(Decimal::NEGATIVE_ONE, Decimal::ZERO), -limit());
    assert_eq!(div(Decimal::ZERO, Decimal::ZERO), Decimal::ZERO);
    assert_eq!(allowed(-huge), Usd::ZERO);
    assert_eq!(ratio_up(huge).to_string(), "1000000000");
}

#[test]
fn ramps_end_where_they_say() {
    let at = |x: &str| ramp(dec(x), dec("2"), dec("5"));
    assert_eq!((at("1.9"), at("3.5"), at("5"), at("60")), (dec("0"), dec("0.5"), dec("1"), dec("1")));
    assert_eq!(ramp(dec("3"), dec("3"), dec("3")), Decimal::ONE, "a ramp without length is a step");
}

proptest! {
    #[test]
    fn the_square_of_the_root_is_not_below(mantissa in 0_i64.., scale in 0_u32..28) {
        let x = Decimal::new(mantissa, scale);
        let root = sqrt_up(x);
        prop_assert!(mul(root, root) >= cut(x).round_dp(12) - dec("0.000000000001"), "{x} {root}");
        prop_assert!(sqrt_up(x + Decimal::new(1, scale)) >= root);
    }
}
