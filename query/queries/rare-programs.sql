/* ---
title: "User agents that few principals use"
description: |
    Attack tools, a laptop among pipelines, a browser among services. Calls of AWS services are left out.
tables: [cloudtrail]
parameters:
  - name: principals
    type: int
    default: "2"
    doc: "Most principals a rare program has."
  - name: limit
    type: int
    default: "20"
    doc: "Rows shown."
--- */
SELECT user_agent(user_agent) AS program, count(DISTINCT actor) AS principals, count(*) AS calls, min(actor) AS one_principal, min(src_ip) AS one_address,
  min(user_agent) AS example, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE user_agent IS NOT NULL AND user_agent NOT LIKE '%.amazonaws.com' AND invoked_by IS NULL
GROUP BY user_agent(user_agent)
HAVING count(DISTINCT actor) <= $principals
ORDER BY principals, calls, program
LIMIT $limit
