//! Maintenance over real tables: batches of the real processor, stores that fail, runs side by side.

mod bench;
mod chaos;
mod compaction;
mod faults;
mod merging;
mod sealing;
mod upkeep;
