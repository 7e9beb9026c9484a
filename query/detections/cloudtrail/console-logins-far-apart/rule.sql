/* ---
id: console-logins-far-apart
title: "Console logins from several networks within an hour"
status: stable
author: logq
level: medium
description: |
    One user logged in successfully from addresses of different networks (the first 16 bits of IPv4, 32 of
    IPv6) within an hour: nobody travels that fast, and a shared password is one that got around.
tags:
  - attack.initial-access
  - attack.t1078.004
tables: [cloudtrail]
parameters:
  networks:
    default: 2
    doc: "Distinct networks within the window."
  window:
    default: 1 hour
    doc: "Counted per window of this length, and per window half of it later."
summary: "{actor} logged in from {addresses} within {window}; {count} logins on the day"
evidence: |
  SELECT * FROM cloudtrail
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND event_name = 'ConsoleLogin' AND json_first(response_elements, 'ConsoleLogin') = 'Success' AND coalesce(session_issuer_arn, user_identity_arn, principal_id) = {actor} AND src_ip IS NOT NULL
  ORDER BY event_time
falsepositives:
  - "A VPN that is switched on or off, and phones."
--- */
WITH logins AS (
  SELECT coalesce(session_issuer_arn, user_identity_arn, principal_id) AS actor, event_time, src_ip, account_id, region,
    CASE WHEN ip_version(src_ip) = 4 THEN regexp_replace(src_ip, '^([0-9]+\.[0-9]+)\..*$', '\1') ELSE regexp_replace(src_ip, '^([0-9a-f]*:[0-9a-f]*):.*$', '\1') END AS network
  FROM cloudtrail
  WHERE {TIME} AND event_name = 'ConsoleLogin' AND json_first(response_elements, 'ConsoleLogin') = 'Success' AND src_ip IS NOT NULL
), suspects AS (
  SELECT DISTINCT actor, date_trunc('day', bin) AS day FROM (
    SELECT actor, date_bin(INTERVAL {window}, event_time) AS bin FROM logins
    GROUP BY actor, date_bin(INTERVAL {window}, event_time) HAVING count(DISTINCT network) >= {networks}
    UNION ALL
    SELECT actor, date_bin(INTERVAL {window}, event_time + INTERVAL '30 minutes') AS bin FROM logins
    GROUP BY actor, date_bin(INTERVAL {window}, event_time + INTERVAL '30 minutes') HAVING count(DISTINCT network) >= {networks})
)
SELECT l.actor AS entity, l.actor, min(l.event_time) AS first_seen, max(l.event_time) AS last_seen, count(*) AS "count",
  string_agg(DISTINCT l.src_ip, ' ') AS addresses, min(l.account_id) AS account_id, min(l.region) AS region
FROM logins l JOIN suspects s ON l.actor = s.actor AND date_trunc('day', l.event_time) = s.day
GROUP BY l.actor, s.day
ORDER BY "count" DESC, entity
