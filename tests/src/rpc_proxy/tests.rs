use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::http;

const SOON: Duration = Duration::from_secs(10);

/// An endpoint that answers each call with its method, and counts what reached it.
fn echo() -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let body = request(&mut BufReader::new(stream.try_clone().unwrap())).unwrap().unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let asked: Value = serde_json::from_str(&body).unwrap();
            let one = |call: &Value| json!({"id": call["id"], "result": call["method"]});
            let answer = asked.as_array().map_or_else(|| one(&asked), |all| all.iter().map(one).collect());
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n{answer}").unwrap();
        }
    });
    (url, count)
}

fn call(proxy: &RpcProxy, method: &str) -> Result<Value> {
    // the connection is kept open by the proxy: closed from this side, the answer ends
    let body = json!({"id": 7, "method": method, "params": ["0xab"]}).to_string();
    let host = proxy.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, text) = answer.split_once("\r\n\r\n").context("an answer")?;
    Ok(serde_json::from_str(text)?)
}

#[test]
fn a_held_request_goes_when_it_may_and_the_chain_sees_it_only_then() {
    let (url, count) = echo();
    let proxy = Arc::new(RpcProxy::start(&url).unwrap());
    proxy.set(SEND, Fate::Hold);
    let (told, heard) = mpsc::channel();
    let caller = Arc::clone(&proxy);
    thread::spawn(move || told.send(call(&caller, SEND).unwrap()).unwrap());
    proxy.wait_held(SEND, SOON).unwrap();
    assert_eq!(call(&proxy, "eth_chainId").unwrap()["result"], "eth_chainId", "others pass");
    assert_eq!((count.load(Ordering::SeqCst), proxy.sends()), (1, vec!["0xab".to_owned()]));
    proxy.pass(SEND);
    assert_eq!(heard.recv_timeout(SOON).unwrap()["result"], SEND);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn what_is_lost_never_reaches_the_chain_and_what_is_swallowed_does() {
    let (url, count) = echo();
    let proxy = RpcProxy::start(&url).unwrap();
    for (fate, answered, reached) in [(Fate::Lose, false, 0), (Fate::Swallow, false, 1), (Fate::Pretend, true, 1)] {
        proxy.set(SEND, fate);
        assert_eq!(call(&proxy, SEND).is_ok(), answered, "{fate:?}");
        assert_eq!(count.load(Ordering::SeqCst), reached, "{fate:?}");
    }
    proxy.honest();
    assert!(call(&proxy, SEND).is_ok() && proxy.sends().len() == 4 && proxy.sent().len() == 1);
}

#[test]
fn answers_are_changed_by_method_in_a_batch_too() {
    let (url, _) = echo();
    let proxy = RpcProxy::start(&url).unwrap();
    proxy.twist(|method, answer| {
        if method == "eth_chainId" {
            answer["result"] = json!("0x1");
        }
    });
    let body = json!([{"id": 1, "method": "eth_chainId"}, {"id": 2, "method": "eth_gasPrice"}]);
    let answer = answered(&proxy.shared, &body.to_string()).unwrap().unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer[0]["result"], &answer[1]["result"]), (&json!("0x1"), &json!("eth_gasPrice")));
    assert_eq!(http::post(&url, "/", &body[0]).unwrap()["result"], "eth_chainId", "the chain itself says otherwise");
}
