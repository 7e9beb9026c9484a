//! Which rule feeds which correlation, and through which fields.
//!
//! References are ids or names. A correlation whose rules are missing, or that refers to itself on
//! the way, is a problem that is named; the others run.

use super::super::library::Library;
use super::super::predicate::Target;
use super::super::problem::{Problem, RuleError, invalid, unsupported};
use super::super::rule::Meta;
use super::super::sigma::SigmaRule;
use super::super::sigma::correlation::{Correlation, Counted};

/// A correlation with its base.
pub struct Joint<'a> {
    /// The rule.
    pub rule: &'a Correlation,
    /// Whether it reports: nothing that does not `generate` builds on it.
    pub reports: bool,
    /// Titles of its rules, in order.
    pub titles: Vec<String>,
    /// Event rules at the bottom, directly or behind other correlations.
    pub leaves: Vec<Leaf<'a>>,
    /// Correlations that take its episodes.
    pub feeds: Vec<EpisodeFeed>,
}

/// An event rule below a correlation.
pub struct Leaf<'a> {
    /// Its place in the library.
    pub at: usize,
    /// The rule.
    pub rule: &'a SigmaRule,
    /// Place in the correlation's list; `None` behind another correlation.
    pub slot: Option<u16>,
    /// Where its rows hold the group's fields.
    pub groups: Vec<Target>,
    /// Where its rows hold the counted fields.
    pub values: Vec<Target>,
}

/// Where the episodes of a correlation go.
pub struct EpisodeFeed {
    /// The outer correlation.
    pub joint: usize,
    /// Place in its list.
    pub slot: u16,
    /// For each of its group fields, the place in the inner correlation's group.
    pub groups: Vec<usize>,
    /// The same for its counted fields.
    pub values: Vec<usize>,
}

/// All correlations of a library.
pub struct Wiring<'a> {
    /// Each correlation, in the library's order.
    pub joints: Vec<Joint<'a>>,
    /// Those that can run, inner ones first.
    pub order: Vec<usize>,
    /// For each event rule, whether it reports on its own.
    pub reports: Vec<bool>,
    /// What cannot run.
    pub problems: Vec<Problem>,
}

/// What a reference means.
enum Base {
    Rule(usize),
    Joint(usize),
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    Open,
    Good,
    Bad,
}

impl<'a> Wiring<'a> {
    /// Connects the rules of a library.
    pub fn new(library: &'a Library) -> Wiring<'a> {
        let joints = library.correlations.iter().map(|rule| Joint {
            rule,
            reports: true,
            titles: Vec::new(),
            leaves: Vec::new(),
            feeds: Vec::new(),
        });
        let mut wiring = Wiring {
            joints: joints.collect(),
            order: Vec::new(),
            reports: vec![true; library.sigma.len()],
            problems: Vec::new(),
        };
        let mut states = vec![State::New; wiring.joints.len()];
        for at in 0..wiring.joints.len() {
            wiring.visit(library, at, &mut states);
        }
        wiring
    }

    /// The leaves fed by one event rule: number of the correlation and the leaf.
    pub fn fed_by(&self, rule: usize) -> impl Iterator<Item = (usize, &Leaf<'a>)> {
        self.order.iter().flat_map(move |at| {
            let leaves = self.joints.get(*at).map(|joint| joint.leaves.as_slice()).unwrap_or_default();
            leaves.iter().filter(move |leaf| leaf.at == rule).map(move |leaf| (*at, leaf))
        })
    }

    fn visit(&mut self, library: &'a Library, at: usize, states: &mut [State]) -> State {
        match states.get(at) {
            Some(State::New) => {}
            Some(state) => return *state,
            None => return State::Bad,
        }
        states[at] = State::Open;
        let Some(rule) = library.correlations.get(at) else { return State::Bad };
        let state = match self.connect(library, at, rule, states) {
            Ok(()) => {
                self.order.push(at);
                State::Good
            }
            Err(error) => {
                self.problems.push(error.at(&rule.meta.origin, Some(&rule.meta.title)));
                State::Bad
            }
        };
        states[at] = state;
        state
    }

    fn connect(
        &mut self,
        library: &'a Library,
        at: usize,
        rule: &'a Correlation,
        states: &mut [State],
    ) -> Result<(), RuleError> {
        let mut titles = Vec::new();
        let mut leaves = Vec::new();
        let mut feeds = Vec::new();
        for (slot, wanted) in rule.rules.iter().enumerate() {
            let slot = u16::try_from(slot).unwrap_or(super::EVIDENCE - 1);
            let bases = bases(library, wanted);
            if bases.is_empty() {
                return invalid(format!("field `correlation.rules`: no runnable rule is called {wanted}"));
            }
            for base in bases {
                match base {
                    Base::Rule(found) => {
                        let Some(base) = library.sigma.get(found) else { continue };
                        titles.push(base.meta.title.clone());
                        leaves.push(direct(rule, base, found, wanted, slot));
                    }
                    Base::Joint(inner) => {
                        match self.visit(library, inner, states) {
                            State::Good => {}
                            State::Open => {
                                return invalid(format!(
                                    "field `correlation.rules`: {wanted} leads back to this correlation"
                                ));
                            }
                            _ => {
                                return invalid(format!("field `correlation.rules`: {wanted} cannot run"));
                            }
                        }
                        let Some(joint) = self.joints.get(inner) else { continue };
                        titles.push(joint.rule.meta.title.clone());
                        feeds.push((inner, through(rule, joint.rule, wanted, at, slot)?));
                        leaves.extend(behind(library, rule, joint, wanted)?);
                    }
                }
            }
        }
        for leaf in leaves.iter().filter(|leaf| leaf.slot.is_some()) {
            if let Some(reports) = self.reports.get_mut(leaf.at) {
                *reports &= rule.generate;
            }
        }
        for (inner, feed) in feeds {
            if let Some(joint) = self.joints.get_mut(inner) {
                joint.reports &= rule.generate;
                joint.feeds.push(feed);
            }
        }
        if let Some(joint) = self.joints.get_mut(at) {
            joint.titles = titles;
            joint.leaves = leaves;
        }
        Ok(())
    }
}

fn bases(library: &Library, wanted: &str) -> Vec<Base> {
    let rules = library.sigma.iter().enumerate().filter(|(_, rule)| means(wanted, &rule.meta));
    let joints = library.correlations.iter().enumerate().filter(|(_, rule)| means(wanted, &rule.meta));
    rules.map(|(at, _)| Base::Rule(at)).chain(joints.map(|(at, _)| Base::Joint(at))).collect()
}

/// Whether a reference means the rule with this description.
pub fn means(wanted: &str, meta: &Meta) -> bool {
    meta.id.eq_ignore_ascii_case(wanted) || meta.name.as_deref() == Some(wanted)
}

fn counted_fields(rule: &Correlation) -> Vec<&str> {
    match &rule.counted {
        Counted::Values(fields) => fields.iter().map(String::as_str).collect(),
        Counted::Numbers { field, .. } => vec![field],
        Counted::Events | Counted::Rules { .. } => Vec::new(),
    }
}

fn direct<'a>(rule: &Correlation, base: &'a SigmaRule, at: usize, wanted: &str, slot: u16) -> Leaf<'a> {
    let find = |field: &str| base.source.field(rule.field_of(field, wanted));
    Leaf {
        at,
        rule: base,
        slot: Some(slot),
        groups: rule.group_by.iter().map(|field| find(field)).collect(),
        values: counted_fields(rule).into_iter().map(find).collect(),
    }
}

/// How the episodes of an inner correlation become entries of an outer one.
fn through(
    rule: &Correlation,
    inner: &Correlation,
    wanted: &str,
    joint: usize,
    slot: u16,
) -> Result<EpisodeFeed, RuleError> {
    let place = |field: &str| {
        let own = rule.field_of(field, wanted);
        inner.group_by.iter().position(|other| other == own).ok_or_else(|| {
            RuleError::Unsupported(format!(
                "field `{own}` is not in the `group-by` of {wanted}, which this correlation builds on"
            ))
        })
    };
    Ok(EpisodeFeed {
        joint,
        slot,
        groups: rule.group_by.iter().map(|field| place(field)).collect::<Result<_, _>>()?,
        values: counted_fields(rule).into_iter().map(place).collect::<Result<_, _>>()?,
    })
}

/// The event rules behind an inner correlation, with the outer group's fields as they have them.
fn behind<'a>(
    library: &'a Library,
    rule: &Correlation,
    inner: &Joint<'a>,
    wanted: &str,
) -> Result<Vec<Leaf<'a>>, RuleError> {
    let mut leaves = Vec::new();
    for leaf in &inner.leaves {
        let Some(base) = library.sigma.get(leaf.at) else { continue };
        let mut groups = Vec::new();
        for field in &rule.group_by {
            let own = rule.field_of(field, wanted);
            let place = inner.rule.group_by.iter().position(|other| other == own);
            let Some(target) = place.and_then(|place| leaf.groups.get(place)) else {
                return unsupported(format!("field `{own}` is not in the `group-by` of {wanted}"));
            };
            groups.push(target.clone());
        }
        leaves.push(Leaf { at: leaf.at, rule: base, slot: None, groups, values: leaf.values.clone() });
    }
    Ok(leaves)
}
