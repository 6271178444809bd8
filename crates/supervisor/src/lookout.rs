//! The last look before an order leaves: whether this process was away meanwhile, and whether somebody left STOP (F53).
//!
//! A process that was stopped goes on in the middle of whatever it did: the order that it was about to send was decided before.
//! The loop learns of it at its next turn; this is asked earlier, by whatever holds the order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use venue_connector::hyperliquid::Lookout;

use crate::heartbeat::Pulse;
use crate::sentinel;

/// A lookout over `pulse`, which may be as old as `standstill_max`, and over STOP in each of `dirs`. A STOP that the loop has
/// already taken in is the loop's and the guard's: what a level still lets pass is for them to say.
#[must_use]
pub fn over(pulse: Pulse, standstill_max: Option<Duration>, dirs: Vec<PathBuf>) -> Lookout {
    Arc::new(move || {
        let age = pulse.age();
        if standstill_max.is_some_and(|max| age > max) {
            return Err(format!("the daemon stood still for {} ms", age.as_millis()));
        }
        let known = pulse.stop();
        match dirs.iter().filter_map(|dir| sentinel::read(dir)).find(|stop| stop.level > known) {
            Some(stop) => Err(format!("{} ({})", stop.cause, stop.level)),
            None => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use domain::StopLevel;

    use super::*;
    use crate::heartbeat::Turn;

    #[test]
    fn f53_a_process_that_was_away_or_finds_stop_sends_nothing() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let pulse = Pulse::new();
        let all = dirs.iter().map(|dir| dir.path().to_owned()).collect();
        let look = over(pulse.clone(), Some(Duration::from_secs(3_600)), all);
        assert_eq!(look(), Ok(()));
        sentinel::write(dirs[1].path(), StopLevel::Flatten, "no heartbeat").unwrap();
        assert!(look().is_err_and(|why| why.ends_with("STOP: no heartbeat (flatten)")));
        let turn = |stop| pulse.turned(&Turn { stop, ready: true, open: 0 });
        turn(StopLevel::Cancel);
        assert!(look().is_err(), "the loop knows of less");
        turn(StopLevel::Flatten);
        assert_eq!(look(), Ok(()), "it is the loop's now, which may still reduce");
        std::fs::remove_file(sentinel::path(dirs[1].path())).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        let look = over(pulse.clone(), Some(Duration::from_millis(1)), Vec::new());
        assert!(look().is_err_and(|why| why.starts_with("the daemon stood still for")));
        assert_eq!(over(pulse, None, Vec::new())(), Ok(()), "nobody watches");
    }
}
