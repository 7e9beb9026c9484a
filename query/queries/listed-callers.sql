/* ---
title: "API calls from addresses of a threat list"
description: |
    Needs --ip-list bad=FILE.
tables: [cloudtrail]
parameters:
  - name: limit
    type: int
    default: "100"
    doc: "Rows shown."
--- */
SELECT actor, src_ip, event_source, count(*) AS calls, count(*) FILTER (WHERE outcome = 'failure') AS failed, approx_top_k(event_name, 5) AS operations,
  min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE in_list(src_ip, 'bad')
GROUP BY actor, src_ip, event_source
ORDER BY calls DESC, actor, src_ip
LIMIT $limit
