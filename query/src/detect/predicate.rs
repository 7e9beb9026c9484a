//! What a rule asks of one row, independent of how it is written and of how it is run.
//!
//! Two lowerings exist: [`super::lower`] makes the DataFusion expression of the scan, and
//! [`super::predicate_sql`] makes the text an analyst can paste into `logq`. A leaf is false where
//! the field is missing; only `Not` turns that into true, so both lowerings guard `Not` alone.

use logq_schemas::Kind;

/// Where a value is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A column of the table.
    Column {
        /// Its name.
        name: &'static str,
        /// Its type.
        kind: Kind,
    },
    /// Every value below a path of a JSON column; arrays are descended into.
    Json {
        /// The JSON column.
        column: &'static str,
        /// Dotted path inside it.
        path: String,
    },
}

impl Target {
    /// A column of that kind.
    pub fn column(name: &'static str, kind: Kind) -> Target {
        Target::Column { name, kind }
    }

    /// The column that must be read.
    pub fn column_name(&self) -> &'static str {
        match self {
            Target::Column { name, .. } | Target::Json { column: name, .. } => name,
        }
    }
}

/// Order comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// Less than.
    Lt,
    /// At most.
    Lte,
    /// Greater than.
    Gt,
    /// At least.
    Gte,
}

impl Order {
    /// The SQL operator.
    pub fn symbol(self) -> &'static str {
        match self {
            Order::Lt => "<",
            Order::Lte => "<=",
            Order::Gt => ">",
            Order::Gte => ">=",
        }
    }
}

/// Where in the other field's text a `fieldref` must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// The whole text.
    Whole,
    /// At the start.
    Start,
    /// At the end.
    End,
    /// Anywhere.
    Anywhere,
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Equal to one of these texts; without regard to case unless `cased`.
    Is {
        /// Candidates.
        values: Vec<String>,
        /// Whether case counts.
        cased: bool,
    },
    /// SQL LIKE pattern (`%`, `_`, escaped by `\`).
    Like {
        /// The pattern.
        pattern: String,
        /// Whether case counts.
        cased: bool,
    },
    /// Regular expression with its flags written inside, e.g. `(?i)`.
    Regex(String),
    /// Address inside a network.
    Cidr(String),
    /// Ordered against a number.
    Compare(Order, f64),
    /// Missing or null.
    Missing,
    /// Present.
    Present,
    /// A part of a timestamp (`hour`, `minute`, …).
    Part(&'static str, i64),
    /// Compared with another field of the same row.
    Field {
        /// The other field.
        other: Target,
        /// How.
        place: Place,
        /// Whether case counts.
        cased: bool,
    },
}

/// A condition over one row.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Constant.
    Always(bool),
    /// All of them.
    And(Vec<Predicate>),
    /// Any of them.
    Or(Vec<Predicate>),
    /// Not true (false, or a field is missing).
    Not(Box<Predicate>),
    /// A test of one field.
    Leaf(Target, Test),
}

impl Predicate {
    /// Conjunction, flattened.
    pub fn and(parts: Vec<Predicate>) -> Predicate {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Predicate::And(inner) => flat.extend(inner),
                Predicate::Always(true) => {}
                Predicate::Always(false) => return Predicate::Always(false),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Predicate::Always(true),
            1 => flat.swap_remove(0),
            _ => Predicate::And(flat),
        }
    }

    /// Disjunction, flattened.
    pub fn or(parts: Vec<Predicate>) -> Predicate {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Predicate::Or(inner) => flat.extend(inner),
                Predicate::Always(false) => {}
                Predicate::Always(true) => return Predicate::Always(true),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Predicate::Always(false),
            1 => flat.swap_remove(0),
            _ => Predicate::Or(flat),
        }
    }

    /// Negation.
    pub fn negate(inner: Predicate) -> Predicate {
        match inner {
            Predicate::Always(value) => Predicate::Always(!value),
            Predicate::Not(inner) => *inner,
            other => Predicate::Not(Box::new(other)),
        }
    }

    /// The texts `column` must equal for the predicate to hold, lower case; `None` when it can hold
    /// for others too. This is what a prefilter over many rules is made of.
    pub fn required_values(&self, column: &str) -> Option<Vec<String>> {
        match self {
            Predicate::Leaf(Target::Column { name, .. }, Test::Is { values, .. }) if *name == column => {
                Some(values.iter().map(|value| value.to_lowercase()).collect())
            }
            Predicate::And(parts) => {
                parts.iter().filter_map(|part| part.required_values(column)).min_by_key(Vec::len)
            }
            Predicate::Or(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(part.required_values(column)?);
                }
                Some(all)
            }
            Predicate::Always(false) => Some(Vec::new()),
            _ => None,
        }
    }

    /// Every column the predicate reads, with repetitions.
    pub fn columns(&self, into: &mut Vec<&'static str>) {
        match self {
            Predicate::Always(_) => {}
            Predicate::And(parts) | Predicate::Or(parts) => {
                parts.iter().for_each(|part| part.columns(into));
            }
            Predicate::Not(inner) => inner.columns(into),
            Predicate::Leaf(target, test) => {
                into.push(target.column_name());
                if let Test::Field { other, .. } = test {
                    into.push(other.column_name());
                }
            }
        }
    }
}
