use super::*;

fn settings(mode: &str) -> MultilineSettings {
    MultilineSettings { mode: Mode::One(mode.to_owned()), ..MultilineSettings::default() }
}

/// Groups lines the way the reader does.
fn group(rules: &Rules, lines: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut open: Option<(States, usize, Vec<&str>, usize)> = None;
    let close = |open: &mut Option<(States, usize, Vec<&str>, usize)>, out: &mut Vec<String>| {
        if let Some((_, _, held, firm)) = open.take() {
            out.push(held[..firm].join("\n"));
            out.extend(held[firm..].iter().map(|line| (*line).to_owned()));
        }
    };
    for line in lines {
        if let Some((states, first, mut held, firm)) = open.take() {
            if let Some(step) = rules.next(states, first, line.as_bytes()) {
                held.push(line);
                let firm = if step.firm { held.len() } else { firm };
                open = Some((step.states, first, held, firm));
                if step.last {
                    close(&mut open, &mut out);
                }
                continue;
            }
            open = Some((states, first, held, firm));
            close(&mut open, &mut out);
        }
        match rules.begin(line.as_bytes()) {
            Some(states) => open = Some((states, indent(line.as_bytes()), vec![line], 1)),
            None => out.push((*line).to_owned()),
        }
    }
    close(&mut open, &mut out);
    out
}

fn sizes(rules: &Rules, text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    group(rules, &lines).iter().map(|record| record.split('\n').count()).collect()
}

const JAVA: &str = "ERROR com.example.App - java.lang.IllegalStateException: no\n\
    \tat com.example.App.run(App.java:10)\n\tat com.example.App.main(App.java:5)\n\
    Caused by: java.io.IOException: disk\n\tat com.example.Io.read(Io.java:1)\n\t... 2 more\nINFO next line";

const PYTHON: &str = "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\n    x()\n    ~^^\n\
    ValueError: bad: thing\n\nDuring handling of the above exception, another exception occurred:\n\n\
    Traceback (most recent call last):\n  File \"b.py\", line 2, in g\n    y()\nKeyError: 'k'\nnext\n";

const GO: &str = "panic: boom\n\ngoroutine 1 [running]:\nmain.f(...)\n\t/app/main.go:5\nmain.main()\n\
    \t/app/main.go:9 +0x20\nexit status 2\nstarted\n";

#[test]
fn traces_of_each_language_are_one_record_and_what_follows_is_not_swallowed() {
    let auto = settings("auto").rules().unwrap().unwrap();
    for (name, text, expected) in [
        ("java", JAVA, vec![6, 1]),
        ("python", PYTHON, vec![12, 1]),
        ("go", GO, vec![8, 1]),
        (
            "node",
            "TypeError: x is not a function\n    at f (/a.js:1:2)\n    at /b.js:3:4\n{\"next\":1}",
            vec![3, 1],
        ),
        ("ruby", "app.rb:3:in `f': no (RuntimeError)\n\tfrom app.rb:9:in `main'\nnext", vec![2, 1]),
        (
            "php",
            "PHP Fatal error:  Uncaught Exception: m in /a.php:3\nStack trace:\n#0 {main}\n  thrown in /a.php on line 3\nx",
            vec![4, 1],
        ),
        ("dotnet", "Unhandled exception. System.Exception: m\n   at A.B() in /a.cs:line 3\nnext", vec![2, 1]),
    ] {
        assert_eq!(sizes(&auto, text), expected, "auto: {name}");
        let own = settings(name).rules().unwrap().unwrap();
        assert_eq!(sizes(&own, text), expected, "{name}");
        let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
        assert_eq!(sizes(&auto, &indented), expected, "indented {name}");
    }
}

#[test]
fn a_blank_line_after_a_trace_is_a_record_of_its_own_unless_the_trace_goes_on() {
    let auto = settings("auto").rules().unwrap().unwrap();
    let lines = ["Traceback (most recent call last):", "  File \"a\", line 1", "    x", "E: y", "", "other"];
    assert_eq!(group(&auto, &lines)[1..], ["", "other"]);
}

#[test]
fn ordinary_lines_stay_alone() {
    let auto = settings("auto").rules().unwrap().unwrap();
    let lines = [
        "GET / 200",
        "  indented",
        "",
        "error: something",
        "Error: something",
        "panic: not really",
        "{\"a\":1}",
        "at the end",
        "#1 first",
    ];
    assert_eq!(group(&auto, &lines), lines);
}

#[test]
fn own_patterns_follow_each_condition() {
    let rules = |condition: ConditionMode, pattern: &str| {
        let settings = MultilineSettings {
            mode: Mode::One("custom".into()),
            start_pattern: "^S".into(),
            condition_pattern: pattern.into(),
            condition,
            ..MultilineSettings::default()
        };
        settings.rules().unwrap().unwrap()
    };
    let lines = ["S1", " a", " b", "x", "S2", "E", "y"];
    let text = lines.join("\n");
    assert_eq!(sizes(&rules(ConditionMode::ContinueThrough, "^ "), &text), [3, 1, 1, 1, 1]);
    assert_eq!(sizes(&rules(ConditionMode::ContinuePast, "^ "), &text), [4, 2, 1]);
    assert_eq!(sizes(&rules(ConditionMode::HaltBefore, "^S"), &text), [4, 3]);
    assert_eq!(sizes(&rules(ConditionMode::HaltWith, "^E"), &text), [6, 1]);
}

#[test]
fn mistakes_are_named_and_hints_nobody_understands_change_nothing() {
    assert_eq!(settings("jawa").check("sources.p").unwrap_err().key, "sources.p.multiline.mode");
    assert_eq!(settings("custom").check("sources.p").unwrap_err().key, "sources.p.multiline.start_pattern");
    assert!(settings("none").rules_for(None).is_none());
    assert!(settings("none").rules_for(Some("python, java")).is_some());
    assert!(settings("none").rules_for(Some("cobol")).is_none());
    assert!(settings("java").rules_for(Some("none")).is_none());
}

#[test]
fn however_many_hints_pods_make_up_each_is_obeyed_and_few_are_remembered() {
    let multiline = Multiline::new(settings("none"));
    let used = multiline.rules(Some("java")).unwrap();
    for number in 0..3 * HINTS_MAX {
        assert!(multiline.rules(Some(&format!("made-up-{number}"))).is_none());
    }
    assert!(Arc::ptr_eq(&used, &multiline.rules(Some("java")).unwrap()), "in use, so not compiled again");
    assert!(multiline.rules(Some("go")).is_some());
    assert!(multiline.compiled.lock().unwrap().len() <= HINTS_MAX);
}

#[test]
fn nested_and_grouped_traces_are_one_record() {
    let auto = settings("auto").rules().unwrap().unwrap();
    for (name, text) in [
        (
            "python",
            "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 1, in <module>\n  \
             |     raise group\n  | ExceptionGroup: two (2 sub-exceptions)\n  \
             +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    \
             |   File \"a.py\", line 1, in f\n    | ValueError: 1\n    \
             +---------------- 2 ----------------\n    | TypeError: 2\n    \
             +------------------------------------\nnext",
        ),
        (
            "node",
            "Error: outer\n    at f (/a.js:1:2)\n    at g (/a.js:2:2) {\n  code: 'E',\n  [cause]: Error: inner\n      \
             at h (/a.js:3:2) {\n    info: [ 1 ]\n  }\n}\nnext",
        ),
        (
            "go",
            "runtime: stack\nfatal error: stack overflow\n\ngoroutine 1 [running]:\nmain.f(0x1)\n\t/a.go:1 +0x1\n\
             ...additional frames elided...\ncreated by main.main\n\t/a.go:3 +0x2\nnext",
        ),
        (
            "dotnet",
            "System.AggregateException: two\n ---> System.Exception: 1\n   at A.B() in /a.cs:line 3\n   \
             --- End of inner exception stack trace ---\n   at A.C()\n \
             ---> (Inner Exception #1) System.Exception: 2\n   at A.D()<---\n\n \
             ---> (Inner Exception #2) System.Exception: 3\n   at A.E()<---\nnext",
        ),
        (
            "java",
            "java.lang.Exception: a\n\tat a.B.c(D.java:1)\n\t[CIRCULAR REFERENCE:java.lang.Exception: a]\nnext",
        ),
        (
            "php",
            "PHP Fatal error:  Uncaught Exception: a in /a.php:3\nStack trace:\n#0 {main}\n\n\
             Next App\\Failure: b in /a.php:5\nStack trace:\n#0 {main}\n  thrown in /a.php on line 5\nnext",
        ),
        (
            "rust",
            "thread 'main' (12) panicked at src/main.rs:2:5:\nassertion `left == right` failed\n  left: 1\n \
             right: 2\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/lib.rs:1:2\n\
             note: Some details are omitted\nnext",
        ),
        ("rust", "thread 'main' panicked at 'no', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1`\nnext"),
    ] {
        let own = settings(name).rules().unwrap().unwrap();
        let lines = text.lines().skip(usize::from(name == "go")).collect::<Vec<_>>();
        for rules in [&auto, &own] {
            let records = group(rules, &lines);
            assert_eq!((records.len(), records[1..].concat().as_str()), (2, "next"), "{name}: {records:#?}");
        }
    }
}
