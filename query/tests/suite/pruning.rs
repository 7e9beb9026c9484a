//! What is not read. Counted in files the plan reads from, never in time.

use crate::lake::{TestLake, flow, three_days};

/// Result and number of files of a query, from the line `-v` prints.
fn files(lake: &TestLake, arguments: &[&str]) -> (String, usize) {
    let ran = lake.logq(&[&["-v", "--format", "csv"], arguments].concat());
    let line = ran.stderr.lines().last().unwrap_or_default().to_owned();
    let count = match line.split_once(" read of ") {
        Some((_, rest)) => rest.split_whitespace().next().unwrap().parse().unwrap(),
        None => 0,
    };
    (ran.ok(), count)
}

#[test]
fn since_and_until_leave_days_unread() {
    let lake = three_days();
    let query = "select sum(bytes) as b from vpc_flow";
    for (since, until, expected, read) in [
        ("2026-11-21", "2026-11-22", "b\n1200\n", 1),
        ("2026-11-21T12:00:00Z", "2026-11-23", "b\n1500\n", 2),
        ("2026-11-20T23:59:59.999999Z", "2026-11-21T00:00:00Z", "b\n200\n", 1),
        ("2026-11-20", "2026-11-23", "b\n2100\n", 3),
        ("2020-01-01", "2020-01-02", "b\n\"\"\n", 0),
    ] {
        let (found, count) = files(&lake, &["--since", since, "--until", until, query]);
        let expected = expected.replace("\"\"", "");
        assert_eq!((found.as_str(), count), (expected.as_str(), read), "{since} {until}");
    }
}

#[test]
fn conditions_on_time_leave_days_unread() {
    let lake = three_days();
    for (condition, rows, read) in [
        ("event_time >= '2026-11-22'", 1, 1),
        ("event_time > timestamp '2026-11-21 12:30:00'", 2, 2),
        ("event_time between '2026-11-21 00:00:00' and '2026-11-21 12:00:00'", 2, 1),
        ("event_time < '2026-11-20T12:00:00Z'", 1, 1),
        ("'2026-11-22T00:00:00Z' <= event_time", 1, 1),
        ("event_time::date = '2026-11-20'", 2, 1),
        ("date_trunc('day', event_time) = '2026-11-21'", 3, 1),
        ("event_date = '2026-11-21'", 3, 1),
        ("event_date in ('2026-11-20', '2026-11-22')", 3, 2),
        ("event_time > '2026-11-22' and dst_port = 22", 1, 1),
        ("event_time > now() + interval '1000 days'", 0, 0),
        ("event_time > now() - interval '36500 days'", 6, 3),
        ("event_time < ago('36500d')", 0, 0),
        ("event_time > ago('36500d')", 6, 3),
    ] {
        let (found, count) = files(&lake, &[&format!("select bytes from vpc_flow where {condition}")]);
        assert_eq!((found.lines().count() - 1, count), (rows, read), "{condition}");
    }
}

#[test]
fn bounds_of_other_columns_leave_files_unread() {
    let lake = three_days();
    for (condition, rows, read) in [
        ("bytes > 550", 1, 1),
        ("bytes = 300", 1, 1),
        ("dst_port = 5432", 1, 1),
        ("src_ip = '203.0.113.7'", 1, 1),
        ("src_ip is null", 0, 0),
        ("dst_port in (1, 2, 3)", 0, 0),
    ] {
        let (found, count) = files(&lake, &[&format!("select bytes from vpc_flow where {condition}")]);
        assert_eq!((found.lines().count() - 1, count), (rows, read), "{condition}");
    }
}

#[test]
fn a_count_needs_no_file_and_stays_right() {
    let lake = three_days();
    let (found, read) = files(&lake, &["select count(*) as n from vpc_flow"]);
    assert_eq!((found.as_str(), read), ("n\n6\n", 0));
    let (found, _) = files(&lake, &["--since", "2026-11-21T12:00:00Z", "select count(*) as n from vpc_flow"]);
    assert_eq!(found, "n\n3\n");
    // Bounds in the log may be wider than the data: extremes come from the data.
    let (found, read) = files(&lake, &["select min(event_time) as a, max(event_time) as z from vpc_flow"]);
    assert_eq!(found, "a,z\n2026-11-20T10:00:00Z,2026-11-22T08:00:00.5Z\n");
    assert_eq!(read, 3);
}

#[test]
fn the_newest_rows_are_found_without_reading_the_older_files() {
    let lake = TestLake::new();
    // 12 days, one file each; file statistics let all but the newest be left out once the limit
    // is filled.
    for day in 1..=12 {
        let rows: Vec<_> = (0..50)
            .map(|minute| flow(&format!("2026-11-{day:02}T10:{minute:02}:00Z"), "10.0.0.1", 22, minute))
            .collect();
        lake.append("vpc_flow", &rows);
    }
    let query = "select * from vpc_flow order by event_time desc limit 5";
    let plan =
        lake.logq(&["--threads", "1", "--format", "vertical", &format!("explain analyze {query}")]).ok();
    let pruned = plan
        .split("files_ranges_pruned_statistics=")
        .nth(1)
        .and_then(|rest| rest.split("→").nth(1))
        .and_then(|rest| {
            rest.trim().split(|c: char| !c.is_ascii_digit()).next().unwrap().parse::<usize>().ok()
        });
    assert!(pruned.is_some_and(|matched| matched <= 2), "{plan}");
    let found = lake.logq(&["--format", "csv", query]).ok();
    let first = found.lines().nth(1).unwrap();
    assert!(first.starts_with("2026-11-12T10:49:00Z"), "{first}");
}

#[test]
fn networks_and_lists_leave_files_and_row_groups_unread() {
    let lake = TestLake::new();
    // One file each, and so one row group: two private networks, one public, IPv6.
    for (minute, addresses) in [
        ["10.1.0.5", "10.1.0.77", "10.1.255.1"],
        ["10.2.0.5", "10.2.7.7", "100.1.0.1"],
        ["203.0.113.7", "203.0.113.80", "203.0.113.81"],
        ["2001:db8::1", "2001:db8:1::1", "2001:db8:ffff::1"],
    ]
    .iter()
    .enumerate()
    {
        let rows: Vec<_> =
            addresses.iter().map(|ip| flow(&format!("2026-11-20T10:0{minute}:00Z"), ip, 22, 1)).collect();
        lake.append("vpc_flow", &rows);
    }
    let list = lake.path().join("list.txt");
    std::fs::write(&list, "10.2.7.7\n2001:db8:1::/48\n").unwrap();
    let list = format!("bad={}", list.display());
    for (condition, rows, read) in [
        ("cidr_contains('10.1.0.0/16', src_ip)", 3, 1),
        ("cidr_contains('10.0.0.0/8', src_ip)", 5, 2),
        ("cidr_contains('10.0.0.0/14', src_ip)", 5, 2),
        ("cidr_contains('203.0.113.80/31', src_ip)", 2, 1),
        ("cidr_contains('2001:db8::/32', src_ip)", 3, 1),
        ("cidr_contains('10.1.0.0/16', src_ip) or src_ip = '203.0.113.7'", 4, 2),
        ("cidr_contains('192.168.0.0/16', src_ip)", 0, 0),
        ("in_list(src_ip, 'bad')", 2, 2),
        ("ip_in(src_ip, 'documentation')", 6, 2),
        ("not cidr_contains('10.0.0.0/8', src_ip)", 7, 4),
    ] {
        let query = format!("select src_ip from vpc_flow where {condition}");
        let (found, count) = files(&lake, &["--ip-list", &list, &query]);
        assert_eq!((found.lines().count() - 1, count), (rows, read), "{condition}: {found}");
    }
}
