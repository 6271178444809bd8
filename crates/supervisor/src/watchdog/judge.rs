//! Whether the daemon is alive, from looks at its heartbeat and a clock. No I/O.

use std::time::Duration;

use crate::heartbeat::{Beat, Seen};

/// A record may be this far ahead of the reader's clock: they read it within microseconds of each other, on one machine.
const AHEAD_MAX: Duration = Duration::from_millis(100);

/// What follows from a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The loop that trades is alive.
    Alive,
    /// No fresh life sign since this watchdog began, and not yet for too long: how much longer it waits.
    Waiting(Duration),
    /// The daemon has ended in an orderly way and left nothing open.
    Away,
    /// Too long without a life sign: why, in words.
    Silent(String),
}

/// What has been seen of one heartbeat.
#[derive(Debug)]
pub struct Judge {
    limit: u64,
    first_beat: u64,
    /// From when on a first fresh life sign is waited for; nothing once there was one.
    waiting_since: Option<u64>,
    /// The newest life sign.
    alive_ns: u64,
    away: bool,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Judge {
    /// A watchdog that begins at `now_ns` of the clock that beats are stamped by.
    #[must_use]
    pub fn new(now_ns: u64, limit: Duration, first_beat: Duration) -> Judge {
        Judge { limit: nanos(limit), first_beat: nanos(first_beat), waiting_since: Some(now_ns), alive_ns: 0, away: false }
    }

    /// Judges what was `seen` at `now_ns`. Whatever is no record, or says that it comes from the future, is no life sign (I34):
    /// the last one grows old meanwhile.
    pub fn look(&mut self, now_ns: u64, seen: &Seen) -> Verdict {
        let why = match seen {
            // what was left behind was left behind empty, whenever that was
            Seen::Beat(Beat { farewell: true, .. }) => {
                self.away = true;
                return Verdict::Away;
            }
            // such as one of before the machine was started again: its clock counts from zero
            Seen::Beat(beat) if beat.at_ns > now_ns.saturating_add(nanos(AHEAD_MAX)) => {
                "the heartbeat is from the future".to_owned()
            }
            Seen::Beat(beat) => {
                self.away = false;
                self.alive_ns = self.alive_ns.max(beat.at_ns);
                if now_ns.saturating_sub(self.alive_ns) <= self.limit {
                    self.waiting_since = None;
                    return Verdict::Alive;
                }
                format!("the heartbeat is {} old", said(now_ns.saturating_sub(self.alive_ns)))
            }
            Seen::Missing => "there is no heartbeat".to_owned(),
            Seen::Garbled(why) => format!("the heartbeat cannot be read ({why})"),
        };
        if self.away {
            // what said farewell is gone or spoilt: as at the beginning, somebody may come and somebody may not
            self.away = false;
            self.waiting_since = Some(now_ns);
        }
        match self.waiting_since {
            Some(since) => {
                let waited = now_ns.saturating_sub(since);
                if waited <= self.first_beat {
                    return Verdict::Waiting(Duration::from_nanos(self.first_beat - waited));
                }
                Verdict::Silent(format!("{why}, and no fresh one came within {}", said(self.first_beat)))
            }
            None if now_ns.saturating_sub(self.alive_ns) <= self.limit => Verdict::Alive,
            None => Verdict::Silent(format!(
                "{why}; the last life sign was {} ago, the limit is {}",
                said(now_ns.saturating_sub(self.alive_ns)),
                said(self.limit)
            )),
        }
    }
}

fn said(ns: u64) -> String {
    let ms = ns / 1_000_000;
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: u64 = 1_000_000_000;
    const LIMIT: Duration = Duration::from_secs(10);
    const FIRST: Duration = Duration::from_secs(30);

    fn beat(at_s: u64) -> Seen {
        Seen::Beat(Beat { at_ns: at_s * S, pid: 1, stop: "run".to_owned(), farewell: false })
    }

    fn farewell(at_s: u64) -> Seen {
        Seen::Beat(Beat { at_ns: at_s * S, pid: 1, stop: "run".to_owned(), farewell: true })
    }

    /// Looks at (second, what is seen) and the first letter of each verdict.
    fn check(looks: &[(u64, Seen)], expected: &str) {
        let mut judge = Judge::new(100 * S, LIMIT, FIRST);
        let letter = |verdict: Verdict| match verdict {
            Verdict::Alive => 'a',
            Verdict::Waiting(_) => 'w',
            Verdict::Away => 'f',
            Verdict::Silent(_) => 's',
        };
        let got: String = looks.iter().map(|(at, seen)| letter(judge.look(at * S, seen))).collect();
        assert_eq!(got, expected, "{looks:?}");
    }

    #[test]
    fn c25_a_life_sign_older_than_the_limit_is_none() {
        check(&[(101, beat(100)), (110, beat(100)), (111, beat(100)), (112, beat(111))], "aasa");
        // F53: a slow loop is alive
        check(&[(101, beat(100)), (109, beat(100)), (109, beat(109)), (118, beat(109)), (119, beat(118))], "aaaaa");
    }

    #[test]
    fn before_the_first_fresh_one_it_waits_and_then_not() {
        check(&[(100, Seen::Missing), (130, Seen::Missing), (131, Seen::Missing)], "wws");
        check(&[(100, Seen::Missing), (129, beat(128)), (138, Seen::Missing), (139, Seen::Missing)], "waas");
        // of an earlier daemon, which did not say farewell: the next one may be on its way
        check(&[(100, beat(40)), (130, beat(40)), (131, beat(40))], "wws");
    }

    #[test]
    fn what_is_garbled_or_from_the_future_is_no_life_sign() {
        let bad = || Seen::Garbled("no record".to_owned());
        check(&[(101, beat(100)), (105, bad()), (110, bad()), (111, bad()), (112, beat(112))], "aaasa");
        check(&[(101, beat(100)), (105, beat(500)), (110, beat(500)), (111, beat(500))], "aaas");
        check(&[(101, beat(500)), (131, beat(500))], "ws");
    }

    #[test]
    fn a_farewell_is_believed_until_it_is_gone() {
        check(&[(101, beat(100)), (102, farewell(102)), (900, farewell(102)), (901, beat(900)), (911, beat(900))], "affas");
        // the machine was started again since
        check(&[(101, farewell(500)), (900, farewell(500))], "ff");
        check(&[(102, farewell(102)), (200, Seen::Missing), (230, Seen::Missing), (231, Seen::Missing)], "fwws");
    }

    #[test]
    fn an_older_record_takes_no_life_back() {
        check(&[(105, beat(105)), (106, beat(50)), (115, beat(50)), (116, beat(50))], "aaas");
    }

    proptest! {
        /// Nothing that may stand in the file keeps a silent daemon alive for longer than the limit after its last true beat, and a
        /// daemon that beats is never silent.
        #[test]
        fn silence_is_noticed_and_life_is_believed(
            junk in prop::collection::vec((0_u64..4, 1_u64..3), 0..20), alive_for in 1_u64..100,
        ) {
            let mut judge = Judge::new(0, LIMIT, FIRST);
            for at in 0..alive_for {
                prop_assert_eq!(judge.look(at * S, &beat(at)), Verdict::Alive);
            }
            let last = alive_for - 1;
            let mut now = last;
            for (kind, step) in junk {
                now += step;
                let seen = match kind {
                    0 => Seen::Missing,
                    1 => Seen::Garbled("junk".to_owned()),
                    2 => beat(last),
                    _ => beat(now + 1_000),
                };
                let verdict = judge.look(now * S, &seen);
                prop_assert_eq!(matches!(verdict, Verdict::Silent(_)), now - last > 10, "{} s after: {:?}", now - last, verdict);
            }
        }
    }
}
