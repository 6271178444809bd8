use super::hull::{Draught, Mark, draw};
use super::*;

fn ratio(text: &str) -> Ratio {
    Ratio::new(text.parse().unwrap()).unwrap()
}

fn ship(now: Option<&str>, worst: Option<&str>) -> Draught {
    let mark = |name: &str, cover: &str| Mark { name: name.to_owned(), cover: ratio(cover) };
    Draught {
        now: now.map(ratio),
        worst: worst.map(|cover| ("crash".to_owned(), ratio(cover))),
        marks: vec![mark("watch", "4"), mark("top up", "3"), mark("reduce", "2"), mark("kill", "1.4")],
    }
}

#[test]
fn a_hull_shows_the_water_its_marks_and_the_worst_case() {
    let lines = draw(&ship(Some("5.1"), Some("1.9")), 96);
    println!("{}", lines.join("\n"));
    insta_like(
        &lines, "
",
    );
}

fn insta_like(lines: &[String], wanted: &str) {
    assert_eq!(lines.join("\n").trim_matches('\n'), wanted.trim_matches('\n'));
}
