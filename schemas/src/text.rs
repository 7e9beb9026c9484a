//! Reading text fast: JSON without building trees, times, addresses. Shared by everything that reads
//! logs, so that all of it agrees on what a value means.

pub mod address;
pub mod json;
pub mod time;
