//! Two fixed batches; every call to the store fails once in every way, or is the last of its process.

use super::faulty::{Fault, Life, Plan, Weather};
use super::schedules::on_all_cores;
use super::world::{World, fixed};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Takes the batches in as a process that goes on after errors; kills end it.
async fn live(world: &World, life: &Arc<Life>) {
    let work = async {
        // A process that cannot start is started again, one that fails goes on.
        let candidates = world.candidates();
        let mut batches = vec![&candidates[..3], &candidates[3..]];
        let mut process = None;
        for _ in 0..6 {
            match (&mut process, batches.first()) {
                (_, None) => return,
                (None, _) => process = world.open("0", life, || 0).await.ok(),
                (Some(processor), Some(batch)) => match processor.take_in(batch.to_vec()).await {
                    Ok(outcome) if outcome.unreadable.is_empty() => drop(batches.remove(0)),
                    _ => {}
                },
            }
            if life.is_over() {
                return;
            }
        }
        unreachable!("one call fails at most");
    };
    tokio::select! {
        biased;
        () = life.ended() => {}
        () = work => {}
    }
}

/// One run in which `call` fails with `fault`; what is left is recovered and everything given again.
async fn run(call: u64, fault: Fault, with_tables: bool) -> Result<(), String> {
    let weather = Weather::new(call, Plan::At { call, fault });
    let world = World::new(fixed(), weather, with_tables).await;
    live(&world, &Arc::new(Life::default())).await;
    world.weather.clear_up().await;
    let told = |error: String| format!("{error}\n{}", world.weather.trace());
    let open = world.open("0", &Arc::default(), || 0).await;
    let mut processor = open.map_err(|error| told(format!("cannot open: {error:?}")))?;
    let again = processor.take_in(world.candidates()).await;
    again.map_err(|error| told(format!("cannot take in: {error:?}")))?;
    world.check(&processor, true).await.map_err(told)
}

/// Number of calls of a run in which nothing fails, and which of them write.
async fn calls(with_tables: bool) -> (u64, BTreeSet<u64>) {
    let world = World::new(fixed(), Weather::new(0, Plan::Clean), with_tables).await;
    live(&world, &Arc::new(Life::default())).await;
    (world.weather.calls(), world.weather.writes())
}

/// A read is not late and not repeated, a refused one is as bad as one that ends in the middle, and a
/// death after it is a death before the next call.
fn is_of_reads(fault: Fault) -> bool {
    matches!(fault, Fault::AnswerLost | Fault::KilledBefore)
}

fn every_call(with_tables: bool, faults: &[Fault]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (calls, writes) = runtime.block_on(calls(with_tables));
    println!("every call: {calls} calls, {} of them writes, each with {faults:?}", writes.len());
    assert!(calls > 50 && writes.len() > 10, "the store is hardly used: {calls} calls, {writes:?}");
    let all = (1..=calls).flat_map(|call| faults.iter().map(move |&fault| (call, fault)));
    let runs: Vec<_> = all.filter(|(call, fault)| writes.contains(call) || is_of_reads(*fault)).collect();
    let failures = on_all_cores(runs.len() as u64, |runtime, number| {
        let (call, fault) = runs[usize::try_from(number).expect("an index")];
        let done = runtime.block_on(run(call, fault, with_tables));
        done.map_err(|error| format!("call {call}, {fault:?}: {error}"))
    });
    assert!(failures.is_empty(), "{} runs failed:\n{}", failures.len(), failures.join("\n\n"));
}

/// Two processors; the claims of one are removed while the other sleeps, because its clock runs wild.
#[tokio::test]
async fn g3_a_processor_that_slept_through_removals_takes_nothing_in_again() {
    let world = World::new(fixed(), Weather::new(0, Plan::Clean), true).await;
    let mut sleeper = world.open("sleeper", &Arc::default(), || 0).await.expect("opens");
    let hours = AtomicI64::new(0);
    let wild = move || hours.fetch_add(25 * 3_600_000_000, Ordering::Relaxed);
    let mut busy = world.open("busy", &Arc::default(), wild).await.expect("opens");
    for candidate in world.candidates() {
        busy.take_in(vec![candidate]).await.expect("takes in");
    }
    // What has no ETag is read, so that its content decides.
    let outcome = sleeper.take_in(vec![world.candidate(1)]).await.expect("takes in");
    assert_eq!((outcome.summary.objects, outcome.summary.objects_known), (0, 1));
    world.check(&busy, true).await.expect("every record once");
}

#[test]
fn g3_g5_a_fault_or_kill_at_any_call_to_the_store_leaves_every_record_once() {
    every_call(true, &Fault::ALL);
}

#[test]
fn g3_a_kill_at_any_call_of_a_first_start_leaves_a_usable_lake() {
    every_call(false, &[Fault::KilledBefore, Fault::KilledAfter]);
}
