//! `[[operators]]`: who may approve of re-arms and of loosened limits. Public data alone: an address each.

use domain::{EvmAddress, Operator};
use serde::Deserialize;

use super::checked::Faults;
use super::raw::{Scalar, Unknown};

/// More people than look after one daemon.
const OPERATORS_MAX: usize = 16;
const NAME_MAX: usize = 32;

/// `[[operators]]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RawOperator {
    /// What people and the journal call her.
    pub name: Option<Scalar>,
    /// Whose signatures are hers.
    pub address: Option<Scalar>,
    /// Anything else.
    #[serde(flatten)]
    pub unknown: Unknown,
}

/// The operators, each with a name and an address of her own.
pub(super) fn check(faults: &mut Faults, raw: &[RawOperator]) -> Vec<Operator> {
    let mut operators: Vec<Operator> = Vec::new();
    if raw.len() > OPERATORS_MAX {
        faults.add("operators", raw.len(), format!("at most {OPERATORS_MAX}"));
    }
    for (n, one) in raw.iter().enumerate() {
        let path = format!("operators[{n}]");
        faults.unknown(&path, &one.unknown);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let expected = format!("1 to {NAME_MAX} letters, digits, -, _ and ., unlike every other operator's");
        let good = |text: &str| {
            let sound = (1..=NAME_MAX).contains(&text.len()) && text.chars().all(plain);
            (sound && operators.iter().all(|o| !o.name.eq_ignore_ascii_case(text))).then(|| text.to_owned())
        };
        let name = faults.needed(&format!("{path}.name"), one.name.as_ref(), &expected, good);
        let expected = "0x and 40 hexadecimal digits, unlike every other operator's";
        let good = |text: &str| {
            let address = text.parse::<EvmAddress>().ok().filter(|address| address.0 != [0; 20]);
            address.filter(|address| operators.iter().all(|o| o.address != *address))
        };
        let address = faults.needed(&format!("{path}.address"), one.address.as_ref(), expected, good);
        if let (Some(name), Some(address)) = (name, address) {
            operators.push(Operator { name, address });
        }
    }
    operators
}

/// For `plimsoll check`.
pub(super) fn describe(operators: &[Operator]) -> String {
    let names: Vec<&str> = operators.iter().map(|o| o.name.as_str()).collect();
    match operators {
        [] => "Operators: none configured; whoever may open the operator socket may re-arm and loosen.".to_owned(),
        [one] => format!("Operators: {}; every re-arm and every loosened limit needs an approval signed by that key.", one.name),
        _ => format!(
            "Operators: {}; a re-arm from cancel or above and a limit loosened beyond double need two of them, the rest one.",
            names.join(", ")
        ),
    }
}
