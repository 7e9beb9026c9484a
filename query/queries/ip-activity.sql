/* ---
title: "Everything an address did, newest first"
description: |
    All logs in one timeline.
tables: [events]
parameters:
  - name: ip
    type: network
    doc: "An address or network."
  - name: limit
    type: int
    default: "100"
    doc: "Rows shown."
--- */
SELECT event_time, source, account_id, region, actor, action, outcome, src_ip, dst_ip, dst_port, event_uid
FROM events
WHERE cidr_contains($ip, src_ip) OR cidr_contains($ip, dst_ip)
ORDER BY event_time DESC, event_uid
LIMIT $limit
