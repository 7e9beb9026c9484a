//! Generated files match the types they are generated from.

mod stale;
