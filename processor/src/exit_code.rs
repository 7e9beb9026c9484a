//! Exit codes of `logq-processor`: an interface, like the options.

/// Everything asked for was done.
pub const OK: u8 = 0;
/// The configuration is wrong, or the lake or every input is out of reach.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// Done, but something is not as it should be: an input object that cannot be read, a finding, an
/// object that is missing. Each is named.
pub const INCOMPLETE: u8 = 3;

/// The codes with their meaning, for `--help` and the reference page.
pub const ALL: [(u8, &str); 4] = [
    (OK, "everything asked for was done"),
    (FAILED, "the configuration is wrong, or the lake or every input is out of reach"),
    (USAGE, "the command line is wrong"),
    (INCOMPLETE, "done, but something is not as it should be: each object or finding is named"),
];
