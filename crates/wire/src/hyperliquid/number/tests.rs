use proptest::prelude::*;

use super::*;

/// The value of a plain decimal as numerator over a power of ten, by schoolbook.
fn rational(text: &str) -> (i128, u32) {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let sign = if text.starts_with('-') { -1 } else { 1 };
    (sign * digits.parse::<i128>().expect("digits"), u32::try_from(scale).expect("short"))
}

fn equal((a, a_scale): (i128, u32), (b, b_scale): (i128, u32)) -> bool {
    a * 10_i128.pow(b_scale) == b * 10_i128.pow(a_scale)
}

fn of<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(json)
}

#[test]
fn numbers_are_strings() {
    assert_eq!(of::<Num>(r#""97123.0""#).map(|n| n.to_string()).ok(), Some("97123.0".into()));
    assert_eq!(of::<Num>(r#""97123""#).map(|n| n.to_string()).ok(), Some("97123.0".into()));
    assert_eq!(of::<Num>(r#""0.50""#).map(|n| n.to_string()).ok(), Some("0.5".into()));
    for bad in [
        "1",
        "1.5",
        "null",
        "true",
        r#""NaN""#,
        r#""1e3""#,
        r#""+1""#,
        r#""１""#,
        r#""""#,
        r#""1.2345678901234567890123456789012""#,
    ] {
        assert!(of::<Num>(bad).is_err(), "{bad}");
    }
}

#[test]
fn loose_numbers_may_be_numbers() {
    for (json, expected) in [
        (r#""3495670.8399999999""#, "3495670.8399999999"),
        ("0.76534", "0.76534"),
        ("5", "5"),
        ("-2", "-2"),
        ("1e-7", "0.0000001"),
    ] {
        assert_eq!(of::<LooseNum>(json).map(|n| n.get().to_string()).ok().as_deref(), Some(expected));
    }
    for bad in ["1e300", r#""1e3""#, "true", "null"] {
        assert!(of::<LooseNum>(bad).is_err(), "{bad}");
    }
}

#[test]
fn wire_decimals_refuse_to_round() {
    assert!("0.123456789".parse::<WireDecimal>().is_err());
    assert_eq!("0.123456780".parse::<WireDecimal>().map(|d| d.to_string()), Ok("0.12345678".into()));
    assert_eq!("-0.0".parse::<WireDecimal>().map(|d| d.to_string()), Ok("0".into()));
    assert_eq!("100000000".parse::<WireDecimal>().map(|d| d.to_string()), Ok("100000000".into()));
}

#[test]
fn signed_texts_are_kept_as_written() {
    assert_eq!("1.0".parse::<DecimalText>().map(|t| t.as_str().to_owned()), Ok("1.0".into()));
    assert!("1,0".parse::<DecimalText>().is_err());
}

proptest! {
    /// FZ08: parse and format against a rational.
    #[test]
    fn fz08_wire_decimals_round_trip(units in -10_i64.pow(17)..10_i64.pow(17), scale in 0_u32..9, zeros in 0_usize..3) {
        let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
        let sign = if units < 0 { "-" } else { "" };
        let padding = "0".repeat(if scale == 0 { 0 } else { zeros });
        let text = if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}{padding}") };
        let value: WireDecimal = text.parse().map_err(|e| TestCaseError::fail(format!("{e}")))?;
        let written = value.to_string();
        prop_assert!(equal(rational(&text), rational(&written)), "{} became {}", text, written);
        prop_assert!(!written.contains(['e', 'E', '+']), "{}", written);
        prop_assert!(!written.contains('.') || !written.ends_with(['0', '.']), "{}", written);
        prop_assert_eq!(written.parse::<WireDecimal>().ok(), Some(value));
        let json = serde_json::to_string(&Num(value.get())).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert!(json.contains('.'));
        prop_assert_eq!(of::<Num>(&json).ok(), Some(Num(value.get())));
    }

    /// The short cut is the domain's own reading, to the last zero.
    #[test]
    fn the_short_cut_changes_nothing(text in "-?[0-9]{0,21}\\.?[0-9]{0,12}|[-+0-9.eE ]{0,24}") {
        let unpacked = |value: Option<Decimal>| value.map(|value| value.unpack());
        prop_assert_eq!(unpacked(decimal(&text)), unpacked(plain_decimal(&text)), "{:?}", text);
    }

    #[test]
    fn what_is_no_plain_decimal_is_refused(text in "[-+0-9.eE xNaN_,]{0,8}") {
        let plain = {
            let digits = text.strip_prefix('-').unwrap_or(&text);
            let mut parts = digits.split('.');
            let good = |part: Option<&str>| part.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
            let whole = good(parts.next());
            let fraction = parts.next();
            whole && (fraction.is_none() || good(fraction)) && parts.next().is_none()
        };
        prop_assert_eq!(text.parse::<WireDecimal>().is_ok(), plain, "{:?}", text);
    }
}
