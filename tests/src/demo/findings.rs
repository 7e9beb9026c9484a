//! `logq detect`, shown compactly and held against what was planted.

use super::Scene;
use super::screen::Tone;
use crate::loggen::Label;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::time::Instant;

/// What the detections said.
pub struct Detected {
    findings: Vec<Value>,
    seconds: f64,
    /// What `logq` said beside them, e.g. about rules it could not run.
    notes: String,
    /// Whether every rule ran.
    pub complete: bool,
}

const SEVERITIES: [(&str, Tone); 5] = [
    ("critical", Tone::Bad),
    ("high", Tone::Bad),
    ("medium", Tone::Warn),
    ("low", Tone::Dim),
    ("informational", Tone::Dim),
];

/// Findings shown per severity; the rest is counted.
const SHOWN: [usize; 5] = [12, 12, 8, 3, 0];

/// Runs the detections, with the network intent when there is one.
pub fn detect(scene: &Scene<'_>) -> Result<Detected> {
    let started = Instant::now();
    let mut command = scene.lake.command();
    command.args(["detect", "--format", "jsonl"]);
    if let Some(intent) = scene.intent()? {
        command.arg("--intent").arg(intent);
    }
    let output = command.output().context("cannot run logq detect")?;
    let notes = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // A rule that cannot run is named and the others' findings still come: that is worth showing.
    let complete = output.status.success();
    if !complete && output.stdout.is_empty() {
        bail!("logq detect ended with {}: {notes}", output.status);
    }
    let findings = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).context("logq detect printed no JSON"))
        .collect::<Result<Vec<Value>>>()?;
    Ok(Detected { findings, seconds: started.elapsed().as_secs_f64(), notes, complete })
}

fn text<'a>(finding: &'a Value, name: &str) -> &'a str {
    finding.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Prints them by severity: entity and why.
pub fn show(scene: &mut Scene<'_>, detected: &Detected) {
    let screen = &mut *scene.screen;
    screen.heading(&format!("Detections: {} findings in {:.1} s", detected.findings.len(), detected.seconds));
    for ((severity, tone), shown) in SEVERITIES.into_iter().zip(SHOWN) {
        let mine: Vec<&Value> =
            detected.findings.iter().filter(|f| text(f, "severity") == severity).collect();
        for finding in mine.iter().take(shown) {
            let tag = screen.paint(tone, &format!("{severity:<9}"));
            let techniques: Vec<&str> = finding
                .get("attack")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .filter_map(|tag| tag.strip_prefix("attack.t"))
                .collect();
            let technique =
                techniques.first().map(|t| format!(" [T{}]", t.to_uppercase())).unwrap_or_default();
            screen.block(&format!("{}{technique}", text(finding, "rule_title")));
            screen.line(&format!("    {tag} {}", printable(text(finding, "entity"))));
            screen.line(&format!("    {}", printable(text(finding, "summary"))));
        }
        if mine.len() > shown {
            let more =
                screen.paint(Tone::Dim, &format!("  and {} more of severity {severity}", mine.len() - shown));
            screen.line(&more);
        }
    }
    if !detected.notes.is_empty() {
        screen.block(&detected.notes);
    }
}

/// Text from logs may try to drive the terminal; here it cannot.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Whether a finding is about what `label` planted.
fn is_hit(finding: &Value, label: &Label) -> bool {
    let about = [text(finding, "entity"), text(finding, "summary")].join(" ");
    let evidence = finding.get("evidence").map(Value::to_string).unwrap_or_default();
    let named = mentions(&about, &label.entity) || mentions(&evidence, &label.entity);
    let tags =
        finding.get("attack").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let technique = tags.filter_map(|tag| tag.strip_prefix("attack.")).any(|tag| {
        label.techniques.iter().any(|t| tag.split('.').next().is_some_and(|tag| tag.eq_ignore_ascii_case(t)))
    });
    named && technique
}

/// `needle` in `text`, not as a part of a longer address or name.
fn mentions(text: &str, needle: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_';
    text.match_indices(needle).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + needle.len()..].chars().next();
        !before.is_some_and(part) && !after.is_some_and(|c| part(c) && c != '.')
    })
}

/// Prints which planted attacks were found.
pub fn compare(scene: &mut Scene<'_>, detected: &Detected, labels: &[Label]) {
    let hits: Vec<bool> =
        labels.iter().map(|label| detected.findings.iter().any(|finding| is_hit(finding, label))).collect();
    let found = hits.iter().filter(|hit| **hit).count();
    let screen = &mut *scene.screen;
    screen.heading(&format!("Planted attacks: {found} of {} found", labels.len()));
    for (label, hit) in labels.iter().zip(&hits) {
        let mark = if *hit { screen.paint(Tone::Good, "found ") } else { screen.paint(Tone::Warn, "missed") };
        screen.line(&format!("  {mark} {:<28} {}", label.title(), label.entity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label() -> Label {
        Label {
            kind: "port_scan".to_owned(),
            table: "vpc_flow".to_owned(),
            entity: "45.1.2.3".to_owned(),
            target: String::new(),
            techniques: vec!["T1046".to_owned()],
            first: 0,
            last: 0,
            count: 1,
        }
    }

    #[test]
    fn a_hit_needs_the_entity_and_the_technique() {
        let finding = |entity: &str, tag: &str| serde_json::json!({"entity": entity, "attack": [tag]});
        assert!(is_hit(&finding("45.1.2.3 -> 10.0.1.5", "attack.t1046"), &label()));
        assert!(is_hit(&finding("45.1.2.3", "attack.t1046.001"), &label()));
        assert!(!is_hit(&finding("45.1.2.30", "attack.t1046"), &label()));
        assert!(!is_hit(&finding("145.1.2.3", "attack.t1046"), &label()));
        assert!(!is_hit(&finding("45.1.2.3", "attack.t1110"), &label()));
    }
}
