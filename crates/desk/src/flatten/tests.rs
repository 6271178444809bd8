use super::*;

#[test]
fn i07_no_more_is_closed_than_is_shown() {
    for (wanted, shown, closed) in
        [(5, 10, 5), (5, 3, 3), (5, -3, 0), (-5, -10, -5), (-5, -3, -3), (-5, 3, 0), (5, 0, 0), (0, 5, 0)]
    {
        assert_eq!(within(Lots(wanted), Lots(shown)), Lots(closed), "{wanted} of {shown}");
    }
}

#[test]
fn a_note_holds_the_scope_and_is_no_longer_than_a_note_may_be() {
    let longest = "market:hyperliquid:KBONK".parse().unwrap();
    assert!(note(longest).chars().count() <= 64);
    assert!(note(StopScope::Parent(ParentId(u32::MAX))).chars().count() <= 64);
}
