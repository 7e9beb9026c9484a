/* ---
id: flow-skipdata-gap
title: "Flow records were skipped"
status: stable
author: logq
level: low
description: |
    SKIPDATA says that records of an interface were lost during the window, by an internal limit
    or error. Whatever happened then is not in the table.
tags:
  - attack.stealth
  - attack.defense-evasion
tables: [vpc_flow]
summary: "{count} SKIPDATA records on {interface_id}: traffic of those windows is missing"
evidence: |
  SELECT * FROM vpc_flow
  WHERE event_date BETWEEN CAST({first_seen} AS DATE) AND CAST({last_seen} AS DATE)
    AND event_time BETWEEN {first_seen} AND {last_seen}
    AND interface_id = {interface_id} AND log_status = 'SKIPDATA'
  ORDER BY event_time
falsepositives:
  - "Very busy interfaces."
--- */
SELECT coalesce(interface_id, 'unknown') AS entity, interface_id, min(event_time) AS first_seen, max(event_time) AS last_seen,
  count(*) AS "count", min(account_id) AS account_id, min(region) AS region
FROM vpc_flow
WHERE {TIME} AND log_status = 'SKIPDATA' AND interface_id IS NOT NULL
GROUP BY interface_id, date_trunc('day', event_time)
ORDER BY "count" DESC, entity
