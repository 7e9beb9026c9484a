"""25 questions analysts ask, in SQL that DataFusion, DuckDB and ClickHouse all read.

`{c}` is the CloudTrail table, `{v}` the flow table; `{needle_*}` are values the benchmark picks from the data. The
last field tells needles (one value in a month of data) from the rest.
"""

QUERIES = [
    ("count of events", "select count(*) from {c}", False),
    ("count of flows by action", "select action, count(*) as n from {v} group by action order by n desc", False),
    ("top talkers", "select src_ip, dst_ip, sum(bytes) as b from {v} group by src_ip, dst_ip order by b desc limit 10", False),
    ("rejected by port", "select dst_port, count(*) as n from {v} where action = 'REJECT' group by dst_port order by n desc limit 20", False),
    ("sources that touch many ports", "select src_ip, count(distinct dst_port) as ports from {v} where action = 'REJECT' group by src_ip order by ports desc limit 20", False),
    ("bytes out to the Internet by interface", "select interface_id, sum(bytes) as b from {v} where flow_direction = 'egress' and dst_ip not like '10.%' group by interface_id order by b desc limit 20", False),
    ("SSH from outside", "select src_ip, count(*) as n from {v} where dst_port = 22 and src_ip not like '10.%' and action = 'ACCEPT' group by src_ip order by n desc limit 20", False),
    ("flows an hour", "select date_trunc('hour', event_time) as h, count(*) as n, sum(bytes) as b from {v} group by h order by h", False),
    ("long flows", "select src_ip, dst_ip, dst_port, count(*) as windows from {v} where action = 'ACCEPT' and dst_port <> 443 group by src_ip, dst_ip, dst_port having count(*) > 100 order by windows desc limit 20", False),
    ("largest flows", "select event_time, src_ip, dst_ip, dst_port, bytes from {v} order by bytes desc limit 20", False),
    ("one address, newest first", "select * from {v} where src_ip = '{needle_ip}' order by event_time desc limit 50", True),
    ("one address, either side", "select count(*) as n, sum(bytes) as b from {v} where src_ip = '{needle_ip}' or dst_ip = '{needle_ip}'", True),
    ("calls by service", "select event_source, count(*) as n from {c} group by event_source order by n desc", False),
    ("denied calls by principal", "select actor, event_name, count(*) as n from {c} where error_code = 'AccessDenied' group by actor, event_name order by n desc limit 20", False),
    ("console logins", "select event_time, actor, src_ip, outcome from {c} where event_name = 'ConsoleLogin' order by event_time desc limit 50", False),
    ("IAM changes", "select event_time, actor, event_name from {c} where event_source = 'iam.amazonaws.com' and read_only = false order by event_time desc limit 100", False),
    ("root", "select event_name, count(*) as n from {c} where user_identity_type = 'Root' group by event_name order by n desc", False),
    ("addresses of each access key", "select access_key_id, count(distinct src_ip) as ips from {c} where access_key_id is not null group by access_key_id order by ips desc limit 20", False),
    ("user agents", "select user_agent, count(*) as n from {c} group by user_agent order by n desc limit 30", False),
    ("text in parameters, newest first", "select * from {c} where request_parameters like '%administrator%' order by event_time desc limit 10", False),
    ("one access key", "select event_time, event_name, src_ip from {c} where access_key_id = '{needle_key}' order by event_time", True),
    ("one event", "select * from {c} where event_uid = '{needle_uid}'", True),
    ("one source, all calls", "select event_name, count(*) as n from {c} where src_ip = '{needle_source}' group by event_name order by n desc", True),
    ("first and last use of each principal", "select actor, min(event_time) as first, max(event_time) as last, count(*) as n from {c} group by actor order by n desc limit 50", False),
    ("calls and flows of one source", "select c.n as calls, v.n as flows from (select count(*) as n from {c} where src_ip = '{needle_source}') c cross join (select count(*) as n from {v} where src_ip = '{needle_source}') v", True),
]
