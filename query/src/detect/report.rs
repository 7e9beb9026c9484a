//! Findings for people (table), for programs (jsonl, json), and the list of rules.
//!
//! Every text that came out of a log is shown with control and bidi characters as visible escapes;
//! JSON escapes them by its own rules.

use super::asff;
use super::engine::Outcome;
use super::finding::Finding;
use super::library::Library;
use super::ocsf;
use super::predicate_sql;
use super::rule::Meta;
use super::sarif;
use super::severity::Severity;
use super::sql_text::shown;
use serde_json::json;
use std::io::{Result, Write};

/// How findings are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For reading: grouped by severity, with the query of each finding.
    #[default]
    Table,
    /// One finding a line.
    Jsonl,
    /// One array.
    Json,
    /// OCSF 1.5 events of class 2004, Detection Finding, one a line.
    Ocsf,
    /// AWS Security Finding Format, one array: what Security Hub imports.
    Asff,
    /// SARIF 2.1.0, for code hosts and CI.
    Sarif,
}

/// Writes the findings.
///
/// # Errors
/// When the output cannot be written.
pub fn findings(out: &mut dyn Write, findings: &[Finding], format: Format, colour: bool) -> Result<()> {
    match format {
        Format::Jsonl => {
            for finding in findings {
                writeln!(out, "{}", safe_json(&serde_json::to_string(finding)?))?;
            }
            Ok(())
        }
        Format::Json => writeln!(out, "{}", safe_json(&serde_json::to_string_pretty(findings)?)),
        Format::Ocsf => {
            for finding in findings {
                writeln!(out, "{}", safe_json(&ocsf::event(finding).to_string()))?;
            }
            Ok(())
        }
        Format::Asff => {
            let all: Vec<_> = findings.iter().map(asff::finding).collect();
            writeln!(out, "{}", safe_json(&serde_json::to_string_pretty(&all)?))
        }
        Format::Sarif => {
            writeln!(out, "{}", safe_json(&serde_json::to_string_pretty(&sarif::log(findings))?))
        }
        Format::Table => table(out, findings, colour),
    }
}

/// JSON leaves DEL, C1 controls and bidi overrides as they are; a terminal obeys them.
pub fn safe_json(json: &str) -> String {
    if !json.chars().any(|c| c != '\n' && super::sql_text::is_hostile(c)) {
        return json.to_owned();
    }
    let mut safe = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if c != '\n' && super::sql_text::is_hostile(c) {
            for unit in c.encode_utf16(&mut units) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

fn table(out: &mut dyn Write, findings: &[Finding], colour: bool) -> Result<()> {
    for severity in Severity::ALL.into_iter().rev() {
        let group: Vec<&Finding> = findings.iter().filter(|finding| finding.severity == severity).collect();
        if group.is_empty() {
            continue;
        }
        let heading = format!("{} ({})", severity.as_str().to_uppercase(), group.len());
        writeln!(out, "{}", paint(&heading, severity_colour(severity), colour))?;
        for finding in group {
            one(out, finding, colour)?;
        }
    }
    Ok(())
}

fn one(out: &mut dyn Write, finding: &Finding, colour: bool) -> Result<()> {
    writeln!(out, "\n  {}", paint(&shown(&finding.rule_title), "1", colour))?;
    writeln!(out, "  {}", shown(&finding.summary))?;
    let from = finding.first_seen.format("%Y-%m-%d %H:%M:%S");
    let to = if finding.first_seen.date_naive() == finding.last_seen.date_naive() {
        finding.last_seen.format("%H:%M:%S").to_string()
    } else {
        finding.last_seen.format("%Y-%m-%d %H:%M:%S").to_string()
    };
    let mut place: Vec<String> = vec![format!("{from} to {to} UTC")];
    place.extend(finding.account_id.iter().map(|account| format!("account {}", shown(account))));
    place.extend(finding.region.iter().map(|region| shown(region)));
    place.extend((!finding.attack.is_empty()).then(|| finding.attack.join(" ")));
    writeln!(out, "  {}", paint(&place.join("  "), "2", colour))?;
    for note in &finding.falsepositives {
        writeln!(out, "  {}", paint(&format!("may be: {}", shown(note)), "2", colour))?;
    }
    if let Some(author) = &finding.author {
        writeln!(out, "  {}", paint(&format!("rule by {}", shown(author)), "2", colour))?;
    }
    writeln!(out, "  {}", paint(&format!("{}  {}", finding.rule_id, finding.finding_id), "2", colour))?;
    for line in finding.sql.lines() {
        writeln!(out, "    {}", shown(line))?;
    }
    writeln!(out)
}

fn severity_colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "1;35",
        Severity::High => "1;31",
        Severity::Medium => "1;33",
        Severity::Low => "1;36",
        Severity::Informational => "1",
    }
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// One line about the run, for standard error.
pub fn summary(outcome: &Outcome, shown: usize) -> String {
    let mut counts: Vec<String> = Vec::new();
    for severity in Severity::ALL.into_iter().rev() {
        let count = outcome.findings.iter().filter(|finding| finding.severity == severity).count();
        if count > 0 {
            counts.push(format!("{count} {severity}"));
        }
    }
    let counts = if counts.is_empty() { "none".to_owned() } else { counts.join(", ") };
    let invalid = outcome.problems.iter().filter(|problem| !problem.unsupported).count();
    let unsupported = outcome.problems.len() - invalid;
    let mut line = format!("{} rules ran; findings: {counts}", outcome.ran);
    if shown < outcome.findings.len() {
        line.push_str(&format!(" ({} below --min-severity not shown)", outcome.findings.len() - shown));
    }
    if invalid > 0 {
        line.push_str(&format!("; {invalid} rules invalid"));
    }
    if unsupported > 0 {
        line.push_str(&format!("; {unsupported} rules use unsupported features"));
    }
    line
}

/// The list of rules.
///
/// # Errors
/// When the output cannot be written.
pub fn list(out: &mut dyn Write, library: &Library, format: Format) -> Result<()> {
    let mut metas: Vec<&Meta> = library.metas().collect();
    metas.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
    if format != Format::Table {
        for meta in metas {
            let line = json!({
                "id": meta.id, "title": meta.title, "severity": meta.severity, "status": meta.status,
                "tags": meta.tags, "source": meta.origin, "author": meta.author,
            });
            writeln!(out, "{}", safe_json(&line.to_string()))?;
        }
        return Ok(());
    }
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(["severity", "id", "title", "tags", "source"]);
    for meta in metas {
        table.add_row([
            meta.severity.as_str().to_owned(),
            shown(&meta.id),
            shown(&meta.title),
            shown(&meta.tags.join(" ")),
            shown(&meta.origin),
        ]);
    }
    writeln!(out, "{table}")
}

/// Everything about one rule, including the SQL it amounts to.
///
/// # Errors
/// When the output cannot be written.
pub fn explain(out: &mut dyn Write, library: &Library, wanted: &str) -> Result<bool> {
    let Some(meta) = library.metas().find(|meta| meta.answers_to(wanted)) else {
        return Ok(false);
    };
    writeln!(out, "{}\n", shown(&meta.title))?;
    let description = meta.description.trim();
    if !description.is_empty() {
        writeln!(out, "{}\n", description.lines().map(shown).collect::<Vec<_>>().join("\n"))?;
    }
    let facts = [
        ("id", meta.id.clone()),
        ("severity", meta.severity.to_string()),
        ("status", meta.status.clone()),
        ("tags", meta.tags.join(" ")),
        ("author", meta.author.clone().unwrap_or_default()),
        ("source", meta.origin.clone()),
        ("may be", meta.falsepositives.join("; ")),
        ("see", meta.references.join(" ")),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "{name:<10} {}", shown(value))?;
    }
    if let Some(rule) = library.sigma.iter().find(|rule| rule.meta.id == meta.id) {
        let sql = predicate_sql::condition(&rule.predicate);
        writeln!(out, "\nSELECT * FROM {}\nWHERE {}", rule.source.table().name, shown(&sql))?;
    }
    if let Some(rule) = library.correlations.iter().find(|rule| rule.meta.id == meta.id) {
        let span = std::time::Duration::from_micros(rule.span_micros.unsigned_abs());
        writeln!(
            out,
            "\ncounts {:?} of {} by {} within {}: {:?}",
            rule.counted,
            rule.rules.join(", "),
            rule.group_by.join(", "),
            humantime::format_duration(span),
            rule.bounds
        )?;
    }
    if let Some(rule) = library.sql.iter().find(|rule| rule.meta.id == meta.id) {
        for (name, parameter) in &rule.parameters {
            writeln!(
                out,
                "--param {}.{name}={}  {}",
                meta.id,
                shown(&parameter.value),
                shown(&parameter.doc)
            )?;
        }
        writeln!(out, "\n{}", rule.query)?;
    }
    Ok(true)
}

/// `docs/reference/rules.md`.
pub fn reference(library: &Library) -> String {
    let mut page = String::from(
        "# Detection rules\n\n<!-- Generated from query/detections by `./dev docs`; do not edit. -->\n\n\
         `logq detect` runs these; `logq detect --explain ID` shows one with its query.\n\n\
         | severity | id | what it finds | ATT&CK |\n|---|---|---|---|\n",
    );
    let mut metas: Vec<&Meta> = library.metas().collect();
    metas.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.id.cmp(&b.id)));
    for meta in metas {
        let base = library.correlations.iter().any(|joint| !joint.generate && joint.rules.contains(&meta.id));
        if base {
            continue;
        }
        let tags: Vec<&str> = meta.tags.iter().filter_map(|tag| tag.strip_prefix("attack.")).collect();
        page.push_str(&format!(
            "| {} | `{}` | {} | {} |\n",
            meta.severity,
            meta.id,
            meta.title,
            tags.join(", ")
        ));
    }
    page.push_str("\n## Parameters of the SQL rules\n\n| parameter | default | meaning |\n|---|---|---|\n");
    let mut rules: Vec<_> = library.sql.iter().collect();
    rules.sort_by(|a, b| a.meta.id.cmp(&b.meta.id));
    for rule in rules {
        for (name, parameter) in &rule.parameters {
            page.push_str(&format!(
                "| `{}.{name}` | {} | {} |\n",
                rule.meta.id, parameter.value, parameter.doc
            ));
        }
    }
    page
}
