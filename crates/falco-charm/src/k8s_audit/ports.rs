//! The port that Juju is to open for the listener.
//!
//! Juju forgets what a hook asked for that fails later, and asking it what is open costs a command in every hook. So
//! what was asked is written down, looked at once in the next hook, and left alone from then on.

use anyhow::Result;
use charm_core::{Hook, files, juju};
use serde::{Deserialize, Serialize};

use crate::paths::OPENED_PORT;

/// What was asked of Juju last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The port that is to be open, if one is.
    pub port: Option<u16>,
    /// Juju says that it is so.
    pub confirmed: bool,
}

impl Record {
    /// What is written down. A record that cannot be read is one that is to be looked at.
    pub fn read(hook: &Hook) -> Result<Option<Self>> {
        let text = files::read(&hook.path(OPENED_PORT))?;
        let unknown = Self { port: None, confirmed: false };
        Ok(text.map(|text| serde_json::from_slice(&text).unwrap_or(unknown)))
    }
}

/// What to ask of Juju, and what to write down about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// To be closed, as Juju names them.
    pub close: Vec<String>,
    /// To be opened.
    pub open: Option<u16>,
    /// To be written down, if it is something new; nothing in it is as good as no record.
    #[serde(skip)]
    pub record: Option<Option<Record>>,
}

impl Ports {
    /// For this port, or none. `opened` is what Juju says is open, which is asked when the record is not confirmed.
    pub fn of(wanted: Option<u16>, record: Option<&Record>, opened: Option<&[String]>) -> Self {
        let named = |port: u16| format!("{port}/tcp");
        let open_now: Vec<String> = match (record, opened) {
            (None, _) => Vec::new(),
            (Some(_), Some(opened)) => opened.to_vec(),
            (Some(record), None) => record.port.map(named).into_iter().collect(),
        };
        let close: Vec<String> =
            open_now.iter().filter(|open| wanted.map(named).as_ref() != Some(open)).cloned().collect();
        let open = wanted.filter(|port| !open_now.contains(&named(*port)));
        let new = match (close.is_empty() && open.is_none(), wanted) {
            (true, None) => None,
            (is_so, port) => Some(Record { port, confirmed: is_so }),
        };
        // A dry run has not asked, and what Juju has not said is not confirmed.
        let is_known = opened.is_some() || record.is_none_or(|record| record.confirmed);
        let is_new = is_known && new.as_ref() != record;
        Self { close, open, record: is_new.then_some(new) }
    }

    /// Asks, and writes it down.
    pub fn carry_out(&self, hook: &Hook) -> Result<()> {
        let Self { close, open, record } = self;
        for port in close {
            juju::close_port(port)?;
        }
        if let Some(port) = open {
            juju::open_port(*port)?;
        }
        match record {
            None => Ok(()),
            Some(None) => files::remove(&hook.path(OPENED_PORT)).map(drop),
            Some(Some(record)) => files::note(&hook.path(OPENED_PORT), record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One hook after the other until nothing is left to do; returns all that was asked.
    fn hooks(
        wanted: Option<u16>,
        record: &mut Option<Record>,
        open: &mut Vec<String>,
        loses_first: bool,
    ) -> Vec<Ports> {
        let mut asked = Vec::new();
        for number in 0..5 {
            let said = record.as_ref().filter(|record| !record.confirmed).map(|_| open.clone());
            let ports = Ports::of(wanted, record.as_ref(), said.as_deref());
            if let Some(new) = &ports.record {
                record.clone_from(new);
            }
            if number > 0 || !loses_first {
                open.retain(|port| !ports.close.contains(port));
                open.extend(ports.open.map(|port| format!("{port}/tcp")));
            }
            asked.push(ports);
        }
        assert_eq!(asked.last(), Some(&Ports::default()), "it comes to rest");
        asked
    }

    #[test]
    fn a_port_is_opened_once_moved_and_closed_whether_the_first_hook_is_lost_or_not() {
        for loses_first in [false, true] {
            let (mut record, mut open) = (None, Vec::new());
            assert_eq!(hooks(None, &mut record, &mut open, loses_first)[0], Ports::default(), "never without need");
            hooks(Some(9765), &mut record, &mut open, loses_first);
            assert_eq!(
                (open.as_slice(), record.clone()),
                (&["9765/tcp".to_owned()][..], Some(Record { port: Some(9765), confirmed: true }))
            );
            hooks(Some(9766), &mut record, &mut open, loses_first);
            assert_eq!(open, ["9766/tcp"]);
            hooks(None, &mut record, &mut open, loses_first);
            assert!(open.is_empty() && record.is_none(), "{open:?} {record:?}");
        }
    }
}
