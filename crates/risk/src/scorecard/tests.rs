use proptest::prelude::*;

use super::*;

const TODAY: u32 = 20_000;

fn card(answers: &[(Question, &str, u32)]) -> Scorecard {
    let answers = answers.iter().map(|(question, text, reviewed_day)| {
        let answer = Answer::parse(*question, text).unwrap_or_else(|e| panic!("{e}"));
        (*question, Reviewed { answer, evidence: "seen".into(), reviewed_day: *reviewed_day })
    });
    Scorecard { answers: answers.collect(), review_days: 180, drilled: None }
}

fn date(day: u32) -> &'static str {
    match day {
        19_990 => "2024-09-24",
        19_950 => "2024-08-15",
        19_910 => "2024-07-06",
        other => panic!("no date for {other}"),
    }
}

/// A card on which everything has its full mark.
fn best() -> Vec<(Question, String, u32)> {
    vec![
        (Question::Settlement, "finality_s=5, halts_90d=0".into(), TODAY),
        (Question::Exit, format!("drill={}, took_min=8, expected_min=4", date(19_990)), TODAY),
        (Question::Insurance, "share=0.02".into(), TODAY),
        (Question::LossSharing, "never".into(), TODAY),
        (Question::Oracle, "sources=5, staleness_s=10, deviation_bps=20".into(), TODAY),
        (Question::Transparency, "on_chain".into(), TODAY),
    ]
}

fn with(question: Question, text: &str) -> Trust {
    let mut answers = best();
    for entry in answers.iter_mut().filter(|(q, ..)| *q == question) {
        entry.1 = text.into();
    }
    let answers: Vec<_> = answers.iter().map(|(q, text, day)| (*q, text.as_str(), *day)).collect();
    card(&answers).trust(TODAY)
}

fn score(question: Question, text: &str) -> Option<String> {
    let trust = with(question, text);
    trust
        .marks
        .iter()
        .find(|m| m.question == question)
        .and_then(|m| m.score)
        .map(|s| s.decimal().round_dp(4).normalize().to_string())
}

#[test]
fn the_weights_sum_to_one_and_the_ends_are_those_of_the_formula() {
    let sum = Question::ALL.iter().fold(Decimal::ZERO, |sum, q| sum + q.weight().decimal());
    assert_eq!(sum, Decimal::ONE);
    let all = with(Question::Transparency, "on_chain");
    assert_eq!((all.tau, all.unknown), (Ratio::ONE, false));
    let nothing = Scorecard::unknown().trust(TODAY);
    assert_eq!((nothing.tau, nothing.unknown, nothing.unknown_questions().len()), (Ratio::scaled(2, 1), true, 6));
    assert_eq!(nothing.venue_cap(Ratio::scaled(4, 1), Usd::whole(1_000_000)), Usd::whole(80_000), "τ · 0.4 · E");
}

#[test]
fn scores_of_the_table() {
    let check = |question, cases: &[(&str, &str)]| {
        for (text, expected) in cases {
            assert_eq!(score(question, text).as_deref(), Some(*expected), "{text}");
        }
    };
    check(
        Question::Settlement,
        &[
            ("finality_s=1, halts_90d=0", "1"),
            ("finality_s=3600, halts_90d=0", "0"),
            ("finality_s=1, halts_90d=1", "0.5"),
            ("finality_s=1, halts_90d=4000000000", "0"),
        ],
    );
    let drill = |day: u32, took: u32| format!("drill={}, took_min={took}, expected_min=4", date(day));
    check(
        Question::Exit,
        &[
            (&drill(19_990, 8), "1"),
            (&drill(19_990, 12), "0.5"),
            (&drill(19_990, 16), "0"),
            (&drill(19_950, 4), "0.6667"),
            (&drill(19_910, 4), "0"),
        ],
    );
    check(Question::Insurance, &[("share=0.01", "0.5"), ("share=3", "1"), ("share=0", "0")]);
    check(Question::LossSharing, &[("last=2024-07-06", "0.5"), ("last=2024-10-04", "0"), ("last=1999-12-31", "1")]);
    check(
        Question::Oracle,
        &[
            ("sources=3, staleness_s=1, deviation_bps=1", "0.6"),
            ("sources=9, staleness_s=40, deviation_bps=1", "0.25"),
            ("sources=9, staleness_s=1, deviation_bps=200", "0.1"),
        ],
    );
    check(Question::Transparency, &[("no", "0")]);
}

#[test]
fn unknown_is_an_answer_and_an_old_review_is_unknown() {
    let unknown = with(Question::Insurance, "unknown");
    assert!(unknown.unknown);
    assert_eq!((unknown.tau.to_string(), unknown.unknown_questions()), ("0.84".into(), vec![Question::Insurance]));
    for (reviewed, is_unknown) in [(TODAY - 180, false), (TODAY - 181, true), (TODAY + 1, true), (0, true)] {
        let trust = card(&[(Question::Transparency, "on_chain", reviewed)]).trust(TODAY);
        let mark = trust.marks.iter().find(|m| m.question == Question::Transparency);
        assert_eq!(mark.map(|m| m.score.is_none()), Some(is_unknown), "{reviewed}: {mark:?}");
    }
}

#[test]
fn an_own_drill_replaces_what_was_stated_unless_that_is_newer() {
    let mut venue = card(&[(Question::Exit, "drill=2024-08-15, took_min=4, expected_min=4", TODAY)]);
    let exit = |venue: &Scorecard| venue.trust(TODAY).marks.iter().find(|m| m.question == Question::Exit).and_then(|m| m.score);
    let stated = exit(&venue);
    venue.drilled = Some(Drilled::Out(Drill { day: 19_990, took_min: 12, expected_min: 4 }));
    assert_eq!(exit(&venue), Some(Ratio::scaled(5, 1)), "the measured delay counts, though it is worse");
    venue.drilled = Some(Drilled::Out(Drill { day: 19_940, took_min: 12, expected_min: 4 }));
    assert_eq!(exit(&venue), stated, "older than what is stated");
    venue.drilled = Some(Drilled::Out(Drill { day: TODAY + 1, took_min: 1, expected_min: 4 }));
    assert_eq!(exit(&venue), stated, "a drill of tomorrow is none");
    venue.answers.clear();
    venue.drilled = Some(Drilled::Out(Drill { day: 19_990, took_min: 0, expected_min: 0 }));
    assert_eq!(exit(&venue), Some(Ratio::ONE));
}

#[test]
fn i34_a_drill_that_failed_or_is_overdue_makes_the_answer_unknown() {
    let mut venue = card(&[(Question::Exit, "drill=2024-09-25, took_min=4, expected_min=4", TODAY)]);
    let said = day_number("2024-09-25").unwrap();
    let exit = |venue: &Scorecard| venue.trust(TODAY).marks.into_iter().find(|m| m.question == Question::Exit).unwrap();
    assert_eq!(exit(&venue).score, Some(Ratio::ONE));
    venue.drilled = Some(Drilled::Failed { day: said + 1, why: "never paid".into() });
    let mark = exit(&venue);
    assert_eq!(mark.score, None);
    assert!(venue.trust(TODAY).unknown, "the buffer grows");
    assert!(mark.why.contains("never paid"), "{}", mark.why);
    venue.drilled = Some(Drilled::Overdue { day: said + 1 });
    assert_eq!(exit(&venue).score, None, "overdue is unknown (I34)");
    assert!(venue.trust(TODAY).unknown);
    for old in [Drilled::Failed { day: said - 1, why: "never paid".into() }, Drilled::Overdue { day: said - 1 }] {
        venue.drilled = Some(old);
        assert_eq!(exit(&venue).score, Some(Ratio::ONE), "what is stated is newer");
    }
}

#[test]
fn days_are_counted_from_1970() {
    for (text, day) in
        [("1970-01-01", 0), ("1970-12-31", 364), ("2000-02-29", 11_016), ("2024-10-04", 20_000), ("2100-03-01", 47_541)]
    {
        assert_eq!(day_number(text), Some(day), "{text}");
    }
    for bad in [
        "",
        "2024-10",
        "2024-10-4",
        "24-10-04",
        "2024-13-01",
        "2024-00-10",
        "2023-02-29",
        "2100-02-29",
        "1969-12-31",
        "2024-10-04x",
        "2024-10-04-1",
        "+024-10-04",
        "２０２４-10-04",
    ] {
        assert_eq!(day_number(bad), None, "{bad}");
    }
}

#[test]
fn a_bad_answer_shows_a_good_one() {
    for question in Question::ALL {
        for bad in [
            "",
            "yes",
            "finality_s=1",
            "share=-1",
            "share=1e9",
            "drill=2024-13-01, took_min=1, expected_min=1",
            "drill=2024-10-04, took_min=1, expected_min=0",
            "sources=5, staleness_s=1, deviation_bps=-1",
            "last=soon",
            "on_chain ",
        ] {
            let error = Answer::parse(question, bad).err().unwrap_or_else(|| panic!("{question:?} took {bad:?}"));
            assert!(error.to_string().contains(question.form()), "{error}");
        }
        assert_eq!(Answer::parse(question, "unknown"), Ok(Answer::Unknown));
    }
}

proptest! {
    #[test]
    fn trust_stays_in_range_and_an_unknown_answer_never_helps(
        finality_s: u32, halts_90d: u32, took_min: u32, expected_min: u32, day: u32, share in 0_i64..1_000_000_000, sources: u32,
        staleness_s: u32, deviation_bps: u32, on_chain: bool, today: u32, drop in 0_usize..6
    ) {
        let answers = [
            (Question::Settlement, Answer::Settlement { finality_s, halts_90d }),
            (Question::Exit, Answer::Exit(Drill { day, took_min, expected_min })),
            (Question::Insurance, Answer::Insurance { share: Ratio::scaled(share, 4) }),
            (Question::LossSharing, Answer::LossSharing { last_day: Some(day) }),
            (Question::Oracle, Answer::Oracle { sources, staleness_s, deviation_bps }),
            (Question::Transparency, Answer::Transparency { on_chain }),
        ];
        let mut venue = Scorecard::unknown();
        venue.answers = answers.map(|(q, answer)| (q, Reviewed { answer, evidence: String::new(), reviewed_day: today })).to_vec();
        let whole = venue.trust(today);
        prop_assert!(whole.tau >= Ratio::scaled(2, 1) && whole.tau <= Ratio::ONE && !whole.unknown);
        venue.answers[drop].1.answer = Answer::Unknown;
        let less = venue.trust(today);
        prop_assert!(less.tau <= whole.tau && less.unknown);
    }
}
