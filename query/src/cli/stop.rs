//! Ctrl-C.

use crate::exit_code;
use std::future::Future;

/// Runs `work` to its end, or to the first Ctrl-C: then `None`, and dropping the work has cancelled
/// it. A second Ctrl-C ends the process at once, for work that does not yield.
pub async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let watch = tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            // No signal handling here: work runs to its end.
            std::future::pending::<()>().await;
        }
        let _ = tell.send(());
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(i32::from(exit_code::INTERRUPTED));
        }
    });
    let done = tokio::select! {
        result = work => Some(result),
        Ok(()) = told => None,
    };
    watch.abort();
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn undisturbed_work_ends_by_itself() {
        assert_eq!(unless_interrupted(async { 7 }).await, Some(7));
    }
}
