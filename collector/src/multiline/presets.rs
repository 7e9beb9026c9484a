//! Stack traces as the runtimes of several languages print them.

/// Where in a trace a line left off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Start,
    JavaMessage,
    JavaNested,
    JavaFrame,
    JavaBlank,
    PythonTrace,
    PythonCode,
    PythonEnd,
    PythonBlank,
    PythonChained,
    PhpMessage,
    PhpFrame,
    GoMessage,
    GoSignal,
    GoBlank,
    GoRoutine,
    GoFunction,
    GoFile,
    RubyMessage,
    RubyBlank,
    RubyFrame,
    DartMessage,
    DartFrame,
    DartBlank,
    DartText,
    NodeFields,
    NodeEnd,
    PythonGroup,
    PhpBlank,
    RustPanic,
    RustMessage,
    RustFrame,
    RustEnd,
}

use State::{
    DartBlank, DartFrame, DartMessage, DartText, GoBlank, GoFile, GoFunction, GoMessage, GoRoutine, GoSignal,
    JavaBlank, JavaFrame, JavaMessage, JavaNested, NodeEnd, NodeFields, PhpBlank, PhpFrame, PhpMessage,
    PythonBlank, PythonChained, PythonCode, PythonEnd, PythonGroup, PythonTrace, RubyBlank, RubyFrame,
    RubyMessage, RustEnd, RustFrame, RustMessage, RustPanic, Start,
};

/// The set with the start state only.
pub const START_SET: u64 = 1 << Start as u8;

/// States in which the last lines may turn out not to belong to the trace.
pub const TENTATIVE_SET: u64 = 1 << JavaBlank as u8
    | 1 << PythonBlank as u8
    | 1 << GoBlank as u8
    | 1 << RubyBlank as u8
    | 1 << PhpBlank as u8
    | 1 << DartBlank as u8
    | 1 << DartText as u8;

/// A line that matches leads from any of these states to another.
pub struct Rule {
    pub from: &'static [State],
    pub pattern: &'static str,
    pub to: State,
}

/// A language with its rules.
pub struct Language {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub rules: &'static [Rule],
}

const fn rule(from: &'static [State], pattern: &'static str, to: State) -> Rule {
    Rule { from, pattern, to }
}

/// Java and all that prints like it: the JVM languages, .NET and JavaScript engines.
const JAVA: &[Rule] = &[
    rule(&[Start], r"(?:Exception|Error|Throwable|V8 errors stack trace)(?:[:\r]|$)", JavaMessage),
    rule(&[Start], r"^(?:Exception in thread|Unhandled [Ee]xception)", JavaMessage),
    rule(&[JavaMessage, JavaFrame], r"^[\t ]*nested exception is:[\t ]*", JavaNested),
    rule(&[JavaNested], r"(?:Exception|Error|Throwable)(?:[:\r]|$)", JavaMessage),
    rule(&[JavaMessage], r"^\r?$", JavaBlank),
    rule(&[JavaMessage, JavaFrame, JavaBlank], r"^[\t ]+(?:eval )?at ", JavaFrame),
    rule(&[JavaMessage, JavaFrame], r"^[\t ]+--- End of inner exception stack trace ---", JavaFrame),
    rule(&[JavaMessage, JavaFrame], r"^[\t ]*--- End of stack trace from previous location", JavaFrame),
    rule(&[JavaMessage, JavaFrame], r"^[\t ]*(?:Caused by|Suppressed|Wrapped by):", JavaMessage),
    rule(&[JavaMessage, JavaFrame], r"^[\t ]*\.\.\. [0-9]+ (?:more|common frames omitted)", JavaFrame),
    rule(&[JavaMessage, JavaFrame], r"^[\t ]*-+> [A-Za-z_.]+(?:Exception|Error):", JavaMessage),
    rule(&[JavaMessage, JavaFrame], r"^[\t ]+- locked <", JavaFrame),
    rule(&[JavaMessage, JavaFrame], r"^[\t ]*\[CIRCULAR REFERENCE:", JavaFrame),
    // Inner exceptions of an AggregateException, with a blank line between them.
    rule(&[JavaFrame], r"^\r?$", JavaBlank),
    rule(&[JavaMessage, JavaFrame, JavaBlank], r"^[\t ]*-+> \(Inner Exception #[0-9]+\) ", JavaMessage),
    // Node prints what else an error holds, its cause among it, in braces behind the last frame.
    rule(&[JavaMessage, JavaFrame], r"^[\t ]+at .*\{\r?$", NodeFields),
    rule(&[NodeFields], r"^[\t ]+[^\s]", NodeFields),
    rule(&[NodeFields], r"^\}\r?$", NodeEnd),
];

const PYTHON: &[Rule] = &[
    rule(&[Start], r"^(?:.*\b)?Traceback \(most recent call last\):\r?$", PythonTrace),
    rule(&[PythonChained, PythonBlank], r"^Traceback \(most recent call last\):\r?$", PythonTrace),
    rule(&[PythonTrace, PythonCode], r"^[\t ]+File ", PythonTrace),
    rule(&[PythonTrace], r"^[\t ]+[^\s]", PythonCode),
    // Markers of Python 3.11 and repeated frames of a recursion.
    rule(&[PythonTrace, PythonCode], r"^[\t ]+(?:[~^]+|\[Previous line repeated)", PythonCode),
    rule(&[PythonTrace, PythonCode], r"^(?:[^\s.():]+\.)*[^\s.():]+(?::|\r?$)", PythonEnd),
    rule(&[PythonEnd, PythonGroup], r"^\r?$", PythonBlank),
    // An exception group (3.11): every line behind the first begins with a line that is drawn.
    rule(
        &[PythonChained, PythonBlank],
        r"^[\t ]*\+ Exception Group Traceback \(most recent call last\):\r?$",
        PythonTrace,
    ),
    rule(&[PythonTrace, PythonGroup], r"^[\t ]*(?:\|(?: |\r?$)|\+-[-+]+)", PythonGroup),
    rule(
        &[PythonBlank],
        r"^(?:During handling of the above exception|The above exception was the direct cause)",
        PythonChained,
    ),
    rule(&[PythonChained], r"^\r?$", PythonChained),
];

const PHP: &[Rule] = &[
    rule(
        &[Start],
        r"(?:PHP (?:Notice|Parse error|Fatal error|Warning):)|(?:exception '[^']+' with message ')|(?:Uncaught [A-Za-z\\]+:)",
        PhpMessage,
    ),
    rule(&[PhpMessage], r"^Stack trace:", PhpFrame),
    rule(&[PhpFrame], r"^(?:PHP +[0-9]+\.|#[0-9]+ )", PhpFrame),
    rule(&[PhpFrame], r"^\s+thrown in ", PhpFrame),
    // The exception that followed from the one above.
    rule(&[PhpFrame], r"^\r?$", PhpBlank),
    rule(&[PhpFrame, PhpBlank], r"^Next [A-Za-z_\\]+", PhpMessage),
];

const GO: &[Rule] = &[
    rule(&[Start], r"\bpanic: |^fatal error: ", GoMessage),
    rule(&[Start], r"http: panic serving", GoRoutine),
    rule(&[GoMessage], r"^[\t ]+panic: |^\t", GoMessage),
    rule(&[GoMessage], r"^\[signal ", GoSignal),
    rule(&[GoMessage, GoSignal, GoFile, GoFunction], r"^\r?$", GoBlank),
    rule(&[GoMessage, GoSignal, GoBlank, GoRoutine], r"^goroutine [0-9]+ \[[^\]]+\]:\r?$", GoFunction),
    rule(&[GoFunction, GoFile], r"^(?:[^\s.:]+\.)*[^\s.():]+\(|^created by |^[^\s]+\.[^\s]+\(", GoFunction),
    rule(&[GoFunction], r"^\s+[^\s]", GoFile),
    rule(&[GoFile, GoFunction], r"^\.\.\.(?:additional|[0-9]+) frames elided\.\.\.", GoFile),
    rule(&[GoFile, GoFunction, GoBlank], r"^(?:rax|rbx|rip|eflags|cs|fs|gs)\s+0x|^exit status ", GoFile),
];

const RUST: &[Rule] = &[
    rule(&[Start], r"^thread '[^']*'(?: \([0-9]+\))? panicked at .*:[0-9]+:[0-9]+:\r?$", RustPanic),
    // Before 1.73 the message came first, in the same line.
    rule(&[Start], r"^thread '[^']*' panicked at '.*', .*:[0-9]+:[0-9]+\r?$", RustMessage),
    rule(&[RustPanic], r"[^\s]", RustMessage),
    // What an assertion compared.
    rule(&[RustMessage], r"^\s+(?:left|right): ", RustMessage),
    rule(&[RustMessage], r"^stack backtrace:\r?$", RustFrame),
    rule(&[RustFrame], r"^\s+(?:[0-9]+: |at )", RustFrame),
    rule(&[RustMessage, RustFrame], r"^note: (?:run with|[Ss]ome details)", RustEnd),
];

const RUBY: &[Rule] = &[
    rule(&[Start], r"Error \(.*\):\r?$", RubyMessage),
    rule(&[Start], r"^[^\s]+\.rb:[0-9]+:in [`'].*\((?:[A-Z][A-Za-z0-9]*(?:::)?)+\)", RubyFrame),
    rule(&[RubyMessage], r"^\s*$", RubyBlank),
    rule(
        &[RubyMessage, RubyBlank, RubyFrame],
        r"^[\t ]+(?:from )?.*?\.(?:rb|erb|ru|rake):[0-9]+:in [`']",
        RubyFrame,
    ),
];

const DART: &[Rule] = &[
    rule(&[Start], r"^Unhandled exception:\r?$", DartMessage),
    rule(&[DartMessage], r"^[^\s#]", DartText),
    rule(&[DartMessage, DartFrame], r"^#[0-9]+\s+.+?\(.+\)\r?$|^#[0-9]+\s+.+ <", DartFrame),
    rule(&[DartMessage, DartFrame], r"^<asynchronous suspension>\r?$", DartFrame),
    rule(&[DartMessage], r"^\r?$|^\s", DartText),
    rule(&[DartText], r"^#[0-9]+\s+.+\(.+\)\r?$", DartFrame),
    rule(&[DartText], r"^\r?$|^[\s^]|^[^#]", DartText),
];

/// All languages, in the order of the reference page.
pub const LANGUAGES: &[Language] = &[
    Language { name: "java", aliases: &["kotlin", "scala"], rules: JAVA },
    Language { name: "dotnet", aliases: &["csharp"], rules: JAVA },
    Language { name: "node", aliases: &["javascript", "nodejs", "js"], rules: JAVA },
    Language { name: "python", aliases: &[], rules: PYTHON },
    Language { name: "go", aliases: &["golang"], rules: GO },
    Language { name: "ruby", aliases: &["rails"], rules: RUBY },
    Language { name: "php", aliases: &[], rules: PHP },
    Language { name: "rust", aliases: &[], rules: RUST },
    Language { name: "dart", aliases: &[], rules: DART },
];
