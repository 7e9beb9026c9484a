//! The page itself.

use super::markup::{bytes, text};
use super::rows::Rows;
use super::{Report, chart};
use std::fmt::Write;

/// Nothing is loaded and nothing runs, whatever a log line says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("style.css");

/// Findings listed in the table; the drawing has all.
const FINDINGS_MAX: usize = 200;

/// The report as HTML.
pub fn html(report: &Report) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>logq report</title><style>{STYLE}</style></head><body>\n<header><h1>Security report</h1><p>{} · {} · made {}</p></header>\n<main>\n",
        text(&report.lake),
        text(&report.interval),
        text(&report.made)
    );
    if !report.warnings.is_empty() {
        page.push_str("<section class=\"warn\"><h2>Know before you read</h2><ul>");
        for warning in &report.warnings {
            let _ = write!(page, "<li>{}</li>", text(warning));
        }
        page.push_str("</ul></section>\n");
    }
    findings(report, &mut page);
    section(&mut page, "Top talkers", "Accepted bytes by pair and port.", &report.talkers, |rows| {
        chart::talkers(rows)
    });
    section(
        &mut page,
        "Traffic by zone",
        "Accepted bytes from the left to the right.",
        &report.zones,
        |rows| chart::zones(rows) + &table(rows, &[2]),
    );
    section(
        &mut page,
        "Rejected traffic",
        "The twelve ports rejected most; darker is more.",
        &report.rejected,
        chart::heat,
    );
    section(
        &mut page,
        "Principals",
        "By calls; calls of AWS services are left out.",
        &report.principals,
        |rows| table(rows, &[]),
    );
    section(
        &mut page,
        "Freshness",
        "Newest records and objects by kind of log.",
        &report.freshness,
        |rows| table(rows, &[]),
    );
    gaps(report, &mut page);
    page.push_str("</main>\n</body></html>\n");
    page
}

fn findings(report: &Report, page: &mut String) {
    let _ = write!(page, "<section><h2>Findings</h2><p>{} in this interval.</p>", report.findings.len());
    if report.findings.is_empty() {
        page.push_str("</section>\n");
        return;
    }
    let _ = write!(page, "<figure>{}</figure>", chart::timeline(&report.findings));
    page.push_str("<div class=\"scroll\"><table><thead><tr><th>severity</th><th>what</th><th>who</th><th>last seen</th></tr></thead><tbody>");
    for finding in report.findings.iter().take(FINDINGS_MAX) {
        let _ = write!(
            page,
            "<tr><td><span class=\"badge {0}\">{0}</span></td><td><b>{1}</b><br>{2}</td><td class=\"code\">{3}</td><td>{4}</td></tr>",
            text(&finding.severity),
            text(&finding.title),
            text(&finding.summary),
            text(&finding.entity),
            chart::moment(finding.last)
        );
    }
    page.push_str("</tbody></table></div>");
    if report.findings.len() > FINDINGS_MAX {
        let _ = write!(page, "<p>{} more: logq detect lists all.</p>", report.findings.len() - FINDINGS_MAX);
    }
    page.push_str("</section>\n");
}

fn section(page: &mut String, title: &str, what: &str, rows: &Rows, body: impl Fn(&Rows) -> String) {
    let _ = write!(page, "<section><h2>{title}</h2>");
    if rows.is_empty() {
        page.push_str("<p class=\"none\">No data in this interval.</p>");
    } else {
        let _ = write!(page, "<p>{what}</p><figure>{}</figure>", body(rows));
    }
    page.push_str("</section>\n");
}

/// No gap is good news, unless there is nothing that could have one.
fn gaps(report: &Report, page: &mut String) {
    page.push_str("<section><h2>Coverage gaps</h2>");
    if !report.gaps.is_empty() {
        let _ = write!(
            page,
            "<p>Hours in which an account was silent that spoke before and after.</p><figure>{}</figure>",
            table(&report.gaps, &[])
        );
    } else if report.principals.is_empty() && report.talkers.is_empty() {
        page.push_str("<p class=\"none\">No data in this interval, so nothing can be said.</p>");
    } else {
        page.push_str(
            "<p>No account was silent for more than an hour between its first and last record.</p>",
        );
    }
    page.push_str("</section>\n");
}

fn table(rows: &Rows, in_bytes: &[usize]) -> String {
    let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
    for name in &rows.names {
        let _ = write!(html, "<th>{}</th>", text(&name.replace('_', " ")));
    }
    html.push_str("</tr></thead><tbody>");
    for row in 0..rows.rows.len() {
        html.push_str("<tr>");
        for column in 0..rows.names.len() {
            let number = rows.number(row, column);
            let shown = match number {
                Some(number) if in_bytes.contains(&column) => bytes(number),
                _ => rows.text(row, column).to_owned(),
            };
            let class = if number.is_some() { " class=\"number\"" } else { "" };
            let _ = write!(html, "<td{class}>{}</td>", text(&shown));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

#[cfg(test)]
mod tests {
    use super::super::Finding;
    use super::*;

    fn hostile() -> Report {
        let evil = "<img src=x onerror=alert(1)>\" onload=\"x\u{202e}";
        let rows = |columns: usize| Rows {
            names: vec![evil.to_owned(); columns],
            rows: vec![
                (0..columns).map(|n| Some(if n >= 2 { "7".to_owned() } else { evil.to_owned() })).collect(),
            ],
        };
        let finding = Finding {
            severity: "high".to_owned(),
            title: evil.to_owned(),
            entity: evil.to_owned(),
            summary: evil.to_owned(),
            first: 1_790_000_000_000_000,
            last: 1_790_000_100_000_000,
        };
        Report {
            lake: evil.to_owned(),
            warnings: vec![evil.to_owned()],
            findings: vec![finding],
            talkers: rows(9),
            zones: rows(4),
            rejected: rows(4),
            principals: rows(6),
            freshness: rows(7),
            gaps: rows(5),
            ..Report::default()
        }
    }

    #[test]
    fn g9_a_hostile_line_is_text_on_the_page() {
        let page = html(&hostile());
        assert!(!page.contains("<img") && !page.contains("\u{202e}"), "{page}");
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&quot; onload=&quot;x"), "{page}");
        // Whatever stands in a tag is ours: no attribute of theirs.
        let mut rest = page.as_str();
        while let Some(start) = rest.find('<') {
            let tag = &rest[start..start + rest[start..].find('>').unwrap()];
            assert!(!tag.contains("onload=\"x") && !tag.contains("onerror=alert(1)>"), "{tag}");
            rest = &rest[start + tag.len()..];
        }
    }

    #[test]
    fn the_page_loads_and_runs_nothing_and_says_where_there_is_no_data() {
        for report in [hostile(), Report::default()] {
            let page = html(&report);
            for word in ["<script", "http://", "https://", "src=\"", "href=", "@import", "url("] {
                let found = page.replace("&lt;img src=x", "").contains(word);
                assert!(!found, "{word}");
            }
            assert!(page.contains("default-src 'none'"));
        }
        let empty = html(&Report::default());
        assert_eq!(empty.matches("No data in this interval").count(), 6, "{empty}");
        assert!(!empty.contains("<svg"), "no drawing of nothing");
    }

    #[test]
    fn drawings_have_a_mark_for_every_number() {
        let page = html(&hostile());
        for (mark, count) in [
            ("<circle ", 1),
            ("class=\"bar\"", 1),
            ("class=\"band c0\"", 1),
            ("class=\"heat\"", 1),
            ("class=\"zone\"", 2),
        ] {
            assert_eq!(page.matches(mark).count(), count, "{mark}");
        }
    }
}
