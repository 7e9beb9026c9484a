//! CloudWatch Logs, pulled: events of log groups become input objects of the lake's own.
//!
//! For every group the events of one window of time after the other are asked for with FilterLogEvents.
//! What comes is written as an immutable object below `state/pulled/` and, after it, a *position* that
//! names the object, where the next request goes on, and the ids of the events. The object is part of
//! the pull once its position exists, and the position is created with a conditional put: an event is in
//! one object. The objects are then taken in like any other, through claims, which makes each event
//! appear once ([ADR 4](../../../docs/adr/0004-pulled-log-groups.md)).
//!
//! Promises: an event that becomes visible within `overlap` after its time is read, once, whatever is
//! killed when; memory is bounded by one object and the ids of the overlap; requests stay below the
//! service's rate; a group that cannot be read is tried again and delays the others by no more than its attempts.
//!
//! Refuses: to trust `lastIngestionTime` or any other hint of where new events are (they lag by up to an
//! hour); to keep places within single streams (their tokens expire, and events carry no id there).
//!
//! The folder: [`settings`], [`groups`] (which groups there are), [`requests`] (the service, paced),
//! [`position`] (what lies in the lake), [`window`] (which time is asked for), [`render`] (events as
//! objects the parsers know), [`pull`] (the loop).

pub mod groups;
pub mod position;
pub mod pull;
pub mod render;
pub mod requests;
pub mod settings;
pub mod window;
