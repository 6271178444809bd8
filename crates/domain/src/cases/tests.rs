use super::*;

/// Sums a list, so that the runner has something to judge.
fn one(case: &Value) -> Outcome {
    let sum = |inputs: &Inputs| {
        let sum: f64 = inputs.numbers(&["x"])?.iter().sum();
        Ok(figures([("sum", json!(sum)), ("both", json!([sum, { "half": sum / 2.0 }]))]))
    };
    run(&json!({ "cases": [case] }).to_string(), &[Topic::new("sum", sum)])
}

fn judged(expected: &Value, tol: &Value) -> bool {
    let outcome = one(&json!({ "id": "a", "topic": "sum", "inputs": { "x": [1, 2] }, "expected": expected, "tol": tol }));
    assert_eq!(outcome.passed + outcome.failed.len(), 1);
    outcome.passed == 1
}

#[test]
fn a_figure_passes_within_its_tolerance_alone() {
    assert!(judged(&json!({ "sum": 3.000_000_000_1 }), &Value::Null));
    assert!(!judged(&json!({ "sum": 3.000_01 }), &Value::Null));
    assert!(judged(&json!({ "sum": 3.1 }), &json!({ "abs": 0.1 })));
    assert!(!judged(&json!({ "sum": 3.2 }), &json!({ "abs": 0.1 })));
    assert!(judged(&json!({ "sum": 3.2 }), &json!({ "abs": 0.1, "sum_abs": 0.2 })));
    assert!(!judged(&json!({ "sum": 3.000_000_000_1 }), &json!({ "exact": true })));
    assert!(judged(&json!({ "both": [3, { "half": 1.5 }] }), &Value::Null));
    assert!(!judged(&json!({ "both": [3, { "half": 1.6 }] }), &Value::Null));
    assert!(!judged(&json!({ "both": [3] }), &Value::Null));
}

#[test]
fn what_cannot_be_judged_does_not_pass() {
    let failures = |text: &str| run(text, &[]).failed.len();
    assert_eq!(failures("{"), 1);
    assert_eq!(failures("{}"), 1);
    assert_eq!(failures(r#"{"cases": [{"id": "x"}]}"#), 1);
    assert_eq!(run(r#"{"cases": []}"#, &[]), Outcome::default());
    assert!(!judged(&json!({}), &Value::Null));
    assert!(!judged(&json!({ "magic": 1 }), &Value::Null));
    assert!(!judged(&json!({ "sum": "3" }), &Value::Null));
    assert!(!judged(&json!({ "sum": 3 }), &json!([])));
    assert_eq!(one(&json!({ "topic": "sum", "inputs": {}, "expected": { "sum": 3 } })).failed.len(), 1);
    assert_eq!(one(&json!({ "topic": "product", "inputs": {}, "expected": {} })).skipped, ["product"]);
}
