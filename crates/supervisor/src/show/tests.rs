use super::hull::{Draught, Mark, draw};
use super::*;

pub fn ratio(text: &str) -> Ratio {
    Ratio::new(text.parse().unwrap()).unwrap()
}

fn ship(now: Option<&str>, worst: Option<&str>) -> Draught {
    let mark = |name: &str, cover: &str| Mark { name: name.to_owned(), cover: ratio(cover), load_line: name == "load line" };
    Draught {
        now: now.map(ratio),
        worst: worst.map(|cover| ("crash".to_owned(), ratio(cover))),
        marks: vec![mark("watch", "4"), mark("load line", "3"), mark("reduce", "2"), mark("kill", "1.4")],
    }
}

/// Compares with `golden/NAME.txt`; with `PLIMSOLL_GOLDEN=write` in the environment it writes that file instead.
#[track_caller]
pub fn golden(name: &str, lines: &[String]) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/show/golden/{name}.txt"));
    let got = format!("{}\n", lines.join("\n"));
    if std::env::var_os("PLIMSOLL_GOLDEN").is_some_and(|v| v == "write") {
        std::fs::write(&file, &got).unwrap();
    }
    let wanted = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    assert_eq!(got, wanted, "\n{got}");
}

#[track_caller]
pub fn inside(lines: &[String], width: usize) {
    let wide = lines.iter().find(|line| line.chars().count() > width);
    assert_eq!(wide, None, "wider than {width}");
}

#[test]
fn a_hull_shows_the_water_its_marks_and_the_worst_case() {
    golden("hull", &draw(&ship(Some("5.1"), Some("1.9")), 96));
    golden("hull_empty", &draw(&ship(None, None), 80));
    golden("hull_narrow", &draw(&ship(Some("52.25"), Some("0.8")), 50));
    golden("hull_light", &draw(&ship(Some("2500"), Some("-3")), 80));
    for width in WIDTH_MIN..=WIDTH_MAX {
        inside(&draw(&ship(Some("3.01"), Some("2.9")), width), width);
    }
}

#[test]
fn amounts_have_separators_and_keep_their_sign() {
    let money = |text: &str| super::money(text.parse().unwrap());
    assert_eq!(
        ["0", "-0.004", "999.995", "-1234567.8", "1000"].map(money),
        ["0.00", "0.00", "1,000.00", "-1,234,567.80", "1,000.00"]
    );
    assert_eq!(percent(ratio("0.0000125"), 5), "0.00125 %");
    assert_eq!(wrapped("one two  three fourteen", 8), ["one two", "three", "fourteen"]);
    assert!(wrapped("", 8).is_empty());
}
