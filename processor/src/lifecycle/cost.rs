//! What the policy costs a year, by class: in the first year, and once every age is filled.
//!
//! The model: a constant volume a day. A GB that spends days *a* to *b* in a class is billed for them; a
//! class left early is billed for its least time; objects of less than 128 KiB on average never move and
//! are billed in Standard for their whole life; an offline class bills 40 KiB an object beside it. PUT
//! requests and moves are billed by object. Reading, restores and KMS are not in it.

use super::class::Class;
use super::policy::{Policy, Tier, Volume};
use super::prices::{OVERHEAD_OFFLINE_BYTES, OVERHEAD_STANDARD_BYTES, Prices, SMALL_OBJECT_BYTES};
use serde::Serialize;

/// Days a month has in a price list.
const DAYS_PER_MONTH: f64 = 365.0 / 12.0;

const GB: f64 = 1_073_741_824.0;

/// The cost of one class of one root.
#[derive(Debug, Clone, Serialize)]
pub struct Cost {
    /// The root: lake table, archive or prefix.
    pub what: String,
    /// The class.
    pub class: &'static str,
    /// Age at which objects come into it.
    pub from_day: i32,
    /// Age at which they leave it; none when they stay.
    pub to_day: Option<i32>,
    /// GB held once every age is filled, 40 KiB an object included.
    pub gb_held: f64,
    /// Dollars for storage in the first year.
    pub storage_first_year: f64,
    /// Dollars for storage a year, once every age is filled.
    pub storage_per_year: f64,
    /// Dollars for requests a year: PUTs where objects begin, moves where they go on.
    pub requests_per_year: f64,
    /// Dollars a year for least times that are not used up.
    pub early_per_year: f64,
    /// What the figures leave out of the policy, where they do.
    pub note: Option<String>,
}

/// What flows through one root.
struct Flow {
    what: String,
    gb_per_day: f64,
    objects_per_day: f64,
    tiers: Vec<Tier>,
    gone_after: Option<i32>,
}

/// The yearly cost of a policy for a volume.
pub fn of(policy: &Policy, volume: Volume) -> Vec<Cost> {
    flows(policy, volume).iter().flat_map(|flow| of_flow(flow, &policy.prices)).collect()
}

/// The sum, first year and later: what a person asks first.
pub fn total(costs: &[Cost]) -> (f64, f64) {
    let rest = |cost: &Cost| cost.requests_per_year + cost.early_per_year;
    (
        costs.iter().map(|cost| cost.storage_first_year + rest(cost)).sum(),
        costs.iter().map(|cost| cost.storage_per_year + rest(cost)).sum(),
    )
}

fn flows(policy: &Policy, volume: Volume) -> Vec<Flow> {
    let mut flows = Vec::new();
    let lake_gb = volume.gb_per_day * volume.lake_ratio;
    let files = |gb: f64| (gb * 1_024.0 / volume.file_mb).ceil();
    if let Some(lake) = &policy.lake {
        // One line for the tables that share their days: who cares which table it is in.
        let mut groups: Vec<(super::policy::TableDays, Vec<&str>)> = Vec::new();
        for (table, days) in &lake.tables {
            // The tables that events go to; `rejected` and `findings` are small beside them.
            if !matches!(*table, "cloudtrail" | "vpc_flow" | "app_log") {
                continue;
            }
            match groups.iter_mut().find(|(same, _)| same == days) {
                Some((_, tables)) => tables.push(table),
                None => groups.push((*days, vec![table])),
            }
        }
        let count: usize = groups.iter().map(|(_, tables)| tables.len()).sum();
        for (days, tables) in groups {
            let gb = lake_gb * tables.len() as f64 / count as f64;
            let moved = days.hot.is_none_or(|hot| hot > days.standard);
            let tier = Tier { class: Class::GlacierIr, after_days: days.standard };
            flows.push(Flow {
                what: format!("lake: {}", tables.join(", ")),
                gb_per_day: gb,
                objects_per_day: files(gb),
                tiers: moved.then_some(tier).into_iter().collect(),
                gone_after: days.hot,
            });
        }
    }
    if let Some(archive) = &policy.archive {
        flows.push(Flow {
            what: "archive".to_owned(),
            gb_per_day: lake_gb,
            objects_per_day: files(lake_gb),
            tiers: archive.tiers.clone(),
            gone_after: Some(archive.retention_days()),
        });
    }
    for prefix in &policy.prefixes {
        flows.push(Flow {
            what: prefix.name.clone(),
            gb_per_day: volume.gb_per_day * prefix.share,
            objects_per_day: volume.objects_per_day * prefix.share,
            tiers: prefix.tiers.clone(),
            gone_after: prefix.expire_days,
        });
    }
    flows
}

fn of_flow(flow: &Flow, prices: &Prices) -> Vec<Cost> {
    let mean_bytes =
        if flow.objects_per_day > 0.0 { flow.gb_per_day * GB / flow.objects_per_day } else { 0.0 };
    let small = flow.objects_per_day > 0.0 && mean_bytes < SMALL_OBJECT_BYTES;
    let mut steps = vec![Tier { class: Class::Standard, after_days: 0 }];
    if !small {
        // Moved on day 0, an object is in Standard until midnight: that is not worth a line.
        if flow.tiers.first().is_some_and(|tier| tier.after_days == 0) {
            steps.clear();
        }
        steps.extend(&flow.tiers);
    }
    let mut costs = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let to = steps.get(index + 1).map(|next| next.after_days).or(flow.gone_after);
        let mut cost = of_step(flow, prices, step, to);
        if index == 0 {
            cost.requests_per_year +=
                flow.objects_per_day * 365.0 / 1_000.0 * prices.of(Class::Standard).puts;
        }
        if small && !flow.tiers.is_empty() {
            let kib = mean_bytes / 1_024.0;
            cost.note = Some(format!("{kib:.0} KiB an object: S3 does not move objects below 128 KiB"));
        }
        costs.push(cost);
    }
    costs
}

fn of_step(flow: &Flow, prices: &Prices, step: &Tier, to: Option<i32>) -> Cost {
    let price = prices.of(step.class);
    let from = f64::from(step.after_days);
    let gone = to.map_or(f64::INFINITY, f64::from);
    let extra = |bytes: f64| if step.class.is_offline() { flow.objects_per_day * bytes / GB } else { 0.0 };
    let at_class = flow.gb_per_day + extra(OVERHEAD_OFFLINE_BYTES);
    let at_standard = extra(OVERHEAD_STANDARD_BYTES);
    let dollars_per_gb_day_held = |gb_days: f64| {
        let standard = prices.of(Class::Standard).gb_month;
        gb_days / DAYS_PER_MONTH * (at_class * price.gb_month + at_standard * standard)
    };
    // Days of volume held at the end of day t, summed over the first year.
    let first_year: f64 = (1..=365).map(|day| (f64::from(day).min(gone) - from).max(0.0)).sum();
    // What stays for ever grows for ever: it is shown as it is after ten years.
    let held_days = if gone.is_finite() { gone - from } else { (3_650.0 - from).max(0.0) };
    let stays = gone - from;
    let billed = f64::from(step.class.days_billed());
    let unused = if stays.is_finite() { (billed - stays).max(0.0) } else { 0.0 };
    let moves = if step.class == Class::Standard {
        0.0
    } else {
        flow.objects_per_day * 365.0 / 1_000.0 * price.moves
    };
    Cost {
        what: flow.what.clone(),
        class: step.class.as_str(),
        from_day: step.after_days,
        to_day: to,
        gb_held: held_days * (at_class + at_standard),
        storage_first_year: dollars_per_gb_day_held(first_year),
        storage_per_year: dollars_per_gb_day_held(held_days * 365.0),
        requests_per_year: moves,
        early_per_year: dollars_per_gb_day_held(unused * 365.0),
        note: to.is_none().then(|| "kept for ever: as it is after ten years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy::tests::{FULL, parse};
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= expected.abs() * 0.005 + 1e-9, "{found} is not {expected}");
    }

    fn flow(gb: f64, objects: f64, tiers: &[(Class, i32)], gone_after: Option<i32>) -> Vec<Cost> {
        let tiers = tiers.iter().map(|&(class, after_days)| Tier { class, after_days }).collect();
        let flow = Flow { what: "x".to_owned(), gb_per_day: gb, objects_per_day: objects, tiers, gone_after };
        of_flow(&flow, &Prices::default())
    }

    #[test]
    fn a_year_of_a_gigabyte_a_day_costs_what_the_list_says() {
        // 365 GB held at 0.023 for twelve months; half of it on average in the first year.
        let costs = flow(1.0, 8.0, &[], Some(365));
        near(costs[0].gb_held, 365.0);
        near(costs[0].storage_per_year, 365.0 * 0.023 * 12.0);
        near(costs[0].storage_first_year, 365.0 * 0.023 * 12.0 / 2.0);
        near(costs[0].requests_per_year, 8.0 * 365.0 / 1_000.0 * 0.005);
    }

    #[test]
    fn deep_archive_bills_moves_and_forty_kib_an_object() {
        let costs = flow(1.0, 1_000.0, &[(Class::DeepArchive, 0)], Some(3_650));
        assert_eq!(costs.len(), 1, "nothing stays in Standard");
        let overhead = 1_000.0 * 40.0 * 1_024.0 / GB;
        near(costs[0].gb_held, 3_650.0 * (1.0 + overhead));
        near(costs[0].requests_per_year, 365.0 * (0.05 + 0.005));
    }

    #[test]
    fn small_objects_stay_in_standard_and_say_so() {
        let costs = flow(1.0, 100_000.0, &[(Class::DeepArchive, 1)], Some(365));
        assert_eq!((costs.len(), costs[0].class), (1, "STANDARD"));
        assert!(costs[0].note.as_deref().is_some_and(|note| note.contains("128 KiB")));
    }

    #[test]
    fn a_class_left_early_is_billed_to_its_least_time() {
        let costs = flow(1.0, 8.0, &[(Class::GlacierIr, 30)], Some(60));
        near(costs[1].early_per_year, 60.0 * 0.004 * 12.0);
        assert_eq!(costs[0].early_per_year, 0.0);
    }

    #[test]
    fn a_policy_is_costed_by_root_and_class() {
        let policy = parse(FULL).expect("valid");
        let costs = of(&policy, policy.volume);
        let classes: Vec<(&str, &str)> = costs.iter().map(|one| (one.what.as_str(), one.class)).collect();
        assert!(classes.contains(&("archive", "DEEP_ARCHIVE")), "{classes:?}");
        assert!(classes.contains(&("lake: vpc_flow", "GLACIER_IR")), "{classes:?}");
        let (first, later) = total(&costs);
        assert!(first > 0.0 && later > first);
    }
}
