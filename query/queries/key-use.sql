/* ---
title: "Where and how an access key was used"
description: |
    By address, program and service. A key that works from two networks is shared or stolen.
tables: [cloudtrail]
parameters:
  - name: key
    type: text
    doc: "Access key id: AKIA… or ASIA…."
--- */
SELECT src_ip, user_agent(user_agent) AS program, event_source, count(*) AS calls, count(*) FILTER (WHERE outcome = 'failure') AS failed,
  count(DISTINCT event_name) AS operations, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM cloudtrail
WHERE access_key_id = $key
GROUP BY src_ip, user_agent(user_agent), event_source
ORDER BY calls DESC, src_ip, event_source
