//! Three questions an analyst asks, with the SQL that answers them.

use super::Scene;
use super::screen::Tone;
use anyhow::Result;
use std::time::Instant;

struct Question {
    table: &'static str,
    asked: &'static str,
    sql: &'static str,
}

const QUESTIONS: [Question; 3] = [
    Question {
        table: "vpc_flow",
        asked: "Who knocks on closed doors?",
        sql: "select src_ip, count(*) as refused, count(distinct dst_port) as ports,\n       count(distinct dst_ip) as hosts, min(event_time) as first_seen\nfrom vpc_flow where action = 'REJECT'\ngroup by src_ip order by refused desc limit 5",
    },
    Question {
        table: "cloudtrail",
        asked: "Who changed identities and permissions, and from where?",
        sql: "select user_name, user_identity_type as type, source_ip_address as address,\n       event_name, count(*) as calls\nfrom cloudtrail\nwhere event_source = 'iam.amazonaws.com' and not coalesce(read_only, false)\n      and event_name not like 'List%' and event_name not like 'Get%'\ngroup by 1, 2, 3, 4 order by calls desc, event_name limit 8",
    },
    Question {
        table: "app_log",
        asked: "Which application fails?",
        sql: "select namespace, container, count(*) as lines,\n       count(*) filter (where http_status >= 500) as status_5xx,\n       count(*) filter (where severity_number >= 17) as errors\nfrom app_log\ngroup by namespace, container order by status_5xx + errors desc limit 6",
    },
];

/// Asks the questions whose table has rows.
pub fn ask(scene: &mut Scene<'_>, rows: &[(&str, u64)]) -> Result<()> {
    for question in &QUESTIONS {
        if !rows.iter().any(|(table, rows)| *table == question.table && *rows > 0) {
            continue;
        }
        let started = Instant::now();
        let answer = scene.lake.table(question.sql, scene.screen.columns().saturating_sub(2))?;
        let seconds = started.elapsed().as_secs_f64();
        scene.screen.heading(question.asked);
        for line in question.sql.lines() {
            let line = scene.screen.paint(Tone::Dim, &format!("  {line}"));
            scene.screen.line(&line);
        }
        scene.screen.block(&answer);
        let took = scene.screen.paint(Tone::Dim, &format!("  {seconds:.1} s"));
        scene.screen.line(&took);
    }
    Ok(())
}
