//! All named queries: the shipped ones and those of a directory.

use super::header::{HeaderError, NamedQuery};
use crate::session::nearest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/queries.rs"));

/// Named queries by name.
#[derive(Debug, Clone, Default)]
pub struct Library {
    queries: BTreeMap<String, NamedQuery>,
    problems: Vec<String>,
}

/// Why a library or a query of it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// The directory cannot be read.
    #[error("cannot read the queries in {}: {reason}", path.display())]
    Unreadable {
        /// Directory.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// No query of that name.
    #[error("no query called {name}{}; logq queries lists them", .nearest.as_ref().map(|n| format!(", did you mean {n}?")).unwrap_or_default())]
    Unknown {
        /// As given.
        name: String,
        /// A name it may have meant.
        nearest: Option<String>,
    },
}

impl Library {
    /// The shipped queries, and those of `directory`, which win over shipped ones of the same name.
    ///
    /// A file that is no named query is kept as a problem: the others are still there.
    ///
    /// # Errors
    /// [`LibraryError::Unreadable`]
    pub fn load(directory: Option<&Path>) -> Result<Self, LibraryError> {
        let mut library = Library::default();
        for (name, text) in FILES {
            library.add(NamedQuery::parse(name.trim_end_matches(".sql"), text));
        }
        let Some(directory) = directory else { return Ok(library) };
        let unreadable = |reason| LibraryError::Unreadable { path: directory.to_owned(), reason };
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
            if path.extension().is_some_and(|extension| extension == "sql") {
                let text = std::fs::read_to_string(&path).map_err(unreadable)?;
                library.add(NamedQuery::parse(name, &text));
            }
        }
        Ok(library)
    }

    fn add(&mut self, query: Result<NamedQuery, HeaderError>) {
        match query {
            Ok(query) => drop(self.queries.insert(query.name.clone(), query)),
            Err(error) => self.problems.push(error.to_string()),
        }
    }

    /// All of them by name.
    pub fn iter(&self) -> impl Iterator<Item = &NamedQuery> {
        self.queries.values()
    }

    /// Files that are no named queries.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The query `name`.
    ///
    /// # Errors
    /// [`LibraryError::Unknown`] with the nearest name.
    pub fn find(&self, name: &str) -> Result<&NamedQuery, LibraryError> {
        self.queries.get(name).ok_or_else(|| LibraryError::Unknown {
            name: name.to_owned(),
            nearest: nearest::nearest(name, self.queries.keys().map(String::as_str)).map(str::to_owned),
        })
    }
}

/// The shipped queries as Markdown, for the reference page.
pub fn reference() -> String {
    use std::fmt::Write;
    let mut page = String::from("| query | parameters | answers |\n|---|---|---|\n");
    for query in Library::load(None).iter().flat_map(Library::iter) {
        let _ = writeln!(page, "| `{}` | `{}` | {} |", query.name, query.usage(), query.title);
    }
    page.replace("| `` |", "| |")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::named::binding;
    use crate::session::{Options, Session};
    use std::collections::BTreeSet;

    #[test]
    fn every_shipped_query_reads_what_it_says_and_uses_every_parameter() {
        let library = Library::load(None).unwrap();
        assert!(library.problems().is_empty(), "{:#?}", library.problems());
        assert!(library.iter().count() >= 30);
        let session = Session::new(Options::default()).unwrap();
        for query in library.iter() {
            assert!(
                !query.title.is_empty() && !query.description.is_empty() && !query.tables.is_empty(),
                "{}",
                query.name
            );
            let mut statements = session.statements(&query.sql).unwrap();
            assert_eq!(statements.len(), 1, "{}", query.name);
            let values = query
                .parameters
                .iter()
                .map(|parameter| (parameter.name.clone(), vec![one(parameter.kind)]))
                .collect();
            let used = binding::bind(&mut statements[0], &values).unwrap();
            let declared: BTreeSet<String> = query.parameters.iter().map(|p| p.name.clone()).collect();
            assert_eq!(used, declared, "{}", query.name);
            let state = session.context().state();
            let named = state.resolve_table_references(&statements[0]).unwrap();
            let named: BTreeSet<String> =
                named.iter().map(|reference| reference.table().to_owned()).collect();
            assert_eq!(named, query.tables.iter().cloned().collect(), "{}", query.name);
        }
    }

    fn one(kind: super::super::parameter::Kind) -> datafusion::sql::sqlparser::ast::Expr {
        use super::super::parameter::{Kind, literals};
        let text = match kind {
            Kind::Text | Kind::List => "x",
            Kind::Ip | Kind::Network => "10.0.0.1",
            Kind::Int | Kind::Number => "1",
            Kind::Span => "1h",
            Kind::Time => "2026-11-22",
        };
        literals("p", kind, text, chrono::DateTime::UNIX_EPOCH).unwrap().remove(0)
    }

    #[test]
    fn a_directory_adds_queries_and_its_problems_stop_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let header = "/* ---\ntitle: Mine\ndescription: x\ntables: [vpc_flow]\n--- */\nselect 1";
        std::fs::write(directory.path().join("mine.sql"), header).unwrap();
        std::fs::write(directory.path().join("broken.sql"), "select 1").unwrap();
        std::fs::write(directory.path().join("notes.txt"), "no query").unwrap();
        let library = Library::load(Some(directory.path())).unwrap();
        assert_eq!(library.find("mine").unwrap().title, "Mine");
        assert!(
            library.problems().iter().any(|problem| problem.contains("broken")),
            "{:?}",
            library.problems()
        );
        assert_eq!(library.problems().len(), 1);
        let error = library.find("top-talker").unwrap_err().to_string();
        assert!(error.contains("did you mean top-talkers?"), "{error}");
        assert!(Library::load(Some(&directory.path().join("none"))).is_err());
    }
}
