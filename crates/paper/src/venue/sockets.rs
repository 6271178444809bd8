//! Sockets and what they subscribe to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use axum::extract::ws::Utf8Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Conn, ConnId, FrameAsk, Venue};
use crate::streams::Sub;

impl Venue {
    pub(super) fn connect(&mut self, ip: IpAddr, out: mpsc::Sender<Utf8Bytes>) -> Option<ConnId> {
        if !self.ips.of(ip).connect(self.now_ms, &self.limits) {
            return None;
        }
        let id = self.next_conn;
        self.next_conn += 1;
        self.conns.insert(id, Conn { ip, out, subs: BTreeSet::new() });
        Some(id)
    }

    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        let Some(gone) = self.conns.remove(&conn) else { return };
        for sub in &gone.subs {
            self.unlisten(conn, gone.ip, sub);
        }
        let budget = self.ips.of(gone.ip);
        budget.connections = budget.connections.saturating_sub(1);
        self.last_seen_ms = self.now_ms;
    }

    /// Removes `conn` from a stream and gives back what it took from the IP's budget.
    fn unlisten(&mut self, conn: ConnId, ip: IpAddr, sub: &Sub) {
        let budget = self.ips.of(ip);
        budget.subscriptions = budget.subscriptions.saturating_sub(1);
        if let Some(user) = sub.user() {
            budget.unwatch(user);
        }
        let account = sub.user().map(|u| self.account_of(u));
        let listeners = match account {
            Some(account) => self.user_listeners.entry(account).or_default(),
            None => &mut self.market_listeners,
        };
        if let Some(set) = listeners.get_mut(sub) {
            set.remove(&conn);
            if set.is_empty() {
                listeners.remove(sub);
            }
        }
        if let Some(account) = account.filter(|a| self.user_listeners.get(a).is_some_and(BTreeMap::is_empty)) {
            self.user_listeners.remove(&account);
        }
    }

    pub(super) fn frame(&mut self, conn: ConnId, frame: FrameAsk) {
        let Some(ip) = self.conns.get(&conn).map(|c| c.ip) else { return };
        let is_reply = matches!(frame, FrameAsk::Out(_));
        if !is_reply && !self.ips.of(ip).message(self.now_ms, &self.limits) {
            tracing::debug!(conn, "too many messages: the socket is closed");
            self.drop_conn(conn);
            return;
        }
        match frame {
            FrameAsk::Ping => self.out_text(conn, r#"{"channel":"pong"}"#.into()),
            FrameAsk::Out(text) => self.out_text(conn, text.into()),
            FrameAsk::Counted => {}
            FrameAsk::Unreadable(text) => {
                let text: String = text.chars().take(400).collect();
                self.error(conn, &format!("Error parsing JSON into valid websocket request: {text}"));
            }
            FrameAsk::Subscribe(value) => self.subscribe(conn, ip, &value),
            FrameAsk::Unsubscribe(value) => match serde_json::from_value::<Sub>(value.clone()) {
                Ok(sub) if self.conns.get_mut(&conn).is_some_and(|c| c.subs.remove(&sub)) => {
                    self.unlisten(conn, ip, &sub);
                    self.acknowledge(conn, "unsubscribe", &sub);
                }
                Ok(sub) => self.error(conn, &format!("Already unsubscribed: {}", sub.text())),
                Err(_) => self.error(conn, &format!("Invalid subscription {value}")),
            },
        }
    }

    fn error(&mut self, conn: ConnId, text: &str) {
        self.out(conn, &json!({ "channel": "error", "data": text }));
    }

    fn acknowledge(&mut self, conn: ConnId, method: &str, sub: &Sub) {
        self.out(conn, &json!({ "channel": "subscriptionResponse", "data": { "method": method, "subscription": sub } }));
    }

    fn subscribe(&mut self, conn: ConnId, ip: IpAddr, value: &Value) {
        let sub = serde_json::from_value::<Sub>(value.clone()).ok().filter(|s| self.is_subscribable(s));
        let Some(sub) = sub else { return self.error(conn, &format!("Invalid subscription {value}")) };
        if self.conns.get(&conn).is_none_or(|c| c.subs.contains(&sub)) {
            return self.error(conn, &format!("Already subscribed: {}", sub.text()));
        }
        let budget = self.ips.of(ip);
        if budget.subscriptions >= self.limits.ws_subscriptions {
            return self.error(conn, &format!("Cannot track more than {} total subscriptions.", self.limits.ws_subscriptions));
        }
        if sub.user().is_some_and(|user| !budget.watch(user, &self.limits)) {
            return self.error(conn, &format!("Cannot track more than {} total users.", self.limits.ws_users));
        }
        budget.subscriptions += 1;
        let listeners = match sub.user() {
            Some(user) => {
                let account = self.sight(user);
                self.user_listeners.entry(account).or_default()
            }
            None => &mut self.market_listeners,
        };
        listeners.entry(sub.clone()).or_default().insert(conn);
        if let Some(c) = self.conns.get_mut(&conn) {
            c.subs.insert(sub.clone());
        }
        self.acknowledge(conn, "subscribe", &sub);
        self.first_message(conn, &sub);
    }

    fn is_subscribable(&self, sub: &Sub) -> bool {
        let coin = sub.coin().is_none_or(|c| self.universe.named(c).is_some());
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these have parameters to check")]
        let parameters = match sub {
            Sub::L2Book { n_sig_figs, mantissa, .. } => crate::render::Grouping::new(*n_sig_figs, *mantissa).is_some(),
            Sub::Candle { interval, .. } => crate::candles::interval_ms(interval).is_some(),
            _ => true,
        };
        coin && parameters
    }
}
