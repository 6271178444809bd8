use super::*;

fn with(lines: &str) -> Result<Checked, ConfigError> {
    read_with(&format!("{EMBEDDED}{lines}"), &[], &[])
}

fn operator(name: &str, address: &str) -> String {
    format!("[[operators]]\nname = \"{name}\"\naddress = \"{address}\"\n")
}

const ONE: &str = "0x00000000000000000000000000000000000000a1";
const TWO: &str = "0x00000000000000000000000000000000000000B2";

#[test]
fn operators_have_a_name_and_an_address_of_their_own() {
    assert!(read(EMBEDDED).operators.is_empty());
    let two = with(&(operator("anna", ONE) + &operator("bob.2", TWO))).unwrap_or_else(|e| panic!("{e}"));
    let names: Vec<&str> = two.operators.iter().map(|o| o.name.as_str()).collect();
    assert_eq!((names.as_slice(), two.operators[1].address.0[19]), (["anna", "bob.2"].as_slice(), 0xb2));
    assert!(two.describe().contains("Operators: anna, bob.2; a re-arm from cancel or above"), "{}", two.describe());
    assert_ne!(two.hash, read(EMBEDDED).hash, "who may approve is part of what is done");
    let bad = operator("anna", ONE)
        + &operator("Anna", TWO)
        + &operator("bob", ONE)
        + &operator("", "0x12")
        + "[[operators]]\nname = \"eve\\nadmin\"\naddress = \"0x0000000000000000000000000000000000000000\"\nkey_file = \"k\"\n"
        + "[[operators]]\n";
    assert_eq!(
        faults(with(&bad)),
        [
            "operators[1].name = Anna",
            &format!("operators[2].address = {ONE}"),
            "operators[3].address = 0x12",
            "operators[3].name = ",
            "operators[4].address = 0x0000000000000000000000000000000000000000",
            "operators[4].key_file = (set)",
            "operators[4].name = eve\nadmin",
            "operators[5].address = (absent)",
            "operators[5].name = (absent)",
        ]
    );
    let many: String = (1..=17).map(|n| operator(&format!("o{n}"), &format!("0x{n:040x}"))).collect();
    assert_eq!(faults(with(&many)), ["operators = 17"]);
    assert!(matches!(with("[operators]\nname = \"anna\""), Err(ConfigError::Faults { .. })), "a section is no list");
    // pasted in the wrong place, it is not repeated (I31)
    let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    assert!(!with(&operator("anna", key)).unwrap_err().to_string().contains(key));
}
