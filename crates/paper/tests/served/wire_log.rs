use plimsoll_paper::{Fault, FaultOrder};
use serde_json::{Value, json};

use crate::harness::{Venue, order};

/// What a client sent is on record although the venue took none of it, and whether it could increase risk can be read there.
#[tokio::test]
async fn every_action_that_reached_the_door_is_on_record() {
    let venue = Venue::with_book().await;
    let mut reducing = order(false, "59000", "0.5", "Ioc");
    reducing["r"] = json!(true);
    reducing["c"] = json!("0x000000010000000200000003000000ff");
    venue.act(json!({ "type": "order", "orders": [order(true, "50000", "0.001", "Gtc"), reducing], "grouping": "na" })).await;
    venue.act(json!({ "type": "cancel", "cancels": [{ "a": 0, "o": 1 }, { "a": 0, "o": 2 }] })).await;
    let throttle = FaultOrder { count: Some(1), ..FaultOrder::new(Fault::TooManyRequests) };
    venue.paper.fault(throttle).await.expect("runs").expect("valid");
    let order = json!({ "type": "order", "orders": [order(true, "50000", "0.001", "Gtc")], "grouping": "na" });
    assert_eq!(venue.raw(order).await.expect("answers").0, 429);
    assert_eq!(venue.post("/exchange", &json!({ "action": "?" })).await.0, 422);
    let page = venue.http.get(format!("{}/wire?since=0", venue.paper.control_url())).send().await.expect("answers");
    let page: Value = page.json().await.expect("JSON");
    assert_eq!((&page["first"], &page["next"]), (&json!(0), &json!(4)));
    let arrivals = page["arrivals"].as_array().expect("a list");
    let kinds: Vec<_> = arrivals.iter().map(|a| (a["kind"].as_str().expect("a word"), &a["items"])).collect();
    assert_eq!(kinds, [("order", &json!(2)), ("cancel", &json!(2)), ("order", &json!(1)), ("unreadable", &json!(0))]);
    assert!(arrivals[0]["signers"].as_array().expect("a list").contains(&json!(venue.address())));
    let orders = &arrivals[0]["orders"];
    assert_eq!((&orders[0]["reduce_only"], &orders[1]["reduce_only"]), (&json!(false), &json!(true)));
    assert_eq!(orders[1]["cloid"], "0x000000010000000200000003000000ff");
    assert_eq!(venue.paper.wire(3).arrivals.len(), 1);
}
