//! `logq report`: the state of an estate on one page.
//!
//! One HTML file that needs nothing else: no script, no font, no network; its policy forbids all three.
//! It opens offline, on a phone, light or dark. Charts are drawings of the numbers beside them.
//!
//! Promises: text of the logs is text on the page, whatever is in it ([`markup`]); a section whose table
//! has no data says so instead of looking calm; what could not be read is named at the top.

pub mod chart;
pub mod markup;
pub mod page;
pub mod rows;

use crate::detect::engine;
use crate::detect::library::Library as Rules;
use crate::detect::sigma::detection::Placeholders;
use crate::named::Library;
use crate::session::{QueryError, Session};
use rows::Rows;

/// What a page is made of.
#[derive(Debug, Default)]
pub struct Report {
    /// Where the tables are.
    pub lake: String,
    /// The interval looked at.
    pub interval: String,
    /// When it was made.
    pub made: String,
    /// What the reader must know before anything else.
    pub warnings: Vec<String>,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// Pairs by bytes.
    pub talkers: Rows,
    /// Bytes from zone to zone.
    pub zones: Rows,
    /// Rejected records by port and hour.
    pub rejected: Rows,
    /// Principals by calls.
    pub principals: Rows,
    /// Newest records of each kind of log.
    pub freshness: Rows,
    /// Silent hours.
    pub gaps: Rows,
}

/// One finding on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Severity in words.
    pub severity: String,
    /// Title of the rule.
    pub title: String,
    /// Who or what.
    pub entity: String,
    /// What happened.
    pub summary: String,
    /// Microseconds since 1970.
    pub first: i64,
    /// Microseconds since 1970.
    pub last: i64,
}

const ZONES: &str =
    "SELECT {from} AS source, {to} AS target, sum(bytes) AS bytes, count(*) AS records FROM vpc_flow
  WHERE action = 'ACCEPT' AND src_ip IS NOT NULL GROUP BY 1, 2 ORDER BY bytes DESC LIMIT 24";

const REJECTED: &str = "WITH top AS (SELECT dst_port FROM vpc_flow WHERE action = 'REJECT' GROUP BY dst_port ORDER BY count(*) DESC, dst_port LIMIT 12)
  SELECT v.dst_port AS port, port_name(v.dst_port) AS service, {bucket} AS hour, count(*) AS records
  FROM vpc_flow v JOIN top ON v.dst_port = top.dst_port WHERE v.action = 'REJECT' GROUP BY 1, 2, 3 ORDER BY 3, 1";

const PRINCIPALS: &str = "SELECT actor, count(*) AS calls, count(*) FILTER (WHERE outcome = 'failure') AS failed,
  count(DISTINCT src_ip) AS addresses, count(DISTINCT event_source) AS services, max(event_time) AS last_seen
  FROM cloudtrail WHERE actor IS NOT NULL AND invoked_by IS NULL GROUP BY actor ORDER BY calls DESC, actor LIMIT 15";

const SPAN: &str = "SELECT date_part('epoch', max(event_time)) - date_part('epoch', min(event_time)) AS seconds FROM vpc_flow WHERE action = 'REJECT'";

/// Columns of the heat map: more would be thinner than a finger is wide.
const HEAT_COLUMNS: f64 = 48.0;

impl Report {
    /// Asks the lake. Zones are those declared, or private and internet; `with_zones` says which.
    ///
    /// # Errors
    /// [`QueryError`] when a query cannot be answered: a page with a hole would look complete.
    pub async fn collect(session: &Session, with_zones: bool) -> Result<Self, QueryError> {
        let library = Library::load(None).map_err(|error| QueryError::Sql { message: error.to_string() })?;
        let named = |name: &str| {
            library
                .find(name)
                .map(|query| query.sql.replace("$limit", "15"))
                .map_err(|error| QueryError::Sql { message: error.to_string() })
        };
        let range = session.time_range();
        let time = |time: Option<chrono::DateTime<chrono::Utc>>, open: &str| {
            time.map_or(open.to_owned(), |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
        };
        let mut report = Report {
            lake: session.lake().to_string(),
            interval: format!("{} to {}", time(range.since, "the beginning"), time(range.until, "now")),
            made: chrono::Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
            talkers: rows::ask(session, &named("top-talkers")?).await?,
            zones: rows::ask(session, &zones(with_zones)).await?,
            principals: rows::ask(session, PRINCIPALS).await?,
            freshness: rows::ask(session, &named("freshness")?).await?,
            gaps: rows::ask(session, &named("coverage")?).await?,
            ..Report::default()
        };
        let seconds = rows::ask(session, SPAN).await?.number(0, 0).unwrap_or(0.0);
        report.rejected = rows::ask(session, &REJECTED.replace("{bucket}", &bucket(seconds))).await?;
        report.detect(session).await?;
        Ok(report)
    }

    async fn detect(&mut self, session: &Session) -> Result<(), QueryError> {
        let rules = Rules::shipped(&Placeholders::new());
        let mut outcome = engine::run(session, &rules, None).await;
        if !outcome.failures.is_empty() {
            return Err(outcome.failures.swap_remove(0));
        }
        self.warnings.extend(outcome.notes);
        for (table, rules) in &outcome.no_data {
            self.warnings.push(format!("table {table} has no data: {rules} rules had nothing to look at"));
        }
        let mut findings = outcome.findings;
        findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| b.last_seen.cmp(&a.last_seen)));
        self.findings = findings
            .into_iter()
            .map(|finding| Finding {
                severity: finding.severity.to_string(),
                title: finding.rule_title,
                entity: finding.entity,
                summary: finding.summary,
                first: finding.first_seen.timestamp_micros(),
                last: finding.last_seen.timestamp_micros(),
            })
            .collect();
        Ok(())
    }
}

fn zones(declared: bool) -> String {
    let zone = |address: &str| match declared {
        true => format!("coalesce(zone({address}, account_id), 'undeclared')"),
        false => format!(
            "CASE WHEN is_private({address}) THEN 'private ' || coalesce(vpc_id, '') ELSE 'internet' END"
        ),
    };
    let from = zone("coalesce(pkt_srcaddr, src_ip)");
    let to = zone("coalesce(pkt_dstaddr, dst_ip)");
    ZONES.replace("{from}", &from).replace("{to}", &to)
}

/// The width of a column of the heat map that makes the whole interval fit.
fn bucket(seconds: f64) -> String {
    let steps = [("5m", 300.0), ("1h", 3_600.0), ("6h", 21_600.0), ("1d", 86_400.0), ("7d", 604_800.0)];
    let fits = steps.iter().find(|(_, step)| seconds / step <= HEAT_COLUMNS).unwrap_or(&steps[4]);
    format!("time_bucket('{}', v.event_time)", fits.0)
}
