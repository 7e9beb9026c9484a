//! The one thread that parses.
//!
//! A batch takes hundreds of megabytes for a moment. The system's allocator keeps what a thread has freed
//! for that thread: were each batch parsed on another thread of a pool, each would hold on to as much.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// The thread. It ends when this is dropped and its work is done.
#[derive(Debug)]
pub(super) struct ParserThread(SyncSender<Work>);

impl ParserThread {
    /// Starts it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start() -> std::io::Result<ParserThread> {
        let (give, take) = sync_channel::<Work>(1);
        std::thread::Builder::new().name("parser".to_owned()).spawn(move || {
            for work in take {
                // Who waits for the answer learns of a panic by not getting one.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        })?;
        Ok(ParserThread(give))
    }

    /// Does `work` there. No answer comes when it panics.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, result) = oneshot::channel();
        let work = Box::new(move || {
            let done = work();
            let _ = answer.send(done);
        });
        // One batch at a time is parsed, so there is always room; a dead thread drops the work.
        let _ = self.0.send(work);
        result
    }
}
