//! The shell: `logq` on a terminal, without SQL.
//!
//! Statements end with `;` and may take several lines; lines that begin with a backslash are commands
//! ([`command`]). Promises: Ctrl-C ends the running query and keeps the shell; what was typed is in the
//! history under the user's state directory, which only the user can read; a lake that grows is seen,
//! because tables are opened anew when the last look at them is older than a minute.

pub mod command;
pub mod completion;
pub mod highlight;
pub mod statement;

use super::profile::{self, Profile};
use super::terminal::Terminal;
use super::{GlobalArgs, ResultArgs, inspect, named, query, stop};
use crate::named::Library;
use crate::named::binding::Values;
use crate::session::Session;
use crate::{config, exit_code};
use command::Command;
use completion::{Completion, Vocabulary};
use reedline::{
    ColumnarMenu, Emacs, FileBackedHistory, KeyCode, KeyModifiers, MenuBuilder, Prompt, PromptEditMode,
    PromptHistorySearch, Reedline, ReedlineEvent, ReedlineMenu, Signal,
};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Name of the completion menu in key bindings.
const MENU: &str = "completion";

const HELP: &str = "\
  statements end with ; and may take several lines
  \\d              tables of the lake            \\d TABLE        columns of a table
  \\queries        named queries                 \\run NAME a=b   run one
  \\functions      functions logq adds           \\format NAME    table, vertical, csv, json, markdown, …
  \\since TIME     look at rows from then on     \\timing         rows, time and bytes of every query
  \\export FILE    write the last query's rows to a file: .csv .tsv .json .jsonl .md .parquet .arrow
  \\refresh        look at the lake anew         \\q              leave";

/// Runs the shell until it is left.
///
/// # Errors
/// When the terminal cannot be used.
pub async fn run(global: &GlobalArgs, result: &ResultArgs) -> Result<u8, anyhow::Error> {
    let mut shell = Shell::new(global.clone(), result.clone())?;
    let mut editor = editor(shell.vocabulary(), Terminal::new(global).colored());
    loop {
        // Blocking: nothing else is to be done while somebody types.
        match editor.read_line(&Arrow)? {
            Signal::Success(line) => {
                if !shell.take(line.trim()).await {
                    return Ok(exit_code::OK);
                }
            }
            Signal::CtrlC => {}
            Signal::CtrlD => return Ok(exit_code::OK),
        }
    }
}

struct Shell {
    global: GlobalArgs,
    result: ResultArgs,
    profile: Profile,
    library: Library,
    session: Session,
    opened: Instant,
    timing: bool,
    last: Option<(String, Values)>,
}

impl Shell {
    fn new(global: GlobalArgs, result: ResultArgs) -> Result<Self, anyhow::Error> {
        let profile = super::profile(&global)?;
        let library = Library::load(profile.queries.as_deref())?;
        let session = super::session_of(&global, &profile)?;
        Ok(Shell {
            global,
            result,
            profile,
            library,
            session,
            opened: Instant::now(),
            timing: true,
            last: None,
        })
    }

    fn vocabulary(&self) -> Vocabulary {
        let state = self.session.context().state();
        let queries = self.library.iter().map(|query| query.name.clone()).collect();
        let functions = state.scalar_functions().keys().chain(state.aggregate_functions().keys());
        Vocabulary::new(functions.cloned().collect(), queries)
    }

    /// Does what a line says; `false` to leave.
    async fn take(&mut self, line: &str) -> bool {
        let mut global = self.global.clone();
        global.quiet |= !self.timing;
        // Measured for every line: the window may have another size now.
        let terminal = Terminal::new(&global);
        if line.is_empty() {
            return true;
        }
        let done = match Command::parse(line) {
            Ok(Command::Quit) => return false,
            Ok(command) => stop::unless_interrupted(self.obey(command, &terminal)).await,
            Err(message) => Some(Err(anyhow::Error::msg(message))),
        };
        match done {
            Some(Ok(())) => {}
            Some(Err(error)) => drop(super::tell(&error, &terminal)),
            None => terminal.note("cancelled"),
        }
        true
    }

    async fn obey(&mut self, command: Command, terminal: &Terminal) -> Result<(), anyhow::Error> {
        if self.opened.elapsed() > config::SHELL_TABLES_AGE_MAX {
            self.reopen()?;
        }
        match command {
            Command::Quit => {}
            Command::Help => println!("{HELP}"),
            Command::Sql(sql) => self.query(sql, Values::new(), terminal).await?,
            Command::Describe(None) => drop(inspect::tables(&self.session, &self.result, terminal).await?),
            Command::Describe(Some(table)) => {
                inspect::schema(&self.session, &table, &self.result, terminal).await?;
            }
            Command::Functions => drop(inspect::functions(&self.result, terminal)?),
            Command::Queries => drop(named::list(&self.library, None, &self.result, terminal)?),
            Command::Run { name, given } => {
                let query = self.library.find(&name)?;
                let values = query.values(&given, chrono::Utc::now()).map_err(anyhow::Error::msg)?;
                self.query(query.sql.clone(), values, terminal).await?;
            }
            Command::Format(format) => self.result.format = format,
            Command::Timing => {
                self.timing = !self.timing;
                terminal.aside(if self.timing { "timing is on" } else { "timing is off" });
            }
            Command::Since(since) => {
                self.global.since = since;
                self.global.until = None;
                self.reopen()?;
            }
            Command::Refresh => self.reopen()?,
            Command::Export { file, format } => self.export(&file, format, terminal).await?,
        }
        Ok(())
    }

    async fn query(&mut self, sql: String, values: Values, terminal: &Terminal) -> Result<(), anyhow::Error> {
        let ran = query::run(&self.session, &sql, &values, &self.result, terminal).await;
        self.last = Some((sql, values));
        ran.map(drop)
    }

    async fn export(
        &self,
        file: &Path,
        format: crate::output::Format,
        terminal: &Terminal,
    ) -> Result<(), anyhow::Error> {
        let Some((sql, values)) = &self.last else { anyhow::bail!("no query to export yet: run one first") };
        let result = ResultArgs { format, output: Some(file.to_owned()), limit: 0, ..self.result.clone() };
        query::run(&self.session, sql, values, &result, terminal).await?;
        terminal.aside(&format!("written to {}", file.display()));
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), anyhow::Error> {
        self.session = super::session_of(&self.global, &self.profile)?;
        self.opened = Instant::now();
        Ok(())
    }
}

fn editor(vocabulary: Vocabulary, colored: bool) -> Reedline {
    let mut keys = reedline::default_emacs_keybindings();
    let complete =
        ReedlineEvent::UntilFound(vec![ReedlineEvent::Menu(MENU.to_owned()), ReedlineEvent::MenuNext]);
    keys.add_binding(KeyModifiers::NONE, KeyCode::Tab, complete);
    keys.add_binding(KeyModifiers::SHIFT, KeyCode::BackTab, ReedlineEvent::MenuPrevious);
    let menu = ColumnarMenu::default().with_name(MENU);
    let mut editor = Reedline::create()
        .with_edit_mode(Box::new(Emacs::new(keys)))
        .with_highlighter(Box::new(highlight::Highlight::new(&vocabulary)))
        .with_validator(Box::new(statement::Whole))
        .with_completer(Box::new(Completion::new(vocabulary)))
        .with_quick_completions(true)
        .with_partial_completions(true)
        .with_menu(ReedlineMenu::EngineCompleter(Box::new(menu)))
        .with_ansi_colors(colored);
    // Without a place for it the history lives as long as the shell.
    if let Some(history) =
        history_file().and_then(|file| FileBackedHistory::with_file(config::SHELL_HISTORY_LINES, file).ok())
    {
        editor = editor.with_history(Box::new(history));
    }
    editor
}

/// The history file in a directory only the user can enter: queries name people and secrets.
fn history_file() -> Option<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let directory = profile::state_directory()?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).ok()?;
    Some(directory.join("history"))
}

/// The prompt.
struct Arrow;

impl Prompt for Arrow {
    fn render_prompt_left(&self) -> Cow<'_, str> {
        "logq".into()
    }

    fn render_prompt_right(&self) -> Cow<'_, str> {
        "".into()
    }

    fn render_prompt_indicator(&self, _: PromptEditMode) -> Cow<'_, str> {
        "> ".into()
    }

    fn render_prompt_multiline_indicator(&self) -> Cow<'_, str> {
        "   -> ".into()
    }

    fn render_prompt_history_search_indicator(&self, search: PromptHistorySearch) -> Cow<'_, str> {
        format!("(search: {}) ", search.term).into()
    }
}
