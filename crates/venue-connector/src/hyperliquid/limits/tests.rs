use proptest::prelude::*;

use super::*;

fn at_ms(ms: u64) -> Stamp {
    Stamp { mono: ms * 1_000_000, wall_ms: 1_700_000_000_000 + ms }
}

#[test]
fn c07_placements_leave_a_reserve_to_cancels() {
    let window = WeightWindow::new(1_000);
    let mut placed = 0;
    while window.take(at_ms(10), 1, Purpose::Place).is_ok() {
        placed += 1;
    }
    assert_eq!(placed, 700);
    assert!(window.take(at_ms(10), 1, Purpose::Refresh).is_err());
    assert_eq!(window.take(at_ms(10), 150, Purpose::Recover), Ok(()));
    assert!(window.take(at_ms(10), 1, Purpose::Recover).is_err());
    for _ in 0..150 {
        assert_eq!(window.take(at_ms(10), 1, Purpose::Cancel), Ok(()));
    }
    let spent = window.take(at_ms(10), 1, Purpose::Cancel);
    assert!(spent.is_err_and(|s| s.wait > Duration::from_secs(59) && s.wait <= Duration::from_secs(61)), "{spent:?}");
}

#[test]
fn the_wait_that_is_named_is_enough() {
    let window = WeightWindow::new(200);
    assert_eq!(window.take(at_ms(0), 60, Purpose::Place), Ok(()));
    assert_eq!(window.take(at_ms(20_000), 80, Purpose::Place), Ok(()));
    let Err(spent) = window.take(at_ms(30_500), 20, Purpose::Place) else { panic!("the ceiling of placements is 140") };
    let later = 30_500 + u64::try_from(spent.wait.as_millis()).unwrap_or(u64::MAX);
    assert!((60_000..=61_000).contains(&later), "{later}");
    assert!(window.take(at_ms(later - 2), 20, Purpose::Place).is_err());
    assert_eq!(window.take(at_ms(later), 20, Purpose::Place), Ok(()));
}

#[test]
fn a_surcharge_overdraws_and_is_paid_back() {
    let window = WeightWindow::new(200);
    window.charge(at_ms(0), 500);
    assert!(window.take(at_ms(1), 1, Purpose::Cancel).is_err());
    assert_eq!(window.take(at_ms(61_000), 1, Purpose::Cancel), Ok(()));
}

proptest! {
    /// I10, against a list of everything that was let through.
    #[test]
    fn i10_no_minute_exceeds_the_limit_or_the_share(
        asks in prop::collection::vec((0_u64..4_000, 1_u32..40, 0_u8..5), 1..400),
    ) {
        let window = WeightWindow::new(300);
        let mut now = 0;
        let mut passed: Vec<(u64, u32)> = Vec::new();
        for (step, weight, purpose) in asks {
            now += step;
            let purpose = [Purpose::Cancel, Purpose::Place, Purpose::Recover, Purpose::Refresh, Purpose::History][usize::from(purpose)];
            if window.take(at_ms(now), weight, purpose).is_ok() {
                passed.push((now, weight));
                let minute: u32 = passed.iter().filter(|(t, _)| *t + 60_000 > now).map(|(_, w)| w).sum();
                let ceiling = match purpose { Purpose::Cancel => 300, Purpose::Place => 210, Purpose::Recover => 255, Purpose::Refresh => 180, Purpose::History => 150 };
                prop_assert!(minute <= ceiling, "{minute} > {ceiling} for {purpose:?}");
            } else {
                // refused only if the last 61 seconds really are that full
                let wide: u32 = passed.iter().filter(|(t, _)| *t + 61_000 > now).map(|(_, w)| w).sum();
                let ceiling = match purpose { Purpose::Cancel => 300, Purpose::Place => 210, Purpose::Recover => 255, Purpose::Refresh => 180, Purpose::History => 150 };
                prop_assert!(wide + weight > ceiling);
            }
        }
    }
}

#[test]
fn f48_a_spent_address_lets_reductions_trickle_and_never_holds_cancels() {
    let budget = AddressBudget::new(9_998, 10_000);
    assert_eq!(budget.place(at_ms(0), 2, false), Ok(()));
    assert!(budget.place(at_ms(0), 1, false).is_err(), "only what reduces passes");
    assert_eq!(budget.place(at_ms(0), 1, true), Ok(()));
    assert!(budget.place(at_ms(10_000), 1, true).is_err());
    assert_eq!(budget.place(at_ms(11_000), 1, true), Ok(()));
    budget.cancel(50);
    assert_eq!(budget.used(), (10_052, 10_000, 20_000));
    budget.observe(10_052, 12_000);
    assert_eq!(budget.place(at_ms(12_000), 100, false), Ok(()));
    budget.exhausted();
    assert!(budget.place(at_ms(12_000), 1, false).is_err());
}
