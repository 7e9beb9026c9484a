/* ---
title: "When and where an address was seen in any log"
description: |
    The first question about an indicator: since when, in which logs, how often, as client or as server.
tables: [events]
parameters:
  - name: ip
    type: network
    doc: "An address or network."
--- */
SELECT source, CASE WHEN cidr_contains($ip, src_ip) THEN 'source' ELSE 'destination' END AS seen_as,
  count(*) AS records, min(event_time) AS first_seen, max(event_time) AS last_seen,
  count(DISTINCT account_id) AS accounts, count(DISTINCT actor) AS actors
FROM events
WHERE cidr_contains($ip, src_ip) OR cidr_contains($ip, dst_ip)
GROUP BY source, CASE WHEN cidr_contains($ip, src_ip) THEN 'source' ELSE 'destination' END
ORDER BY first_seen, source, seen_as
