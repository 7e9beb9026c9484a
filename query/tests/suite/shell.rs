//! The shell, driven in a pseudo-terminal.

use crate::lake::three_days;
use std::process::Command;

#[test]
fn the_shell_completes_continues_cancels_and_follows_the_window() {
    let lake = three_days();
    let home = tempfile::tempdir().unwrap();
    let ran = Command::new("python3")
        .args(["-c", include_str!("shell.py"), env!("CARGO_BIN_EXE_logq")])
        .args([lake.path(), home.path()])
        .output();
    let ran = match ran {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: no python3 to drive a pseudo-terminal with");
            return;
        }
        ran => ran.unwrap(),
    };
    let seen = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{seen}\n{}", String::from_utf8_lossy(&ran.stderr));
    let lines: Vec<&str> = seen.lines().collect();
    let expected = [
        "completed",
        "continued",
        "cancelled",
        "alive",
        "resized",
        "left 0",
        "exported ['seven', '7']",
        "remembered True 0o700",
    ];
    assert_eq!(lines, expected);
}
