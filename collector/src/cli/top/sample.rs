//! The metrics page of a collector at one moment.

use std::collections::BTreeMap;
use std::time::Instant;

/// Labels of a series.
type Labels = BTreeMap<String, String>;

/// All series at one moment.
#[derive(Debug)]
pub struct Sample {
    /// When it was taken.
    pub at: Instant,
    series: BTreeMap<String, Vec<(Labels, f64)>>,
}

impl Sample {
    /// Reads the text format Prometheus scrapes. What is not understood is left out.
    pub fn parse(text: &str) -> Self {
        let mut series: BTreeMap<String, Vec<(Labels, f64)>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((left, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = match left.split_once('{') {
                Some((name, rest)) => (name, labels(rest)),
                None => (left, Labels::new()),
            };
            series.entry(name.to_owned()).or_default().push((labels, value));
        }
        Self { at: Instant::now(), series }
    }

    /// Sum of all series of a name that carry the given labels.
    pub fn sum(&self, name: &str, wanted: &[(&str, &str)]) -> f64 {
        let fits = |labels: &Labels| {
            wanted.iter().all(|(key, value)| labels.get(*key).is_some_and(|label| label == value))
        };
        let all = self.series.get(name).into_iter().flatten();
        all.filter(|(labels, _)| fits(labels)).map(|(_, value)| value).sum()
    }

    /// Values of a label over all series of a name that carry `wanted`, in order.
    pub fn values_of(&self, name: &str, wanted: (&str, &str), label: &str) -> Vec<String> {
        let all = self.series.get(name).into_iter().flatten();
        let fits = all.filter(|(labels, _)| labels.get(wanted.0).is_some_and(|value| value == wanted.1));
        let mut values: Vec<String> = fits.filter_map(|(labels, _)| labels.get(label).cloned()).collect();
        values.sort();
        values.dedup();
        values
    }
}

/// `a="x",b="y"}` as a map.
fn labels(text: &str) -> Labels {
    let mut labels = Labels::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut chars = after.char_indices();
        let mut end = after.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => value.extend(chars.next().map(|(_, c)| if c == 'n' { '\n' } else { c })),
                c => value.push(c),
            }
        }
        labels.insert(key.trim_start_matches(',').to_owned(), value);
        rest = &after[end..];
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels() {
        let sample = Sample::parse(
            "# TYPE a counter\na_total{sink=\"x\",reason=\"old\"} 2\na_total{sink=\"x\",reason=\"a\\\"},b\"} 3\n\
             a_total{sink=\"y\",reason=\"old\"} 7\nb 1.5\nbroken\n# EOF\n",
        );
        assert!((sample.sum("a_total", &[("sink", "x")]) - 5.0).abs() < f64::EPSILON);
        assert!((sample.sum("b", &[]) - 1.5).abs() < f64::EPSILON);
        assert!(sample.sum("c", &[]).abs() < f64::EPSILON);
        assert_eq!(sample.values_of("a_total", ("sink", "x"), "reason"), ["a\"},b", "old"]);
    }
}
